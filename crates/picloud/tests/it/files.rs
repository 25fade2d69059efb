//! Files from outside: those that scripts keep, and those of releases.

use picloud_store::testing::with_postgres;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Answer, Picloud};

const CATS: &str = "/apps/shop/files/cats";

fn field(list: &Value, name: &str) -> Vec<String> {
    let items = list["items"].as_array().unwrap().iter();
    items.map(|item| item[name].as_str().unwrap().to_owned()).collect()
}

/// A request with the admin's token and one more header.
async fn send(
    server: &Picloud,
    method: &str,
    path: &str,
    header: (&str, &str),
    body: &[u8],
) -> Answer {
    let bearer = format!("Bearer {}", server.token());
    let headers = [("host", "localhost"), ("authorization", &*bearer), header];
    server.send(method, &format!("/api/v1{path}"), &headers, body.to_vec()).await
}

async fn files_are_written_listed_and_fetched(args: &[&str]) {
    let server = Picloud::start(args);
    let script = "
        fn get(req) { files::bucket(\"cats\").get(\"a/tom.txt\") }
        fn on_event(event) { kv::collection(\"seen\").set(event.path, event.bucket); }
    ";
    let manifest = "
        [[triggers]]\non = \"files.put\"\nhandler = \"index.rhai\"
        [[triggers]]\non = \"files.delete\"\nhandler = \"index.rhai\"
    ";
    server.deploy("shop", &[("index.rhai", script), ("picloud.toml", manifest)]).await;
    assert_eq!(server.api("GET", "/apps/shop/files", "").await.json()["items"], json!([]));

    let put = send(&server, "PUT", &format!("{CATS}/a/tom.txt"), ("x-none", ""), b"Tom").await;
    assert_eq!(put.status, 200, "{put:?}");
    let put = put.json();
    assert_eq!((&put["path"], &put["bytes"]), (&json!("a/tom.txt"), &json!(3)));
    assert_eq!(put["content_type"], "text/plain; charset=utf-8");
    // A script sees it, and the triggers have.
    assert_eq!(server.get("shop", "/").await.text(), "Tom");
    let seen = async |path: &str| {
        let end = std::time::Instant::now() + crate::support::PATIENCE;
        while server.api("GET", path, "").await.status != 200 {
            assert!(std::time::Instant::now() < end, "no event came");
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    seen("/apps/shop/kv/seen/a/tom.txt").await;

    // Larger than a script may write, and of a type of its own.
    let large = vec![7; 7 << 20];
    let typed = ("content-type", "image/x-cat");
    let put = send(&server, "PUT", &format!("{CATS}/b.bin"), typed, &large).await;
    assert_eq!((put.status.as_u16(), &put.json()["bytes"]), (200, &json!(7 << 20)));
    let got = send(&server, "GET", &format!("{CATS}/b.bin"), ("x-none", ""), b"").await;
    assert_eq!(got.body, large);
    assert_eq!(got.header("content-type"), Some("image/x-cat"));

    for name in ["a/1", "a/2", "b.bin"] {
        let path = format!("/apps/shop/files/dogs/{name}");
        assert_eq!(server.api("PUT", &path, "dog").await.status, 200);
    }
    let buckets = server.api("GET", "/apps/shop/files?limit=1", "").await.json();
    assert_eq!(buckets, json!({ "items": [{ "bucket": "cats", "files": 2 }], "next": "cats" }));
    let buckets = server.api("GET", "/apps/shop/files?after=cats", "").await.json();
    assert_eq!(buckets, json!({ "items": [{ "bucket": "dogs", "files": 3 }], "next": null }));
    let page = server.api("GET", "/apps/shop/files/dogs?prefix=a/&limit=1", "").await.json();
    assert_eq!((field(&page, "path"), &page["next"]), (vec!["a/1".to_owned()], &json!("a/1")));
    let page = server.api("GET", "/apps/shop/files/dogs?prefix=a/&after=a/1", "").await.json();
    assert_eq!((field(&page, "path"), &page["next"]), (vec!["a/2".to_owned()], &Value::Null));

    assert_eq!(server.api("DELETE", &format!("{CATS}/b.bin"), "").await.status, 204);
    assert_eq!(server.api("DELETE", &format!("{CATS}/b.bin"), "").await.status, 404);
    assert_eq!(server.api("GET", &format!("{CATS}/b.bin"), "").await.status, 404);
    seen("/apps/shop/kv/seen/b.bin").await;
}

#[tokio::test]
async fn files_are_written_listed_and_fetched_on_sqlite() {
    files_are_written_listed_and_fetched(&[]).await;
}

#[tokio::test]
async fn files_are_written_listed_and_fetched_on_postgres() {
    let test = async |url: &str| {
        files_are_written_listed_and_fetched(&["--database-url", url]).await;
    };
    with_postgres("files", test).await;
}

#[tokio::test]
async fn a_file_is_saved_and_never_shown() {
    let server = Picloud::start(&[]);
    server.deploy("shop", &[("index.rhai", "1")]).await;
    let path = format!("{CATS}/a/é \"x\".html");
    let path = path.replace(' ', "%20").replace('é', "%C3%A9").replace('"', "%22");
    assert_eq!(server.api("PUT", &path, "<script>").await.status, 200);
    let got = server.api("GET", &path, "").await;
    assert_eq!(got.text(), "<script>");
    let disposition = "attachment; filename*=UTF-8''%C3%A9%20%22x%22.html";
    assert_eq!(got.header("content-disposition"), Some(disposition));
    assert_eq!(got.header("x-content-type-options"), Some("nosniff"));
    assert!(got.header("content-security-policy").unwrap().starts_with("sandbox"));
    let etag = got.header("etag").unwrap();
    let again = send(&server, "GET", &path, ("if-none-match", etag), b"").await;
    assert_eq!((again.status.as_u16(), again.text()), (304, ""));
    let head = server.api("HEAD", &path, "").await;
    assert_eq!((head.status.as_u16(), head.header("content-length")), (200, Some("8")));
}

#[tokio::test]
async fn what_may_not_be_a_file_is_refused() {
    let server = Picloud::start(&[]);
    server.deploy("shop", &[("index.rhai", "1")]).await;
    let limits = json!({ "limits": { "file_bytes": 10 } }).to_string();
    assert_eq!(server.api("PUT", "/apps/shop", limits).await.status, 200);
    let put = async |path: &str, body: &'static str| {
        let answer = server.api("PUT", &format!("/apps/shop/files/{path}"), body).await;
        let code =
            if answer.status.is_success() { Value::Null } else { answer.json()["code"].clone() };
        (answer.status.as_u16(), code.as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(put("a%20b/x", "1").await, (400, "invalid_bucket".to_owned()));
    assert_eq!(put("a/x//y", "1").await, (400, "invalid_path".to_owned()));
    assert_eq!(put("a/x", "12345678901").await, (507, "quota_exceeded".to_owned()));
    assert_eq!(put("a/x", "1234567890").await.0, 200);
    // As much again in its place is no more.
    assert_eq!(put("a/x", "0987654321").await.0, 200);
    assert_eq!(put("a/y", "1").await, (507, "quota_exceeded".to_owned()));
    let typed = ("content-type", "cat");
    let refused = send(&server, "PUT", "/apps/shop/files/a/x", typed, b"1").await;
    assert_eq!(refused.json()["code"], "invalid_content_type");
}

#[tokio::test]
async fn the_files_of_a_release_are_shown_as_text() {
    let server = Picloud::start(&[]);
    server.deploy("shop", &[("index.rhai", "1"), ("public/a.html", "<b>é</b>")]).await;
    server.deploy("shop", &[("index.rhai", "2"), ("public/x.bin", "\0")]).await;
    let files = server.api("GET", "/apps/shop/releases/1/files", "").await.json();
    assert_eq!(field(&files, "path"), ["index.rhai", "public/a.html"]);
    assert_eq!(
        (&files["items"][1]["bytes"], &files["items"][1]["text"]),
        (&json!(9), &json!(true))
    );
    let page = server.api("GET", "/apps/shop/releases/2/files?limit=1", "").await.json();
    assert_eq!(page["next"], "index.rhai");
    let page = server.api("GET", "/apps/shop/releases/2/files?after=index.rhai", "").await.json();
    assert_eq!((&page["items"][0]["text"], &page["next"]), (&json!(false), &Value::Null));

    let source = server.api("GET", "/apps/shop/releases/1/files/public/a.html", "").await;
    assert_eq!((source.status.as_u16(), source.text()), (200, "<b>é</b>"));
    assert_eq!(source.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(source.header("x-content-type-options"), Some("nosniff"));
    let etag = source.header("etag").unwrap();
    let path = "/apps/shop/releases/1/files/public/a.html";
    let again = send(&server, "GET", path, ("if-none-match", etag), b"").await;
    assert_eq!(again.status, 304);
    for none in ["/apps/shop/releases/9/files", "/apps/shop/releases/2/files/public/a.html"] {
        assert_eq!(server.api("GET", none, "").await.status, 404, "{none}");
    }
}

#[tokio::test]
async fn the_command_line_knows_files() {
    let server = Picloud::start(&[]);
    server.deploy("shop", &[("index.rhai", "1")]).await;
    let folder = TempDir::new().unwrap();
    let (source, target) = (folder.path().join("tom.png"), folder.path().join("copy.png"));
    std::fs::write(&source, b"\x89PNG").unwrap();
    let files = |args: &[&str]| server.cli([&["files"], args, &["--app", "shop"]].concat());
    files(&["put", "cats", "a/tom.png", source.to_str().unwrap()]).ok();
    assert!(files(&["list"]).ok().contains("cats"));
    let listed = files(&["list", "cats", "--prefix", "a/"]).ok();
    assert!(listed.contains("a/tom.png") && listed.contains("image/png"), "{listed}");
    files(&["get", "cats", "a/tom.png", "--output", target.to_str().unwrap()]).ok();
    assert_eq!(std::fs::read(&target).unwrap(), b"\x89PNG");
    files(&["delete", "cats", "a/tom.png"]).ok();
    assert_eq!(files(&["get", "cats", "a/tom.png"]).code, 1);
}
