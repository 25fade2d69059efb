//! What apps use is counted, shown, and bounded, on both databases.

use std::time::{Duration, Instant};

use picloud_store::testing::with_postgres;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::Picloud;

/// How long anything may take before a test fails.
const PATIENCE: Duration = Duration::from_mins(2);

/// Runs each body with the arguments of a server of its own, once per database.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(&[]).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::with_postgres(concat!("usage::", stringify!($name)), async |url| {
                    super::$name(&["--database-url", url]).await;
                })
                .await;
            })*
        }
    };
}

on_both![
    what_is_used_is_counted_and_survives_a_restart,
    a_full_outbox_refuses_until_a_dead_letter_is_dropped,
    releases_that_are_deleted_make_room_for_new_ones,
    apps_of_one_owner_have_the_owners_limits_together,
];

async fn usage(server: &Picloud, app: &str) -> Value {
    let answer = server.api("GET", &format!("/apps/{app}/usage"), "").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

/// How much of a limit is used, and its percents.
fn of_limit(usage: &Value, limit: &str) -> (u64, u64) {
    let limits = usage["limits"].as_array().unwrap();
    let found = limits.iter().find(|one| one["limit"] == limit).unwrap();
    (found["used"].as_u64().unwrap(), found["percent"].as_u64().unwrap())
}

async fn set_limits(server: &Picloud, app: &str, limits: Value) {
    let body = json!({ "limits": limits }).to_string();
    assert!(server.api("PUT", &format!("/apps/{app}"), body).await.status.is_success());
}

async fn what_is_used_is_counted_and_survives_a_restart(args: &[&str]) {
    let folder = TempDir::new().unwrap();
    let data_dir = folder.path().join("data");
    let mut server = Picloud::start_in(&data_dir, args);
    let script = "fn get(req) { kv::collection(\"c\").get(\"k\"); \"12345\" }
        fn post(req) { events::publish(\"t\", 1); throw \"no\" }
        fn put(req) { events::publish(\"t\", 1); () }";
    let manifest = "[[triggers]]\non = 'events.publish'\nhandler = 'on.rhai'";
    let files = [
        ("index.rhai", script),
        ("on.rhai", "fn on_event(event) { }"),
        ("picloud.toml", manifest),
        ("public/a.txt", "123"),
    ];
    server.deploy("alice", &files).await;
    server.deploy("bob", &[("index.rhai", "1")]).await;
    assert_eq!(usage(&server, "alice").await["days"], json!([]));

    for (method, path, body, status) in [
        ("GET", "/", "", 200),
        ("GET", "/a.txt", "", 200),
        ("GET", "/none", "", 404),
        ("POST", "/", "1234", 500),
        ("PUT", "/", "123456", 204),
    ] {
        let answer = server.request("alice.localhost", method, path, body).await;
        assert_eq!(answer.status.as_u16(), status, "{method} {path}: {answer:?}");
    }
    // The event is handled after the answer.
    let end = Instant::now() + PATIENCE;
    let used = loop {
        let used = usage(&server, "alice").await;
        if used["total"]["deliveries"] == 1 {
            break used;
        }
        assert!(Instant::now() < end, "{used}");
    };
    let total = &used["total"];
    for (counter, count) in
        [("requests", 5), ("invocations", 4), ("failures", 1), ("events", 1), ("bytes_in", 10)]
    {
        assert_eq!(total[counter], count, "{counter} of {used}");
    }
    for counter in ["fuel", "duration_us", "host_calls", "bytes_out"] {
        assert!(total[counter].as_u64().unwrap() > 0, "{counter} of {used}");
    }
    assert!(total["bytes_out"].as_u64().unwrap() >= 8);
    assert_eq!(of_limit(&used, "outbox_rows"), (1, 0));
    let bytes: usize = files.iter().map(|(_, text)| text.len()).sum();
    assert_eq!(of_limit(&used, "release_bytes"), (bytes as u64, 0));
    assert_eq!(used["warnings"], json!([]));
    assert_eq!(usage(&server, "bob").await["days"], json!([]), "it is alice's alone");

    server.terminate();
    let server = Picloud::start_in(&data_dir, args);
    assert_eq!(usage(&server, "alice").await, used);
    let shown = server.cli(["usage", "--app", "alice"]).ok();
    assert!(shown.contains("alice  since ") && shown.contains("outbox_rows"), "{shown}");
    let json = server.cli(["usage", "--app", "alice", "--json"]).json();
    assert_eq!(json, used);
    for bad in ["days=x", "days=-1", "since=1"] {
        let answer = server.api("GET", &format!("/apps/alice/usage?{bad}"), "").await;
        assert_eq!(answer.json()["code"], "invalid_query", "{bad}");
    }
    assert_eq!(server.api("GET", "/apps/nobody/usage", "").await.status, 404);
}

async fn a_full_outbox_refuses_until_a_dead_letter_is_dropped(args: &[&str]) {
    let server = Picloud::start(args);
    let script =
        "fn post(req) { kv::collection(\"c\").incr(\"n\"); events::publish(\"t\", 1); \"sent\" }
        fn get(req) { kv::collection(\"c\").get_or(\"n\", 0) }";
    let manifest = "[[triggers]]\non = 'events.publish'\nhandler = 'on.rhai'\nattempts = 1";
    let failing = "fn on_event(event) { throw \"no\" }";
    let files = [("index.rhai", script), ("on.rhai", failing), ("picloud.toml", manifest)];
    server.deploy("alice", &files).await;
    set_limits(&server, "alice", json!({ "outbox_rows": 3 })).await;
    let post = async || server.request("alice.localhost", "POST", "/", "").await;
    for _ in 0..3 {
        assert_eq!(post().await.text(), "sent");
    }
    let refused = post().await;
    assert_eq!((refused.status.as_u16(), &refused.json()["code"]), (500, &json!("quota_exceeded")));
    assert_eq!(server.get("alice", "/").await.text(), "3", "nothing of it is written");
    let publish = json!({ "topic": "t", "payload": 1 }).to_string();
    let refused = server.api("POST", "/apps/alice/events", publish.clone()).await;
    assert_eq!((refused.status.as_u16(), &refused.json()["code"]), (507, &json!("quota_exceeded")));

    let used = usage(&server, "alice").await;
    assert_eq!(of_limit(&used, "outbox_rows"), (3, 100));
    let warning = "100 % of `outbox_rows` are used: 3 of 3";
    assert_eq!(used["warnings"], json!([warning]));
    let deployed = server.deploy("alice", &files).await;
    assert!(deployed["warnings"].as_array().unwrap().contains(&json!(warning)), "{deployed}");

    let end = Instant::now() + PATIENCE;
    let dead = loop {
        let dead = server.api("GET", "/apps/alice/dead-letters", "").await.json();
        if dead["items"].as_array().unwrap().len() == 3 {
            break dead["items"][0]["id"].as_str().unwrap().to_owned();
        }
        assert!(Instant::now() < end, "{dead}");
    };
    assert_eq!(post().await.status, 500, "what is dead counts");
    let dropped = server.api("DELETE", &format!("/apps/alice/dead-letters/{dead}"), "").await;
    assert!(dropped.status.is_success(), "{dropped:?}");
    assert_eq!(server.api("POST", "/apps/alice/events", publish).await.status, 202);
    assert_eq!(post().await.status, 500);
}

async fn releases_that_are_deleted_make_room_for_new_ones(args: &[&str]) {
    let server = Picloud::start(args);
    let of = |text: &'static str| [("index.rhai", text)];
    server.deploy("alice", &of("\"0123456789 1\"")).await;
    set_limits(&server, "alice", json!({ "release_bytes": 30 })).await;
    server.deploy("alice", &of("\"0123456789 2\"")).await;
    let refused = server.try_deploy("alice", &of("\"0123456789 3\"")).await;
    assert_eq!((refused.status.as_u16(), &refused.json()["code"]), (507, &json!("quota_exceeded")));
    assert!(refused.json()["detail"].as_str().unwrap().contains("delete old ones"), "{refused:?}");
    assert_eq!(server.get("alice", "/").await.text(), "0123456789 2");

    let in_use = server.api("DELETE", "/apps/alice/releases/2", "").await;
    assert_eq!(in_use.json()["code"], "release_in_use");
    server.cli(["releases", "delete", "1", "--app", "alice"]).ok();
    let gone = server.api("DELETE", "/apps/alice/releases/1", "").await;
    assert_eq!(gone.json()["code"], "not_found");
    server.deploy("alice", &of("\"0123456789 3\"")).await;
    assert_eq!(server.get("alice", "/").await.text(), "0123456789 3");
}

async fn apps_of_one_owner_have_the_owners_limits_together(args: &[&str]) {
    let server = Picloud::start(args);
    let mut bearers = Vec::new();
    for name in ["alice", "bob"] {
        bearers.push(format!("Bearer {}", server.account(name, "member").await));
    }
    let ask = async |bearer: &str, method: &str, path: &str, body: &str| {
        let headers = [("host", "localhost"), ("authorization", bearer)];
        server.send(method, &format!("/api/v1{path}"), &headers, body.to_owned()).await
    };
    let [alice, bob] = &*bearers else { unreachable!() };
    let set = async |limits: Value| {
        let answer = server.api("PUT", "/users/alice/limits", limits.to_string()).await;
        assert!(answer.status.is_success(), "{answer:?}");
    };

    set(json!({ "apps": 2, "kv_bytes": 1500 })).await;
    let refused = ask(alice, "PUT", "/users/alice/limits", "{}").await;
    assert_eq!(refused.status, 403, "nobody sets limits of their own");
    let script = "fn get(req) { \"hello\" }
        fn post(req) { let s = \"\"; s.pad(600, 'x'); kv::collection(\"c\").set(req.query.key, s); }";
    for (bearer, app) in [(alice, "first"), (alice, "second"), (bob, "other")] {
        let path = format!("/apps/{app}/scripts/index.rhai");
        assert_eq!(ask(bearer, "PUT", &path, script).await.status, 201);
    }
    let third = ask(alice, "PUT", "/apps/third", "").await;
    assert_eq!(third.json()["code"], "quota_exceeded", "{third:?}");
    assert_eq!(ask(alice, "DELETE", "/apps/second", "").await.status, 204);
    let again = ask(alice, "PUT", "/apps/third/scripts/index.rhai", script).await;
    assert_eq!(again.status, 201, "{again:?}");

    let write = async |app: &str, key: &str| {
        server.request(&format!("{app}.localhost"), "POST", &format!("/?key={key}"), "").await
    };
    assert_eq!(write("first", "a").await.status, 204);
    assert_eq!(write("first", "b").await.status, 204);
    // What the owner's other apps keep is looked at every now and then.
    set(json!({ "apps": 2, "kv_bytes": 1500 })).await;
    let refused = write("third", "a").await;
    assert_eq!(refused.json()["code"], "quota_exceeded", "{refused:?}");
    assert_eq!(write("other", "a").await.status, 204);
    let own = ask(alice, "GET", "/usage", "").await.json();
    assert!(of_limit(&own, "kv_bytes").1 >= 80, "{own}");
    assert!(own["warnings"].to_string().contains("80 % of `kv_bytes`"), "{own}");

    set(json!({ "requests_per_day": 5 })).await;
    let get = async |app: &str| server.get(app, "/").await;
    let end = Instant::now() + PATIENCE;
    let refused = loop {
        let answer = get("first").await;
        if answer.status != 200 {
            break answer;
        }
        assert!(Instant::now() < end, "the day's budget is never used up");
    };
    assert_eq!(refused.status, 429, "{refused:?}");
    assert!(refused.header("retry-after").is_some(), "{refused:?}");
    // The owner's other app has none left either, once it looks again.
    while get("third").await.status != 429 {
        assert!(Instant::now() < end, "the other app goes on");
    }
    assert_eq!(get("other").await.status, 200);
    set(json!({})).await;
    assert_eq!(get("first").await.status, 200);
}
