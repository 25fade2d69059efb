//! Events and deliveries: written with the change, leased once, acknowledged
//! with what their handler writes.

use picloud_shared::kv::{self, Seen};
use picloud_shared::outbox::{
    Cause, Claim, Claimed, DeliveryId, Emitted, Event, EventId, Failure, Lease, MAX_DEPTH,
    MAX_PER_ROOT, NewDelivery, Status, Then,
};
use picloud_shared::trigger::EventType;
use picloud_shared::unit::{Quotas, WriteSet};
use picloud_shared::{AppId, Quota, ScriptError, StoreError};
use picloud_store::Stores;
use uuid::Uuid;

use crate::support::{NOW, PLENTY, app, assert_conflict, on_both, quotas, set, two_apps, value};

on_both![
    an_event_is_written_with_its_change_or_not_at_all,
    a_delivery_is_leased_once_and_again_when_the_lease_is_over,
    a_delivery_is_acknowledged_with_what_its_handler_writes,
    a_lease_that_was_taken_over_writes_nothing,
    a_failure_is_tried_again_and_buried,
    a_dead_letter_is_replayed_with_other_fields,
    a_message_is_not_written_twice_under_one_key,
    lanes_are_the_apps_and_their_queues,
    two_apps_never_meet,
    a_chain_ends_at_its_depth,
    a_cause_has_a_thousand_events,
    what_is_done_is_pruned_and_nothing_else,
    a_deleted_app_takes_its_events_along,
    a_full_outbox_takes_nothing_more_until_something_is_done,
    a_handler_of_an_event_may_fill_it_a_tenth_more,
    what_an_outbox_holds_is_counted_however_it_changes,
];

const LEASE_MS: u64 = 60_000;

fn id(n: u8) -> [u8; 10] {
    [n; 10]
}

/// An event for one handler, due at once.
pub(super) fn emitted(n: u8) -> Emitted {
    let at_ms = NOW + u64::from(n);
    Emitted {
        event: Event {
            id: EventId::new(at_ms, id(n)),
            on: EventType::EventsPublish,
            fields: format!("{{\"topic\":\"t\",\"payload\":{n}}}"),
            at_ms,
            cause: Cause::root(Uuid::from_bytes([n; 16])),
            execution: None,
        },
        deliveries: vec![NewDelivery {
            id: DeliveryId::new(at_ms, id(n)),
            handler: "on.rhai".to_owned(),
            queue: String::new(),
            key: None,
            due_at_ms: NOW,
            max_attempts: 8,
        }],
    }
}

fn message(n: u8, queue: &str, key: Option<&str>) -> Emitted {
    let mut emitted = emitted(n);
    emitted.event.on = EventType::QueueMessage;
    emitted.deliveries[0].queue = queue.to_owned();
    emitted.deliveries[0].key = key.map(str::to_owned);
    emitted
}

async fn commit(stores: &Stores, app: AppId, write_set: WriteSet) -> Result<(), StoreError> {
    stores.units.commit(app, write_set, quotas(PLENTY, 0), NOW).await.map(drop)
}

pub(super) async fn emit(stores: &Stores, app: AppId, events: impl IntoIterator<Item = Emitted>) {
    let events = events.into_iter().collect();
    commit(stores, app, WriteSet { events, ..WriteSet::default() }).await.unwrap();
}

pub(super) async fn claim_from(
    stores: &Stores,
    app: AppId,
    queue: &str,
    limit: u32,
    now: u64,
) -> Vec<Claimed> {
    let claim = Claim { app, queue: queue.to_owned(), limit, lease_ms: LEASE_MS };
    stores.outbox.claim(&[claim], now).await.unwrap()
}

async fn claim(stores: &Stores, app: AppId) -> Option<Claimed> {
    claim_from(stores, app, "", 1, NOW).await.pop()
}

fn writes(key: &str, ack: Option<Lease>) -> WriteSet {
    let kv = kv::WriteSet { clears: vec![], writes: vec![set("c", key, Seen::Unread, "1")] };
    WriteSet { kv, ack, ..WriteSet::default() }
}

