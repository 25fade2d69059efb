//! Events on the running server, on both databases: what is committed reaches
//! the handlers that triggers name, and has its effect once.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use picloud_store::testing::with_postgres;
use serde_json::{Value, json};

use crate::support::{Answer, Picloud};

/// How long anything may take before a test fails.
const PATIENCE: Duration = Duration::from_mins(2);

/// Runs each body on a server of its own, once per database.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(&super::Picloud::start(&[])).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::with_postgres(concat!("events::", stringify!($name)), async |url| {
                    super::$name(&super::Picloud::start(&["--database-url", url])).await;
                })
                .await;
            })*
        }
    };
}

on_both![
    every_change_reaches_its_trigger,
    what_was_rolled_back_was_never_an_event,
    a_thousand_events_have_a_thousand_effects,
    a_failure_is_tried_again_buried_and_replayed,
    a_chain_and_a_flood_are_stopped,
    a_message_has_a_key_and_one_consumer,
    what_is_due_later_is_not_forgotten_behind_what_is_due_now,
    a_schedule_runs_pauses_and_is_run_by_hand,
    events_of_one_app_are_its_own,
    changes_from_outside_and_in_previews_are_events_too,
    a_handler_of_events_answers_no_request,
];

/// Asks until the answer is as wanted. The server's deadline is the limit.
async fn until(
    server: &Picloud,
    app: &str,
    path: &str,
    wanted: impl Fn(&Answer) -> bool,
) -> Answer {
    let end = Instant::now() + PATIENCE;
    loop {
        let answer = server.get(app, path).await;
        // Whoever asks without a pause is told to wait.
        if answer.status != 429 && wanted(&answer) {
            return answer;
        }
        assert!(Instant::now() < end, "{app}{path} stays at {answer:?}");
        tokio::task::yield_now().await;
    }
}

/// Asks for the dead letters until there are so many.
async fn dead_letters(server: &Picloud, app: &str, count: usize) -> Vec<Value> {
    let end = Instant::now() + PATIENCE;
    loop {
        let list = server.api("GET", &format!("/apps/{app}/dead-letters"), "").await.json();
        let items = list["items"].as_array().unwrap().clone();
        if items.len() >= count {
            return items;
        }
        assert!(Instant::now() < end, "{} dead letters of {count}", items.len());
        tokio::task::yield_now().await;
    }
}

/// `[[triggers]]` of these events and filters, all for one handler.
fn triggers(handler: &str, of: &[&str]) -> String {
    let one = |text: &&str| format!("[[triggers]]\n{text}\nhandler = \"{handler}\"\n");
    of.iter().map(one).collect()
}

