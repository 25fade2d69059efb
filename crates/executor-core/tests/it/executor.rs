//! Attempts, commits and records.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use picloud_shared::kv::{Change, Seen, Write, WriteSet};
use picloud_shared::{Limits, Outcome, Response, ScriptError, Services};

use crate::support::{Running, answer, setup, task};

fn increment(services: Services) -> Running {
    Box::pin(async move {
        let old = services.kv.get("c", "n").await.unwrap();
        let n: u64 = old.map_or(0, |text| text.parse().unwrap());
        tokio::task::yield_now().await;
        services.kv.set("c", "n", (n + 1).to_string(), None).await.unwrap();
        answer()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_increments_at_once_end_at_two_hundred() {
    let setup = setup(increment);
    let runs = (0..200).map(|_| {
        let executor = Arc::clone(&setup.executor);
        tokio::spawn(async move { executor.execute(task()).await.unwrap() })
    });
    let mut attempts = 0;
    for run in runs.collect::<Vec<_>>() {
        let executed = run.await.unwrap();
        assert_eq!(executed.outcome, answer());
        attempts += executed.attempts;
    }
    assert_eq!(setup.store.value("c", "n").unwrap(), "200");
    assert!(attempts > 200, "they did meet: {attempts}");
    assert_eq!(setup.executor.running(), 0);
}

#[tokio::test]
async fn whatever_does_not_answer_writes_nothing() {
    let outcomes = [
        Outcome::ScriptError(ScriptError::new("thrown")),
        Outcome::OutOfFuel,
        Outcome::OutOfMemory,
        Outcome::TimedOut,
        Outcome::HostFault("broken".into()),
    ];
    for outcome in outcomes {
        let expected = outcome.clone();
        let setup = setup(move |services| {
            let outcome = outcome.clone();
            Box::pin(async move {
                services.kv.set("c", "k", "1".into(), None).await.unwrap();
                outcome
            })
        });
        assert_eq!(setup.executor.execute(task()).await.unwrap().outcome, expected);
        assert_eq!(setup.store.value("c", "k"), None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_conflict_that_does_not_end_is_an_outcome() {
    let store = Arc::new(std::sync::OnceLock::<Arc<crate::support::MemoryStore>>::new());
    let seen = Arc::clone(&store);
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    // Another node changes the entry after every read.
    let setup = setup(move |services| {
        let (store, runs) = (Arc::clone(seen.get().unwrap()), Arc::clone(&counted));
        Box::pin(async move {
            services.kv.get("c", "k").await.unwrap();
            runs.fetch_add(1, Ordering::Relaxed);
            let write = Write {
                collection: "c".parse().unwrap(),
                key: "k".parse().unwrap(),
                seen: Seen::Unread,
                change: Change::Set { value: "0".into(), expires_at_ms: None },
            };
            let write_set = WriteSet { writes: vec![write], clears: vec![] };
            let quota = u64::MAX;
            store.commit_kv(crate::support::APP, write_set, quota, 0).await.unwrap();
            services.kv.set("c", "k", "1".into(), None).await.unwrap();
            answer()
        })
    });
    store.set(Arc::clone(&setup.store)).ok().unwrap();
    let executed = setup.executor.execute(task()).await.unwrap();
    assert_eq!(executed.outcome, Outcome::Conflict);
    assert_eq!((executed.attempts, runs.load(Ordering::Relaxed)), (6, 6));
    assert_eq!(executed.usage.fuel, 60, "the usage of every attempt counts");
    assert_eq!(setup.store.value("c", "k").unwrap(), "0");
}

#[tokio::test]
async fn a_store_that_fails_to_commit_makes_it_unavailable() {
    let setup = setup(increment_without_reading);
    *setup.store.broken.lock().unwrap() = true;
    let outcome = setup.executor.execute(task()).await.unwrap().outcome;
    assert!(matches!(outcome, Outcome::Unavailable(_)), "{outcome:?}");
    *setup.store.broken.lock().unwrap() = false;
    assert_eq!(setup.executor.execute(task()).await.unwrap().outcome, answer());
}

fn increment_without_reading(services: Services) -> Running {
    Box::pin(async move {
        services.kv.set("c", "k", "1".into(), None).await.unwrap();
        answer()
    })
}

#[tokio::test]
async fn a_commit_over_the_quota_is_a_script_error_with_its_code() {
    let setup = setup(increment_without_reading);
    let limits = Limits { kv_bytes: 0, ..Limits::default() };
    let over = picloud_executor_core::Task { limits: Arc::new(limits), ..task() };
    let Outcome::ScriptError(error) = setup.executor.execute(over).await.unwrap().outcome else {
        panic!("it does not fit")
    };
    assert_eq!(error.code.as_deref(), Some("quota_exceeded"));
}

#[tokio::test]
async fn every_execution_is_recorded_with_the_log_of_its_last_attempt() {
    let tries = Arc::new(AtomicU32::new(0));
    let setup = setup(move |services| {
        let attempt = tries.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            services.log.write(picloud_shared::Level::Info, format!("attempt {attempt}"), None);
            if attempt == 0 { Outcome::Conflict } else { answer() }
        })
    });
    let executed = setup.executor.execute(task()).await.unwrap();
    setup.recorder.flush().await;
    let history = setup.history.0.lock().unwrap();
    let [execution] = history.0.as_slice() else { panic!("one execution") };
    assert_eq!(execution.id, executed.id);
    assert_eq!(
        (execution.outcome.as_str(), execution.status, execution.attempts),
        ("ok", Some(200), 2)
    );
    let messages: Vec<_> = history.1.iter().map(|line| line.message.as_str()).collect();
    assert_eq!(messages, ["attempt 1"]);
}

#[tokio::test]
async fn an_abandoned_invocation_writes_nothing_frees_its_place_and_is_recorded() {
    let setup = setup(|services| {
        Box::pin(async move {
            services.kv.set("c", "k", "1".into(), None).await.unwrap();
            std::future::pending().await
        })
    });
    let abandoned = setup.executor.execute(task());
    tokio::time::timeout(Duration::from_millis(5), abandoned).await.unwrap_err();
    setup.recorder.flush().await;
    assert_eq!(setup.history.0.lock().unwrap().0[0].outcome, "cancelled");
    assert_eq!(setup.store.value("c", "k"), None);
    assert_eq!(setup.executor.running(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_is_the_apps_own() {
    let setup = setup(|_| Box::pin(std::future::pending()));
    let limits = Limits { http_ms: 1_234, ..Limits::default() };
    let started = tokio::time::Instant::now();
    let slow = picloud_executor_core::Task { limits: Arc::new(limits), ..task() };
    assert_eq!(setup.executor.execute(slow).await.unwrap().outcome, Outcome::TimedOut);
    assert!(started.elapsed() <= Duration::from_millis(1_240));
}

#[tokio::test]
async fn an_answer_that_cannot_be_sent_has_written_nothing() {
    let setup = setup(|services| {
        Box::pin(async move {
            services.kv.set("c", "k", "1".into(), None).await.unwrap();
            let headers = vec![("content-length".to_owned(), "5".to_owned())];
            Outcome::Ok(Response { status: 200, headers, ..Response::default() })
        })
    });
    let Outcome::ScriptError(error) = setup.executor.execute(task()).await.unwrap().outcome else {
        panic!("it cannot be sent")
    };
    assert_eq!(error.code.as_deref(), Some("invalid_header"));
    assert_eq!(setup.store.value("c", "k"), None);
}

#[tokio::test]
async fn an_entry_that_expires_on_the_way_is_gone_for_the_next_attempt() {
    let clock = Arc::new(std::sync::OnceLock::<Arc<crate::support::FakeClock>>::new());
    let moved = Arc::clone(&clock);
    let setup = setup(move |services| {
        let clock = Arc::clone(moved.get().unwrap());
        Box::pin(async move {
            let old = services.kv.get("c", "n").await.unwrap().unwrap_or_else(|| "none".into());
            clock.0.store(5_000, Ordering::Relaxed);
            services.kv.set("c", "n", format!("\"after {old}\""), None).await.unwrap();
            answer()
        })
    });
    clock.set(Arc::clone(&setup.clock)).ok().unwrap();
    let change = Change::Set { value: "1".into(), expires_at_ms: Some(5_000) };
    let (collection, key) = ("c".parse().unwrap(), "n".parse().unwrap());
    let writes = vec![Write { collection, key, seen: Seen::Unread, change }];
    let write_set = WriteSet { writes, clears: vec![] };
    setup.store.commit_kv(crate::support::APP, write_set, u64::MAX, 0).await.unwrap();

    let executed = setup.executor.execute(task()).await.unwrap();
    assert_eq!((executed.outcome, executed.attempts), (answer(), 2));
    assert_eq!(setup.store.value("c", "n").unwrap(), "\"after none\"");
}

#[tokio::test]
async fn log_lines_beyond_what_may_wait_are_dropped_and_their_records_are_not() {
    let setup = setup(|services| {
        Box::pin(async move {
            services.log.write(picloud_shared::Level::Info, "x".repeat(1 << 20), None);
            answer()
        })
    });
    for _ in 0..64 {
        setup.executor.execute(task()).await.unwrap();
    }
    setup.recorder.flush().await;
    let history = setup.history.0.lock().unwrap();
    assert_eq!(history.0.len(), 64);
    let bytes: usize = history.1.iter().map(|line| line.message.len()).sum();
    assert!(bytes <= 32 << 20, "{bytes}");
    assert!(bytes > 0);
}
