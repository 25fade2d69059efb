//! Hostile scripts and requests against the running server: each gets its
//! answer, and the process, the sandbox's pool and a neighbour app are unharmed.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Answer, Picloud};

/// A server with a neighbour app that must keep answering.
struct Scene {
    server: Picloud,
    pid: u32,
}

impl Scene {
    async fn new() -> Self {
        let server = Picloud::start(&[]);
        let neighbour = r#"fn get(req) { kv::collection("c").incr("visits"); "well" }"#;
        server.deploy("neighbour", &[("index.rhai", neighbour)]).await;
        Self { pid: server.pid(), server }
    }

    /// Deploys a script as the whole app and calls it.
    async fn call(&self, script: &str) -> Answer {
        self.server.deploy("hostile", &[("index.rhai", script)]).await;
        self.server.get("hostile", "/").await
    }

    async fn assert_unharmed(&self) {
        let answer = self.server.get("neighbour", "/").await;
        assert_eq!((answer.status.as_u16(), answer.text()), (200, "well"));
        assert_eq!(self.server.pid(), self.pid);
        let metrics = self.server.request("localhost", "GET", "/metrics", "").await;
        for gauge in ["instances", "memories", "stacks"] {
            let line = format!("picloud_sandbox_{gauge} 0\n");
            assert!(metrics.text().contains(&line), "{gauge}: {}", metrics.text());
        }
    }
}