fn broken() -> ScriptError {
    ScriptError::new("broken")
}

/// Whether the lease still held.
async fn fail(stores: &Stores, app: AppId, lease: Lease, then: Then, events: &[Emitted]) -> bool {
    let failure = Failure { app, lease, error: broken(), then, events: events.to_vec() };
    stores.outbox.fail(&[failure]).await.unwrap() == 1
}

async fn status(stores: &Stores, app: AppId, delivery: DeliveryId) -> Status {
    stores.outbox.delivery(app, delivery).await.unwrap().unwrap().1.status
}

async fn an_event_is_written_with_its_change_or_not_at_all(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    let mut both = writes("k", None);
    both.events.push(emitted(1));
    commit(stores, app, both).await.unwrap();
    let recorded = stores.outbox.list(app, None, 10).await.unwrap().pop().unwrap();
    assert_eq!(recorded.event, emitted(1).event);
    assert_eq!(recorded.deliveries[0].status, Status::Waiting);
    assert_eq!(recorded.deliveries[0].handler, "on.rhai");
    assert_eq!(stores.outbox.find(app, recorded.event.id).await.unwrap(), Some(recorded));

    let kv = kv::WriteSet { clears: vec![], writes: vec![set("c", "k", Seen::Absent, "2")] };
    let refused = WriteSet { kv, events: vec![emitted(2)], ..WriteSet::default() };
    assert_conflict(commit(stores, app, refused).await);
    assert_eq!(stores.outbox.list(app, None, 10).await.unwrap().len(), 1);
}

async fn a_delivery_is_leased_once_and_again_when_the_lease_is_over(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    emit(stores, app, [emitted(1)]).await;
    assert!(claim_from(stores, app, "", 1, NOW - 1).await.is_empty(), "not due yet");
    let first = claim(stores, app).await.unwrap();
    assert_eq!((first.attempt, first.max_attempts, first.lost), (1, 8, 0));
    assert_eq!(first.event, emitted(1).event);
    assert_eq!(claim(stores, app).await, None);
    let lanes = stores.outbox.lanes().await.unwrap();
    assert_eq!(lanes[0].due_at_ms, NOW + LEASE_MS);
    let again = claim_from(stores, app, "", 1, NOW + LEASE_MS).await.pop().unwrap();
    assert_eq!(again.lease.delivery, first.lease.delivery);
    assert!(again.lease.token > first.lease.token);
    assert_eq!((again.attempt, again.lost), (1, 1));
}

async fn a_delivery_is_acknowledged_with_what_its_handler_writes(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    emit(stores, app, [emitted(1)]).await;
    let claimed = claim(stores, app).await.unwrap();
    commit(stores, app, writes("k", Some(claimed.lease))).await.unwrap();
    assert!(value(stores, app, "c", "k").await.is_some());
    assert_eq!(status(stores, app, claimed.lease.delivery).await, Status::Done);
    assert!(stores.outbox.lanes().await.unwrap().is_empty());
    // It is no more to be had, nor to be acknowledged.
    assert!(claim_from(stores, app, "", 1, NOW + 2 * LEASE_MS).await.is_empty());
    let again = commit(stores, app, writes("k2", Some(claimed.lease))).await;
    assert!(matches!(again, Err(StoreError::Superseded)), "{again:?}");
    assert_eq!(value(stores, app, "c", "k2").await, None);
}

async fn a_lease_that_was_taken_over_writes_nothing(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    emit(stores, app, [emitted(1)]).await;
    let first = claim(stores, app).await.unwrap();
    let second = claim_from(stores, app, "", 1, NOW + LEASE_MS).await.pop().unwrap();
    let mut late = writes("late", Some(first.lease));
    late.events.push(emitted(2));
    let late = commit(stores, app, late).await;
    assert!(matches!(late, Err(StoreError::Superseded)), "{late:?}");
    assert_eq!(value(stores, app, "c", "late").await, None);
    assert_eq!(stores.outbox.list(app, None, 10).await.unwrap().len(), 1);
    assert!(!fail(stores, app, first.lease, Then::Bury, &[]).await);
    // Both at the same time: one of them has it.
    let (a, b) = tokio::join!(
        commit(stores, app, writes("a", Some(first.lease))),
        commit(stores, app, writes("b", Some(second.lease))),
    );
    assert!(matches!(a, Err(StoreError::Superseded)) && b.is_ok(), "{a:?} {b:?}");
}

