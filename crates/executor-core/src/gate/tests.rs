use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::lines::WAITING_PER_PLACE;
use super::*;

const A: AppId = AppId(1);
const B: AppId = AppId(2);
const C: AppId = AppId(3);

/// Lets everything happen that can without time going on.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

/// `count` invocations of an app that wait for admission.
async fn queue(
    gate: &Arc<ExecutionGate>,
    app: AppId,
    concurrency: u64,
    count: usize,
) -> JoinSet<Result<Permit, Refused>> {
    let mut waiters = JoinSet::new();
    for _ in 0..count {
        let gate = Arc::clone(gate);
        waiters.spawn(async move { gate.admit(app, concurrency).await });
    }
    settle().await;
    waiters
}

#[tokio::test(start_paused = true)]
async fn a_busy_app_does_not_hold_back_another() {
    let gate = ExecutionGate::new(8);
    let held = gate.admit(A, 1).await.unwrap();
    assert_eq!(gate.admit(A, 1).await.unwrap_err(), Refused::AppBusy);
    drop(gate.admit(B, 1).await.unwrap());
    drop(held);
    drop(gate.admit(A, 1).await.unwrap());
    assert_eq!(gate.running(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_full_instance_refuses_after_a_bounded_wait() {
    let gate = ExecutionGate::new(1);
    let _held = gate.admit(A, 4).await.unwrap();
    let before = Instant::now();
    assert_eq!(gate.admit(B, 4).await.unwrap_err(), Refused::InstanceBusy);
    assert_eq!(before.elapsed(), MAX_WAIT);
}

#[tokio::test(start_paused = true)]
async fn a_full_line_refuses_at_once() {
    let gate = Arc::new(ExecutionGate::new(100));
    let held = gate.admit(A, 1).await.unwrap();
    let mut waiters = queue(&gate, A, 1, WAITING_PER_PLACE).await;
    let before = Instant::now();
    assert_eq!(gate.admit(A, 1).await.unwrap_err(), Refused::AppBusy);
    assert_eq!(before.elapsed(), Duration::ZERO);
    drop(held);
    while let Some(waiter) = waiters.join_next().await {
        waiter.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_free_place_goes_to_the_app_with_the_fewest_running() {
    let gate = Arc::new(ExecutionGate::new(4));
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(gate.admit(A, 16).await.unwrap());
    }
    let mut of_a = queue(&gate, A, 16, 20).await;
    let mut of_b = queue(&gate, B, 16, 3).await;
    let mut of_c = queue(&gate, C, 1, 3).await;
    // B and C have none running, then A and B have one each, and A's last turn
    // is the longer ago. C may have no more than one.
    let mut running = Vec::new();
    for expected in [[0, 1, 0], [0, 1, 1], [1, 1, 1], [1, 2, 1]] {
        drop(held.pop());
        settle().await;
        for (app, waiters) in [(0, &mut of_a), (1, &mut of_b), (2, &mut of_c)] {
            while let Some(admitted) = waiters.try_join_next() {
                running.push((app, admitted.unwrap().unwrap()));
            }
        }
        let now = [0, 1, 2].map(|app| running.iter().filter(|(of, _)| *of == app).count());
        assert_eq!(now, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn in_a_full_queue_the_longest_line_gives_way() {
    let gate = Arc::new(ExecutionGate::new(1));
    let held = gate.admit(A, 16).await.unwrap();
    let mut of_a = queue(&gate, A, 16, WAITING_PER_PLACE).await;
    assert_eq!(gate.waiting(), WAITING_PER_PLACE);
    let mut refused = queue(&gate, A, 16, 1).await;
    let refused = refused.try_join_next().unwrap().unwrap();
    assert_eq!(refused.unwrap_err(), Refused::InstanceBusy, "the queue is full of its own app's");

    let mut of_b = queue(&gate, B, 16, WAITING_PER_PLACE).await;
    let count = |waiters: &mut JoinSet<Result<Permit, Refused>>| {
        let mut refused = 0;
        while let Some(ended) = waiters.try_join_next() {
            assert_eq!(ended.unwrap().unwrap_err(), Refused::InstanceBusy);
            refused += 1;
        }
        refused
    };
    let half = WAITING_PER_PLACE / 2;
    assert_eq!((count(&mut of_a), count(&mut of_b)), (half, half));
    assert_eq!(gate.waiting(), WAITING_PER_PLACE);
    drop(held);
    assert!(of_b.join_next().await.unwrap().unwrap().is_ok(), "B has none running");
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_gives_up_leaves_no_trace() {
    let gate = Arc::new(ExecutionGate::new(1));
    let held = gate.admit(A, 1).await.unwrap();
    for _ in 0..100 {
        let waiter = gate.admit(A, 1);
        assert!(tokio::time::timeout(Duration::from_millis(1), waiter).await.is_err());
    }
    assert_eq!(gate.waiting(), 0);
    // Given up after it was admitted, and before it could know.
    let mut waiters = queue(&gate, A, 1, 1).await;
    drop(held);
    waiters.abort_all();
    while waiters.join_next().await.is_some() {}
    assert_eq!(gate.running(), 0);
    drop(gate.admit(A, 1).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn changing_the_size_gives_nobody_more_places_than_the_larger_one() {
    let gate = ExecutionGate::new(100);
    let mut held = Vec::new();
    for _ in 0..16 {
        held.push(gate.admit(A, 16).await.unwrap());
    }
    // Two releases of one app with different limits, in turns.
    for _ in 0..3 {
        assert!(gate.admit(A, 15).await.is_err());
        assert!(gate.admit(A, 16).await.is_err());
    }
    held.truncate(14);
    held.push(gate.admit(A, 15).await.unwrap());
    assert!(gate.admit(A, 15).await.is_err(), "fifteen, and no more");
    held.push(gate.admit(A, 16).await.unwrap());
    assert!(gate.admit(A, 16).await.is_err(), "sixteen, and no more");
    drop(held);
    assert_eq!(gate.running(), 0);
}

/// How long an invocation takes in the simulations.
const RUN: Duration = Duration::from_millis(10);
const PLACES: usize = 8;
/// What the instance can do in a second of the simulation.
const CAPACITY: u32 = 800;

/// What became of an app's requests in the one second that a simulation takes.
#[derive(Debug, Default)]
struct Seen {
    done: u32,
    /// Answered after the second.
    late: u32,
    refused: u32,
    longest_wait: Duration,
}

/// Requests of an app at a steady rate for one second, whatever becomes of them.
async fn offer(gate: Arc<ExecutionGate>, app: AppId, per_second: u32) -> Seen {
    const TICKS: u32 = 200;
    let begin = Instant::now();
    let mut requests = JoinSet::new();
    for _ in 0..TICKS {
        for _ in 0..per_second / TICKS {
            let gate = Arc::clone(&gate);
            requests.spawn(async move {
                let before = Instant::now();
                let permit = gate.admit(app, 64).await?;
                let waited = before.elapsed();
                sleep(RUN).await;
                drop(permit);
                Ok::<_, Refused>((waited, begin.elapsed()))
            });
        }
        sleep(Duration::from_secs(1) / TICKS).await;
    }
    let mut seen = Seen::default();
    for request in requests.join_all().await {
        match request {
            Ok((waited, at)) => {
                let is_late = at > Duration::from_secs(1);
                *(if is_late { &mut seen.late } else { &mut seen.done }) += 1;
                seen.longest_wait = seen.longest_wait.max(waited);
            }
            Err(_) => seen.refused += 1,
        }
    }
    seen
}

#[tokio::test(start_paused = true)]
async fn a_neighbour_has_its_share_beside_an_app_at_a_hundred_times_its_own() {
    let gate = Arc::new(ExecutionGate::new(PLACES));
    let share = CAPACITY / 2;
    let flood = tokio::spawn(offer(Arc::clone(&gate), A, 100 * share));
    let neighbour = offer(Arc::clone(&gate), B, share).await;
    assert!(neighbour.done >= share * 95 / 100, "{neighbour:?}");
    assert_eq!(neighbour.refused, 0, "{neighbour:?}");
    assert!(neighbour.longest_wait <= 2 * RUN, "{neighbour:?}");
    let flood = flood.await.unwrap();
    assert!(flood.done >= share * 95 / 100, "no more is taken from it than its neighbour wants");
    assert_eq!(flood.done + flood.late + flood.refused, 100 * share);
    assert_eq!((gate.running(), gate.waiting()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn apps_that_all_want_more_than_there_is_have_equal_shares() {
    let gate = Arc::new(ExecutionGate::new(PLACES));
    let share = CAPACITY / 4;
    let floods = [(A, 4), (B, 8), (C, 40), (AppId(4), 400)]
        .map(|(app, times)| tokio::spawn(offer(Arc::clone(&gate), app, times * share)));
    for flood in floods {
        let seen = flood.await.unwrap();
        let is_fair = (share * 95 / 100..=share * 105 / 100).contains(&seen.done);
        assert!(is_fair, "{share}: {seen:?}");
    }
}
