//! What a page shows of an app and of the instance.

use picloud_store::testing::with_postgres;
use serde_json::{Value, json};

use crate::support::Picloud;

#[tokio::test]
async fn triggers_and_settings_are_the_active_releases() {
    let server = Picloud::start(&[]);
    assert_eq!(server.api("PUT", "/apps/shop", "").await.status, 201);
    let triggers = async || server.api("GET", "/apps/shop/triggers", "").await.json();
    let config = async || server.api("GET", "/apps/shop/config", "").await.json();
    assert_eq!(triggers().await, json!({ "items": [], "next": null }));
    assert_eq!(config().await, json!({ "items": [], "next": null }));

    let manifest = "
        [[triggers]]
        on = \"kv.set\"
        collection = \"posts-*\"
        attempts = 3
        handler = \"a.rhai\"
        [[triggers]]
        on = \"queue.message\"
        queue = \"mail\"
        concurrency = 2
        handler = \"a.rhai#send\"
        [config]
        NAME = \"x\"
        LIMITS = { low = 1, high = 2.5 }
    ";
    let script = "fn on_event(event) {}\nfn send(message) {}";
    server.deploy("shop", &[("a.rhai", script), ("picloud.toml", manifest)]).await;
    assert_eq!(
        triggers().await["items"],
        json!([
            {
                "on": "kv.set",
                "filter": { "collection": "posts-*" },
                "handler": "a.rhai",
                "attempts": 3,
            },
            {
                "on": "queue.message",
                "filter": { "queue": "mail" },
                "handler": "a.rhai#send",
                "attempts": 8,
                "concurrency": 2,
            },
        ])
    );
    assert_eq!(
        config().await["items"],
        json!([
            { "name": "LIMITS", "value": { "low": 1, "high": 2.5 } },
            { "name": "NAME", "value": "x" },
        ])
    );
}

#[tokio::test]
async fn collections_and_queues_come_in_pages() {
    let server = Picloud::start(&[]);
    let trigger = |name| {
        format!("[[triggers]]\non = \"queue.message\"\nqueue = \"{name}\"\nhandler = \"a.rhai\"\n")
    };
    let manifest: String = ["a", "b", "c"].map(trigger).concat();
    let script = "fn on_message(message) { throw \"never\"; }";
    server.deploy("shop", &[("a.rhai", script), ("picloud.toml", &manifest)]).await;
    let later = json!({ "payload": 1, "delay": 3_600 }).to_string();
    for name in ["a", "b", "c"] {
        let path = format!("/apps/shop/kv/{name}/k");
        assert_eq!(server.api("PUT", &path, "1").await.status, 204);
        let path = format!("/apps/shop/queues/{name}");
        assert_eq!(server.api("POST", &path, later.clone()).await.status, 202);
    }
    for (path, name) in [("/apps/shop/kv", "collection"), ("/apps/shop/queues", "queue")] {
        let (mut seen, mut after) = (Vec::new(), String::new());
        loop {
            let list = server.api("GET", &format!("{path}?limit=2{after}"), "").await.json();
            let items = list["items"].as_array().unwrap();
            seen.extend(items.iter().map(|item| item[name].as_str().unwrap().to_owned()));
            let Some(next) = list["next"].as_str() else { break };
            after = format!("&after={next}");
        }
        assert_eq!(seen, ["a", "b", "c"], "{path}");
    }
}

#[tokio::test]
async fn an_app_has_its_limits_complete() {
    let server = Picloud::start(&[]);
    let limits = json!({ "limits": { "concurrency": 4 } }).to_string();
    let app = server.api("PUT", "/apps/shop", limits).await.json();
    assert_eq!(app["limits"], json!({ "concurrency": 4 }));
    let effective = &app["effective_limits"];
    assert_eq!(effective["concurrency"], 4);
    assert_eq!(effective["fuel"], 1_000_000_000);
}

async fn an_admin_sees_how_the_instance_is(args: &[&str], database: &str) {
    let server = Picloud::start(args);
    server.deploy("shop", &[("index.rhai", "1")]).await;
    let instance = server.api("GET", "/instance", "").await.json();
    assert_eq!(instance["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(instance["database"], database);
    assert_eq!((&instance["apps"], &instance["users"]), (&json!(1), &json!(0)));
    assert_eq!(instance["executions"], json!({ "running": 0, "waiting": 0, "max_running": 64 }));
    assert_eq!(instance["deliveries"], json!({ "waiting": 0, "dead": 0 }));
    let disk = |field: &str| instance["disk"][field].as_u64().unwrap();
    assert!(0 < disk("free_bytes") && disk("free_bytes") <= disk("total_bytes"), "{instance}");
    assert!(instance["started_at_ms"].as_u64().unwrap() > 1_700_000_000_000);
    assert!(instance["uptime_s"].as_u64().unwrap() < 600);
}

#[tokio::test]
async fn an_admin_sees_how_the_instance_is_on_sqlite() {
    an_admin_sees_how_the_instance_is(&[], "sqlite").await;
}

#[tokio::test]
async fn an_admin_sees_how_the_instance_is_on_postgres() {
    let test = async |url: &str| {
        an_admin_sees_how_the_instance_is(&["--database-url", url], "postgresql").await;
    };
    with_postgres("views", test).await;
}

#[tokio::test]
async fn editors_learn_what_scripts_can_call() {
    let server = Picloud::start(&[]);
    let answer = server.request("localhost", "GET", "/api/v1/sdk.json", "").await;
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let sdk = answer.json();
    let functions = sdk["namespaces"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|namespace| namespace["functions"].as_array().unwrap());
    let signatures: Vec<&Value> = functions.map(|function| &function["signature"]).collect();
    assert!(signatures.contains(&&json!("kv::collection(name) -> collection")), "{signatures:?}");
}
