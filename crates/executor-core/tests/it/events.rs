//! What an invocation makes known: committed with it, or not at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use picloud_executor_core::{Task, TaskDelivery};
use picloud_shared::outbox::{Cause, DeliveryId, Emitted, EventId, Lease, MAX_SENT};
use picloud_shared::queue::SendOptions;
use picloud_shared::{Budget, EventType, Manifest, Outcome, ScriptError};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Setup, answer, setup, task};

/// A task of an app with these triggers, all for one handler.
fn with(triggers: &str) -> Task {
    let triggers = triggers.replace("[[]]", "[[triggers]]\nhandler = 'on.rhai'");
    Task { triggers: Manifest::parse(&triggers).unwrap().triggers.into(), ..task() }
}

const KV: &str = "[[]]\non = 'kv.set'\ncollection = 'c'\n[[]]\non = 'kv.delete'\ncollection = 'c'";

fn fields(events: &[Emitted]) -> Vec<Value> {
    events.iter().map(|e| serde_json::from_str(&e.event.fields).unwrap()).collect()
}

fn events(setup: &Setup) -> Vec<Emitted> {
    setup.store.events.lock().unwrap().clone()
}

#[tokio::test]
async fn what_an_entry_was_before_is_what_the_commit_finds() {
    let runs = Arc::new(AtomicU32::new(0));
    let setup = setup(move |services| {
        let runs = Arc::clone(&runs);
        Box::pin(async move {
            runs.fetch_add(1, Ordering::Relaxed);
            // It has not read the entry; the event tells what it was.
            services.kv.set("c", "k", "3".to_owned(), None).await.unwrap();
            services.kv.set("other", "k", "4".to_owned(), None).await.unwrap();
            answer()
        })
    });
    setup.store.put("c", "k", "1").await;
    let executed = setup.executor.execute(with(KV)).await.unwrap();
    assert_eq!(executed.outcome, answer());
    assert_eq!(
        fields(&events(&setup)),
        [json!({ "collection": "c", "key": "k", "value": 3, "old": 1 })]
    );
    let event = &events(&setup)[0].event;
    assert_eq!(event.cause, Cause::root(executed.id.0));
    assert_eq!(event.execution, Some(executed.id));
}

#[tokio::test]
async fn a_collection_that_is_watched_is_cleared_entry_by_entry() {
    let setup = setup(|services| {
        Box::pin(async move {
            services.kv.clear("c").await.unwrap();
            services.kv.set("c", "b", "5".to_owned(), None).await.unwrap();
            answer()
        })
    });
    for (key, value) in [("a", "1"), ("b", "2")] {
        setup.store.put("c", key, value).await;
    }
    setup.executor.execute(with(KV)).await.unwrap();
    let entry = |key: &str, value: Value, old: u32| json!({ "collection": "c", "key": key, "value": value, "old": old });
    assert_eq!(fields(&events(&setup)), [entry("a", Value::Null, 1), entry("b", json!(5), 2)]);
    assert_eq!(setup.store.value("c", "a"), None);
    assert_eq!(setup.store.value("c", "b").as_deref(), Some("5"));
}

#[tokio::test]
async fn more_than_can_be_told_of_is_not_cleared() {
    let setup = setup(|services| {
        Box::pin(async move {
            services.kv.clear("c").await.unwrap();
            answer()
        })
    });
    for n in 0..=MAX_SENT {
        setup.store.put("c", &format!("k{n}"), "1").await;
    }
    let executed = setup.executor.execute(with(KV)).await.unwrap();
    assert_eq!(executed.outcome, Outcome::BudgetExceeded(Budget::Events));
    assert!(setup.store.value("c", "k0").is_some() && events(&setup).is_empty());
    // Who does not ask for it does not pay for it.
    let executed = setup.executor.execute(with("[[]]\non = 'kv.set'")).await.unwrap();
    assert_eq!(executed.outcome, answer());
    assert!(setup.store.value("c", "k0").is_none());
}

