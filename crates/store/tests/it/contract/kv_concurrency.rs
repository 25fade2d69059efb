//! KV: many writers at the same time.

use futures_util::FutureExt as _;
use picloud_shared::kv::{Seen, WriteSet};
use picloud_shared::{AppId, StoreError};
use picloud_store::Stores;
use tokio::task::JoinSet;

use crate::support::{
    NOW, PLENTY, app, commit, commit_kv, entry, on_both, put, set, set_until, two_apps, value,
};

on_both![
    of_two_writers_that_saw_the_same_exactly_one_wins,
    of_two_makers_of_an_entry_exactly_one_wins,
    two_hundred_increments_end_at_two_hundred,
    a_conflict_leaves_the_commits_beside_it_alone,
    unread_writes_at_the_same_time_all_succeed,
    crossing_write_sets_do_not_block_each_other,
    usage_stays_right_whatever_happens_at_once,
    the_quota_holds_against_many_writers,
    a_value_that_is_no_json_fails_alone,
    a_caller_who_leaves_disturbs_nobody,
    clears_and_writes_at_the_same_time_keep_usage_right,
    deleting_an_app_in_use_is_safe,
];

fn one(write: picloud_shared::kv::Write) -> WriteSet {
    WriteSet { clears: vec![], writes: vec![write] }
}

