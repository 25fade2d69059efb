//! Files, requests to other servers, secrets and settings: from deployed scripts
//! on the real server.

use std::net::TcpListener;

use serde_json::{Value, json};

use crate::support::Picloud;

const SHOP: &str = r#"
fn get(req) {
    let files = files::bucket("up");
    #{
        files: files.list().items.map(|file| file.path),
        link: files.url("a b.txt"),
        greeting: config::get("GREETING"),
        secret: secrets::get("API_KEY"),
        url: app::url("/x"),
    }
}
fn put(req) {
    let info = files::bucket("up").put("a b.txt", req.bytes());
    if req.query.fail == "yes" { throw "no" }
    info.bytes
}
fn post(req) {
    log::info("key " + secrets::get("API_KEY"), #{ key: secrets::get("API_KEY") });
    throw "bad key " + secrets::get("API_KEY")
}
fn delete(req) { files::bucket("up").delete("a b.txt") }
"#;

async fn shop(server: &Picloud) {
    let manifest = "[config]\nGREETING = 'hello'";
    server.deploy("shop", &[("index.rhai", SHOP), ("picloud.toml", manifest)]).await;
}

fn contents(server: &Picloud) -> Vec<String> {
    let apps = std::fs::read_dir(server.data_dir().join("files")).unwrap();
    let files = apps.flat_map(|app| std::fs::read_dir(app.unwrap().path()).unwrap());
    files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test]
async fn a_file_is_written_with_the_invocation_and_downloaded_by_its_link() {
    let server = Picloud::start(&[]);
    shop(&server).await;
    let put = async |path, body: &'static str| {
        server.request("shop.localhost", "PUT", path, body).await.status.as_u16()
    };
    assert_eq!(put("/?fail=yes", "never").await, 500);
    assert_eq!(server.get("shop", "/").await.json()["files"], json!([]));
    assert_eq!(put("/", "hello file").await, 200);
    let shown = server.get("shop", "/").await.json();
    assert_eq!(shown["files"], json!(["a b.txt"]));
    assert_eq!(shown["url"], "http://shop.localhost/x", "as the client called it");

    let link = shown["link"].as_str().unwrap();
    let path = link.strip_prefix("http://shop.localhost").unwrap();
    let whole = server.get("shop", path).await;
    assert_eq!((whole.status.as_u16(), whole.text()), (200, "hello file"));
    assert_eq!(whole.header("content-type"), Some("text/plain; charset=utf-8"));
    assert!(whole.header("content-security-policy").unwrap().starts_with("sandbox"));
    let etag = whole.header("etag").unwrap();
    let with = async |method, headers: &[(&str, &str)]| {
        let mut all = vec![("host", "shop.localhost")];
        all.extend(headers);
        server.send(method, path, &all, "").await
    };
    let part = with("GET", &[("range", "bytes=6-7")]).await;
    assert_eq!((part.status.as_u16(), part.text()), (206, "fi"));
    assert_eq!(part.header("content-range"), Some("bytes 6-7/10"));
    assert_eq!(with("GET", &[("range", "bytes=10-")]).await.status, 416);
    assert_eq!(with("GET", &[("if-none-match", etag)]).await.status, 304);
    assert_eq!(with("HEAD", &[]).await.header("content-length"), Some("10"));
    assert_eq!(with("POST", &[]).await.status, 405);

    // Not with another app, another file, more time, or a changed signature.
    server.deploy("other", &[("index.rhai", "1")]).await;
    let refused = async |app, path: &str| server.get(app, path).await.json()["code"].clone();
    assert_eq!(refused("other", path).await, "invalid_signature");
    for changed in [
        path.replace("a%20b", "a%20c"),
        path.replace("/up/", "/up2/"),
        path.replace("expires=1", "expires=2"),
        path.replace("expires=", "expires=1&expires="),
        format!("{path}0"),
        path.split('?').next().unwrap().to_owned(),
    ] {
        assert_eq!(refused("shop", &changed).await, "invalid_signature", "{changed}");
    }

    // The bytes go with the file, and with the app.
    assert_eq!(contents(&server).len(), 1);
    server.request("shop.localhost", "DELETE", "/", "").await;
    assert!(contents(&server).is_empty());
    assert_eq!(refused("shop", path).await, "not_found");
    assert_eq!(put("/", "again").await, 200);
    assert_eq!(server.api("DELETE", "/apps/shop", "").await.status, 204);
    assert!(contents(&server).is_empty());
}

#[tokio::test]
async fn two_apps_share_no_file_and_no_secret() {
    let server = Picloud::start(&[]);
    for app in ["alice", "bob"] {
        server.deploy(app, &[("index.rhai", SHOP)]).await;
    }
    server.request("alice.localhost", "PUT", "/", "alice's").await;
    server.api("PUT", "/apps/alice/secrets/API_KEY", "alice's key").await;
    let bob = server.get("bob", "/").await.json();
    assert_eq!((&bob["files"], &bob["secret"]), (&json!([]), &Value::Null));
    assert_eq!(server.get("alice", "/").await.json()["secret"], "alice's key");
}

