//! What an owner's apps may use together.

use std::sync::atomic::Ordering;

use picloud_executor_core::Refused;
use picloud_shared::owner::{Account, OwnerLimits, OwnerQuotas as _};
use picloud_shared::usage::{Counters, DAY_MS, Day, Storage};
use picloud_shared::{AppId, Clock as _, Limits, Outcome, UserId};

use crate::support::{APP, Setup, answer, setup, task};

const OTHER: AppId = AppId(2);
const OWNER: UserId = UserId(1);

/// An app whose owner has another one, and these limits.
fn owned(limits: OwnerLimits) -> Setup {
    let setup = setup(|services| {
        Box::pin(async move {
            services.kv.set("c", "k", "\"0123456789\"".to_owned(), None).await.unwrap();
            answer()
        })
    });
    let account = Account { user: OWNER, limits, apps: vec![APP, OTHER] };
    *setup.used.account.lock().unwrap() = Some(account);
    setup
}

fn keeps(setup: &Setup, app: AppId, kv_bytes: u64) {
    let mut storage = setup.used.storage.lock().unwrap();
    storage.retain(|(of, _)| *of != app);
    storage.push((app, Storage { kv_bytes, ..Storage::default() }));
}

fn later(setup: &Setup, ms: u64) {
    setup.clock.0.fetch_add(ms, Ordering::Relaxed);
}

async fn kv_bytes(setup: &Setup) -> u64 {
    setup.owners.lower(APP, &Limits::default()).await.kv_bytes
}

#[tokio::test]
async fn an_app_may_keep_what_the_others_leave() {
    let setup = owned(OwnerLimits { kv_bytes: 100, ..OwnerLimits::default() });
    keeps(&setup, APP, 40);
    keeps(&setup, OTHER, 30);
    assert_eq!(kv_bytes(&setup).await, 70, "its own is judged in the transaction");
    keeps(&setup, OTHER, 50);
    assert_eq!(kv_bytes(&setup).await, 70, "as it was a while ago");
    later(&setup, 30_000);
    assert_eq!(kv_bytes(&setup).await, 50);
    // Little is left, so the next look comes soon.
    keeps(&setup, OTHER, 1_000);
    later(&setup, 1_000);
    assert_eq!(kv_bytes(&setup).await, 0);
    let executed = setup.executor.execute(task()).await.unwrap();
    let Outcome::ScriptError(error) = executed.outcome else { panic!("{executed:?}") };
    assert_eq!(error.code.as_deref(), Some("quota_exceeded"));
    assert_eq!(setup.store.value("c", "k"), None);
}

#[tokio::test]
async fn the_apps_own_limit_holds_beside_its_owners() {
    let setup = owned(OwnerLimits::default());
    let limits = Limits { kv_bytes: 7, ..Limits::default() };
    assert_eq!(setup.owners.lower(APP, &limits).await, limits);
    *setup.used.account.lock().unwrap() = None;
    setup.owners.forget();
    assert_eq!(setup.owners.lower(APP, &limits).await, limits, "nobody's app has its own");
}

#[tokio::test]
async fn a_budget_of_the_day_is_used_up_until_midnight() {
    let setup = owned(OwnerLimits { requests_per_day: 10, ..OwnerLimits::default() });
    setup.executor.execute(task()).await.unwrap();
    setup.usage.add(APP, Counters { requests: 10, ..Counters::default() });
    setup.usage.flush().await.unwrap();
    later(&setup, 30_000);
    let left_ms = Day::left_ms(setup.clock.now_ms());
    let refused = setup.executor.execute(task()).await.unwrap_err();
    assert_eq!(refused, Refused::Spent { left_ms });
    later(&setup, left_ms - 1);
    assert!(setup.executor.execute(task()).await.is_err());
    later(&setup, 1);
    setup.executor.execute(task()).await.unwrap();
    later(&setup, DAY_MS);
    setup.executor.execute(task()).await.unwrap();
}

#[tokio::test]
async fn nobody_is_held_up_because_the_database_is_away() {
    let setup = owned(OwnerLimits { kv_bytes: 100, ..OwnerLimits::default() });
    setup.used.is_broken.store(true, Ordering::SeqCst);
    setup.executor.execute(task()).await.unwrap();
    assert_eq!(kv_bytes(&setup).await, Limits::default().kv_bytes);
    setup.used.is_broken.store(false, Ordering::SeqCst);
    later(&setup, 1_000);
    assert_eq!(kv_bytes(&setup).await, 100);
    setup.used.is_broken.store(true, Ordering::SeqCst);
    later(&setup, 30_000);
    assert_eq!(kv_bytes(&setup).await, 100, "what was known before");
}

#[tokio::test]
async fn there_is_room_for_as_many_apps_as_the_owner_may_have() {
    for (apps, has_room) in [(2, false), (3, true)] {
        let setup = owned(OwnerLimits { apps, ..OwnerLimits::default() });
        assert_eq!(setup.owners.has_room_for_app(OWNER).await.unwrap(), has_room);
        assert!(setup.owners.has_room_for_app(UserId(9)).await.unwrap());
    }
}
