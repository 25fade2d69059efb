//! Admission: no more invocations at one time than the app and the instance
//! may have, no endless queue of those that wait, and a fair order among apps.
//!
//! Each app waits in a line of its own. A place that becomes free goes to the
//! app with the fewest running, of those that wait and may have another, so an
//! app with a thousand requests waits behind itself and holds up nobody. That
//! is decided in `lines`, without a clock; here is who waits, and how long.

mod lines;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use picloud_shared::AppId;
use tokio::sync::oneshot;

use lines::{Arrival, Lines, Ticket, Verdict};

/// How long an invocation may wait.
const MAX_WAIT: Duration = Duration::from_secs(2);

/// Why an invocation was not admitted. Nothing of it has run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The app has as many invocations as it may: 429.
    #[error("this app is running as many requests as it may; try again shortly")]
    AppBusy,
    /// The instance has: 503.
    #[error("this server is running as many requests as it can; try again shortly")]
    InstanceBusy,
    /// An owner's budget of the day is used up, until midnight: 429.
    #[error("what this app's owner may use in a day is used up; try again tomorrow")]
    Spent { left_ms: u64 },
}

/// Bounds how many invocations run at one time, per app and in all
/// (`PICLOUD_MAX_CONCURRENT_EXECUTIONS`), and shares them out.
pub struct ExecutionGate {
    lines: Arc<SharedLines>,
}

#[derive(Debug)]
struct SharedLines(Mutex<Lines>);

impl SharedLines {
    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to run one invocation, until it is dropped.
#[derive(Debug)]
pub struct Permit {
    lines: Arc<SharedLines>,
    app: AppId,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.lines.lock().release(self.app);
    }
}

impl ExecutionGate {
    /// A gate for `concurrency` invocations at one time.
    #[must_use]
    pub fn new(concurrency: usize) -> Self {
        Self { lines: Arc::new(SharedLines(Mutex::new(Lines::new(concurrency)))) }
    }

    /// Waits for the app's turn, for two seconds at most. `app_concurrency` is
    /// the app's limit; a change takes effect with the next admission.
    ///
    /// # Errors
    /// [`Refused`] at once if the queue is full, or after the wait. Whoever has
    /// waited in the longest line is refused, too, when one of another app needs
    /// its place in a full queue.
    pub async fn admit(&self, app: AppId, app_concurrency: u64) -> Result<Permit, Refused> {
        let concurrency = usize::try_from(app_concurrency).unwrap_or(usize::MAX);
        let arrival = self.lines.lock().arrive(app, concurrency);
        let permit = || Permit { lines: Arc::clone(&self.lines), app };
        match arrival {
            Arrival::Admitted => Ok(permit()),
            Arrival::Refused(refused) => Err(refused),
            Arrival::Waits(ticket, verdict) => {
                Waiting { lines: &self.lines, app, ticket, verdict }.end().await.map(|()| permit())
            }
        }
    }

    /// How many invocations run now.
    #[must_use]
    pub fn running(&self) -> usize {
        self.lines.lock().running()
    }

    /// How many wait for their turn.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.lines.lock().waiting()
    }
}

/// An invocation that waits. Dropped before its verdict was heard, it leaves
/// the line, or gives the place back that it has just been given.
struct Waiting<'a> {
    lines: &'a SharedLines,
    app: AppId,
    ticket: Ticket,
    verdict: oneshot::Receiver<Verdict>,
}

impl Waiting<'_> {
    async fn end(mut self) -> Verdict {
        if let Ok(Ok(verdict)) = tokio::time::timeout(MAX_WAIT, &mut self.verdict).await {
            return verdict;
        }
        // Verdicts are told under the lock, so whoever is not in line any more
        // has been told one, be it in the last moment.
        let left = self.lines.lock().leave(self.app, self.ticket);
        left.map_or_else(|| self.verdict.try_recv().unwrap_or(Err(Refused::InstanceBusy)), Err)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut lines = self.lines.lock();
        if lines.leave(self.app, self.ticket).is_none()
            && let Ok(Ok(())) = self.verdict.try_recv()
        {
            lines.release(self.app);
        }
    }
}

#[cfg(test)]
mod tests;