async fn a_failure_is_tried_again_and_buried(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    emit(stores, app, [emitted(1)]).await;
    let first = claim(stores, app).await.unwrap();
    let retry = Then::Retry(NOW + 500);
    assert!(fail(stores, app, first.lease, retry, &[]).await);
    assert_eq!(claim(stores, app).await, None);
    let second = claim_from(stores, app, "", 1, NOW + 500).await.pop().unwrap();
    assert_eq!(second.attempt, 2);
    let hand_back = Then::HandBack(NOW + 600);
    assert!(fail(stores, app, second.lease, hand_back, &[]).await);
    let third = claim_from(stores, app, "", 1, NOW + 600).await.pop().unwrap();
    assert_eq!(third.attempt, 2, "what was handed back did not count");
    let told = [Emitted { deliveries: vec![], ..emitted(9) }];
    assert!(fail(stores, app, third.lease, Then::Bury, &told).await);
    assert!(!fail(stores, app, third.lease, Then::Bury, &told).await);
    assert_eq!(stores.outbox.list(app, None, 9).await.unwrap()[0].event.id, told[0].event.id);
    let dead = stores.outbox.dead(app, None, 10).await.unwrap();
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].0, emitted(1).event);
    assert_eq!(dead[0].1.status, Status::Dead);
    assert_eq!(dead[0].1.error, Some(broken()));
    assert!(stores.outbox.lanes().await.unwrap().is_empty());
    assert!(claim_from(stores, app, "", 1, NOW + 3_600_000).await.is_empty());
}

async fn a_dead_letter_is_replayed_with_other_fields(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    emit(stores, app, [emitted(1), emitted(2), emitted(3)]).await;
    let claimed = claim_from(stores, app, "", 3, NOW).await;
    let outbox = &stores.outbox;
    let [first, second, third] = [0, 1, 2].map(|n| claimed[n].lease);
    assert!(!outbox.replay(app, first.delivery, None, NOW).await.unwrap(), "it is not dead");
    assert!(!outbox.discard(app, first.delivery).await.unwrap(), "it is not dead");
    for lease in [first, second, third] {
        assert!(fail(stores, app, lease, Then::Bury, &[]).await);
    }
    assert!(outbox.replay(app, first.delivery, Some("{\"n\":7}"), NOW).await.unwrap());
    let replayed = claim(stores, app).await.unwrap();
    assert_eq!((replayed.event.fields.as_str(), replayed.attempt), ("{\"n\":7}", 1));
    // The event is what it was.
    assert_eq!(outbox.find(app, replayed.event.id).await.unwrap().unwrap().event, emitted(1).event);
    assert!(outbox.discard(app, second.delivery).await.unwrap());
    assert_eq!(outbox.delivery(app, second.delivery).await.unwrap(), None);
    assert_eq!(outbox.replay_all(app, NOW).await.unwrap(), 1);
    assert_eq!(claim(stores, app).await.unwrap().lease.delivery, third.delivery);
}

async fn a_message_is_not_written_twice_under_one_key(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    emit(stores, app, [message(1, "mail", Some("k")), message(2, "mail", Some("k"))]).await;
    emit(stores, app, [message(3, "mail", Some("k")), message(4, "other", Some("k"))]).await;
    let claimed = claim_from(stores, app, "mail", 10, NOW).await;
    assert_eq!(claimed.len(), 1);
    assert_eq!(claimed[0].event.id, emitted(1).event.id);
    let events = stores.outbox.list(app, None, 10).await.unwrap();
    let ids: Vec<_> = events.iter().map(|recorded| recorded.event.id).collect();
    assert_eq!(ids, [emitted(4).event.id, emitted(1).event.id], "what was not sent is no event");
    // While it runs, too; and its own handler may send it anew.
    emit(stores, app, [message(5, "mail", Some("k"))]).await;
    assert!(claim_from(stores, app, "mail", 10, NOW).await.is_empty());
    let events = vec![message(6, "mail", Some("k"))];
    let ack = Some(claimed[0].lease);
    commit(stores, app, WriteSet { events, ack, ..WriteSet::default() }).await.unwrap();
    assert_eq!(claim_from(stores, app, "mail", 10, NOW).await.len(), 1);
    assert_eq!(claim_from(stores, app, "other", 10, NOW).await.len(), 1);
}