#[tokio::test]
async fn sending_is_rationed_and_the_script_cannot_catch_that() {
    let setup = setup(|services| {
        Box::pin(async move {
            for n in 0..=MAX_SENT {
                let sent = services.events.publish("nobody.listens", n.to_string()).await;
                assert_eq!(sent.is_ok(), n < MAX_SENT);
            }
            answer()
        })
    });
    // The host turns the last one into a trap; nobody does so here.
    setup.executor.execute(task()).await.unwrap();
    assert!(events(&setup).is_empty());
}

#[tokio::test]
async fn messages_of_a_delivery_know_where_they_come_from_and_go_in_their_order() {
    let setup = setup(|services| {
        Box::pin(async move {
            for n in 0..50 {
                let options = SendOptions { delay_s: 2, key: Some(format!("k{n}")) };
                services.queue.send("mail", n.to_string(), options).await.unwrap();
            }
            answer()
        })
    });
    let (root, parent) = (Uuid::from_u128(1), EventId(Uuid::from_u128(2)));
    let lease = Lease { delivery: DeliveryId(Uuid::from_u128(3)), token: 7 };
    let cause = Cause { root, parent: Some(parent), depth: 4 };
    let task = Task {
        delivery: Some(TaskDelivery { lease, cause }),
        ..with("[[]]\non = 'queue.message'\nqueue = 'm*'\nattempts = 3")
    };
    setup.executor.execute(task.clone()).await.unwrap();
    let sent = events(&setup);
    let payloads: Vec<_> = fields(&sent).iter().map(|f| f["payload"].as_u64().unwrap()).collect();
    assert_eq!(payloads, (0..50).collect::<Vec<_>>());
    assert!(sent.is_sorted_by_key(|emitted| emitted.deliveries[0].id), "their ids sort, too");
    assert_eq!(sent[0].event.cause, cause);
    assert_eq!(sent[0].event.on, EventType::QueueMessage);
    let delivery = &sent[0].deliveries[0];
    assert_eq!((delivery.queue.as_str(), delivery.max_attempts), ("m*", 3));
    assert_eq!(delivery.key.as_deref(), Some("mail/k0"), "a key is its queue's own");
    assert_eq!(delivery.due_at_ms, sent[0].event.at_ms + 2_000);
    assert_eq!(*setup.store.acks.lock().unwrap(), [lease]);

    // Once somebody else has it, nothing is written.
    *setup.store.taken_over.lock().unwrap() = Some(lease);
    let executed = setup.executor.execute(task).await.unwrap();
    assert_eq!(executed.outcome, Outcome::Superseded);
    assert_eq!(events(&setup).len(), 50);
}

#[tokio::test]
async fn a_failed_request_is_told_of_and_a_failed_delivery_not_yet() {
    let setup = setup(|services| {
        Box::pin(async move {
            services.kv.set("c", "k", "1".to_owned(), None).await.unwrap();
            Outcome::ScriptError(ScriptError::new("no"))
        })
    });
    let failing =
        with("[[]]\non = 'execution.failed'\noutcome = 'script_error'\n[[]]\non = 'kv.set'");
    let executed = setup.executor.execute(failing.clone()).await.unwrap();
    let told = fields(&events(&setup));
    assert_eq!(
        told,
        [json!({ "execution": executed.id.to_string(), "release": 1, "handler": "index.rhai",
            "cause": "GET /", "outcome": "script_error", "message": "no" })]
    );
    assert_eq!(setup.store.value("c", "k"), None, "what it wrote is gone");
    let lease = Lease { delivery: DeliveryId(Uuid::from_u128(3)), token: 7 };
    let delivery = Some(TaskDelivery { lease, cause: Cause::root(Uuid::from_u128(1)) });
    setup.executor.execute(Task { delivery, ..failing }).await.unwrap();
    assert_eq!(events(&setup).len(), 1);
    assert!(setup.store.acks.lock().unwrap().is_empty());
}