#[tokio::test]
async fn a_secret_is_written_through_the_command_and_shown_nowhere() {
    let server = Picloud::start(&[]);
    shop(&server).await;
    assert_eq!(server.get("shop", "/").await.json()["greeting"], "hello");
    let set = server.api("PUT", "/apps/shop/secrets/API_KEY", "hunter2-hunter2").await;
    assert_eq!(set.status, 204);
    assert_eq!(server.get("shop", "/").await.json()["secret"], "hunter2-hunter2");
    let listed = server.cli(["secrets", "list", "--app", "shop", "--json"]).json();
    assert_eq!(listed["items"][0]["name"], "API_KEY");
    assert!(!listed.to_string().contains("hunter2"));
    assert_eq!(server.api("GET", "/apps/shop/secrets/API_KEY", "").await.status, 405);

    let failed = server.request("shop.localhost", "POST", "/", "").await;
    assert_eq!(failed.status, 500);
    assert!(!failed.text().contains("hunter2"), "{}", failed.text());
    let logs = server.cli(["logs", "--app", "shop"]).ok();
    assert!(logs.contains("key [secret API_KEY]") && !logs.contains("hunter2"), "{logs}");
    let records = server.api("GET", "/apps/shop/executions?limit=1", "").await;
    assert!(records.text().contains("bad key [secret API_KEY]"), "{}", records.text());
    for file in ["picloud.db", "picloud.db-wal", "history.db", "history.db-wal"] {
        let bytes = std::fs::read(server.data_dir().join(file)).unwrap_or_default();
        let holds = bytes.windows(7).any(|window| window == b"hunter2");
        assert!(!holds, "{file} holds the secret as it is");
    }

    for (name, value, status) in [
        ("1A", "x".to_owned(), 400),
        ("A", String::new(), 400),
        ("A", "x".repeat((16 << 10) + 1), 413),
    ] {
        let path = format!("/apps/shop/secrets/{name}");
        assert_eq!(server.api("PUT", &path, value).await.status, status, "{name}");
    }
    server.cli(["secrets", "delete", "API_KEY", "--app", "shop"]).ok();
    assert_eq!(server.get("shop", "/").await.json()["secret"], Value::Null);
    assert_eq!(server.api("DELETE", "/apps/shop/secrets/API_KEY", "").await.status, 404);
}

#[tokio::test]
async fn a_database_is_not_opened_with_another_master_key() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    drop(Picloud::start_in(&data, &[]));
    let mut command = crate::support::command();
    command.args(["serve", "--listen", "127.0.0.1:0", "--master-key", &"5".repeat(64)]);
    command.arg("--data-dir").arg(&data);
    let ended = crate::support::run(command);
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("not the one that this database's secrets are sealed with"));
    drop(Picloud::start_in(&data, &[]));
}

#[tokio::test]
async fn a_script_calls_what_manifest_and_operator_allow_and_nothing_else() {
    // Another PiCloud is the other server; its control plane has no such path.
    let other = Picloud::start(&[]);
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let inner = closed.local_addr().unwrap().port();
    let script = r"
        fn post(req) {
            try {
                let answer = http::post(req.text(), #{ n: 1 }, #{ redirects: 0 });
                return `${answer.status}`;
            } catch (e) { return e.code; }
        }
    ";
    let allowed = other.port();
    let manifest =
        format!("[egress]\nallow = ['127.0.0.1:{inner}', '127.0.0.1:{allowed}', '*:{{own}}']");
    let call = async |server: &Picloud, url: String| {
        server.request("caller.localhost", "POST", "/", url).await.text().to_owned()
    };
    let deploy = async |server: &Picloud| {
        let manifest = manifest.replace("{own}", &server.port().to_string());
        server.deploy("caller", &[("index.rhai", script), ("picloud.toml", &manifest)]).await;
    };

    let open = Picloud::start(&["--egress-private", "127.0.0.0/8,::1"]);
    deploy(&open).await;
    assert_eq!(call(&open, format!("http://127.0.0.1:{allowed}/")).await, "404");
    assert_eq!(call(&open, format!("http://localhost:{allowed}/")).await, "denied");
    assert_eq!(call(&open, format!("http://127.0.0.1:{}/", open.port())).await, "denied");

    let strict = Picloud::start(&[]);
    deploy(&strict).await;
    assert_eq!(call(&strict, format!("http://127.0.0.1:{inner}/")).await, "denied");
    closed.set_nonblocking(true).unwrap();
    assert!(closed.accept().is_err(), "nobody has connected");
}
