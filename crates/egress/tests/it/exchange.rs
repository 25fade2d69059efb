//! Requests that are made, and what comes back.

use picloud_shared::AppId;
use picloud_shared::http::{Error, HttpClient as _, Request};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::server::{Server, caps, open, request, send, text};

#[tokio::test]
async fn a_request_arrives_as_it_was_meant_and_its_answer_comes_back() {
    let server = Server::start(&[]).await;
    let asked = Request {
        headers: vec![("x-b".into(), "2".into()), ("x-a".into(), "1".into())],
        body: "hello".into(),
        ..request("post", &server.url("/a?b=c#d"))
    };
    let response = send(&open(), &server, asked).await.unwrap();
    assert_eq!(response.status, 200);
    assert_eq!(response.url, server.url("/a?b=c"));
    assert!(response.headers.contains(&("x-tag".into(), "1".into())), "{:?}", response.headers);
    let seen = text(&response);
    assert!(seen.starts_with("POST /a?b=c HTTP/1.1\r\n"), "{seen}");
    for line in [
        "x-a: 1\r\n",
        "x-b: 2\r\n",
        "accept: */*\r\n",
        "user-agent: PiCloud/",
        &format!("host: {}\r\n", server.addr),
        "content-length: 5\r\n",
    ] {
        assert!(seen.contains(line), "{line} in {seen}");
    }
    assert!(seen.ends_with("\r\n\r\nhello"), "{seen}");
}

#[tokio::test]
async fn any_status_is_an_answer() {
    let server = Server::start(&[("/", "HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n")]).await;
    let response = send(&open(), &server, request("GET", &server.url("/"))).await.unwrap();
    assert_eq!(response.status, 503);
}

#[tokio::test]
async fn redirects_are_followed_and_the_last_url_is_told() {
    let server = Server::start(&[
        ("/a", "HTTP/1.1 302 Found\r\nlocation: /b\r\ncontent-length: 0\r\n\r\n"),
        ("/b", "HTTP/1.1 308 Go\r\nlocation: c?d\r\ncontent-length: 0\r\n\r\n"),
        ("/loop", "HTTP/1.1 302 Found\r\nlocation: /loop\r\ncontent-length: 0\r\n\r\n"),
    ])
    .await;
    let response = send(&open(), &server, request("GET", &server.url("/a"))).await.unwrap();
    assert_eq!(response.url, server.url("/c?d"));

    let error = send(&open(), &server, request("GET", &server.url("/loop"))).await.unwrap_err();
    assert_eq!(error.to_string(), "there were more than 5 redirects");

    let none = Request { redirects: 0, ..request("GET", &server.url("/a")) };
    let response = send(&open(), &server, none).await.unwrap();
    assert_eq!((response.status, response.url), (302, server.url("/a")));
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_not_read_to_its_end() {
    let long: &str = Box::leak("x".repeat(1_001).into_boxed_str());
    let whole = |length| format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
    let table = vec![
        ("/most", leak(whole(1_000) + &long[1..])),
        ("/more", leak(whole(1_001) + long)),
        (
            "/chunked",
            leak(format!(
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3e9\r\n{long}\r\nnever ends"
            )),
        ),
        ("/lies", leak(whole(2_000_000_000) + "never ends")),
    ];
    let server = Server::start(Box::leak(table.into_boxed_slice())).await;
    let egress = open();
    let get = async |path| send(&egress, &server, request("GET", &server.url(path))).await;
    assert_eq!(get("/most").await.unwrap().body.len(), 1_000);
    for path in ["/more", "/chunked"] {
        assert!(matches!(get(path).await, Err(Error::TooLarge(1_000))), "{path}");
    }
    let quick = Request { timeout_ms: Some(200), ..request("GET", &server.url("/lies")) };
    assert!(send(&egress, &server, quick).await.is_err());
}

fn leak(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

#[tokio::test]
async fn who_does_not_answer_is_waited_for_as_long_as_was_asked() {
    let server = Server::start(&[
        ("/silent", "never ends"),
        ("/slow", "HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\nnever ends"),
    ])
    .await;
    for path in ["/silent", "/slow"] {
        let asked = Request { timeout_ms: Some(50), ..request("GET", &server.url(path)) };
        let error = send(&open(), &server, asked).await.unwrap_err();
        // What is no HTTP fails at once.
        let expected = if path == "/silent" { "did not answer as HTTP" } else { "within 50 ms" };
        assert!(error.to_string().contains(expected), "{error}");
    }
    // More than the cap is the cap.
    let mut short = caps(&[&server.addr.to_string()]);
    short.timeout = std::time::Duration::from_millis(30);
    let asked = Request { timeout_ms: Some(60_000), ..request("GET", &server.url("/slow")) };
    let error = open().send(AppId(1), &short, asked).await.unwrap_err();
    assert!(matches!(error, Error::TimedOut(30)), "{error}");
}

#[tokio::test]
async fn a_connection_serves_its_app_again_and_no_other() {
    let server = Server::start(&[]).await;
    let egress = open();
    let caps = caps(&[&server.addr.to_string()]);
    for _ in 0..5 {
        egress.send(AppId(1), &caps, request("GET", &server.url("/"))).await.unwrap();
    }
    assert_eq!(server.connections(), 1);
    egress.send(AppId(2), &caps, request("GET", &server.url("/"))).await.unwrap();
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn failures_are_told_apart_and_tell_nothing_of_our_network() {
    let server = Server::start(&[("/junk", "220 smtp.example ESMTP\r\n")]).await;
    let egress = open();
    let allowed = caps(&["*:1", &server.addr.to_string()]);
    let get = async |url: String| egress.send(AppId(1), &allowed, request("GET", &url)).await;
    let junk = get(server.url("/junk")).await.unwrap_err();
    assert_eq!(junk.to_string(), "127.0.0.1 did not answer as HTTP wants it");
    let refused = get("http://127.0.0.1:1/".into()).await.unwrap_err();
    assert_eq!(refused.to_string(), "no connection to 127.0.0.1: connection refused");
    // A server without TLS, asked for it.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"220 smtp.example ESMTP\r\n").await.unwrap();
        // Until the client has had enough.
        stream.read_to_end(&mut Vec::new()).await.unwrap();
    });
    let allowed = caps(&[&addr.to_string()]);
    let asked = request("GET", &format!("https://{addr}/"));
    let plain = egress.send(AppId(1), &allowed, asked).await.unwrap_err();
    assert!(plain.to_string().starts_with("no secure connection to 127.0.0.1: "), "{plain}");
}
