//! On what deploys depend: the release that they replace, and whether they have
//! been done already.

use bytes::Bytes;
use picloud_store::testing::with_postgres;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{Answer, Picloud, command, run};

/// A request to the API with these headers besides the token.
async fn call(
    server: &Picloud,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Answer {
    let token = format!("Bearer {}", server.token());
    let mut all = vec![("host", "localhost"), ("authorization", token.as_str())];
    all.extend(headers);
    server.send(method, &format!("/api/v1/apps/hi{path}"), &all, body.into()).await
}

async fn releases(server: &Picloud) -> usize {
    let list = server.api("GET", "/apps/hi/releases", "").await.json();
    list["items"].as_array().unwrap().len()
}

const SCRIPT: &str = "/scripts/index.rhai";

#[tokio::test]
async fn a_deploy_replaces_the_release_that_it_expects_or_none() {
    let server = Picloud::start(&[]);
    let early = call(&server, "PUT", SCRIPT, &[("if-match", "*")], "1").await;
    assert_eq!((early.status.as_u16(), &early.json()["code"]), (404, &json!("not_found")));
    assert_eq!(server.api("GET", "/apps/hi", "").await.status, 404, "no app is made");

    let first = call(&server, "PUT", SCRIPT, &[], "1").await;
    let tag = first.header("etag").unwrap().to_owned();
    assert_eq!(call(&server, "GET", "/releases/active", &[], "").await.header("etag"), Some(&*tag));
    assert_eq!(call(&server, "GET", "/releases/1", &[], "").await.header("etag"), Some(&*tag));
    let second = call(&server, "PUT", SCRIPT, &[("if-match", &tag)], "2").await;
    assert_eq!(second.status, 201, "{second:?}");

    for (method, path) in [
        ("PUT", SCRIPT),
        ("DELETE", SCRIPT),
        ("POST", "/releases"),
        ("POST", "/releases/1/activate"),
    ] {
        let body = if path == "/releases" { archive() } else { Bytes::new() };
        let refused = call(&server, method, path, &[("if-match", &tag)], body).await;
        assert_eq!(refused.status, 412, "{method} {path}: {refused:?}");
        assert_eq!(refused.json()["code"], "precondition_failed");
    }
    assert_eq!(server.get("hi", "/").await.text(), "2");
    assert_eq!(releases(&server).await, 2);

    let tag = second.header("etag").unwrap();
    let back = call(&server, "POST", "/releases/1/activate", &[("if-match", tag)], "").await;
    assert_eq!(back.status, 200, "{back:?}");
    assert_eq!(server.get("hi", "/").await.text(), "1");
}

fn archive() -> Bytes {
    let files = [("index.rhai".to_owned(), Bytes::from_static(b"3"))];
    picloud_manager_core::archive::pack(&files.into()).unwrap().into()
}

#[tokio::test]
async fn a_release_that_is_known_is_not_sent_again_until_it_changes() {
    let server = Picloud::start(&[]);
    let first = call(&server, "PUT", SCRIPT, &[], "1").await;
    let tag = first.header("etag").unwrap();
    let known = [("if-none-match", tag)];
    for path in ["/releases/1", "/releases/active"] {
        let answer = call(&server, "GET", path, &known, "").await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (304, 0), "{path}");
        assert_eq!(answer.header("etag"), Some(tag));
    }
    call(&server, "PUT", SCRIPT, &[], "2").await;
    // The same files, and yet it says something else of itself.
    let answer = call(&server, "GET", "/releases/1", &known, "").await;
    assert_eq!((answer.status.as_u16(), &answer.json()["active"]), (200, &json!(false)));
    assert_ne!(answer.header("etag"), Some(tag));
    let active = call(&server, "GET", "/releases/active", &known, "").await;
    assert_eq!((active.status.as_u16(), &active.json()["number"]), (200, &json!(2)));
}

#[tokio::test]
async fn a_release_is_read_with_its_texts() {
    let server = Picloud::start(&[]);
    let files = [
        ("index.rhai", &b"\"\xc3\xa4\"\n"[..]),
        ("public/a.txt", b"\xef\xbb\xbfa"),
        ("public/latin1.txt", b"\xe4"),
        ("public/nul.txt", b"a\0b"),
        ("public/nothing", b""),
    ];
    let files = files.map(|(path, bytes)| (path.to_owned(), Bytes::from_static(bytes)));
    let archive = picloud_manager_core::archive::pack(&files.into()).unwrap();
    let sent = [("content-type", "application/gzip")];
    assert_eq!(call(&server, "POST", "/releases", &sent, archive).await.status, 201);

    for path in ["/releases/1", "/releases/active"] {
        let read = call(&server, "GET", &format!("{path}?content=true"), &[], "").await.json();
        let texts = read["paths"].as_array().unwrap().iter();
        let texts: Vec<_> = texts.map(|file| (&file["path"], file.get("content"))).collect();
        assert_eq!(
            texts,
            [
                (&json!("index.rhai"), Some(&json!("\"ä\"\n"))),
                (&json!("public/a.txt"), Some(&json!("\u{feff}a"))),
                (&json!("public/latin1.txt"), None),
                (&json!("public/nothing"), Some(&json!(""))),
                (&json!("public/nul.txt"), None),
            ],
            "{path}"
        );
        let without = call(&server, "GET", path, &[], "").await.json();
        assert_eq!(without["paths"][0].get("content"), None);
    }
}

