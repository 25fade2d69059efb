//! What apps have used, and what they keep.

use picloud_shared::AppId;
use picloud_shared::kv::Seen;
use picloud_shared::usage::{Counters, Day, Storage, Used};
use picloud_store::Stores;

use crate::support::{app, commit, on_both, set, two_apps};

on_both![
    what_is_used_on_one_day_adds_up,
    days_come_in_order_from_the_one_that_is_asked_for,
    two_apps_never_meet,
    what_an_app_that_is_gone_has_used_is_left_out,
    adding_at_the_same_time_loses_nothing,
    old_days_are_pruned_and_no_others,
    what_an_app_keeps_is_known,
];

const TODAY: Day = Day(20_000);

fn used(app: AppId, day: Day, each: u64) -> Used {
    let mut values = [each; Counters::COUNT];
    for (value, index) in values.iter_mut().zip(0..) {
        *value += index;
    }
    Used { app, day, counters: Counters::of(values) }
}

async fn what_is_used_on_one_day_adds_up(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    stores.usage.add(&[]).await.unwrap();
    assert_eq!(stores.usage.days(&[app], TODAY).await.unwrap(), []);
    stores.usage.add(&[used(app, TODAY, 1)]).await.unwrap();
    stores.usage.add(&[used(app, TODAY, 1 << 40)]).await.unwrap();
    let mut sum = used(app, TODAY, 1);
    sum.counters += used(app, TODAY, 1 << 40).counters;
    assert_eq!(stores.usage.days(&[app], TODAY).await.unwrap(), [sum]);
}

async fn days_come_in_order_from_the_one_that_is_asked_for(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    let days = [TODAY, TODAY.before(2), TODAY.before(1)].map(|day| used(app, day, 1));
    stores.usage.add(&days).await.unwrap();
    let found = stores.usage.days(&[app], TODAY.before(1)).await.unwrap();
    assert_eq!(found, [used(app, TODAY.before(1), 1), used(app, TODAY, 1)]);
}

async fn two_apps_never_meet(stores: &Stores) {
    let (alice, bob) = two_apps(stores).await;
    stores.usage.add(&[used(bob, TODAY, 2), used(alice, TODAY, 1)]).await.unwrap();
    assert_eq!(stores.usage.days(&[alice], TODAY).await.unwrap(), [used(alice, TODAY, 1)]);
    let both = stores.usage.days(&[bob, alice], TODAY).await.unwrap();
    assert_eq!(both, [used(alice, TODAY, 1), used(bob, TODAY, 2)]);
    assert_eq!(stores.usage.days(&[], TODAY).await.unwrap(), []);
}

async fn what_an_app_that_is_gone_has_used_is_left_out(stores: &Stores) {
    let (alice, bob) = two_apps(stores).await;
    stores.usage.add(&[used(alice, TODAY, 1)]).await.unwrap();
    assert!(stores.apps.delete(alice).await.unwrap());
    assert_eq!(stores.usage.days(&[alice], TODAY).await.unwrap(), []);
    stores.usage.add(&[used(alice, TODAY, 1), used(bob, TODAY, 2)]).await.unwrap();
    let both = stores.usage.days(&[alice, bob], TODAY).await.unwrap();
    assert_eq!(both, [used(bob, TODAY, 2)]);
    assert_eq!(stores.usage.storage(&[alice]).await.unwrap(), []);
}

async fn adding_at_the_same_time_loses_nothing(stores: &Stores) {
    let (alice, bob) = two_apps(stores).await;
    let adders: Vec<_> = (0..40)
        .map(|n| {
            let usage = stores.usage.clone();
            let apps = if n % 2 == 0 { [alice, bob] } else { [bob, alice] };
            tokio::spawn(async move {
                usage.add(&apps.map(|app| used(app, TODAY, 1))).await.unwrap();
            })
        })
        .collect();
    for adder in adders {
        adder.await.unwrap();
    }
    for sum in stores.usage.days(&[alice, bob], TODAY).await.unwrap() {
        assert_eq!(sum.counters.requests, 40);
    }
}

async fn old_days_are_pruned_and_no_others(stores: &Stores) {
    let (alice, bob) = two_apps(stores).await;
    for app in [alice, bob] {
        stores.usage.add(&[TODAY, TODAY.before(1)].map(|day| used(app, day, 1))).await.unwrap();
    }
    assert_eq!(stores.usage.prune(TODAY, 1).await.unwrap(), 1);
    assert_eq!(stores.usage.prune(TODAY, 10).await.unwrap(), 1);
    assert_eq!(stores.usage.prune(TODAY, 10).await.unwrap(), 0);
    let left = stores.usage.days(&[alice, bob], Day(0)).await.unwrap();
    assert_eq!(left, [used(alice, TODAY, 1), used(bob, TODAY, 1)]);
}

async fn what_an_app_keeps_is_known(stores: &Stores) {
    let (alice, bob) = two_apps(stores).await;
    commit(stores, alice, [set("c", "key", Seen::Unread, "12")]).await.unwrap();
    super::release::deploy(stores, alice, &[("a", b"123"), ("b", b"123"), ("c", b"4")]).await;
    super::release::deploy(stores, alice, &[("a", b"123"), ("b", b"56")]).await;
    super::outbox::emit(stores, alice, [super::outbox::emitted(1)]).await;
    let kept = Storage {
        kv_bytes: 6,
        file_bytes: 0,
        release_bytes: 6,
        outbox_rows: 1,
        outbox_bytes: super::outbox::emitted(1).event.fields.len() as u64,
    };
    let both = stores.usage.storage(&[bob, alice]).await.unwrap();
    assert_eq!(both, [(alice, kept), (bob, Storage::default())]);
}