async fn lanes_are_the_apps_and_their_queues(stores: &Stores) {
    let (alice, bob) = two_apps(stores).await;
    assert!(stores.outbox.lanes().await.unwrap().is_empty());
    let mut later = emitted(9);
    later.deliveries[0].due_at_ms = NOW + 77;
    emit(stores, bob, [later]).await;
    let of_alice = [emitted(1), emitted(2), message(3, "a", None), message(4, "b", None)];
    emit(stores, alice, of_alice).await;
    emit(stores, alice, [message(5, "a", None)]).await;
    let lanes = stores.outbox.lanes().await.unwrap();
    let mut shown: Vec<_> = lanes
        .iter()
        .map(|lane| (lane.slug.as_str(), lane.queue.as_str(), lane.due_at_ms - NOW))
        .collect();
    shown.sort_unstable();
    assert_eq!(shown, [("alice", "", 0), ("alice", "a", 0), ("alice", "b", 0), ("bob", "", 77)]);
    let queues = stores.outbox.queues(alice).await.unwrap();
    let of = |queue: &picloud_shared::outbox::QueueState| (queue.queue.clone(), queue.waiting);
    assert_eq!(queues.iter().map(of).collect::<Vec<_>>(), [("a".into(), 2), ("b".into(), 1)]);
    assert_eq!(claim_from(stores, alice, "a", 1, NOW).await.len(), 1);
    let queues = stores.outbox.queues(alice).await.unwrap();
    assert_eq!((queues[0].waiting, queues[0].running), (1, 1));
}

async fn two_apps_never_meet(stores: &Stores) {
    let (alice, bob) = two_apps(stores).await;
    emit(stores, alice, [emitted(1), message(2, "mail", Some("k"))]).await;
    // The very same ids and keys are another app's own.
    emit(stores, bob, [emitted(1), message(2, "mail", Some("k"))]).await;
    let of_alice = claim(stores, alice).await.unwrap();
    let outbox = &stores.outbox;
    let stolen = commit(stores, bob, writes("k", Some(of_alice.lease))).await;
    assert!(matches!(stolen, Err(StoreError::Superseded)), "{stolen:?}");
    assert!(!fail(stores, bob, of_alice.lease, Then::Bury, &[]).await);
    assert!(fail(stores, alice, of_alice.lease, Then::Bury, &[]).await);
    assert!(outbox.dead(bob, None, 10).await.unwrap().is_empty());
    assert_eq!(outbox.replay_all(bob, NOW).await.unwrap(), 0);
    assert!(!outbox.replay(bob, of_alice.lease.delivery, None, NOW).await.unwrap());
    assert!(!outbox.discard(bob, of_alice.lease.delivery).await.unwrap());
    assert_eq!(outbox.dead(alice, None, 10).await.unwrap().len(), 1);
    let root = emitted(1).event.cause.root;
    assert_eq!(outbox.tree(bob, root).await.unwrap()[0].deliveries[0].status, Status::Waiting);
    assert_eq!(claim_from(stores, bob, "mail", 10, NOW).await.len(), 1);
}

async fn a_chain_ends_at_its_depth(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    let deep = |depth, n| {
        let mut emitted = emitted(n);
        emitted.event.cause.depth = depth;
        emitted
    };
    emit(stores, app, [deep(MAX_DEPTH, 1), deep(MAX_DEPTH + 1, 2)]).await;
    assert_eq!(claim_from(stores, app, "", 10, NOW).await.len(), 1);
    let dead = stores.outbox.dead(app, None, 10).await.unwrap();
    assert_eq!(dead[0].1.error.as_ref().unwrap().code.as_deref(), Some("too_deep"));
}