async fn of_ten_with_one_key_one_deploys(server: Picloud) {
    server.api("PUT", "/apps/hi", "").await;
    let key = [("idempotency-key", "0d1c8c4e")];
    let deploys = (0..10).map(|_| call(&server, "PUT", SCRIPT, &key, "\"hello\""));
    let answers = futures_util::future::join_all(deploys).await;
    for answer in &answers {
        assert_eq!((answer.status.as_u16(), &answer.body), (201, &answers[0].body));
    }
    assert_eq!(releases(&server).await, 1);

    let other = call(&server, "PUT", SCRIPT, &key, "\"good morning\"").await;
    assert_eq!(
        (other.status.as_u16(), &other.json()["code"]),
        (422, &json!("idempotency_key_reused"))
    );
    assert_eq!(server.get("hi", "/").await.text(), "hello");

    for invalid in ["", "a b", &"k".repeat(201)] {
        let refused = call(&server, "PUT", SCRIPT, &[("idempotency-key", invalid)], "1").await;
        assert_eq!(refused.json()["code"], "invalid_idempotency_key", "{invalid:?}");
    }
}

#[tokio::test]
async fn of_ten_with_one_key_one_deploys_on_sqlite() {
    of_ten_with_one_key_one_deploys(Picloud::start(&[])).await;
}

#[tokio::test]
async fn of_ten_with_one_key_one_deploys_on_postgres() {
    with_postgres("of_ten_with_one_key_one_deploys_on_postgres", async |url| {
        of_ten_with_one_key_one_deploys(Picloud::start(&["--database-url", url])).await;
    })
    .await;
}

#[tokio::test]
async fn a_key_outlives_the_server() {
    let dir = tempfile::tempdir().unwrap();
    let key = [("idempotency-key", "k")];
    let mut server = Picloud::start_in(dir.path(), &[]);
    let first = call(&server, "PUT", SCRIPT, &key, "1").await.json();
    server.kill9();
    let server = Picloud::start_in(dir.path(), &[]);
    let again: Value = call(&server, "PUT", SCRIPT, &key, "1").await.json();
    // The URL has the port, which is another one.
    assert_eq!((&again["release"], &again["routes"]), (&first["release"], &first["routes"]));
    assert_eq!(releases(&server).await, 1);
}

/// Passes connections on to `server`. Of the first one the answer is lost.
async fn losing_the_first_answer(server: std::net::SocketAddr) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (client, _) = listener.accept().await.unwrap();
        let (mut from_client, to_client) = client.into_split();
        let (mut from_server, mut to_server) =
            TcpStream::connect(server).await.unwrap().into_split();
        let request = tokio::spawn(async move { copy(&mut from_client, &mut to_server).await });
        assert!(from_server.read(&mut [0; 1]).await.unwrap() > 0, "the server has answered");
        request.abort();
        drop(to_client);
        while let Ok((mut client, _)) = listener.accept().await {
            let mut server = TcpStream::connect(server).await.unwrap();
            tokio::spawn(async move {
                let _ = copy_bidirectional(&mut client, &mut server).await;
                client.shutdown().await
            });
        }
    });
    addr
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_whose_answer_is_lost_asks_again_and_deploys_once() {
    let server = Picloud::start(&[]);
    let addr = losing_the_first_answer(([127, 0, 0, 1], server.port()).into()).await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("index.rhai"), "\"hello\"").unwrap();
    let mut deploy = command();
    deploy.args(["--server", &format!("http://{addr}"), "--token", &server.token()]);
    deploy.args(["deploy", "--app", "hi", "--json"]).arg(folder.path());
    let deployed = tokio::task::spawn_blocking(move || run(deploy)).await.unwrap();
    assert_eq!(deployed.code, 0, "{deployed:?}");
    assert_eq!(deployed.json()["release"], 1);
    assert_eq!(releases(&server).await, 1);
    assert_eq!(server.get("hi", "/").await.text(), "hello");
}
