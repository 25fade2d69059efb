//! Every example, deployed as it lies in the repository and used over HTTP.

use std::path::Path;

use serde_json::json;

use crate::support::Picloud;
use crate::upstream::Upstream;

/// The server with one example deployed by `picloud deploy`.
fn example(name: &str) -> Picloud {
    let server = Picloud::start(&[]);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name);
    server.cli(["deploy", folder.to_str().unwrap(), "--app", name]).ok();
    server
}

#[tokio::test]
async fn hello_greets_by_name() {
    let server = example("hello");
    let answer = server.get("hello", "/").await;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, "Hello, world!"));
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(server.get("hello", "/?name=Ann%20%26%20Bob").await.text(), "Hello, Ann & Bob!");
}

#[tokio::test]
async fn guestbook_keeps_what_visitors_write_and_escapes_it() {
    let server = example("guestbook");
    let host = "guestbook.localhost";
    assert!(server.get("guestbook", "/").await.text().contains("Nobody has signed yet."));

    let form = "name=Ann&message=%3Cscript%3Ealert(1)%3C%2Fscript%3E";
    let posted = server.request(host, "POST", "/", form).await;
    assert_eq!((posted.status.as_u16(), posted.header("location")), (303, Some("/")));
    let posted = server.request(host, "POST", "/", "name=Bob&message=second").await;
    assert_eq!(posted.status, 303);

    let page = server.get("guestbook", "/").await;
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(page.text().contains("&lt;script&gt;alert(1)"), "{}", page.text());
    assert!(!page.text().contains("<script>"));
    let at = |text: &str| page.text().find(text).unwrap();
    assert!(at("second") < at("alert(1)"), "the newest comes first");

    let refused = server.request(host, "POST", "/", "name=&message=%22%3E%3Cb%3E").await;
    assert_eq!(refused.status, 422);
    assert!(refused.text().contains("Please tell us your name."));
    assert!(!refused.text().contains("\"><b>"));
    let style = server.get("guestbook", "/style.css").await;
    assert_eq!(style.header("content-type"), Some("text/css; charset=utf-8"));
}

#[tokio::test]
async fn shortlink_redirects_and_counts() {
    let server = example("shortlink");
    let host = "shortlink.localhost";
    let url = "https://example.org/a?b=c#d";
    let made = server.request(host, "POST", "/", json!({ "url": url }).to_string()).await;
    assert_eq!(made.status, 201, "{made:?}");
    let code = made.json()["code"].as_str().unwrap().to_owned();
    for _ in 0..3 {
        let answer = server.get("shortlink", &format!("/{code}")).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (302, Some(url)));
    }
    let stats = server.get("shortlink", &format!("/stats/{code}")).await.json();
    assert_eq!((&stats["hits"], &stats["url"]), (&json!(3), &json!(url)));

    assert_eq!(server.get("shortlink", "/nothing").await.status, 404);
    assert_eq!(server.get("shortlink", "/stats/nothing").await.status, 404);
    for bad in ["javascript:alert(1)", "ftp://a", "https://", "http:///x", "https://a b"] {
        let body = json!({ "url": bad }).to_string();
        assert_eq!(server.request(host, "POST", "/", body).await.status, 422, "{bad}");
    }
    assert_eq!(server.request(host, "POST", "/", "{not json").await.status, 400);
}

