//! Schedules: they come with a release, and each tick is fired once.

use picloud_shared::schedule::{Fire, Planned, ScheduleState};
use picloud_shared::{AppId, NewRelease, ReleaseNumber};
use picloud_store::Stores;

use super::outbox::{claim_from, emitted};
use crate::support::{NOW, PLENTY, app, on_both, two_apps};

on_both![
    schedules_come_and_go_with_the_active_release,
    a_tick_is_fired_once,
    a_tick_that_is_left_out_writes_nothing,
    a_paused_schedule_waits_until_it_is_resumed,
    what_is_due_comes_first,
    a_deleted_app_takes_its_schedules_along,
];

fn planned(name: &str, cron: &str, due_ms: u64) -> Planned {
    Planned { name: name.to_owned(), cron: cron.to_owned(), due_ms: Some(due_ms) }
}

async fn deploy(stores: &Stores, app: AppId, schedules: &[Planned]) -> ReleaseNumber {
    let release = NewRelease {
        activate: true,
        note: String::new(),
        created_at_ms: NOW,
        files: [("index.rhai".to_owned(), "1".into())].into(),
        derived_from: None,
        deploy: None,
        schedules: schedules.to_vec(),
        quota_bytes: PLENTY,
    };
    stores.releases.create(app, &release).await.unwrap().number
}

async fn state(stores: &Stores, app: AppId, name: &str) -> Option<ScheduleState> {
    stores.schedules.list(app).await.unwrap().into_iter().find(|state| state.name == name)
}

async fn due(stores: &Stores, app: AppId, name: &str) -> Option<u64> {
    state(stores, app, name).await.unwrap().due_ms
}

/// A tick that was due at `due_ms`, with the `n`th event.
fn fire(app: AppId, due_ms: u64, n: u8) -> Fire {
    Fire {
        app,
        name: "daily".to_owned(),
        due_ms,
        next_ms: Some(due_ms + 1_000),
        tick: Some((due_ms, emitted(n))),
    }
}

async fn schedules_come_and_go_with_the_active_release(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    let first = deploy(stores, app, &[planned("a", "x", 10), planned("b", "x", 20)]).await;
    assert_eq!(due(stores, app, "a").await, Some(10));
    // A tick that is due stays due, unless its schedule is another one now.
    deploy(stores, app, &[planned("a", "x", 30), planned("b", "y", 40)]).await;
    assert_eq!(due(stores, app, "a").await, Some(10));
    assert_eq!(due(stores, app, "b").await, Some(40));
    deploy(stores, app, &[planned("a", "x", 50)]).await;
    assert_eq!(due(stores, app, "b").await, None);
    let back = [planned("a", "x", 60), planned("b", "x", 60)];
    assert!(stores.releases.activate(app, first, &back, None).await.unwrap());
    assert_eq!(due(stores, app, "a").await, Some(10));
    assert_eq!(due(stores, app, "b").await, Some(60));
    let missing = ReleaseNumber(99);
    assert!(!stores.releases.activate(app, missing, &[], None).await.unwrap());
    assert_eq!(due(stores, app, "b").await, Some(60), "nothing has changed");
}

async fn a_tick_is_fired_once(stores: &Stores) {
    let (alice, bob) = two_apps(stores).await;
    for app in [alice, bob] {
        deploy(stores, app, &[planned("daily", "x", NOW)]).await;
    }
    let fires =
        async |app, due_ms, n| stores.schedules.fire(&[fire(app, due_ms, n)]).await.unwrap() == 1;
    let (one, other) = tokio::join!(fires(alice, NOW, 1), fires(alice, NOW, 2));
    assert!(one != other, "exactly one of two");
    assert!(!fires(alice, NOW, 3).await, "it was moved on");
    let now = state(stores, alice, "daily").await.unwrap();
    assert_eq!((now.last_fire_ms, now.due_ms), (Some(NOW), Some(NOW + 1_000)));
    assert_eq!(due(stores, bob, "daily").await, Some(NOW), "bob's is bob's");
    assert!(fires(alice, NOW + 1_000, 4).await);
    assert_eq!(claim_from(stores, alice, "", 10, NOW).await.len(), 2);
    assert_eq!(claim_from(stores, bob, "", 10, NOW).await.len(), 0);
    let both = [fire(alice, NOW + 2_000, 5), fire(bob, NOW, 6), fire(bob, NOW, 7)];
    assert_eq!(stores.schedules.fire(&both).await.unwrap(), 2);
}

async fn a_tick_that_is_left_out_writes_nothing(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    deploy(stores, app, &[planned("daily", "x", NOW)]).await;
    let left_out = Fire { tick: None, ..fire(app, NOW, 1) };
    assert_eq!(stores.schedules.fire(&[left_out]).await.unwrap(), 1);
    let now = state(stores, app, "daily").await.unwrap();
    assert_eq!((now.last_fire_ms, now.due_ms), (None, Some(NOW + 1_000)));
    assert!(stores.outbox.list(app, None, 10).await.unwrap().is_empty());
}

async fn a_paused_schedule_waits_until_it_is_resumed(stores: &Stores) {
    let (alice, bob) = two_apps(stores).await;
    deploy(stores, alice, &[planned("daily", "x", NOW)]).await;
    let schedules = &stores.schedules;
    assert!(!schedules.pause(alice, "weekly").await.unwrap(), "there is none");
    assert!(!schedules.pause(bob, "daily").await.unwrap(), "it is alice's");
    assert!(!schedules.resume(alice, "daily", Some(1)).await.unwrap(), "it is not paused");
    assert!(schedules.pause(alice, "daily").await.unwrap());
    assert_eq!(schedules.fire(&[fire(alice, NOW, 1)]).await.unwrap(), 0);
    // A deploy does not wake it.
    deploy(stores, alice, &[planned("daily", "y", NOW + 5)]).await;
    let paused = state(stores, alice, "daily").await.unwrap();
    assert_eq!((paused.is_paused, paused.due_ms), (true, None));
    assert!(schedules.resume(alice, "daily", Some(NOW + 9)).await.unwrap());
    assert_eq!(due(stores, alice, "daily").await, Some(NOW + 9));
}

async fn what_is_due_comes_first(stores: &Stores) {
    let (alice, bob) = two_apps(stores).await;
    deploy(stores, alice, &[planned("late", "x", 30), planned("early", "x", 10)]).await;
    deploy(stores, bob, &[planned("middle", "x", 20)]).await;
    let upcoming = stores.schedules.upcoming(2).await.unwrap();
    let names: Vec<_> = upcoming.iter().map(|due| (due.name.as_str(), due.due_ms)).collect();
    assert_eq!(names, [("early", 10), ("middle", 20)]);
    assert_eq!(upcoming[1].slug.as_str(), "bob");
}

async fn a_deleted_app_takes_its_schedules_along(stores: &Stores) {
    let (alice, bob) = two_apps(stores).await;
    for app in [alice, bob] {
        deploy(stores, app, &[planned("daily", "x", NOW)]).await;
    }
    assert!(stores.apps.delete(alice).await.unwrap());
    assert_eq!(stores.schedules.upcoming(9).await.unwrap().len(), 1);
    assert_eq!(stores.schedules.fire(&[fire(alice, NOW, 1)]).await.unwrap(), 0);
}