async fn a_cause_has_a_thousand_events(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    let root = Uuid::from_u128(1);
    let events = |from: u64, count: u64| -> Vec<_> {
        let event = |n: u64| {
            let mut random = [0; 10];
            random[2..].copy_from_slice(&n.to_be_bytes());
            let mut emitted = emitted(1);
            emitted.event.id = EventId::new(NOW, random);
            emitted.event.cause = Cause { root, parent: None, depth: 1 };
            emitted.deliveries[0].id = DeliveryId::new(NOW, random);
            emitted
        };
        (from..from + count).map(event).collect()
    };
    emit(stores, app, events(0, MAX_PER_ROOT - 1)).await;
    emit(stores, app, events(MAX_PER_ROOT - 1, 3)).await;
    let dead = stores.outbox.dead(app, None, 10).await.unwrap();
    assert_eq!(dead.len(), 2);
    assert_eq!(dead[0].1.error.as_ref().unwrap().code.as_deref(), Some("too_many_events"));
    let waiting = claim_from(stores, app, "", 2_000, NOW).await;
    assert_eq!(waiting.len() as u64, MAX_PER_ROOT);
}

async fn what_is_done_is_pruned_and_nothing_else(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    emit(stores, app, [emitted(1), emitted(2), emitted(3), emitted(4)]).await;
    let claimed = claim_from(stores, app, "", 3, NOW).await;
    for done in &claimed[..2] {
        let ack = Some(done.lease);
        commit(stores, app, WriteSet { ack, ..WriteSet::default() }).await.unwrap();
    }
    fail(stores, app, claimed[2].lease, Then::Bury, &[]).await;
    assert_eq!(stores.outbox.prune(NOW, 10).await.unwrap(), 0, "too young");
    assert_eq!(stores.outbox.prune(NOW + 1_000, 1).await.unwrap(), 1);
    assert_eq!(stores.outbox.prune(NOW + 1_000, 10).await.unwrap(), 1);
    let left = stores.outbox.list(app, None, 10).await.unwrap();
    let ids: Vec<_> = left.iter().map(|recorded| recorded.event.id).collect();
    assert_eq!(ids, [emitted(4).event.id, emitted(3).event.id]);
}

async fn a_deleted_app_takes_its_events_along(stores: &Stores) {
    let (alice, bob) = two_apps(stores).await;
    emit(stores, alice, [emitted(1)]).await;
    emit(stores, bob, [emitted(1)]).await;
    let claimed = claim(stores, alice).await.unwrap();
    assert!(stores.apps.delete(alice).await.unwrap());
    let gone = commit(stores, alice, writes("k", Some(claimed.lease))).await;
    assert!(gone.is_err());
    assert!(stores.outbox.list(alice, None, 10).await.unwrap().is_empty());
    let lanes = stores.outbox.lanes().await.unwrap();
    assert_eq!(lanes.iter().map(|lane| lane.app).collect::<Vec<_>>(), [bob]);
}

/// Commits with room for so many deliveries, and says whether there was.
async fn fits(stores: &Stores, app: AppId, rows: u64, write_set: WriteSet) -> bool {
    let quotas = Quotas { outbox_rows: rows, ..quotas(PLENTY, 0) };
    match stores.units.commit(app, write_set, quotas, NOW).await {
        Ok(_) => true,
        Err(StoreError::QuotaExceeded(Quota::Outbox)) => false,
        Err(error) => panic!("{error:?}"),
    }
}

fn sends(n: u8) -> WriteSet {
    WriteSet { events: vec![emitted(n)], ..writes(&format!("k{n}"), None) }
}

async fn held(stores: &Stores, app: AppId) -> (u64, u64) {
    let (_, storage) = stores.usage.storage(&[app]).await.unwrap().pop().unwrap();
    (storage.outbox_rows, storage.outbox_bytes)
}

