//! Every example, deployed as it lies in the repository and used over HTTP.

use std::path::Path;

use serde_json::json;

use crate::support::Picloud;

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
