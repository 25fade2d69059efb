//! What ran, found again: searches, receipts.

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use picloud::config::{ServerConfig, Settings};
use picloud::server::{Server, World};
use picloud_shared::Clock;
use picloud_store::testing::with_postgres;
use serde_json::{Value, json};

use crate::support::{Picloud, code_cache};

/// An app whose handlers end in several ways.
async fn shop() -> Picloud {
    let server = Picloud::start(&[]);
    let order = r#"
        fn post(req) {
            let orders = kv::collection("orders");
            orders.set("a", 17);
            orders.set("b", "xy");
            log::info("order 17% done", #{ sku: "Z-9" });
            orders.get("a")
        }
    "#;
    let files = [
        ("order.rhai", order),
        ("broken.rhai", "fn get(req) { throw \"no \\\"stock\\\" left\" }"),
        ("loop.rhai", "fn get(req) { loop {} }"),
        ("missing.rhai", "fn get(req) { response::status(404) }"),
    ];
    server.deploy("shop", &files).await;
    for (method, path) in
        [("POST", "/order"), ("GET", "/broken"), ("GET", "/loop"), ("GET", "/missing")]
    {
        server.request("shop.localhost", method, path, "").await;
    }
    server
}

async fn causes(server: &Picloud, query: &str) -> Vec<String> {
    let found = server.api("GET", &format!("/apps/shop/executions?{query}"), "").await;
    assert_eq!(found.status, 200, "{query}: {found:?}");
    let items = found.json()["items"].as_array().unwrap().clone();
    items.iter().map(|item| item["cause"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn executions_are_searched_by_what_is_known_of_them() {
    let server = shop().await;
    let all = server.api("GET", "/apps/shop/executions", "").await.json();
    let (newest, oldest) = (&all["items"][0], &all["items"][3]);
    let id = oldest["id"].as_str().unwrap();
    let time = newest["started_at_ms"].as_u64().unwrap();
    for (query, expected) in [
        ("outcome=failed", vec!["GET /loop", "GET /broken"]),
        ("outcome=out_of_fuel", vec!["GET /loop"]),
        ("outcome=ok", vec!["GET /missing", "POST /order"]),
        ("handler=order.rhai", vec!["POST /order"]),
        ("handler=order", vec![]),
        ("release=1&status=404", vec!["GET /missing"]),
        ("release=2", vec![]),
        ("text=17%25", vec!["POST /order"]),
        ("text=Z-9", vec!["POST /order"]),
        ("text=no+%22stock%22", vec!["GET /broken"]),
        ("text=%25", vec!["POST /order"]),
        (&format!("id={id}"), vec!["POST /order"]),
        (&format!("from_ms={}", time + 1), vec![]),
        (&format!("until_ms={}&outcome=failed", time + 1), vec!["GET /loop", "GET /broken"]),
    ] {
        assert_eq!(causes(&server, query).await, expected, "{query}");
    }
}

#[tokio::test]
async fn hostile_parameters_find_nothing_or_are_refused() {
    let server = shop().await;
    for query in [
        "outcome=ok%27+OR+1%3D1--",
        "outcome=",
        "release=one",
        "status=-1",
        "status=65536",
        "from_ms=-1",
        "from_ms=18446744073709551616",
        "id=zz",
        "id=%25",
        "after=nonsense",
        "limit=x",
        "handlers=typo",
        &format!("text={}", "a".repeat(1_025)),
    ] {
        let answer = server.api("GET", &format!("/apps/shop/executions?{query}"), "").await;
        let code = answer.json()["code"].clone();
        assert_eq!(answer.status, 400, "{query}: {answer:?}");
        assert!(code == "invalid_query" || code == "invalid_cursor", "{query}: {code}");
    }
    for query in [
        "handler=%27%3B+DROP+TABLE+executions%3B--",
        "handler=%00",
        "text=%00%FF",
        "release=-9223372036854775808",
        "from_ms=18446744073709551615",
        "until_ms=0",
        "id=ffffffff-ffff-ffff-ffff-ffffffffffff",
        "after=00000000-0000-0000-0000-000000000000",
    ] {
        assert_eq!(causes(&server, query).await, [""; 0], "{query}");
    }
    assert_eq!(causes(&server, "limit=4294967295&until_ms=18446744073709551615").await.len(), 4);
}

#[tokio::test]
async fn a_receipt_says_what_an_execution_used_and_wrote() {
    let server = shop().await;
    let found = server.api("GET", "/apps/shop/executions?handler=order.rhai", "").await.json();
    let execution = &found["items"][0];
    let usage = &execution["usage"];
    assert_eq!(usage["calls"], json!({ "kv": 3, "log": 1 }));
    assert_eq!((&usage["host_calls"], &usage["received_bytes"]), (&json!(4), &json!(2)));
    assert!(usage["memory_bytes"].as_u64().unwrap() > 0);
    // Deploying has compiled it.
    assert_eq!(usage["compile_us"], 0);
    assert_eq!(
        execution["commit"],
        json!({ "entries": 2, "files": 0, "events": 0, "bytes": "a17b\"xy\"".len() })
    );
    let failed = server.api("GET", "/apps/shop/executions?outcome=script_error", "").await.json();
    assert_eq!(failed["items"][0]["commit"], Value::Null);

    let id = execution["id"].as_str().unwrap();
    let shown = server.cli(["executions", "show", id, "--app", "shop"]).ok();
    assert!(shown.contains("host calls 4 (kv 3, log 1)"), "{shown}");
    assert!(shown.contains("wrote 8 B (entries 2)"), "{shown}");
}

#[tokio::test]
async fn executions_are_searched_on_the_command_line() {
    let server = shop().await;
    let cli = |args: &[&str]| server.cli([&["executions", "--app", "shop"], args].concat());
    let found = |args: &[&str]| {
        let found = cli(&[args, &["--json"]].concat()).json();
        let items = found["items"].as_array().unwrap().clone();
        items.into_iter().map(|item| item["cause"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(found(&["--outcome", "failed", "-n", "1"]), ["GET /loop"]);
    assert_eq!(found(&["--handler", "broken.rhai", "--since", "1h"]), ["GET /broken"]);
    assert_eq!(found(&["--release", "1", "--status", "404"]), ["GET /missing"]);
    assert_eq!(found(&["--text", "17% done", "--until", "2999-01-01"]), ["POST /order"]);
    assert!(found(&["--until", "1h"]).is_empty());
    assert_eq!(cli(&["--outcome", "sad"]).code, 2);
    assert_eq!(cli(&["--since", "yesterday"]).code, 2);

    let found = cli(&["--handler", "loop.rhai", "--json"]).json();
    let id = found["items"][0]["id"].as_str().unwrap();
    // An id's last digits are random, those before them are the time.
    let show = |id: &str| server.cli(["executions", "show", id, "--app", "shop"]);
    let shown = show(&id[..id.len() - 1]).ok();
    assert!(shown.starts_with("GET /loop  out_of_fuel"), "{shown}");
    let ambiguous = show(&id[..1]);
    assert!(ambiguous.code == 1 && ambiguous.stderr.contains("give more of it"), "{ambiguous:?}");
    let missing = show("ffff");
    assert!(missing.code == 1 && missing.stderr.contains("no execution whose id"), "{missing:?}");
    assert_eq!(show("nonsense").code, 2);
}

#[tokio::test]
async fn an_app_s_history_is_cut_back_to_its_own_cap() {
    let temp = tempfile::TempDir::new().unwrap();
    let mut server = Picloud::start_in(temp.path(), &[]);
    for app in ["flood", "quiet"] {
        server.deploy(app, &[("index.rhai", "log::info(\"seen\"); 1")]).await;
        for _ in 0..4 {
            server.get(app, "/").await;
        }
    }
    let limits = r#"{"limits": {"history_executions": 2, "history_log_bytes": 100}}"#;
    assert_eq!(server.api("PUT", "/apps/flood", limits).await.status, 200);
    assert!(server.terminate().success());

    // Cleaning up is the first thing that a server does.
    let server = Picloud::start_in(temp.path(), &[]);
    let count = async |app: &str, of: &str| {
        let list = server.api("GET", &format!("/apps/{app}/{of}"), "").await.json();
        list["items"].as_array().unwrap().len()
    };
    let begun = std::time::Instant::now();
    while (count("flood", "executions").await, count("flood", "logs").await) != (2, 1) {
        assert!(begun.elapsed() < std::time::Duration::from_mins(1), "it is not cut back");
        tokio::task::yield_now().await;
    }
    assert_eq!((count("quiet", "executions").await, count("quiet", "logs").await), (4, 4));
}

/// A clock that is set by hand.
struct HandClock(AtomicU64);

impl Clock for HandClock {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

const DAY_MS: u64 = 24 * 3_600 * 1_000;

async fn executions_and_logs_are_kept_for_so_many_days(database: Option<&str>) {
    let temp = tempfile::TempDir::new().unwrap();
    let clock = Arc::new(HandClock(AtomicU64::new(1_800_000_000_000)));
    let client = picloud::client::http(false).build().unwrap();
    let start = async || start_at(temp.path(), database, clock.clone()).await;
    let server = start().await;
    let addr = server.addr();
    let token = std::fs::read_to_string(temp.path().join("admin-token")).unwrap();
    let deployed = client.put(format!("http://{addr}/api/v1/apps/hi/scripts/index.rhai"));
    let script = "log::info(`day ${req.query.day}`); 1";
    let deployed = deployed.bearer_auth(token.trim()).body(script).send().await.unwrap();
    assert!(deployed.status().is_success(), "{}", deployed.text().await.unwrap());
    for day in [0, 4, 8] {
        let get = client.get(format!("http://{addr}/?day={day}"));
        assert!(get.header("host", "hi.localhost").send().await.unwrap().status().is_success());
        clock.0.fetch_add(4 * DAY_MS, Ordering::Relaxed);
    }
    server.shutdown().await;

    // It is day 12, and cleaning up is the first thing that a server does.
    let server = start().await;
    let addr = server.addr();
    let list = async |of: &str| {
        let list = client.get(format!("http://{addr}/api/v1/apps/hi/{of}"));
        let list = list.bearer_auth(token.trim()).send().await.unwrap();
        let list: Value = serde_json::from_str(&list.text().await.unwrap()).unwrap();
        list["items"].as_array().unwrap().clone()
    };
    let begun = std::time::Instant::now();
    while list("executions").await.len() > 1 {
        assert!(begun.elapsed() < std::time::Duration::from_mins(1), "nothing is removed");
        tokio::task::yield_now().await;
    }
    let logs = list("logs").await;
    assert_eq!(logs.len(), 1, "{logs:?}");
    assert_eq!(logs[0]["message"], "day 8");
    assert_eq!(list("executions").await[0]["id"], logs[0]["execution"]);
    server.shutdown().await;
}

/// A server in this process, for which it is as late as `clock` says.
async fn start_at(data_dir: &Path, database: Option<&str>, clock: Arc<HandClock>) -> Server {
    let config = ServerConfig::new(Settings {
        data_dir: Some(data_dir.to_owned()),
        listen: Some("127.0.0.1:0".parse().unwrap()),
        database_url: database.map(ToOwned::to_owned),
        retention_days: NonZeroU32::new(7),
        code_cache_dir: Some(code_cache()),
        ..Settings::default()
    });
    Server::start_in(config, World { clock, network: None }).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn history_goes_with_age_on_sqlite() {
    executions_and_logs_are_kept_for_so_many_days(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn history_goes_with_age_on_postgresql() {
    with_postgres("history_goes_with_age_on_postgresql", async |url| {
        executions_and_logs_are_kept_for_so_many_days(Some(url)).await;
    })
    .await;
}

#[tokio::test]
async fn stats_are_for_charts() {
    let server = Picloud::start(&[]);
    server.deploy("hi", &[("index.rhai", "if req.query.n == \"2\" { throw 1 } 1")]).await;
    for n in 1..=4 {
        server.get("hi", &format!("/?n={n}")).await;
    }
    let stats = async |query: &str| server.api("GET", &format!("/apps/hi/stats{query}"), "").await;
    let day = stats("").await.json();
    let buckets = day["buckets"].as_array().unwrap();
    assert!((96..=97).contains(&buckets.len()), "{}", buckets.len());
    assert_eq!(day["step_ms"], 900_000);
    let sum = |of: &str| buckets.iter().map(|bucket| bucket[of].as_u64().unwrap()).sum::<u64>();
    assert_eq!((sum("requests"), sum("errors")), (4, 1));
    assert!(sum("fuel") > 0);
    let busy = buckets.iter().rfind(|bucket| bucket["requests"].as_u64() > Some(0)).unwrap();
    assert!(busy["p50_us"].as_u64() <= busy["p99_us"].as_u64(), "{busy}");
    assert!(busy["p50_us"].as_u64() > Some(0), "{busy}");
    assert_eq!(buckets[0]["p50_us"], serde_json::Value::Null);

    let past = stats("?from_ms=0&until_ms=1000&step_ms=500").await.json();
    assert_eq!(past["buckets"].as_array().unwrap().len(), 2);
    for hostile in [
        "?step_ms=0",
        "?step_ms=1",
        "?from_ms=5&until_ms=5",
        "?from_ms=18446744073709551615",
        "?from_ms=-1",
        "?until_ms=18446744073709551615&from_ms=0&step_ms=1",
        "?to=1",
    ] {
        assert_eq!(stats(hostile).await.status, 400, "{hostile}");
    }
    let far = "?from_ms=18446744073709551613&until_ms=18446744073709551615&step_ms=1";
    assert_eq!(stats(far).await.status, 200, "where no id's time reaches there is nothing");
}

#[tokio::test]
async fn metrics_are_for_this_machine_and_for_admins() {
    let server = Picloud::start(&["--trusted-proxy", "127.0.0.1"]);
    server.deploy("hi", &[("index.rhai", "1")]).await;
    server.get("hi", "/").await;
    let client = picloud::client::http(false).build().unwrap();
    let ask = async |headers: &[(&str, &str)]| {
        let mut request = client.get(server.url("/metrics"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let (status, text) = ask(&[]).await;
    assert_eq!(status, 200);
    for line in [
        "# HELP picloud_executions_total ",
        "picloud_app_executions_total{app=\"hi\",result=\"ok\"} 1\n",
        "picloud_executions_waiting 0\n",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    for forwarded in ["x-forwarded-for", "forwarded", "via", "x-real-ip", "X-Forwarded-For"] {
        for value in ["127.0.0.1", "", "203.0.113.7"] {
            let (status, text) = ask(&[(forwarded, value)]).await;
            assert_eq!(status, 401, "{forwarded}: {value}");
            assert!(!text.contains("picloud_"), "{text}");
        }
    }
    let (proxied, token) = (("via", "1.1 proxy"), format!("Bearer {}", server.token()));
    assert_eq!(ask(&[proxied, ("authorization", &token)]).await.0, 200);
    assert_eq!(ask(&[proxied, ("authorization", "Bearer nonsense")]).await.0, 401);
}

/// Reads a stream of server-sent events up to the one whose data has `text`.
async fn until(stream: &mut reqwest::Response, text: &str) -> String {
    until_all(stream, &[text]).await
}

/// The same until each of the texts has come, in whatever order.
async fn until_all(stream: &mut reqwest::Response, texts: &[&str]) -> String {
    let mut seen = String::new();
    let read = async {
        while !texts.iter().all(|text| seen.contains(text)) || !seen.ends_with("\n\n") {
            let chunk = stream.chunk().await.unwrap().expect("more to come");
            seen.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    };
    let read = tokio::time::timeout(std::time::Duration::from_mins(1), read).await;
    read.unwrap_or_else(|_| panic!("{texts:?} are not all in {seen:?}"));
    seen
}

#[tokio::test]
async fn logs_are_followed_as_server_sent_events_and_gone_on_with() {
    let mut server = Picloud::start(&[]);
    server.deploy("hi", &[("index.rhai", "log::info(`n${req.query.n}\n`); 1")]).await;
    let client = picloud::client::http(false).build().unwrap();
    let follow = async |last: Option<&str>| {
        let request = client.get(server.url("/api/v1/apps/hi/logs?follow=true"));
        let mut request = request.bearer_auth(server.token()).header("accept", "text/event-stream");
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let stream = request.send().await.unwrap();
        assert_eq!(stream.headers()["content-type"], "text/event-stream");
        stream
    };
    server.get("hi", "/?n=1").await;
    let mut stream = follow(None).await;
    until(&mut stream, "n1").await;
    server.get("hi", "/?n=2").await;
    let seen = until(&mut stream, "n2").await;
    let id = seen.lines().find_map(|line| line.strip_prefix("id: ")).unwrap().to_owned();
    drop(stream);

    // While nobody listened there was more than a page.
    for n in 3..=6 {
        server.get("hi", &format!("/?n={n}")).await;
    }
    let mut stream = follow(Some(&id)).await;
    let seen = until(&mut stream, "n6").await;
    let data: Vec<&str> = seen.lines().filter(|line| line.starts_with("data: ")).collect();
    assert_eq!(data.len(), 4, "each once, and none that was seen: {seen}");
    assert!(data[0].contains(r"n3\n"), "{seen}");

    // Nonsense is as good as nothing.
    let mut stream = follow(Some("-1 nonsense")).await;
    until(&mut stream, "n6").await;
    assert!(server.terminate().success());
    assert_eq!(stream.chunk().await.unwrap(), None, "the stream has a proper end");
}

/// What one server records, another one that shares its database streams.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_has_what_other_servers_record() {
    with_postgres("a_stream_has_what_other_servers_record", async |url| {
        let key = "7".repeat(64);
        let args = ["--database-url", url, "--master-key", &key];
        let (here, there) = (Picloud::start(&args), Picloud::start(&args));
        let manifest =
            "[[triggers]]\nhandler = 'seen.rhai'\non = 'events.publish'\ntopic = 'seen'\n";
        let script = "log::info(`n${req.query.n}`); events::publish(\"seen\", req.query.n); 1";
        let files = [
            ("index.rhai", script),
            ("seen.rhai", "fn on_event(event) { log::info(`heard ${event.payload}`) }"),
            ("picloud.toml", manifest),
        ];
        here.deploy("hi", &files).await;
        let client = picloud::client::http(false).build().unwrap();
        let follow = async |list: &str| {
            let request = client.get(there.url(&format!("/api/v1/apps/hi/{list}?follow=true")));
            let request = request.bearer_auth(there.token()).header("accept", "text/event-stream");
            request.send().await.unwrap()
        };
        let mut logs = follow("logs").await;
        let mut executions = follow("executions").await;
        let mut events = follow("events").await;
        for n in 1..=3 {
            assert_eq!(here.get("hi", &format!("/?n={n}")).await.status, 200);
        }
        // Either of the servers may deliver an event, and none waits for another.
        let lines = ["\"n1\"", "\"n2\"", "\"n3\"", "\"heard 1\"", "\"heard 2\"", "\"heard 3\""];
        let seen = until_all(&mut logs, &lines).await;
        for line in lines {
            assert_eq!(seen.matches(line).count(), 1, "{line}: {seen}");
        }
        until_all(&mut executions, &["index.rhai", "seen.rhai"]).await;
        until(&mut events, "seen").await;
    })
    .await;
}

#[tokio::test]
async fn executions_are_followed_as_server_sent_events_and_failures_among_the_logs() {
    let server = Picloud::start(&[]);
    let script = "if req.query.n == \"3\" { throw \"no stock\" } 1";
    server.deploy("hi", &[("index.rhai", script)]).await;
    let client = picloud::client::http(false).build().unwrap();
    let follow = async |list: &str, last: &str| {
        let request = client.get(server.url(&format!("/api/v1/apps/hi/{list}&follow=true")));
        let request = request.bearer_auth(server.token()).header("accept", "text/event-stream");
        request.header("last-event-id", last).send().await.unwrap()
    };
    server.get("hi", "/?n=1").await;
    let mut stream = follow("executions?limit=5", "").await;
    let mut failed = follow("executions?limit=0&outcome=failed", "").await;
    let mut logs = follow("logs?level=error", "").await;
    let seen = until(&mut stream, "\"ok\"").await;
    let id = seen.lines().find_map(|line| line.strip_prefix("id: ")).unwrap().to_owned();
    assert!(seen.contains(&format!("data: {{\"id\":\"{id}\"")), "{seen}");
    for (n, outcome) in [(2, "\"ok\""), (3, "script_error")] {
        server.get("hi", &format!("/?n={n}")).await;
        let seen = until(&mut stream, outcome).await;
        assert_eq!(seen.matches("data: ").count(), 1, "each once: {seen}");
    }
    let seen = until(&mut failed, "script_error").await;
    assert!(!seen.contains("\"ok\""), "{seen}");
    let seen = until(&mut logs, "no stock").await;
    assert_eq!(seen.matches("data: ").count(), 1, "{seen}");
    let line: Value = serde_json::from_str(seen.trim().strip_prefix("data: ").unwrap()).unwrap();
    assert_eq!((&line["level"], &line["seq"]), (&json!("error"), &json!(0)));

    let mut stream = follow("executions?limit=5", &id).await;
    let seen = until(&mut stream, "script_error").await;
    assert!(!seen.contains(&id) && seen.matches("data: ").count() == 2, "{seen}");
    let mut lines = client.get(server.url("/api/v1/apps/hi/executions?follow=true&limit=1"));
    lines = lines.bearer_auth(server.token());
    let line = lines.send().await.unwrap().chunk().await.unwrap().unwrap();
    let line: Value = serde_json::from_slice(&line).unwrap();
    assert_eq!(line["outcome"], "script_error");
}

#[tokio::test]
async fn a_stream_ends_when_its_caller_may_have_no_more_of_it() {
    let server = Picloud::start(&[]);
    for app in ["kept", "gone", "remade"] {
        server.deploy(app, &[("index.rhai", "log::info(\"seen\"); 1")]).await;
        server.get(app, "/").await;
    }
    let (revoked, removed) =
        (server.account("rita", "admin").await, server.account("rob", "member").await);
    let member = "/apps/kept/members/rob";
    assert_eq!(server.api("PUT", member, r#"{"role":"viewer"}"#).await.status, 204);
    let client = picloud::client::http(false).build().unwrap();
    let follow = async |path: &str, token: &str, accept: &str| {
        let request = client.get(server.url(&format!("/api/v1/apps/{path}?follow=true")));
        let answer = request.bearer_auth(token).header("accept", accept).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        answer
    };
    let (lines, events) = ("application/x-ndjson", "text/event-stream");
    let operator = server.token();
    let mut stays = follow("kept/logs", &operator, events).await;
    let ending = [
        follow("kept/logs", &revoked, lines).await,
        follow("kept/executions", &revoked, events).await,
        follow("kept/events", &removed, events).await,
        follow("gone/logs", &operator, events).await,
        follow("remade/logs", &operator, lines).await,
    ];
    let tokens = client.get(server.url("/api/v1/tokens")).bearer_auth(&revoked);
    let tokens: Value = tokens.send().await.unwrap().json().await.unwrap();
    let token = server.url(&format!("/api/v1/tokens/{}", tokens["items"][0]["id"]));
    let revoke = client.delete(token).bearer_auth(&revoked).send().await.unwrap();
    assert_eq!(revoke.status(), 204);
    assert_eq!(server.api("DELETE", member, "").await.status, 204);
    for app in ["gone", "remade"] {
        assert_eq!(server.api("DELETE", &format!("/apps/{app}"), "").await.status, 204);
    }
    server.deploy("remade", &[("index.rhai", "1")]).await;
    for mut stream in ending {
        let ended = async { while stream.chunk().await.unwrap().is_some() {} };
        tokio::time::timeout(std::time::Duration::from_mins(1), ended).await.unwrap();
    }
    until(&mut stays, "seen").await;
    server.get("kept", "/").await;
    until(&mut stays, "seen").await;
}

#[tokio::test]
async fn events_are_followed_as_server_sent_events_and_gone_on_with() {
    let server = Picloud::start(&[]);
    let manifest = "[[triggers]]\non = \"events.publish\"\nhandler = \"index.rhai\"";
    let files = [("picloud.toml", manifest), ("index.rhai", "fn on_event(event) { 1 }")];
    server.deploy("hi", &files).await;
    let publish = async |topic: &str| {
        let body = json!({ "topic": topic }).to_string();
        assert_eq!(server.api("POST", "/apps/hi/events", body).await.status, 202);
    };
    let client = picloud::client::http(false).build().unwrap();
    let follow = async |last: &str| {
        let request = client.get(server.url("/api/v1/apps/hi/events?follow=true"));
        let request = request.bearer_auth(server.token()).header("accept", "text/event-stream");
        request.header("last-event-id", last).send().await.unwrap()
    };
    publish("first").await;
    let mut stream = follow("").await;
    let seen = until(&mut stream, "first").await;
    let id = seen.lines().find_map(|line| line.strip_prefix("id: ")).unwrap().to_owned();
    drop(stream);
    publish("second").await;
    let mut stream = follow(&id).await;
    let seen = until(&mut stream, "second").await;
    assert!(!seen.contains("first"), "{seen}");
}