fn code(answer: &Answer) -> String {
    answer.json()["code"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn what_a_script_overdoes_ends_it_with_a_code_and_no_details() {
    let scene = Scene::new().await;
    for (script, status, expected) in [
        ("loop {}", 500, "out_of_fuel"),
        ("loop { try { loop {} } catch {} }", 500, "out_of_fuel"),
        ("let s = \"secret\"; loop { s += s; }", 500, "out_of_memory"),
        ("let a = []; loop { a.push(blob(100000, 1)); }", 500, "out_of_memory"),
        ("fn f(n) { f(n + 1) } f(0)", 500, "script_error"),
        ("blob(7000000, 65)", 500, "budget_exceeded"),
        (
            "let c = kv::collection(\"c\"); loop { try { c.get(\"k\"); } catch {} }",
            500,
            "budget_exceeded",
        ),
        (
            "let c = kv::collection(\"c\"); for i in 0..1001 { c.set(`k${i}`, 1); }",
            500,
            "budget_exceeded",
        ),
        ("throw \"secret\"", 500, "script_error"),
        (
            "response::text(\"a\").header(\"x-a\", \"b\\r\\nset-cookie: c=d\")",
            500,
            "invalid_header",
        ),
        ("response::text(\"a\").header(\"transfer-encoding\", \"chunked\")", 500, "invalid_header"),
    ] {
        let answer = scene.call(script).await;
        assert_eq!(
            (answer.status.as_u16(), code(&answer).as_str()),
            (status, expected),
            "{script}"
        );
        assert!(!answer.text().contains("secret"), "{}", answer.text());
        assert!(answer.json()["execution"].is_string());
        assert_eq!(answer.header("set-cookie"), None);
        scene.assert_unharmed().await;
    }
    // None of them has written anything.
    let kv = scene.server.api("GET", "/apps/hostile/kv", "").await.json();
    assert_eq!(kv["items"].as_array().unwrap().len(), 0);
}

#[tokio::test]
async fn a_log_flood_is_cut() {
    let scene = Scene::new().await;
    let flood = "for i in 0..9000 { log::info(\"0123456789012345678901234567890123456789\"); } 1";
    assert_eq!(scene.call(flood).await.status, 200);
    let logs = scene.server.api("GET", "/apps/hostile/logs?limit=1000", "").await.json();
    let items = logs["items"].as_array().unwrap();
    let last = items.last().unwrap()["message"].as_str().unwrap();
    assert!(last.starts_with("log cut here"), "{last}");
    let executions = scene.server.api("GET", "/apps/hostile/executions", "").await.json();
    let id = executions["items"][0]["id"].as_str().unwrap();
    let detail =
        scene.server.api("GET", &format!("/apps/hostile/executions/{id}"), "").await.json();
    let bytes: usize = detail["logs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|l| l["message"].as_str().unwrap().len())
        .sum();
    assert!(bytes <= 256 * 1024 + 200, "{bytes}");
    scene.assert_unharmed().await;
}

#[tokio::test]
async fn scripts_that_cannot_be_are_refused_at_deploy_and_the_old_release_stays() {
    let scene = Scene::new().await;
    scene.server.deploy("hostile", &[("index.rhai", "\"good\"")]).await;
    let nested = format!("{}1{}", "(".repeat(20_000), ")".repeat(20_000));
    let functions: Vec<_> = (0..100_000).map(|i| format!("fn f{i}() {{ {i} }}")).collect();
    let functions = functions.join("\n");
    for script in
        ["let x = 1;\nlet y = ;", &nested, &functions, "eval(\"1\")", "import \"../x\" as x;"]
    {
        let answer = scene.server.try_deploy("hostile", &[("index.rhai", script)]).await;
        assert_eq!(answer.status, 422, "{:.200}: {}", script, answer.text());
        assert!(!answer.json()["errors"].as_array().unwrap().is_empty());
        assert_eq!(scene.server.get("hostile", "/").await.text(), "good");
    }
    let answer =
        scene.server.try_deploy("hostile", &[("index.rhai", "let x = 1;\nlet y = ;")]).await;
    let error = &answer.json()["errors"][0];
    assert_eq!((&error["file"], &error["line"]), (&Value::from("index.rhai"), &Value::from(2)));
    assert!(error["excerpt"].as_str().unwrap().contains("let y = ;"), "{error}");

    // Ten megabytes of script, and a release that is too large altogether.
    let ten = "let x = 1;\n".repeat(950_000);
    let answer = scene.server.try_deploy("hostile", &[("index.rhai", &ten)]).await;
    assert_eq!(answer.status, 422, "{}", answer.text());
    let path = "/apps/hostile/scripts/index.rhai";
    let answer = scene.server.api("PUT", path, vec![b' '; 11 << 20]).await;
    assert_eq!((answer.status.as_u16(), code(&answer).as_str()), (413, "body_too_large"));
    let answer = scene.server.api("PUT", path, &b"\xff\xfe"[..]).await;
    assert_eq!(answer.status, 422, "{}", answer.text());
    assert_eq!(scene.server.get("hostile", "/").await.text(), "good");
    scene.assert_unharmed().await;
}

#[tokio::test]
async fn an_upload_cannot_leave_its_app() {
    let scene = Scene::new().await;
    for path in ["../evil.rhai", "a/../../evil.rhai", "/etc/evil.rhai", "a//b.rhai", "a\\b.rhai"] {
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        // The library refuses such names, so they are written past it.
        header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_size(1);
        header.set_cksum();
        archive.append(&header, &b"1"[..]).unwrap();
        let archive = archive.into_inner().unwrap();
        let answer = scene.server.api("POST", "/apps/hostile/releases", archive).await;
        assert_eq!(answer.status, 400, "{path}: {}", answer.text());
    }
    let mut archive = tar::Builder::new(Vec::new());
    let mut link = tar::Header::new_gnu();
    link.set_entry_type(tar::EntryType::Symlink);
    link.set_size(0);
    archive.append_link(&mut link, "public/passwd", "/etc/passwd").unwrap();
    let archive = archive.into_inner().unwrap();
    let answer = scene.server.api("POST", "/apps/hostile/releases", archive).await;
    assert_eq!((answer.status.as_u16(), code(&answer).as_str()), (400, "invalid_archive"));

    scene.server.deploy("hostile", &[("public/a.txt", "public"), ("index.rhai", "1")]).await;
    assert_eq!(scene.server.get("hostile", "/a.txt").await.text(), "public");
    for path in
        ["/%2e%2e/index.rhai", "/..%2findex.rhai", "/index.rhai", "/public/a.txt", "/a.txt%00"]
    {
        let answer = scene.server.get("hostile", path).await;
        assert!(matches!(answer.status.as_u16(), 400 | 404), "{path}: {answer:?}");
    }
    scene.assert_unharmed().await;
}

#[tokio::test]
async fn bodies_are_bounded_whatever_their_length_claims() {
    let scene = Scene::new().await;
    let echo = "fn post(req) { `${req.bytes().len()}` }";
    scene.server.deploy("hostile", &[("index.rhai", echo)]).await;
    let post = async |bytes: usize| {
        scene.server.request("hostile.localhost", "POST", "/", vec![b'x'; bytes]).await
    };
    assert_eq!(post(1 << 20).await.text(), "1048576");
    assert_eq!(code(&post((1 << 20) + 1).await), "body_too_large");

    // Chunked, so that no length is claimed at all.
    let mut stream = TcpStream::connect(("127.0.0.1", scene.server.port())).unwrap();
    let head = "POST / HTTP/1.1\r\nHost: hostile.localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    for _ in 0..17 {
        if stream.write_all(chunk.as_bytes()).is_err() {
            break;
        }
    }
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");

    // A body that is not text is the script's to refuse, and its client's fault.
    let text = "fn post(req) { req.text() }";
    scene.server.deploy("hostile", &[("index.rhai", text)]).await;
    let answer = scene.server.request("hostile.localhost", "POST", "/", &b"\xff\xfe"[..]).await;
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(!answer.text().contains("index.rhai"), "{}", answer.text());
    scene.assert_unharmed().await;
}

#[tokio::test]
async fn slow_clients_are_closed_and_hold_up_nobody() {
    let scene = Scene::new().await;
    scene.server.deploy("hostile", &[("index.rhai", "fn post(req) { 1 }")]).await;
    let mut slow_head = TcpStream::connect(("127.0.0.1", scene.server.port())).unwrap();
    slow_head.write_all(b"GET / HTTP/1.1\r\nHost: hostile.loc").unwrap();
    let mut slow_body = TcpStream::connect(("127.0.0.1", scene.server.port())).unwrap();
    let head = "POST / HTTP/1.1\r\nHost: hostile.localhost\r\nContent-Length: 10\r\n\r\nx";
    slow_body.write_all(head.as_bytes()).unwrap();
    let started = Instant::now();
    scene.assert_unharmed().await;
    for mut stream in [slow_head, slow_body] {
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    }
    assert!(started.elapsed() < Duration::from_secs(20));
    scene.assert_unharmed().await;
}

#[tokio::test]
async fn a_host_has_one_meaning_or_none() {
    let scene = Scene::new().await;
    let status = |head: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", scene.server.port())).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        String::from_utf8_lossy(&answer[9..]).into_owned()
    };
    for (head, expected) in [
        ("GET / HTTP/1.1\r\nHost: neighbour.localhost\r\n\r\n", "200"),
        ("GET / HTTP/1.1\r\nHost: NEIGHBOUR.localhost.:99\r\n\r\n", "200"),
        ("GET http://neighbour.localhost/ HTTP/1.1\r\nHost: neighbour.localhost\r\n\r\n", "200"),
        ("GET http://neighbour.localhost/ HTTP/1.1\r\nHost: other.localhost\r\n\r\n", "421"),
        ("GET / HTTP/1.1\r\nHost: neighbour.localhost\r\nHost: localhost\r\n\r\n", "421"),
        ("GET / HTTP/1.1\r\nHost: example.org\r\n\r\n", "421"),
        ("GET / HTTP/1.1\r\nHost: xn--80ak6aa92e.localhost\r\n\r\n", "421"),
        ("GET / HTTP/1.1\r\n\r\n", "421"),
        ("GET / HTTP/1.1\r\nHost: unknown.localhost\r\n\r\n", "404"),
    ] {
        assert_eq!(status(head), expected, "{head}");
    }
}
