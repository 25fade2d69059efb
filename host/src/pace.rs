//! Turns for invocations that compute for long.
//!
//! Each of an invocation's slices is short, but where fifty loops are ready at
//! once, whoever comes for a moment waits behind fifty slices each time it is
//! woken. So an invocation that has had its share takes turns with others like
//! it: no more of them are ready at one time than there are cores, and the rest
//! wait here, first come, first served.

use std::pin::pin;
use std::task::Poll;

use tokio::sync::Semaphore;

/// Slices before an invocation takes turns. Of a loop they are 100,000 fuel
/// each, together about 5 ms.
const FREE_SLICES: u32 = 250;

pub(crate) struct Pacer {
    turns: Semaphore,
}

impl Pacer {
    pub(crate) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { turns: Semaphore::new(cores) }
    }

    /// Runs a future to its end, after its first slices only when it is its
    /// turn.
    pub(crate) async fn run<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        let mut slices = 0;
        loop {
            let turn = match slices {
                0..FREE_SLICES => None,
                // Nobody closes the semaphore.
                _ => self.turns.acquire().await.ok(),
            };
            slices += 1;
            let polled = std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
            // Not held while it waits, be it for a host call or for its next slice.
            drop(turn);
            if let Poll::Ready(output) = polled {
                return output;
            }
            until_woken().await;
        }
    }
}

/// Waits for whatever the future that was polled last has asked to be woken by.
async fn until_woken() {
    let mut is_woken = false;
    std::future::poll_fn(|_| {
        if std::mem::replace(&mut is_woken, true) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// Counts how many are between two polls of theirs, the most at one time.
    #[tokio::test]
    async fn of_many_that_compute_for_long_few_are_ready() {
        let cores = std::thread::available_parallelism().unwrap().get();
        let pacer = Arc::new(Pacer::new());
        let (ready, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let loops = (0..cores * 8).map(|_| {
            let (pacer, ready, most) = (Arc::clone(&pacer), Arc::clone(&ready), Arc::clone(&most));
            tokio::spawn(async move {
                let mut slices = 0;
                let computing = std::future::poll_fn(|cx| {
                    slices += 1;
                    if slices == 2 * FREE_SLICES {
                        return Poll::Ready(slices);
                    }
                    if slices > FREE_SLICES {
                        let now = ready.fetch_add(1, Ordering::SeqCst) + 1;
                        most.fetch_max(now, Ordering::SeqCst);
                        ready.fetch_sub(1, Ordering::SeqCst);
                    }
                    cx.waker().wake_by_ref();
                    Poll::Pending
                });
                pacer.run(computing).await
            })
        });
        for computing in loops.collect::<Vec<_>>() {
            assert_eq!(computing.await.unwrap(), 2 * FREE_SLICES);
        }
        assert!(most.load(Ordering::SeqCst) as usize <= cores);
        assert_eq!(pacer.turns.available_permits(), cores, "every turn was given back");
    }

    #[tokio::test]
    async fn a_turn_is_given_back_by_who_goes_away() {
        let pacer = Pacer::new();
        let cores = pacer.turns.available_permits();
        let endless = std::future::poll_fn(|cx| {
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        });
        let run = pacer.run(endless);
        assert!(tokio::time::timeout(std::time::Duration::from_millis(5), run).await.is_err());
        assert_eq!(pacer.turns.available_permits(), cores);
    }
}
