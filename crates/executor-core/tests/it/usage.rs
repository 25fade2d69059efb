//! What apps use is added up, and stored off everybody's way.

use std::sync::atomic::Ordering;
use std::time::Duration;

use picloud_shared::usage::{Counters, DAY_MS, Day};
use picloud_shared::{Clock as _, Outcome, ScriptError};

use crate::support::{APP, Setup, answer, setup, task};

fn idle() -> Setup {
    setup(|_| Box::pin(async { answer() }))
}

fn request(setup: &Setup) {
    setup.usage.add(APP, Counters { requests: 1, ..Counters::default() });
}

fn today(setup: &Setup) -> u32 {
    Day::of(setup.clock.now_ms()).0
}

#[tokio::test]
async fn an_invocation_counts_with_what_it_took_however_it_ended() {
    let setup = idle();
    setup.executor.execute(task()).await.unwrap();
    setup.replace(|_| Box::pin(async { Outcome::ScriptError(ScriptError::new("no")) }));
    setup.executor.execute(task()).await.unwrap();
    setup.usage.flush().await.unwrap();
    let used = setup.used.of(today(&setup));
    assert_eq!((used.invocations, used.failures), (2, 1));
    assert_eq!((used.fuel, used.host_calls), (20, 2));
    assert_eq!((used.requests, used.events, used.deliveries), (0, 0, 0));
}

#[tokio::test]
async fn what_is_used_counts_for_the_day_on_which_it_was() {
    let setup = idle();
    let today = today(&setup);
    request(&setup);
    request(&setup);
    setup.clock.0.fetch_add(DAY_MS, Ordering::Relaxed);
    request(&setup);
    setup.usage.flush().await.unwrap();
    let requests = || [today, today + 1].map(|day| setup.used.of(day).requests);
    assert_eq!(requests(), [2, 1]);
    setup.usage.flush().await.unwrap();
    assert_eq!(requests(), [2, 1], "it is stored once");
}

#[tokio::test(start_paused = true)]
async fn it_is_stored_soon_and_again_after_a_failure() {
    let setup = idle();
    let usage = setup.usage.clone();
    let task = tokio::spawn(async move { usage.run().await });
    let wait = async || tokio::time::sleep(Duration::from_secs(5)).await;
    let stored = || setup.used.of(today(&setup)).requests;
    request(&setup);
    wait().await;
    assert_eq!(stored(), 1);

    setup.used.is_broken.store(true, Ordering::SeqCst);
    request(&setup);
    wait().await;
    request(&setup);
    wait().await;
    assert_eq!(stored(), 1);
    setup.used.is_broken.store(false, Ordering::SeqCst);
    wait().await;
    assert_eq!(stored(), 3);
    task.abort();
}
