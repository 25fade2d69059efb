//! Files before they are deployed: checked, kept as a draft, tried.

use std::collections::BTreeMap;

use bytes::Bytes;
use picloud_manager_core::archive;
use picloud_store::testing::with_postgres;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Answer, Picloud};

fn packed(files: &[(&str, &str)]) -> Vec<u8> {
    let files: BTreeMap<String, Bytes> = files
        .iter()
        .map(|(path, text)| ((*path).to_owned(), Bytes::copy_from_slice(text.as_bytes())))
        .collect();
    archive::pack(&files).unwrap()
}

async fn check(server: &Picloud, files: &[(&str, &str)]) -> Value {
    let answer = server.api("POST", "/apps/shop/check", packed(files)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["diagnostics"].clone()
}

async fn invoke(server: &Picloud, request: Value) -> Answer {
    server.api("POST", "/apps/shop/invoke", request.to_string()).await
}

#[tokio::test]
async fn a_check_says_where_every_mistake_is_and_deploys_nothing() {
    let server = Picloud::start(&[]);
    server.deploy("shop", &[("index.rhai", "1")]).await;
    assert_eq!(check(&server, &[("index.rhai", "2")]).await, json!([]));

    let wrong = [
        ("index.rhai", "import \"lib/a\" as a;\na::one()"),
        ("lib/a.rhai", "fn one() {\n    let e = \"ü\"; let x = ;\n}"),
        ("other.rhai", "fn get(req) {\n  1 +\n}\n"),
    ];
    let found = check(&server, &wrong).await;
    let place = |one: &Value| {
        json!([one["severity"], one["code"], one["file"], one["line"], one["column"]])
    };
    let seen: Vec<Value> = found.as_array().unwrap().iter().map(place).collect();
    let at = |file, line, column| json!(["error", "syntax_error", file, line, column]);
    assert_eq!(seen, [at("lib/a.rhai", 2, 26), at("other.rhai", 3, 1)]);
    assert_eq!(found[0]["help"], "/.picloud/errors/syntax_error");
    let help = server.request("localhost", "GET", "/.picloud/errors/syntax_error", "").await;
    assert_eq!(help.status, 200);

    let manifest = "name = \"shop\"\n[[routes]]\npath = \"/a\"\nhandler = \"none.rhai\"\n";
    let found = check(&server, &[("index.rhai", "1"), ("picloud.toml", manifest)]).await;
    assert_eq!((&found[0]["file"], &found[0]["line"]), (&json!("picloud.toml"), &json!(4)));

    let warned = check(&server, &[("lib/a.rhai", "1")]).await;
    assert_eq!(
        warned,
        json!([{ "severity": "warning", "message": "nothing in this release answers a request" }])
    );
    // What is no release at all is refused as a deploy of it would be.
    let refused = server.api("POST", "/apps/shop/check", "no archive").await;
    assert_eq!(
        (refused.status.as_u16(), &refused.json()["code"]),
        (400, &"invalid_archive".into())
    );

    let releases = server.api("GET", "/apps/shop/releases", "").await.json();
    assert_eq!(releases["items"].as_array().unwrap().len(), 1);
    // An editor asks often, and changes nothing.
    let audit = server.api("GET", "/audit", "").await.json();
    let actions = audit["items"].as_array().unwrap().iter().map(|entry| &entry["action"]);
    assert_eq!(actions.collect::<Vec<_>>(), ["create_release"]);
}

#[tokio::test]
async fn checks_at_one_time_are_answered_or_put_off() {
    let server = Picloud::start(&[]);
    server.deploy("shop", &[("index.rhai", "1")]).await;
    let check = || server.api("POST", "/apps/shop/check", packed(&[("index.rhai", "2")]));
    let answers = futures_util::future::join_all((0..20).map(|_| check())).await;
    for answer in &answers {
        match answer.status.as_u16() {
            200 => assert_eq!(answer.json()["diagnostics"], json!([])),
            429 => {
                assert_eq!(answer.json()["code"], "app_busy");
                assert_eq!(answer.header("retry-after"), Some("1"));
            }
            _ => panic!("{answer:?}"),
        }
    }
    assert!(answers.iter().any(|answer| answer.status == 200));
    assert_eq!(check().await.status, 200);
}

async fn a_draft_is_tried_before_it_answers(args: &[&str]) {
    let server = Picloud::start(args);
    let active = [
        ("index.rhai", "\"old\""),
        ("picloud.toml", "[[triggers]]\non = \"kv.set\"\nhandler = \"index.rhai#seen\""),
    ];
    let with_seen = [("index.rhai", "fn seen(event) {}\nfn get(req) { \"old\" }"), active[1]];
    server.deploy("shop", &with_seen).await;

    let draft =
        [("index.rhai", "log::info(\"hello\");\nkv::collection(\"c\").set(\"k\", 1);\n\"new\"")];
    let path = "/apps/shop/releases?activate=false&note=draft";
    let made = server.api("POST", path, packed(&draft)).await;
    assert_eq!(made.status, 201, "{made:?}");
    let made = made.json();
    assert_eq!((&made["release"], &made["active"]), (&json!(2), &json!(false)));
    let preview = format!("http://r2--shop.localhost:{}/", server.port());
    assert_eq!(made["url"], json!(preview));

    // Whoever asks for the app gets what is active.
    assert_eq!(server.get("shop", "/").await.text(), "old");
    assert_eq!(server.get("r2--shop", "/").await.text(), "new");
    let of_active = invoke(&server, json!({ "path": "/" })).await.json();
    assert_eq!(of_active["body"], "old");

    let tried = invoke(&server, json!({ "path": "/", "release": 2 })).await.json();
    assert_eq!((&tried["status"], &tried["body"]), (&json!(200), &json!("new")));
    let execution = &tried["execution"];
    assert_eq!((&execution["release"], &execution["outcome"]), (&json!(2), &json!("ok")));
    assert_eq!(execution["logs"][0]["message"], "hello", "{execution}");
    assert_eq!(execution["usage"]["calls"]["kv"], 1, "{execution}");
    assert_eq!(execution["commit"]["entries"], 1, "{execution}");
    assert_eq!(server.api("GET", "/apps/shop/kv/c/k", "").await.json()["value"], 1);

    let none = invoke(&server, json!({ "path": "/", "release": 3 })).await;
    assert_eq!(none.status, 404);
    let refused = server.api("POST", path, packed(&[("index.rhai", "let = ;")])).await;
    assert_eq!((refused.status.as_u16(), &refused.json()["code"]), (422, &"syntax_error".into()));

    let activated = server.api("POST", "/apps/shop/releases/2/activate", "").await;
    assert_eq!((activated.status.as_u16(), &activated.json()["active"]), (200, &json!(true)));
    assert_eq!(server.get("shop", "/").await.text(), "new");
}

#[tokio::test]
async fn a_draft_is_tried_before_it_answers_on_sqlite() {
    a_draft_is_tried_before_it_answers(&[]).await;
}

#[tokio::test]
async fn a_draft_is_tried_before_it_answers_on_postgres() {
    let test = async |url: &str| a_draft_is_tried_before_it_answers(&["--database-url", url]).await;
    with_postgres("drafts", test).await;
}

#[tokio::test]
async fn one_key_is_for_a_draft_or_for_a_deploy() {
    let server = Picloud::start(&[]);
    server.deploy("shop", &[("index.rhai", "1")]).await;
    let bearer = format!("Bearer {}", server.token());
    let headers = [("host", "localhost"), ("authorization", &*bearer), ("idempotency-key", "once")];
    let send =
        async |path| server.send("POST", path, &headers, packed(&[("index.rhai", "2")])).await;
    let draft = "/api/v1/apps/shop/releases?activate=false";
    let first = send(draft).await.json();
    assert_eq!(send(draft).await.json(), first);
    let deploy = send("/api/v1/apps/shop/releases").await;
    assert_eq!(deploy.json()["code"], "idempotency_key_reused");
}

#[tokio::test]
async fn the_command_line_checks_and_tries_too() {
    let server = Picloud::start(&[]);
    server.deploy("shop", &[("index.rhai", "\"active\"")]).await;
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("index.rhai");
    std::fs::write(&file, "let x = ;").unwrap();
    let folder = folder.path().to_str().unwrap();
    let wrong = server.cli(["check", folder, "--app", "shop"]);
    assert_eq!(wrong.code, 1, "{wrong:?}");
    assert!(wrong.stdout.contains("index.rhai:1:9"), "{wrong:?}");
    std::fs::write(&file, "2").unwrap();
    assert_eq!(server.cli(["check", folder, "--app", "shop"]).ok().trim(), "nothing is wrong");

    let draft = packed(&[("index.rhai", "\"draft\"")]);
    server.api("POST", "/apps/shop/releases?activate=false", draft).await;
    let tried = server.cli(["invoke", "/", "--release", "2", "--app", "shop"]);
    assert_eq!(tried.ok().trim(), "draft");
}
