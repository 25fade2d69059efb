//! Files under `public/`, over HTTP.

use std::io::Read as _;

use flate2::read::GzDecoder;

use crate::support::{Answer, Picloud};

/// A server with the app `hi`, whose files these are.
struct Site(Picloud);

impl Site {
    async fn new(files: &[(&str, &str)]) -> Self {
        let server = Picloud::start(&[]);
        server.deploy("hi", files).await;
        Self(server)
    }

    /// A request with these headers.
    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let headers = [&[("host", "hi.localhost")], headers].concat();
        self.0.send(method, path, &headers, "").await
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.ask("GET", path, headers).await
    }
}

/// Status, `Content-Encoding`, and what the body is, uncompressed.
fn seen(answer: &Answer) -> (u16, Option<&str>, String) {
    let coding = answer.header("content-encoding");
    let mut text = String::new();
    let read = match coding {
        Some("gzip") => GzDecoder::new(&*answer.body).read_to_string(&mut text),
        _ => (&*answer.body).read_to_string(&mut text),
    };
    read.unwrap();
    (answer.status.as_u16(), coding, text)
}

fn etag(answer: &Answer) -> &str {
    answer.header("etag").unwrap()
}

fn style() -> String {
    "body { margin: 0; color: #123456; }\n".repeat(500)
}