async fn race(
    stores: &Stores,
    app: AppId,
    write_sets: impl IntoIterator<Item = WriteSet>,
) -> Vec<Result<u64, StoreError>> {
    let mut tasks = JoinSet::new();
    for (n, write_set) in write_sets.into_iter().enumerate() {
        let stores = stores.clone();
        tasks.spawn(async move { (n, commit_kv(&stores, app, write_set, PLENTY, NOW).await) });
    }
    let mut answers = tasks.join_all().await;
    answers.sort_by_key(|(n, _)| *n);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

fn winners(answers: &[Result<u64, StoreError>]) -> usize {
    assert!(
        answers.iter().all(|answer| matches!(answer, Ok(_) | Err(StoreError::Conflict))),
        "{answers:?}"
    );
    answers.iter().filter(|answer| answer.is_ok()).count()
}

async fn of_two_writers_that_saw_the_same_exactly_one_wins(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    put(stores, app, "c", "k", "0").await;
    for _ in 0..20 {
        let seen = Seen::Version(entry(stores, app, "c", "k").await.unwrap().version);
        let sets = ["1", "2"].map(|value| one(set("c", "k", seen, value)));
        let answers = race(stores, app, sets).await;
        assert_eq!(winners(&answers), 1);
        let winner = if answers[0].is_ok() { "1" } else { "2" };
        assert_eq!(value(stores, app, "c", "k").await.as_deref(), Some(winner));
    }
}

async fn of_two_makers_of_an_entry_exactly_one_wins(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    for round in 0..20 {
        let key = format!("k{round}");
        // Half of them meet an expired row.
        if round % 2 == 0 {
            let expired = set_until("c", &key, Seen::Absent, "0", Some(NOW));
            commit(stores, app, [expired]).await.unwrap();
        }
        let sets = ["1", "2", "3"].map(|value| one(set("c", &key, Seen::Absent, value)));
        assert_eq!(winners(&race(stores, app, sets).await), 1);
    }
}

async fn increment(stores: Stores, app: AppId) {
    let (collection, key) = ("c".parse().unwrap(), "n".parse().unwrap());
    loop {
        let (seen, next) = match stores.kv.get(app, &collection, &key, NOW).await.unwrap() {
            None => (Seen::Absent, 1),
            Some(entry) => (Seen::Version(entry.version), entry.value.parse::<u32>().unwrap() + 1),
        };
        let write_set = one(set("c", "n", seen, &next.to_string()));
        match commit_kv(&stores, app, write_set, PLENTY, NOW).await {
            Ok(_) => return,
            Err(StoreError::Conflict) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
}

async fn two_hundred_increments_end_at_two_hundred(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    let tasks: JoinSet<()> = (0..200).map(|_| increment(stores.clone(), app)).collect();
    tasks.join_all().await;
    assert_eq!(value(stores, app, "c", "n").await.as_deref(), Some("200"));
}

async fn a_conflict_leaves_the_commits_beside_it_alone(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    let sets = (0..60).map(|n| {
        let mut writes = vec![set("c", &format!("k{n}"), Seen::Absent, &n.to_string())];
        if n % 3 == 0 {
            writes.push(set("c", "never", Seen::Version(1 << 40), "1"));
        }
        WriteSet { clears: vec![], writes }
    });
    let answers = race(stores, app, sets).await;
    for (n, answer) in answers.iter().enumerate() {
        assert_eq!(answer.is_ok(), n % 3 != 0, "{n}: {answer:?}");
        let found = value(stores, app, "c", &format!("k{n}")).await;
        assert_eq!(found, answer.is_ok().then(|| n.to_string()));
    }
}

async fn unread_writes_at_the_same_time_all_succeed(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    for round in 0..5 {
        let key = format!("k{round}");
        let sets = (0..20).map(|n| one(set("c", &key, Seen::Unread, &n.to_string())));
        assert_eq!(winners(&race(stores, app, sets).await), 20);
    }
}

async fn crossing_write_sets_do_not_block_each_other(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    let sets = (0..40).map(|n: usize| {
        let mut writes: Vec<_> =
            (0..10).map(|k| set("c", &format!("k{k}"), Seen::Unread, &n.to_string())).collect();
        if n.is_multiple_of(2) {
            writes.reverse();
        }
        WriteSet { clears: vec![], writes }
    });
    assert_eq!(winners(&race(stores, app, sets).await), 40);
    let mut values = Vec::new();
    for k in 0..10 {
        values.push(value(stores, app, "c", &format!("k{k}")).await);
    }
    values.dedup();
    assert_eq!(values.len(), 1, "one of them wrote last, and wrote all: {values:?}");
}

/// The bytes that are there, counted afresh.
async fn counted(stores: &Stores, app: AppId) -> u64 {
    let mut bytes = 0;
    for (collection, _) in stores.kv.collections(app, 0).await.unwrap() {
        let range = picloud_shared::kv::Range { limit: u32::MAX, ..Default::default() };
        for (key, entry) in stores.kv.list(app, &collection, range, 0).await.unwrap().entries {
            bytes += collection.as_str().len() + key.as_str().len() + entry.value.len();
        }
    }
    bytes as u64
}

async fn usage_stays_right_whatever_happens_at_once(stores: &Stores) {
    let (alice, bob) = two_apps(stores).await;
    let mut tasks = JoinSet::new();
    for n in 0_usize..120 {
        let stores = stores.clone();
        tasks.spawn(async move {
            let app = if n.is_multiple_of(2) { alice } else { bob };
            let key = format!("k{}", n % 7);
            let until = n.is_multiple_of(5).then_some(NOW + 1);
            let value = "1".repeat(n % 11 + 1);
            match n % 6 {
                0 => drop(stores.kv.purge_expired(NOW + 1, 3).await.unwrap()),
                1 => {
                    let write = crate::support::delete("c", &key, Seen::Unread);
                    commit_kv(&stores, app, one(write), PLENTY, NOW).await.unwrap();
                }
                _ => {
                    let write = set_until("c", &key, Seen::Unread, &value, until);
                    commit_kv(&stores, app, one(write), PLENTY, NOW).await.unwrap();
                }
            }
        });
    }
    tasks.join_all().await;
    for app in [alice, bob] {
        assert_eq!(stores.kv.usage(app, 0).await.unwrap(), counted(stores, app).await);
    }
}

async fn the_quota_holds_against_many_writers(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    let mut tasks = JoinSet::new();
    for n in 10..50 {
        let stores = stores.clone();
        // 4 bytes each, and room for five of them.
        let write_set = one(set("c", &n.to_string(), Seen::Absent, "1"));
        tasks.spawn(async move { commit_kv(&stores, app, write_set, 20, NOW).await });
    }
    let answers = tasks.join_all().await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 5);
    let refused = |a: &Result<_, _>| matches!(a, Ok(_) | Err(StoreError::QuotaExceeded(_)));
    assert!(answers.iter().all(refused), "{answers:?}");
    assert_eq!(stores.kv.usage(app, 0).await.unwrap(), 20);
}

async fn a_value_that_is_no_json_fails_alone(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    let sets = (0..40).map(|n| {
        let value = if n == 20 { "{oops" } else { "1" };
        one(set("c", &format!("k{n}"), Seen::Absent, value))
    });
    let answers = race(stores, app, sets).await;
    for (n, answer) in answers.iter().enumerate() {
        match answer {
            Ok(_) => assert_ne!(n, 20),
            Err(StoreError::Unavailable(_)) => assert_eq!(n, 20),
            other => panic!("{n}: {other:?}"),
        }
        assert_eq!(value(stores, app, "c", &format!("k{n}")).await.is_some(), n != 20);
    }
}

async fn a_caller_who_leaves_disturbs_nobody(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    let mut tasks = JoinSet::new();
    for n in 0..100 {
        let stores = stores.clone();
        tasks.spawn(async move {
            let write = || one(set("c", &format!("k{n}"), Seen::Unread, "1"));
            let commit = commit_kv(&stores, app, write(), PLENTY, NOW);
            if n % 2 == 0 {
                // Polled once, so it is on its way, and dropped.
                drop(commit.now_or_never());
            } else {
                commit.await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    for n in (1..100).step_by(2) {
        assert!(value(stores, app, "c", &format!("k{n}")).await.is_some());
    }
    put(stores, app, "c", "after", "1").await;
    assert_eq!(stores.kv.usage(app, 0).await.unwrap(), counted(stores, app).await);
}

async fn clears_and_writes_at_the_same_time_keep_usage_right(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    let sets = (0..90).map(|n| {
        let clears = if n % 9 == 0 { vec!["c".parse().unwrap()] } else { vec![] };
        let key = format!("k{}", n % 10);
        WriteSet { clears, writes: vec![set("c", &key, Seen::Unread, &n.to_string())] }
    });
    assert_eq!(winners(&race(stores, app, sets).await), 90);
    assert_eq!(stores.kv.usage(app, 0).await.unwrap(), counted(stores, app).await);
}

async fn deleting_an_app_in_use_is_safe(stores: &Stores) {
    let (alice, bob) = two_apps(stores).await;
    let mut tasks = JoinSet::new();
    for n in 0..40 {
        let stores = stores.clone();
        tasks.spawn(async move {
            for round in 0..5 {
                let keys = [format!("k{}", n + round), format!("k{n}")];
                let writes =
                    keys.iter().take(1 + n % 2).map(|key| set("c", key, Seen::Unread, "1"));
                let write_set = WriteSet { clears: vec![], writes: writes.collect() };
                match commit_kv(&stores, alice, write_set, PLENTY, NOW).await {
                    Ok(_) | Err(StoreError::Conflict) => {}
                    Err(error) => panic!("{error:?}"),
                }
                commit_kv(&stores, bob, one(set("c", &keys[1], Seen::Unread, "1")), PLENTY, NOW)
                    .await
                    .unwrap();
            }
        });
    }
    put(stores, alice, "c", "first", "1").await;
    assert!(stores.apps.delete(alice).await.unwrap());
    tasks.join_all().await;
    assert_eq!(stores.kv.usage(alice, 0).await.unwrap(), 0);
    assert!(stores.kv.collections(alice, NOW).await.unwrap().is_empty());
    assert_eq!(stores.kv.usage(bob, 0).await.unwrap(), counted(stores, bob).await);
}
