//! The server is killed again and again, at random moments and at the points of
//! `crates/shared/src/fault.rs`, while clients publish events. Afterwards
//! nothing that was acknowledged is lost, no effect has happened twice, and
//! every event has been delivered or is a dead letter.
//!
//! `just chaos` kills more often; `PICLOUD_CHAOS_KILLS` says how often.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use picloud_store::testing::with_postgres;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::Picloud;

/// Where the process can end: around the commit of a batch, the claim of
/// deliveries, a run, its acknowledgement, a failure, a tick.
const POINTS: &[&str] = &[
    "commit.before",
    "commit.after",
    "claim.after",
    "run.before",
    "run.after",
    "ack.before",
    "ack.after",
    "fail.before",
    "fail.after",
    "fire.before",
    "fire.after",
];
const CLIENTS: usize = 4;
/// Acknowledged requests after which a server is killed that has met no point.
const MAX_REQUESTS: u64 = 150;

const FILES: &[(&str, &str)] = &[
    (
        "index.rhai",
        "fn post(req) {
            kv::collection(\"sent\").set(req.query.n, 1);
            events::publish(\"order\", req.query.n);
        }",
    ),
    (
        "order.rhai",
        "fn on_event(event) {
            kv::collection(\"first\").incr(event.payload);
            queue::named(\"second\").send(event.payload);
        }",
    ),
    (
        "second.rhai",
        "fn on_message(message) {
            kv::collection(\"second\").incr(message.payload);
            if message.payload.ends_with(\"7\") { throw \"poison\"; }
        }",
    ),
    (
        "tick.rhai",
        "fn on_schedule(tick) { kv::collection(\"ticks\").incr(`${tick.scheduled_at}`) }",
    ),
    (
        "picloud.toml",
        "[[triggers]]\non = 'events.publish'\ntopic = 'order'\nhandler = 'order.rhai'
         [[triggers]]\non = 'queue.message'\nqueue = 'second'\nhandler = 'second.rhai'\nattempts = 2
         [[schedules]]\ncron = '* * * * * *'\nhandler = 'tick.rhai'",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_on_sqlite() {
    chaos(kills(22), &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_on_postgres() {
    with_postgres("nothing_is_lost_or_doubled_on_postgres", async |url| {
        chaos(kills(11), &["--database-url", url]).await;
    })
    .await;
}

#[expect(clippy::disallowed_methods, reason = "how long a test runs is no setting of PiCloud's")]
fn kills(default: usize) -> usize {
    let asked = std::env::var("PICLOUD_CHAOS_KILLS").ok();
    asked.map_or(default, |kills| kills.parse().unwrap())
}

async fn chaos(kills: usize, args: &[&str]) {
    let temp = TempDir::new().unwrap();
    let data = temp.path().join("data");
    let server = Picloud::start_in(&data, args);
    server.deploy("chaos", FILES).await;
    // A lease on PostgreSQL is as long as a handler may run, and half a minute.
    let limits = r#"{ "limits": { "event_ms": 1000 } }"#;
    assert_eq!(server.api("PUT", "/apps/chaos", limits).await.status, 200);
    drop(server);

    let (next, acknowledged) = (Arc::new(AtomicU64::new(0)), Arc::default());
    let mut met: BTreeMap<&str, usize> = BTreeMap::new();
    for kill in 0..kills {
        // Every other time at a point, every other time at no point.
        let point = POINTS.iter().cycle().nth(kill / 2).filter(|_| kill % 2 == 0);
        let passes: u32 = rand::random_range(0..40);
        let asked = point.map(|point| format!("{point}={passes}*off->return"));
        let Some(mut server) = Picloud::try_start_in(&data, args, asked.as_deref()) else {
            *met.entry("before it was ready").or_default() += 1;
            continue;
        };
        let requests = if point.is_some() { MAX_REQUESTS } else { rand::random_range(1..60) };
        publish(&server, requests, &next, &acknowledged).await;
        let by_itself = server.has_ended();
        *met.entry(if by_itself { point.unwrap() } else { "kill -9" }).or_default() += 1;
        server.kill9();
    }
    eprintln!("{kills} kills: {met:?}");

    let server = Picloud::start_in(&data, args);
    settle(&server).await;
    check(&server, &acknowledged).await;
}

/// Publishes from all clients until so many requests are acknowledged, or the
/// server is gone.
async fn publish(
    server: &Picloud,
    requests: u64,
    next: &Arc<AtomicU64>,
    acknowledged: &Arc<std::sync::Mutex<BTreeSet<u64>>>,
) {
    let http = picloud::client::http(false).timeout(Duration::from_secs(20)).build().unwrap();
    let (left, gone) = (Arc::new(AtomicU64::new(requests)), Arc::new(AtomicBool::new(false)));
    let clients = (0..CLIENTS).map(|_| {
        let (http, url) = (http.clone(), server.url("/"));
        let (next, acknowledged) = (Arc::clone(next), Arc::clone(acknowledged));
        let (left, gone) = (Arc::clone(&left), Arc::clone(&gone));
        tokio::spawn(async move {
            let take = |left: u64| left.checked_sub(1);
            while !gone.load(Ordering::Relaxed)
                && left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
            {
                let n = next.fetch_add(1, Ordering::Relaxed);
                let post = http.post(format!("{url}?n={n}")).header("host", "chaos.localhost");
                match post.send().await {
                    Ok(answer) if answer.status() == 204 => {
                        acknowledged.lock().unwrap().insert(n);
                    }
                    // Whether this one was committed nobody knows.
                    _ => gone.store(true, Ordering::Relaxed),
                }
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
}

/// Waits until nothing waits or runs any more.
async fn settle(server: &Picloud) {
    loop {
        let metrics = server.request("localhost", "GET", "/metrics", "").await;
        if metrics.text().contains("\npicloud_deliveries_waiting 0\n") {
            return;
        }
        tokio::task::yield_now().await;
    }
}

async fn check(server: &Picloud, acknowledged: &std::sync::Mutex<BTreeSet<u64>>) {
    let acknowledged = acknowledged.lock().unwrap().clone();
    let sent = collection(server, "sent").await;
    let first = collection(server, "first").await;
    let second = collection(server, "second").await;
    let ticks = collection(server, "ticks").await;
    let dead = dead(server).await;
    assert!(acknowledged.len() > 10, "{} were acknowledged", acknowledged.len());
    for n in &acknowledged {
        assert!(sent.contains_key(&n.to_string()), "{n} was acknowledged and is lost");
    }
    for n in sent.keys() {
        assert_eq!(first.get(n), Some(&Value::from(1)), "the effect of {n}");
        let is_dead = dead.contains(n);
        let expected = (!is_dead).then_some(Value::from(1));
        assert_eq!(second.get(n), expected.as_ref(), "the second effect of {n}");
        assert_eq!(is_dead, n.ends_with('7'), "{n} is a dead letter, or is none");
    }
    assert_eq!(first.len(), sent.len(), "what was not committed had no effect");
    assert!(ticks.values().all(|times| *times == 1), "{ticks:?}");
    eprintln!(
        "{} acknowledged, {} committed, {} dead letters, {} ticks",
        acknowledged.len(),
        sent.len(),
        dead.len(),
        ticks.len()
    );
}

/// A whole collection.
async fn collection(server: &Picloud, name: &str) -> BTreeMap<String, Value> {
    let mut entries = BTreeMap::new();
    let mut after = String::new();
    loop {
        let path = format!("/apps/chaos/kv/{name}?limit=1000{after}");
        let page = server.api("GET", &path, "").await.json();
        for item in page["items"].as_array().unwrap() {
            entries.insert(item["key"].as_str().unwrap().to_owned(), item["value"].clone());
        }
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return entries,
        }
    }
}

/// The payloads of all dead letters.
async fn dead(server: &Picloud) -> BTreeSet<String> {
    let mut payloads = BTreeSet::new();
    let mut after = String::new();
    loop {
        let path = format!("/apps/chaos/dead-letters?limit=1000{after}");
        let page = server.api("GET", &path, "").await.json();
        for letter in page["items"].as_array().unwrap() {
            let payload = letter["event"]["fields"]["payload"].as_str();
            payloads.insert(payload.unwrap_or_else(|| panic!("{letter}")).to_owned());
        }
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return payloads,
        }
    }
}