async fn a_full_outbox_takes_nothing_more_until_something_is_done(stores: &Stores) {
    let (alice, bob) = two_apps(stores).await;
    assert!(fits(stores, alice, 2, sends(1)).await);
    assert!(fits(stores, alice, 2, sends(2)).await);
    assert!(!fits(stores, alice, 2, sends(3)).await);
    assert_eq!(value(stores, alice, "c", "k3").await, None, "nothing of it is written");
    assert!(fits(stores, alice, 2, writes("k", None)).await, "what sends nothing is not held up");
    assert!(fits(stores, bob, 2, sends(3)).await);

    // What is dead is not done.
    let dead = claim(stores, alice).await.unwrap();
    assert!(fail(stores, alice, dead.lease, Then::Bury, &[]).await);
    assert!(!fits(stores, alice, 2, sends(3)).await);
    let done = claim(stores, alice).await.unwrap();
    assert!(fits(stores, alice, 2, writes("k", Some(done.lease))).await);
    assert!(fits(stores, alice, 2, sends(3)).await);
    assert_eq!(stores.outbox.find(alice, done.event.id).await.unwrap(), None, "it gave way");
    assert!(stores.outbox.find(alice, dead.event.id).await.unwrap().is_some());

    // Bytes are counted, too: each event here has as many.
    let bytes = emitted(1).event.fields.len() as u64;
    let fits = async |outbox_bytes, n| {
        let quotas = Quotas { outbox_bytes, ..quotas(PLENTY, 0) };
        stores.units.commit(alice, sends(n), quotas, NOW).await.is_ok()
    };
    assert!(!fits(3 * bytes - 1, 4).await);
    assert!(fits(3 * bytes, 4).await);
}

async fn a_handler_of_an_event_may_fill_it_a_tenth_more(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    emit(stores, app, (0..10).map(emitted)).await;
    let mut handled = Vec::new();
    for n in 0..12 {
        let lease = claim(stores, app).await.unwrap().lease;
        let answer = WriteSet { events: vec![emitted(100 + n)], ..writes("k", Some(lease)) };
        assert!(fits(stores, app, 10, answer).await, "{n}");
        handled.push(lease.delivery);
        assert!(held(stores, app).await.0 <= 11);
    }
    let lease = claim(stores, app).await.unwrap().lease;
    let two = vec![emitted(200), emitted(201), emitted(202)];
    assert!(!fits(stores, app, 10, WriteSet { events: two, ..writes("k", Some(lease)) }).await);
    assert_eq!(status(stores, app, lease.delivery).await, Status::Running);
}

async fn what_an_outbox_holds_is_counted_however_it_changes(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    let bytes = |emitted: &Emitted| emitted.event.fields.len() as u64;
    assert_eq!(held(stores, app).await, (0, 0));
    let keyed = message(1, "mail", Some("key"));
    emit(stores, app, [keyed.clone(), emitted(2)]).await;
    emit(stores, app, [message(3, "mail", Some("key"))]).await;
    let both = bytes(&keyed) + bytes(&emitted(2));
    assert_eq!(held(stores, app).await, (2, both), "the second with the key was not sent");

    let lease = claim(stores, app).await.unwrap().lease;
    assert!(fail(stores, app, lease, Then::Bury, &[emitted(4)]).await);
    assert_eq!(held(stores, app).await, (3, both + bytes(&emitted(4))));
    assert!(stores.outbox.discard(app, lease.delivery).await.unwrap());
    assert!(!stores.outbox.discard(app, lease.delivery).await.unwrap());
    assert_eq!(held(stores, app).await, (2, both + bytes(&emitted(4))));
    // The event that has lost its delivery goes when it is old.
    assert_eq!(stores.outbox.prune(NOW + 1_000, 10).await.unwrap(), 1);
    assert_eq!(held(stores, app).await, (2, bytes(&keyed) + bytes(&emitted(4))));
    let lease = claim(stores, app).await.unwrap().lease;
    commit(stores, app, writes("k", Some(lease))).await.unwrap();
    assert_eq!(stores.outbox.prune(NOW + 1_000, 10).await.unwrap(), 1);
    assert_eq!(held(stores, app).await, (1, bytes(&keyed)));
}