#[tokio::test]
async fn static_files_are_cached_by_their_contents() {
    let site = Site::new(&[("public/a.txt", "0123456789"), ("index.rhai", "1")]).await;
    let whole = site.get("/a.txt", &[]).await;
    assert_eq!(whole.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(whole.header("cache-control"), Some("public, max-age=0, must-revalidate"));
    assert_eq!(whole.header("vary"), None, "there is but one form of it");
    let known = site.get("/a.txt", &[("if-none-match", etag(&whole))]).await;
    assert_eq!((known.status.as_u16(), known.header("etag")), (304, whole.header("etag")));
    let part = site.get("/a.txt", &[("range", "bytes=2-4")]).await;
    assert_eq!((part.status.as_u16(), part.text()), (206, "234"));
    assert_eq!(part.header("content-range"), Some("bytes 2-4/10"));
    assert_eq!(site.get("/a.txt", &[("range", "bytes=99-")]).await.status, 416);
    let head = site.ask("HEAD", "/a.txt", &[]).await;
    assert_eq!((head.status.as_u16(), head.header("content-length")), (200, Some("10")));
    assert_eq!((head.header("etag"), head.body.len()), (whole.header("etag"), 0));
    let post = site.ask("POST", "/a.txt", &[]).await;
    assert_eq!((post.status.as_u16(), post.header("allow")), (405, Some("GET, HEAD")));
}

#[tokio::test]
async fn text_is_compressed_for_who_can_read_it() {
    let style = style();
    let image = "0123456789".repeat(500);
    let site = Site::new(&[
        ("public/style.css", &style),
        ("public/small.css", "body {}"),
        ("public/image.png", &image),
    ])
    .await;
    for _ in 0..2 {
        let packed = site.get("/style.css", &[("accept-encoding", "gzip, deflate, br")]).await;
        assert_eq!(seen(&packed), (200, Some("gzip"), style.clone()));
        assert!(packed.body.len() < style.len() / 10, "{}", packed.body.len());
        assert_eq!(packed.header("vary"), Some("accept-encoding"));
        assert_eq!(packed.header("content-type"), Some("text/css; charset=utf-8"));
    }
    for refusal in ["", "br", "gzip;q=0", "gzip;q=0.1, identity", "identity"] {
        let plain = site.get("/style.css", &[("accept-encoding", refusal)]).await;
        assert_eq!(seen(&plain), (200, None, style.clone()), "{refusal}");
        assert_eq!(plain.header("vary"), Some("accept-encoding"), "a cache must know");
    }
    assert_eq!(seen(&site.get("/style.css", &[]).await), (200, None, style));
    for path in ["/small.css", "/image.png"] {
        let plain = site.get(path, &[("accept-encoding", "gzip")]).await;
        assert_eq!((plain.status.as_u16(), plain.header("content-encoding")), (200, None));
        assert_eq!(plain.header("vary"), None, "{path}");
    }
}

#[tokio::test]
async fn each_form_is_revalidated_by_its_own_tag() {
    let style = style();
    let site = Site::new(&[("public/style.css", &style)]).await;
    let gzip = ("accept-encoding", "gzip");
    let packed = site.get("/style.css", &[gzip]).await;
    let plain = site.get("/style.css", &[]).await;
    assert_ne!(etag(&packed), etag(&plain));
    assert!(etag(&packed).starts_with("W/") && etag(&plain).starts_with('"'));

    let known = site.get("/style.css", &[gzip, ("if-none-match", etag(&packed))]).await;
    assert_eq!((known.status.as_u16(), known.body.len()), (304, 0));
    for name in ["etag", "vary", "cache-control"] {
        assert_eq!(known.header(name), packed.header(name), "{name}");
    }
    let known = site.get("/style.css", &[("if-none-match", etag(&plain))]).await;
    assert_eq!(known.status, 304);
    // The other form's tag is another's.
    let other = site.get("/style.css", &[gzip, ("if-none-match", etag(&plain))]).await;
    assert_eq!(seen(&other), (200, Some("gzip"), style.clone()));
    let other = site.get("/style.css", &[("if-none-match", etag(&packed))]).await;
    assert_eq!(seen(&other), (200, None, style));
}

#[tokio::test]
async fn what_the_app_ships_compressed_is_sent_as_it_is() {
    let style = style();
    let site = Site::new(&[
        ("public/style.css", &style),
        ("public/style.css.br", "brotli"),
        ("public/style.css.gz", "gzip"),
    ])
    .await;
    let body = async |accept: &str| {
        let answer = site.get("/style.css", &[("accept-encoding", accept)]).await;
        let coding = answer.header("content-encoding").map(ToOwned::to_owned);
        assert_eq!(answer.header("content-type"), Some("text/css; charset=utf-8"));
        assert!(etag(&answer).starts_with('"'), "its bytes are fixed: {answer:?}");
        (coding, answer.body.len())
    };
    assert_eq!(body("gzip, br").await, (Some("br".to_owned()), 6));
    assert_eq!(body("br;q=0.9, gzip").await, (Some("gzip".to_owned()), 4));
    assert_eq!(body("identity").await, (None, style.len()));
    // Under their own names they are files like others.
    let file = site.get("/style.css.gz", &[("accept-encoding", "gzip")]).await;
    assert_eq!((file.text(), file.header("content-encoding")), ("gzip", None));
    assert_eq!(file.header("content-type"), Some("application/gzip"));
}

#[tokio::test]
async fn a_range_is_of_the_form_that_is_sent() {
    let style = style();
    let site = Site::new(&[
        ("public/style.css", &style),
        ("public/app.js", &style),
        ("public/app.js.br", "brotli"),
    ])
    .await;
    let range = ("range", "bytes=0-3");
    // Bytes that are compressed on the way have no ranges.
    let part = site.get("/style.css", &[range, ("accept-encoding", "gzip")]).await;
    assert_eq!(seen(&part), (206, None, "body".to_owned()));
    assert_eq!(part.header("accept-ranges"), Some("bytes"));
    let refusing = ("accept-encoding", "gzip, identity;q=0");
    let whole = site.get("/style.css", &[range, refusing]).await;
    assert_eq!(seen(&whole), (200, Some("gzip"), style.clone()));
    assert_eq!(whole.header("accept-ranges"), Some("none"));

    let br = ("accept-encoding", "br");
    let part = site.get("/app.js", &[range, br]).await;
    assert_eq!(seen(&part), (206, Some("br"), "brot".to_owned()));
    assert_eq!(part.header("content-range"), Some("bytes 0-3/6"));
    let tag = etag(&part).to_owned();
    let part = site.get("/app.js", &[range, br, ("if-range", &tag)]).await;
    assert_eq!(part.status, 206);
    // Half of one form and half of another make nothing.
    let whole = site.get("/app.js", &[range, ("if-range", &tag)]).await;
    assert_eq!(seen(&whole), (200, None, style.clone()));
    let weak = format!("W/{tag}");
    let whole = site.get("/app.js", &[range, br, ("if-range", &weak)]).await;
    assert_eq!(seen(&whole), (200, Some("br"), "brotli".to_owned()));
}

#[tokio::test]
async fn head_says_what_get_would() {
    let style = style();
    let site = Site::new(&[
        ("public/style.css", &style),
        ("public/app.js", &style),
        ("public/app.js.br", "brotli"),
        ("public/a.png", "image"),
    ])
    .await;
    for path in ["/style.css", "/app.js", "/a.png"] {
        for accept in ["gzip", "br", "identity", "*;q=0"] {
            let accept = ("accept-encoding", accept);
            let head = site.ask("HEAD", path, &[accept]).await;
            let get = site.get(path, &[accept]).await;
            assert_eq!((head.status, head.body.len()), (get.status, 0), "{path} {accept:?}");
            let without_date = |answer: &Answer| {
                let mut headers = answer.headers.clone();
                headers.remove("date");
                headers
            };
            assert_eq!(without_date(&head), without_date(&get), "{path} {accept:?}");
            assert!(get.headers.contains_key("content-length"));
        }
    }
}

#[tokio::test]
async fn who_accepts_no_form_is_told() {
    let site = Site::new(&[("public/style.css", &style()), ("public/a.png", "image")]).await;
    for path in ["/style.css", "/a.png"] {
        let none = site.get(path, &[("accept-encoding", "br, *;q=0")]).await;
        assert_eq!((none.status.as_u16(), &none.json()["code"]), (406, &"not_acceptable".into()));
    }
}

#[tokio::test]
async fn a_name_with_a_hash_of_the_contents_is_kept_by_caches() {
    let site = Site::new(&[
        ("public/assets/app.3f9a2c1b.js", "let a;"),
        ("public/assets/app.js", "let b;"),
    ])
    .await;
    let cache_control =
        async |path: &str| site.get(path, &[]).await.header("cache-control").unwrap().to_owned();
    let kept = "public, max-age=31536000, immutable";
    assert_eq!(cache_control("/assets/app.3f9a2c1b.js").await, kept);
    assert_eq!(cache_control("/assets/app.js").await, "public, max-age=0, must-revalidate");
}