#[tokio::test]
async fn json_api_creates_reads_changes_and_deletes() {
    let server = example("json-api");
    let send = async |method: &str, path: &str, body: &str| {
        server.request("json-api.localhost", method, path, body.to_owned()).await
    };
    let made = send("POST", "/todos", r#"{"title":"water the plants"}"#).await;
    assert_eq!(made.status, 201, "{made:?}");
    let path = made.header("location").unwrap().to_owned();
    assert_eq!(made.json()["done"], false);

    assert_eq!(send("GET", &path, "").await.json(), made.json());
    let patched = send("PATCH", &path, r#"{"done":true}"#).await.json();
    assert_eq!((&patched["done"], &patched["title"]), (&json!(true), &json!("water the plants")));
    let replaced = send("PUT", &path, r#"{"title":"mow"}"#).await.json();
    assert_eq!((&replaced["done"], &replaced["title"]), (&json!(false), &json!("mow")));
    assert_eq!(send("GET", "/todos", "").await.json()["items"].as_array().unwrap().len(), 1);

    for (body, status) in [
        ("nonsense", 400),
        ("[]", 422),
        ("{}", 422),
        (r#"{"title":""}"#, 422),
        (r#"{"title":1}"#, 422),
        (r#"{"title":"a","done":"yes"}"#, 422),
        (r#"{"titel":"a"}"#, 422),
    ] {
        assert_eq!(send("POST", "/todos", body).await.status, status, "{body}");
    }
    let refused = send("PROPFIND", &path, "").await;
    assert_eq!(refused.status, 405);
    assert!(refused.header("allow").unwrap().contains("PATCH"));
    assert_eq!(send("DELETE", &path, "").await.status, 204);
    assert_eq!(send("GET", &path, "").await.status, 404);
    assert_eq!(send("DELETE", "/todos/%0A", "").await.status, 404);
}

#[tokio::test]
async fn counter_loses_no_increment() {
    let server = example("counter");
    let posts = (0..200).map(|_| server.request("counter.localhost", "POST", "/likes", ""));
    for answer in futures_util::future::join_all(posts).await {
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    assert_eq!(server.get("counter", "/likes").await.json()["count"], 200);
    assert_eq!(server.get("counter", "/").await.json(), json!({ "likes": 200 }));
    let deleted = server.request("counter.localhost", "DELETE", "/likes", "").await;
    assert_eq!(deleted.status, 204);
    assert_eq!(server.get("counter", "/likes").await.json()["count"], 0);
    assert_eq!(server.get("counter", "/Not%20a%20name").await.status, 400);
}

/// The server with one example that may call servers of this machine, its
/// manifest changed for the test.
fn example_with(name: &str, change: impl Fn(String) -> String) -> Picloud {
    let server = Picloud::start(&["--egress-private", "127.0.0.0/8"]);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name);
    let copy = tempfile::tempdir().unwrap();
    for file in ["index.rhai", "picloud.toml"] {
        let text = std::fs::read_to_string(folder.join(file)).unwrap();
        let text = if file == "picloud.toml" { change(text) } else { text };
        std::fs::write(copy.path().join(file), text).unwrap();
    }
    server.cli(["deploy", copy.path().to_str().unwrap(), "--app", name]).ok();
    server
}

#[tokio::test]
async fn webhook_takes_what_is_signed_once_and_passes_it_on() {
    let upstream = Upstream::start("204 No Content", "").await;
    let server = example_with("webhook", |manifest| {
        let manifest = manifest.replace("https://example.org/", &upstream.url());
        manifest.replace("\"example.org\"", &format!("\"{}\"", upstream.addr))
    });
    let delivery = r#"{"id": "d1", "event": "paid"}"#;
    let send = async |signature: &str| {
        let headers = [("host", "webhook.localhost"), ("x-signature", signature)];
        server.send("POST", "/", &headers, delivery).await
    };
    assert_eq!(send("sha256=").await.status, 503, "there is no key yet");
    server.api("PUT", "/apps/webhook/secrets/WEBHOOK_KEY", "my-key").await;
    for wrong in ["", "sha256=", "sha256=00"] {
        assert_eq!(send(wrong).await.status, 401, "{wrong}");
    }
    assert!(upstream.requests().is_empty());
    // printf '{"id": "d1", "event": "paid"}' | openssl dgst -sha256 -hmac my-key
    let signature = "sha256=89a5400f66b7d7c88780e6a1636ab9f9f550ff0947657ce68fc9229d4303e951";
    let first = send(signature).await;
    assert_eq!((first.status.as_u16(), first.json()["known"].clone()), (201, json!(false)));
    assert_eq!(send(signature).await.json()["known"], true);
    let [request] = &upstream.requests()[..] else { panic!("{:?}", upstream.requests()) };
    assert!(request.starts_with("POST /incoming ") && request.contains("\"event\":\"paid\""));
    let stored = server.get("webhook", "/").await.json();
    assert_eq!(stored["items"][0]["value"]["forwarded"], 204);
}

#[tokio::test]
async fn weather_cache_asks_once_and_tells_whose_fault_it_is() {
    let upstream = Upstream::start("200 OK", r#"{"celsius": 21.5}"#).await;
    let server = example_with("weather-cache", |manifest| {
        let manifest = manifest.replace("https://weather.example.org/", &upstream.url());
        manifest.replace("\"weather.example.org\"", &format!("\"{}\"", upstream.addr))
    });
    for (cached, city) in [("miss", "S%C3%A3o%20Paulo"), ("hit", "s%C3%A3o%20paulo")] {
        let answer = server.get("weather-cache", &format!("/?city={city}")).await;
        assert_eq!(answer.header("x-cache"), Some(cached), "{answer:?}");
        assert_eq!(answer.json()["celsius"], 21.5);
    }
    assert_eq!(upstream.requests().len(), 1);
    assert!(upstream.requests()[0].starts_with("GET /now?city=s%C3%A3o+paulo "));
    assert_eq!(server.get("weather-cache", "/").await.status, 422);

    let broken = Upstream::start("500 No", "").await;
    let server = example_with("weather-cache", |manifest| {
        let manifest = manifest.replace("https://weather.example.org/", &broken.url());
        manifest.replace("\"weather.example.org\"", &format!("\"{}\"", broken.addr))
    });
    let answer = server.get("weather-cache", "/?city=Berlin").await;
    assert_eq!(
        (answer.status.as_u16(), answer.text()),
        (502, "the weather service answered 500\n")
    );
}

#[tokio::test]
async fn gallery_keeps_photos_and_shows_them_by_links() {
    let server = example("gallery");
    let path = "/photos/a%20photo.png";
    let send = async |method, content_type: &str, body: &'static [u8]| {
        let headers = [("host", "gallery.localhost"), ("content-type", content_type)];
        server.send(method, path, &headers, body).await
    };
    assert!(server.get("gallery", "/").await.text().contains("There are no photos yet."));
    assert_eq!(send("PUT", "text/html", b"<script>").await.status, 415);
    assert_eq!(send("PUT", "image/png", b"\x89PNG\0bytes").await.status, 201);
    let page = server.get("gallery", "/").await;
    assert!(page.text().contains("a photo.png, 1 KiB"), "{}", page.text());
    let link = server.get("gallery", path).await;
    assert_eq!(link.status, 303);
    let link = link.header("location").unwrap().strip_prefix("http://gallery.localhost").unwrap();
    let photo = server.get("gallery", link).await;
    assert_eq!(photo.header("content-type"), Some("image/png"));
    assert_eq!(&photo.body[..], b"\x89PNG\0bytes");
    assert!(page.text().contains("a%20photo.png?expires="));
    assert_eq!(send("DELETE", "", b"").await.status, 204);
    assert_eq!(send("DELETE", "", b"").await.status, 404);
    assert_eq!(server.get("gallery", "/upload.js").await.status, 200);
}

#[tokio::test]
async fn blog_lets_its_author_write_and_nobody_else() {
    let server = example("blog");
    let host = "blog.localhost";
    assert!(server.get("blog", "/").await.text().contains("Nothing has been written yet."));
    let post = "title=A+%3Cb%3E+title&text=**Hi**+%3Cscript%3E%0A%0A-+one%0A-+two";
    assert_eq!(server.request(host, "POST", "/write", post).await.status, 403);
    assert_eq!(server.request(host, "POST", "/write", "password=pw").await.status, 403);

    server.deploy("hash", &[("index.rhai", "crypto::password_hash(req.text())")]).await;
    let hash = server.request("hash.localhost", "POST", "/", "pw").await.text().to_owned();
    server.api("PUT", "/apps/blog/secrets/PASSWORD_HASH", hash).await;
    server.api("PUT", "/apps/blog/secrets/SESSION_KEY", "a key for the sessions of a test").await;
    assert_eq!(server.request(host, "POST", "/write", "password=no").await.status, 403);
    let login = server.request(host, "POST", "/write", "password=pw").await;
    assert_eq!(login.status, 303, "{login:?}");
    let cookie = login.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();

    let write = async |cookie: &str| {
        let headers = [("host", host), ("cookie", cookie)];
        server.send("POST", "/write", &headers, post).await
    };
    assert_eq!(write("session=forged").await.status, 403);
    let written = write(&cookie).await;
    assert_eq!(written.header("location"), Some("/posts/a-b-title"), "{written:?}");
    let page = server.get("blog", "/posts/a-b-title").await;
    assert!(page.text().contains("<h1>A &lt;b&gt; title</h1>"), "{}", page.text());
    assert!(page.text().contains("<p><strong>Hi</strong> &lt;script&gt;</p>"), "{}", page.text());
    assert!(page.text().contains("<ul><li>one</li><li>two</li></ul>"), "{}", page.text());
    assert!(server.get("blog", "/").await.text().contains("href=\"/posts/a-b-title\""));
    assert_eq!(server.get("blog", "/posts/none").await.status, 404);
}

/// Asks an app until the answer has what is wanted.
async fn until(server: &Picloud, app: &str, path: &str, wanted: &str) -> serde_json::Value {
    loop {
        let answer = server.get(app, path).await;
        if answer.text().contains(wanted) {
            return answer.json();
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_sets_off_all_that_follows_from_it() {
    let server = example("orders");
    let manifest = server.cli(["kv", "list", "--app", "orders"]);
    assert_eq!(manifest.code, 0);
    let prices = std::fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/orders/picloud.toml"),
    );
    let prices: toml::Table = prices.unwrap().parse().unwrap();
    let (item, _) = prices["config"]["PRICES"].as_table().unwrap().iter().next().unwrap();
    let order = json!({ "item": item, "count": 2, "email": "ann@example.org" }).to_string();
    let placed = server.request("orders.localhost", "POST", "/orders", order).await;
    assert_eq!(placed.status, 201, "{placed:?}");
    let id = placed.json()["id"].as_str().unwrap().to_owned();
    // The mail goes out last, after order, topic and queue.
    loop {
        let logs = server.cli(["logs", "--app", "orders"]).ok();
        if logs.contains("ann@example.org") {
            break;
        }
    }
    let events = server.cli(["events", "--app", "orders"]).ok();
    assert!(events.contains("order.placed") && events.contains("queue.message"), "{events}");
    let listed = server.get("orders", "/orders").await.json();
    assert_eq!(listed["items"][0]["id"], id.as_str());
    let statistics = until(&server, "orders", "/statistics", "\"days\"").await;
    assert!(statistics["stock"].is_object(), "{statistics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_is_mended_by_a_release_and_a_replay() {
    let server = example("pipeline");
    let cli = |args: &[&str]| server.cli(args.iter().copied().chain(["--app", "pipeline"])).ok();
    cli(&["queues", "send", "parse", r#"{"station":"berlin","text":"21.5 C","at":1}"#]);
    cli(&["queues", "send", "parse", r#"{"station":"oslo","text":"70.7 F","at":1}"#]);
    until(&server, "pipeline", "/", "berlin").await;
    while !cli(&["dead-letters"]).contains("no reading: 70.7 F") {}

    // As the example's README has it.
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/pipeline");
    let step = std::fs::read_to_string(folder.join("steps/parse.rhai")).unwrap();
    let readme = std::fs::read_to_string(folder.join("README.md")).unwrap();
    let line = readme.lines().find(|line| line.contains("unit == \"F\"")).unwrap();
    let fixed = step.replacen("    throw ", &format!("{line}\n    throw "), 1);
    assert_ne!(fixed, step);
    let put = server.api("PUT", "/apps/pipeline/scripts/steps/parse.rhai", fixed).await;
    assert_eq!(put.status, 201, "{put:?}");
    assert!(cli(&["dead-letters", "replay-all"]).contains("1 dead letter"));
    let readings = until(&server, "pipeline", "/", "oslo").await;
    assert!((readings["oslo"]["celsius"].as_f64().unwrap() - 21.5).abs() < 0.01, "{readings}");
    assert!(!cli(&["dead-letters"]).contains("oslo"));
}

#[tokio::test]
async fn suggestions_come_from_everybody_and_are_read_by_the_team() {
    let server = example("suggestions");
    let suggest = async |text: &str| {
        let body = json!({ "text": text }).to_string();
        server.request("suggestions.localhost", "POST", "/api/suggestions", body).await.status
    };
    let read = async |authorization: &str| {
        let headers = [("host", "suggestions.localhost"), ("authorization", authorization)];
        server.send("GET", "/team", &headers, "").await
    };
    assert_eq!(suggest("more <b>cake</b>").await, 201);
    assert_eq!(suggest(&"x".repeat(5_000)).await, 413);
    assert_eq!(suggest("").await, 422);
    assert_eq!(suggest("less cake").await, 201);
    assert_eq!(suggest("no cake").await, 201);
    assert_eq!(suggest("enough").await, 429);

    // ann:s3cret
    let ann = "Basic YW5uOnMzY3JldA==";
    assert_eq!(read(ann).await.status, 401);
    server.api("PUT", "/apps/suggestions/secrets/TEAM", "ann:s3cret").await;
    let page = read(ann).await;
    assert!(page.text().contains("more &lt;b&gt;cake"), "{page:?}");
    assert_eq!(page.header("content-security-policy"), Some("default-src 'self'"));
    assert_eq!(read("").await.status, 401);

    let page = server.get("suggestions", "/").await;
    assert!(page.text().contains("What could be better?"));
    let ask = [
        ("host", "suggestions.localhost"),
        ("origin", "https://www.example.org"),
        ("access-control-request-method", "POST"),
    ];
    let answer = server.send("OPTIONS", "/api/suggestions", &ask, "").await;
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://www.example.org"));
}