/// Keeps what it is called with, in the order of the events' ids.
const KEEP: &str = "
    fn on_event(event) { keep(event) }
    fn on_message(event) { keep(event) }
    fn on_schedule(event) { keep(event) }
    fn keep(event) {
        kv::collection(\"kept\").set(event.id, event);
    }";

const SHOW: &str = "
    fn get(req) { response::json(kv::collection(\"kept\").list().items.map(|item| item.value)) }";

async fn every_change_reaches_its_trigger(server: &Picloud) {
    let manifest = triggers(
        "keep.rhai",
        &[
            "on = 'kv.set'\ncollection = 'posts'",
            "on = 'kv.delete'\ncollection = 'p*'\nkey = '?*'",
            "on = 'kv.delete'\ncollection = 'posts'",
            "on = 'files.put'\nbucket = 'b'\ncontent_type = 'text/*'",
            "on = 'files.delete'",
            "on = 'events.publish'\ntopic = 'order.*'",
            "on = 'queue.message'\nqueue = 'mail'",
            "on = 'execution.failed'\noutcome = 'script_error'",
        ],
    );
    let index = format!(
        "{SHOW}
        fn post(req) {{
            let posts = kv::collection(\"posts\"); let files = files::bucket(\"b\");
            switch req.query.step {{
                \"set\" => posts.set(\"a\", #{{n: 1}}),
                \"again\" => {{ posts.set(\"a\", 2); posts.set(\"b\", 3); }}
                \"gone\" => {{ posts.set(\"c\", 1); posts.delete(\"c\"); posts.delete(\"a\"); }}
                \"clear\" => posts.clear(),
                \"other\" => kv::collection(\"other\").set(\"a\", 1),
                \"put\" => {{ files.put(\"x.txt\", \"hello\"); files.put(\"x.png\", \"png\"); }}
                \"delete\" => files.delete(\"x.txt\"),
                \"publish\" => {{ events::publish(\"order.placed\", [1]); events::publish(\"x\", 1); }}
                \"send\" => queue::named(\"mail\").send(#{{to: \"ann\"}}),
                \"fail\" => throw \"no\",
            }}
            ()
        }}"
    );
    server
        .deploy("app", &[("index.rhai", &index), ("keep.rhai", KEEP), ("picloud.toml", &manifest)])
        .await;
    let mut expected: Vec<Value> = Vec::new();
    let mut step = async |name: &str, events: &[Value]| {
        let answer = server.request("app.localhost", "POST", &format!("/?step={name}"), "").await;
        assert_eq!(answer.status, if name == "fail" { 500 } else { 204 }, "{name} {answer:?}");
        expected.extend_from_slice(events);
        let count = expected.len();
        let kept = until(server, "app", "/", |answer| {
            answer.json().as_array().is_some_and(|kept| kept.len() >= count)
        });
        let mut kept = kept.await.json().as_array().unwrap().clone();
        for event in &mut kept {
            let event = event.as_object_mut().unwrap();
            for varies in ["id", "at", "modified", "etag", "execution"] {
                event.remove(varies);
            }
            assert_eq!(event.remove("attempt"), Some(json!(1)));
        }
        assert_eq!(kept, expected, "after {name}");
    };
    let set = |key: &str, value: Value, old: Value| {
        json!({ "service": "kv", "name": "set", "collection": "posts", "key": key,
            "value": value, "old": old })
    };
    let deleted = |key: &str, old: Value| {
        json!({ "service": "kv", "name": "delete", "collection": "posts", "key": key,
            "value": null, "old": old })
    };
    step("set", &[set("a", json!({ "n": 1 }), Value::Null)]).await;
    step("again", &[set("a", json!(2), json!({ "n": 1 })), set("b", json!(3), Value::Null)]).await;
    step("gone", &[deleted("a", json!(2))]).await;
    step("other", &[]).await;
    step("clear", &[deleted("b", json!(3))]).await;
    step(
        "put",
        &[json!({ "service": "files", "name": "put", "bucket": "b", "path": "x.txt", "bytes": 5,
            "content_type": "text/plain; charset=utf-8" })],
    )
    .await;
    let removed = json!({ "service": "files", "name": "delete", "bucket": "b", "path": "x.txt" });
    step("delete", &[removed]).await;
    let topic = |topic: &str, payload: Value| json!({ "service": "events", "name": "publish", "topic": topic, "payload": payload });
    step("publish", &[topic("order.placed", json!([1]))]).await;
    let message = json!({ "service": "queue", "name": "message", "queue": "mail",
        "payload": { "to": "ann" } });
    step("send", &[message]).await;
    step(
        "fail",
        &[json!({ "service": "execution", "name": "failed", "handler": "index.rhai",
            "release": 1, "cause": "POST /", "outcome": "script_error", "message": "no" })],
    )
    .await;
}

async fn what_was_rolled_back_was_never_an_event(server: &Picloud) {
    let manifest =
        triggers("keep.rhai", &["on = 'events.publish'", "on = 'kv.set'\ncollection = 'c'"]);
    let index = format!(
        "{SHOW} fn post(req) {{
            events::publish(\"t\", 1); kv::collection(\"c\").set(\"k\", 1);
            if req.query.fail == \"yes\" {{ throw \"no\"; }}
        }}"
    );
    server
        .deploy("app", &[("index.rhai", &index), ("keep.rhai", KEEP), ("picloud.toml", &manifest)])
        .await;
    let post = async |path| server.request("app.localhost", "POST", path, "").await.status;
    assert_eq!(post("/?fail=yes").await, 500);
    assert_eq!(post("/").await, 204);
    until(server, "app", "/", |answer| answer.json().as_array().unwrap().len() == 2).await;
    let events = server.api("GET", "/apps/app/events", "").await.json();
    assert_eq!(events["items"].as_array().unwrap().len(), 2, "{events}");
}

async fn a_thousand_events_have_a_thousand_effects(server: &Picloud) {
    let manifest =
        triggers("count.rhai", &["on = 'events.publish'", "on = 'queue.message'\nqueue = '*'"]);
    server
        .deploy(
            "app",
            &[
                ("index.rhai", "fn get(req) { `${kv::collection(\"c\").get_or(\"n\", 0)}` }
                    fn post(req) {
                        for n in 0..50 { events::publish(`t${n}`, n); queue::named(`q${n}`).send(n); }
                    }"),
                ("count.rhai", "fn on_event(e) { kv::collection(\"c\").incr(\"n\") }
                    fn on_message(m) { kv::collection(\"c\").incr(\"n\") }"),
                ("picloud.toml", &manifest),
            ],
        )
        .await;
    for _ in 0..10 {
        assert_eq!(server.request("app.localhost", "POST", "/", "").await.status, 204);
    }
    until(server, "app", "/", |answer| answer.text() == "1000").await;
    // And not one more.
    loop {
        let queues = server.api("GET", "/apps/app/queues", "").await.json();
        if queues["items"] == json!([]) {
            break;
        }
    }
    let entry = server.api("GET", "/apps/app/kv/c/n", "").await.json();
    assert_eq!(entry["value"], 1000, "{entry}");
}

async fn a_failure_is_tried_again_buried_and_replayed(server: &Picloud) {
    let manifest = |attempts: u32| {
        format!(
            "{}attempts = {attempts}\n",
            triggers("on.rhai", &["on = 'queue.message'\nqueue = '*'"])
        )
    };
    let index = "fn get(req) { response::json(kv::collection(\"done\").list().items) }
        fn post(req) { queue::named(\"q\").send(req.json()) }";
    let broken = "fn on_message(m) {
        kv::collection(\"done\").set(\"half\", 1);
        if m.payload.n == 7 { throw `broken ${m.attempt}`; }
        kv::collection(\"done\").set(`${m.payload.n}`, m.attempt);
    }";
    server
        .deploy(
            "app",
            &[("index.rhai", index), ("on.rhai", broken), ("picloud.toml", &manifest(2))],
        )
        .await;
    for n in [7, 8] {
        let body = json!({ "n": n }).to_string();
        assert_eq!(server.request("app.localhost", "POST", "/", body).await.status, 204);
    }
    let dead = dead_letters(server, "app", 1).await;
    // What is poisoned has not held up what is not, and has left nothing.
    let done = json!([{ "key": "8", "value": 1 }, { "key": "half", "value": 1 }]);
    until(server, "app", "/", |answer| answer.json() == done).await;
    let letter = &dead[0];
    assert_eq!(letter["event"]["fields"], json!({ "queue": "q", "payload": { "n": 7 } }));
    assert_eq!(letter["attempts"], 2);
    assert_eq!(letter["error"]["message"], "broken 2");
    assert_eq!(letter["error"]["position"]["line"], 3, "{letter}");
    let id = letter["id"].as_str().unwrap();

    // A release without the handler keeps it, and cannot run it.
    server.deploy("app", &[("index.rhai", index)]).await;
    let cli = |args: &[&str]| {
        let args: Vec<_> = ["dead-letters", "--app", "app"].iter().chain(args).copied().collect();
        server.cli(args)
    };
    cli(&["replay", id]).ok();
    let dead = loop {
        let dead = dead_letters(server, "app", 1).await;
        if dead[0]["error"]["code"] == "handler_not_found" {
            break dead;
        }
    };
    assert_eq!(dead[0]["id"], id);

    // Nor does what is replayed with other fields escape.
    let fixed =
        "fn on_message(m) { kv::collection(\"done\").set(`fixed ${m.payload.n}`, m.attempt) }";
    server
        .deploy("app", &[("index.rhai", index), ("on.rhai", fixed), ("picloud.toml", &manifest(2))])
        .await;
    let shown = cli(&["show", id]).ok();
    assert!(shown.contains("handler_not_found") || shown.contains("has no on.rhai"), "{shown}");
    assert_eq!(cli(&["replay", id, "--fields", "[]"]).code, 2);
    cli(&["replay", id, "--fields", "{\"payload\":{\"n\":70}}"]).ok();
    until(server, "app", "/", |answer| answer.text().contains("fixed 70")).await;
    assert_eq!(cli(&["replay", id]).code, 1, "it is no dead letter any more");
    assert!(cli(&["replay-all"]).ok().contains("0 dead letters"));
}

async fn a_chain_and_a_flood_are_stopped(server: &Picloud) {
    let manifest = triggers("on.rhai", &["on = 'events.publish'\ntopic = 'chain'"])
        + &triggers("flood.rhai", &["on = 'events.publish'\ntopic = 'flood'"]);
    server
        .deploy(
            "app",
            &[
                ("index.rhai", "fn post(req) { events::publish(req.query.topic, 0) }"),
                ("on.rhai", "fn on_event(e) { events::publish(\"chain\", e.payload + 1) }"),
                (
                    "flood.rhai",
                    "fn on_event(e) { for i in 0..40 { events::publish(\"flood\", 0) } }",
                ),
                ("picloud.toml", &manifest),
            ],
        )
        .await;
    server.request("app.localhost", "POST", "/?topic=chain", "").await;
    let dead = dead_letters(server, "app", 1).await;
    assert_eq!(dead[0]["error"]["code"], "too_deep");
    assert_eq!(dead[0]["event"]["depth"], 17);
    assert_eq!(dead[0]["event"]["fields"]["payload"], 17);
    let event = dead[0]["event"]["id"].as_str().unwrap();
    let detail = server.api("GET", &format!("/apps/app/events/{event}"), "").await.json();
    let tree = detail["tree"].as_array().unwrap();
    assert_eq!(tree.len(), 18);
    let executions = server.api("GET", "/apps/app/executions", "").await.json();
    for (cause, event) in [("POST /", &Value::Null), ("events.publish", &tree[16]["id"])] {
        let is_of = |e: &Value| e["cause"].as_str().unwrap().starts_with(cause);
        let is_it = |e: &&Value| is_of(e) && e["event"] == *event;
        let id = executions["items"].as_array().unwrap().iter().find(is_it).unwrap()["id"].clone();
        let path = format!("/apps/app/executions/{}", id.as_str().unwrap());
        let shown = server.api("GET", &path, "").await.json();
        let ids = |tree: &Value| -> Vec<Value> {
            tree.as_array().unwrap().iter().map(|event| event["id"].clone()).collect()
        };
        assert_eq!(ids(&shown["tree"]), ids(&detail["tree"]), "{cause}");
    }

    server.request("app.localhost", "POST", "/?topic=flood", "").await;
    let flood = |letters: &[Value]| {
        letters.iter().filter(|l| l["error"]["code"] == "too_many_events").count()
    };
    while flood(&dead_letters(server, "app", 1).await) == 0 {}
    // Nothing goes on behind it.
    loop {
        let metrics = server.request("localhost", "GET", "/metrics", "").await;
        if metrics.text().contains("picloud_executions_running 0") {
            break;
        }
    }
}

async fn a_message_has_a_key_and_one_consumer(server: &Picloud) {
    let manifest = triggers(
        "keep.rhai",
        &["on = 'queue.message'\nqueue = 'a*'", "on = 'queue.message'\nqueue = '*'"],
    );
    let index = format!(
        "{SHOW} fn post(req) {{
            let a = queue::named(\"a\");
            a.send(1, #{{key: \"k\", delay: 3600}});
            a.send(2, #{{key: \"k\", delay: 3600}});
            a.send(3, #{{key: \"other\", delay: 3600}});
            a.send(4);
        }}"
    );
    server
        .deploy("app", &[("index.rhai", &index), ("keep.rhai", KEEP), ("picloud.toml", &manifest)])
        .await;
    for _ in 0..2 {
        assert_eq!(server.request("app.localhost", "POST", "/", "").await.status, 204);
    }
    let kept = until(server, "app", "/", |a| a.json().as_array().unwrap().len() == 2).await.json();
    assert!(kept.as_array().unwrap().iter().all(|m| m["payload"] == 4), "{kept}");
    let queues = server.cli(["queues", "--app", "app", "--json"]).json();
    assert_eq!(queues["items"][0]["waiting"], 2, "{queues}");
    let none = server.cli(["queues", "send", "b", "1", "--app", "app"]).ok();
    assert!(none.contains("1 handler"), "{none}");
}

async fn what_is_due_later_is_not_forgotten_behind_what_is_due_now(server: &Picloud) {
    let manifest = triggers("keep.rhai", &["on = 'queue.message'\nqueue = 'q'"]);
    let index = format!(
        "{SHOW} fn post(req) {{ queue::named(\"q\").send(1, #{{delay: 1}}); queue::named(\"q\").send(2); }}"
    );
    let files =
        [("index.rhai", index.as_str()), ("keep.rhai", KEEP), ("picloud.toml", manifest.as_str())];
    server.deploy("app", &files).await;
    assert_eq!(server.request("app.localhost", "POST", "/", "").await.status, 204);
    until(server, "app", "/", |a| a.json().as_array().unwrap().len() == 2).await;
}

async fn a_schedule_runs_pauses_and_is_run_by_hand(server: &Picloud) {
    let manifest = "[[schedules]]\nname = 'often'\ncron = '* * * * * *'\nhandler = 'keep.rhai'
        [[schedules]]\ncron = '0 8 * * MON-FRI'\ntimezone = 'Europe/Berlin'\nhandler = 'keep.rhai'";
    server
        .deploy("app", &[("index.rhai", SHOW), ("keep.rhai", KEEP), ("picloud.toml", manifest)])
        .await;
    let ticks = until(server, "app", "/", |a| a.json().as_array().unwrap().len() >= 2).await.json();
    let at: Vec<u64> =
        ticks.as_array().unwrap().iter().map(|t| t["scheduled_at"].as_u64().unwrap()).collect();
    assert!(at.windows(2).all(|w| w[1] > w[0] && w[1] % 1_000 == 0), "each tick once: {at:?}");
    let cli = |args: &[&str]| {
        server.cli(["schedules", "--app", "app", "--json"].iter().chain(args).copied())
    };
    let listed = cli(&["list"]).json();
    assert_eq!(listed["items"][1]["upcoming_ms"].as_array().unwrap().len(), 5, "{listed}");
    assert_eq!(listed["items"][1]["timezone"], "Europe/Berlin");
    cli(&["pause", "often"]).ok();
    assert_eq!(cli(&["list"]).json()["items"][0]["paused"], true);
    let before = until(server, "app", "/", |_| true).await.json();
    cli(&["run", "keep.rhai"]).ok();
    let by_hand =
        |a: &Answer| a.json().as_array().unwrap().iter().any(|t| t["schedule"] == "keep.rhai");
    let after = until(server, "app", "/", by_hand).await.json();
    let of =
        |list: &Value| list.as_array().unwrap().iter().filter(|t| t["schedule"] == "often").count();
    assert!(of(&after) <= of(&before) + 1, "it is paused: {after}");
    let paused = of(&after);
    cli(&["resume", "often"]).ok();
    until(server, "app", "/", |a| of(&a.json()) > paused).await;
    assert_eq!(cli(&["run", "never"]).code, 1);
}

async fn events_of_one_app_are_its_own(server: &Picloud) {
    let manifest = triggers(
        "keep.rhai",
        &[
            "on = 'events.publish'",
            "on = 'queue.message'\nqueue = '*'",
            "on = 'kv.set'\ncollection = 'c'",
        ],
    );
    let index = format!(
        "{SHOW} fn post(req) {{
            let n = req.json();
            events::publish(n, \"mark\"); queue::named(\"q\").send(\"mark\", #{{key: n}});
            kv::collection(\"c\").set(n, \"mark\");
        }}"
    );
    for app in ["alice", "bob"] {
        server
            .deploy(
                app,
                &[("index.rhai", &index), ("keep.rhai", KEEP), ("picloud.toml", &manifest)],
            )
            .await;
    }
    let names = ["../bob", "bob", "%", "bob:q", "2", "é", "*"];
    for name in names {
        let body = json!(name).to_string();
        assert_eq!(
            server.request("alice.localhost", "POST", "/", body).await.status,
            204,
            "{name}"
        );
    }
    let all = 3 * names.len();
    until(server, "alice", "/", |a| a.json().as_array().unwrap().len() == all).await;
    assert_eq!(server.get("bob", "/").await.json(), json!([]));
    let of_alice = server.api("GET", "/apps/alice/events", "").await.json();
    let of_bob = server.api("GET", "/apps/bob/events", "").await.json();
    assert_eq!(of_alice["items"].as_array().unwrap().len(), all);
    assert_eq!(of_bob["items"], json!([]));
    // Nor can one's be asked for through the other.
    let id = of_alice["items"][0]["id"].as_str().unwrap();
    let delivery = of_alice["items"][0]["deliveries"][0]["id"].as_str().unwrap();
    for (method, path) in [
        ("GET", format!("/apps/bob/events/{id}")),
        ("GET", format!("/apps/bob/dead-letters/{delivery}")),
        ("POST", format!("/apps/bob/dead-letters/{delivery}/replay")),
        ("DELETE", format!("/apps/bob/dead-letters/{delivery}")),
    ] {
        assert_eq!(server.api(method, &path, "").await.status, 404, "{method} {path}");
    }
}

async fn changes_from_outside_and_in_previews_are_events_too(server: &Picloud) {
    let manifest = triggers("keep.rhai", &["on = 'kv.set'\ncollection = 'c'", "on = 'kv.delete'"]);
    let index = format!("{SHOW} fn post(req) {{ kv::collection(\"c\").set(\"k\", 3) }}");
    server.deploy("app", &[("index.rhai", &index)]).await;
    server
        .deploy("app", &[("index.rhai", &index), ("keep.rhai", KEEP), ("picloud.toml", &manifest)])
        .await;
    server.cli(["kv", "set", "c", "k", "1", "--app", "app"]).ok();
    server.cli(["kv", "set", "c", "k", "2", "--app", "app"]).ok();
    server.cli(["kv", "delete", "c", "k", "--app", "app"]).ok();
    // Release 1 has no triggers; the app does.
    let answer = server.request("r1--app.localhost", "POST", "/", "").await;
    assert_eq!(answer.status, 204, "{answer:?}");
    let kept = until(server, "app", "/", |a| a.json().as_array().unwrap().len() == 4).await.json();
    let values: Vec<_> =
        kept.as_array().unwrap().iter().map(|e| (e["value"].clone(), e["old"].clone())).collect();
    let null = Value::Null;
    assert_eq!(
        values,
        [
            (json!(1), null.clone()),
            (json!(2), json!(1)),
            (null.clone(), json!(2)),
            (json!(3), null),
        ]
    );
    // What is asked of the API is checked like what scripts ask for.
    let post = async |path: &str, body: Value| {
        let answer = server.api("POST", &format!("/apps/app{path}"), body.to_string()).await;
        (answer.status.as_u16(), answer.json()["code"].as_str().unwrap_or_default().to_owned())
    };
    let large = "x".repeat(65 * 1024);
    for (path, body, expected) in [
        ("/events", json!({ "topic": "" }), (400, "invalid_topic")),
        ("/events", json!({ "topic": "t", "payload": "\u{0}" }), (400, "invalid_value")),
        ("/events", json!({ "topic": "t", "payload": large }), (413, "value_too_large")),
        ("/events", json!({ "topic": "t", "pay": 1 }), (400, "invalid_body")),
        ("/queues/q", json!({ "payload": 1 }), (409, "no_consumer")),
        ("/queues/a%2Fb", json!({ "payload": 1 }), (400, "invalid_name")),
        ("/queues/q", json!({ "payload": 1, "delay": 9_999_999 }), (400, "invalid_delay")),
        ("/queues/q", json!({ "payload": 1, "key": "" }), (400, "invalid_key")),
        ("/dead-letters/x/replay", json!({}), (404, "not_found")),
        ("/schedules/x/run", json!({}), (404, "not_found")),
    ] {
        assert_eq!(post(path, body).await, (expected.0, expected.1.to_owned()), "{path}");
    }
}

async fn a_handler_of_events_answers_no_request(server: &Picloud) {
    let manifest = triggers("on.rhai", &["on = 'events.publish'"]);
    let files = [
        ("on.rhai", "kv::collection(\"c\").incr(\"n\"); fn on_event(e) { }"),
        ("both.rhai", "fn get(req) { \"page\" } fn on_event(e) { }"),
        ("picloud.toml", manifest.as_str()),
    ];
    server.deploy("app", &files).await;
    assert_eq!(server.get("app", "/on").await.status, 404);
    assert_eq!(server.get("app", "/both").await.text(), "page");
    let entries = server.cli(["kv", "list", "--app", "app", "--json"]).json();
    assert_eq!(entries["items"], json!([]), "its body has not run");
}

/// Two servers on one database share the work, and no tick is fired twice.
#[tokio::test(flavor = "multi_thread")]
async fn two_servers_fire_a_tick_once_and_share_a_queue() {
    with_postgres("two_servers_fire_a_tick_once_and_share_a_queue", async |url| {
        let key = "7".repeat(64);
        let args = ["--database-url", url, "--master-key", &key];
        let one = Picloud::start(&args);
        let manifest =
            "[[schedules]]\nname = 'often'\ncron = '* * * * * *'\nhandler = 'keep.rhai'\n"
                .to_owned()
                + &triggers("count.rhai", &["on = 'queue.message'\nqueue = '*'"]);
        one.deploy(
            "app",
            &[
                ("index.rhai", SHOW),
                ("send.rhai", "fn post(req) { for i in 0..200 { queue::named(\"q\").send(i) } }"),
                ("n.rhai", "fn get(req) { `${kv::collection(\"c\").get_or(\"n\", 0)}` }"),
                ("count.rhai", "fn on_message(m) { kv::collection(\"c\").incr(\"n\") }"),
                ("keep.rhai", KEEP),
                ("picloud.toml", &manifest),
            ],
        )
        .await;
        let other = Picloud::start(&args);
        for server in [&one, &other] {
            assert_eq!(server.request("app.localhost", "POST", "/send", "").await.status, 204);
        }
        until(&one, "app", "/n", |answer| answer.text() == "400").await;
        let ticks = until(&other, "app", "/", |a| a.json().as_array().unwrap().len() >= 4).await;
        let mut fired: BTreeMap<u64, u32> = BTreeMap::new();
        for tick in ticks.json().as_array().unwrap() {
            *fired.entry(tick["scheduled_at"].as_u64().unwrap()).or_default() += 1;
        }
        assert!(fired.values().all(|times| *times == 1), "{fired:?}");
        let counted = until(&one, "app", "/n", |_| true).await;
        assert_eq!(counted.text(), "400");
    })
    .await;
}

/// A server that has not heard of a deploy through another one.
#[tokio::test(flavor = "multi_thread")]
async fn what_another_server_has_deployed_is_looked_for_before_it_is_given_up() {
    with_postgres("what_another_server_has_deployed_is_looked_for", async |url| {
        let key = "7".repeat(64);
        let args = ["--database-url", url, "--master-key", &key];
        let mut one = Picloud::start(&args);
        let other = Picloud::start(&args);
        one.deploy("app", &[("index.rhai", SHOW)]).await;
        assert_eq!(other.get("app", "/").await.json(), json!([]), "it has the first release now");
        let manifest = triggers("keep.rhai", &["on = 'queue.message'\nqueue = 'q'"])
            + "[[schedules]]\nname = 'often'\ncron = '* * * * * *'\nhandler = 'keep.rhai'";
        let files = [("index.rhai", SHOW), ("keep.rhai", KEEP), ("picloud.toml", &manifest)];
        one.deploy("app", &files).await;
        let sent = one.api("POST", "/apps/app/queues/q", r#"{ "payload": 1, "delay": 1 }"#).await;
        assert_eq!(sent.status, 202, "{sent:?}");
        one.kill9();
        let has =
            |kept: &Value, name: &str| kept.as_array().unwrap().iter().any(|e| e["name"] == name);
        until(&other, "app", "/", |answer| {
            let kept = answer.json();
            has(&kept, "message") && has(&kept, "fire")
        })
        .await;
        let dead = other.api("GET", "/apps/app/dead-letters", "").await.json();
        assert_eq!(dead["items"], json!([]));
    })
    .await;
}
