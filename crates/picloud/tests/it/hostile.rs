//! Hostile scripts and requests against the running server: each gets its
//! answer, and the process, the sandbox's pool and a neighbour app are unharmed.

use serde_json::Value;

use crate::support::{Answer, Picloud};

/// A server with a neighbour app that must keep answering.
pub struct Scene {
    pub server: Picloud,
    pid: u32,
}

impl Scene {
    pub async fn new() -> Self {
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

    pub async fn assert_unharmed(&self) {
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

pub fn code(answer: &Answer) -> String {
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
async fn an_answer_has_no_headers_but_those_that_were_meant() {
    let scene = Scene::new().await;
    for script in [
        r#"response::text("a").header("x-a", "b\r\nx-injected: 1")"#,
        r#"response::text("a").header("x-a", "b\nx-injected: 1")"#,
        r#"response::text("a").header("x-a", "b\rx-injected: 1")"#,
        r#"response::text("a").header("x-a", "b\x00")"#,
        r#"response::text("a").header("x-a: b\r\nx-injected", "1")"#,
        r#"response::text("a").header("", "1")"#,
        r#"response::text("a").header("content-type", "text/html\r\nx-injected: 1")"#,
        r#"response::text("a").header("content-length", "1")"#,
        r#"response::text("a").header("connection", "x-injected")"#,
        r#"response::text("a").cookie("a", "b\r\nx-injected: 1")"#,
        r#"response::text("a").cookie("a\r\nx-injected: 1", "b")"#,
        r#"response::text("a").cookie("a", "b", #{ path: "/\r\nx-injected: 1" })"#,
        r#"response::text("a").header("set-cookie", "a=b; domain=localhost")"#,
        r#"response::redirect("/a\r\nx-injected: 1")"#,
        r#"response::text("a\r\nx-injected: 1").status(99)"#,
    ] {
        let answer = scene.call(script).await;
        assert_eq!(answer.header("x-injected"), None, "{script}");
        assert_eq!(answer.header("set-cookie"), None, "{script}");
        assert_eq!(answer.status, 500, "{script}: {answer:?}");
    }
    scene.assert_unharmed().await;
}
