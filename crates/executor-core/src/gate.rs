//! Admission: no more invocations at one time than the app and the instance
//! may have, and no endless queue of those that wait.
//!
//! The app's turn comes first, so that an app with a thousand requests queues
//! behind itself and holds no place that another app could use.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use picloud_shared::AppId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many may wait for each place there is.
const QUEUE_PER_PLACE: usize = 16;
/// How long they may wait.
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
}

/// A turnstile with a number of places, which can change, and a bounded queue
/// before it.
struct Turnstile {
    places: Arc<Semaphore>,
    size: Mutex<Size>,
    waiting: AtomicUsize,
}

struct Size {
    now: usize,
    /// Places that are to vanish as soon as they come back: the turnstile was
    /// made smaller while they were taken.
    owed: usize,
}

impl Turnstile {
    fn new(size: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(size)),
            size: Mutex::new(Size { now: size, owed: 0 }),
            waiting: AtomicUsize::new(0),
        }
    }

    fn size(&self) -> MutexGuard<'_, Size> {
        self.size.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the number of places. Those that are taken stay taken.
    fn resize(&self, wanted: usize) {
        let mut size = self.size();
        if wanted >= size.now {
            let more = wanted - size.now;
            let kept = more.min(size.owed);
            size.owed -= kept;
            self.places.add_permits(more - kept);
        } else {
            let fewer = size.now - wanted;
            size.owed += fewer - self.places.forget_permits(fewer);
        }
        size.now = wanted;
    }

    async fn pass(self: &Arc<Self>) -> Option<Place> {
        let place = |permit| Place { permit: Some(permit), turnstile: Arc::clone(self) };
        if let Ok(permit) = Arc::clone(&self.places).try_acquire_owned() {
            return Some(place(permit));
        }
        let capacity = self.size().now.saturating_mul(QUEUE_PER_PLACE);
        let _queued = Queued::join(&self.waiting, capacity)?;
        let acquired = Arc::clone(&self.places).acquire_owned();
        tokio::time::timeout(MAX_WAIT, acquired).await.ok()?.ok().map(place)
    }

    fn busy(&self) -> usize {
        let size = self.size();
        (size.now + size.owed).saturating_sub(self.places.available_permits())
    }
}

/// A place beyond the turnstile, given back when it is dropped.
struct Place {
    permit: Option<OwnedSemaphorePermit>,
    turnstile: Arc<Turnstile>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut size = self.turnstile.size();
        if let Some(permit) = self.permit.take_if(|_| size.owed > 0) {
            size.owed -= 1;
            permit.forget();
        }
    }
}

/// A place in the queue, given back however the wait ends.
struct Queued<'a>(&'a AtomicUsize);

impl<'a> Queued<'a> {
    fn join(waiting: &'a AtomicUsize, capacity: usize) -> Option<Self> {
        let queued = Self(waiting);
        // On overflow `queued` is dropped, which takes the increment back.
        (waiting.fetch_add(1, Ordering::Relaxed) < capacity).then_some(queued)
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Bounds how many invocations run at one time, per app and in all
/// (`PICLOUD_MAX_CONCURRENT_EXECUTIONS`).
pub struct ExecutionGate {
    instance: Arc<Turnstile>,
    apps: RwLock<HashMap<AppId, Arc<Turnstile>>>,
}

/// The right to run one invocation, until it is dropped.
pub struct Permit {
    _app: Place,
    _instance: Place,
}

impl ExecutionGate {
    /// A gate for `concurrency` invocations at one time.
    #[must_use]
    pub fn new(concurrency: usize) -> Self {
        Self { instance: Arc::new(Turnstile::new(bounded(concurrency))), apps: RwLock::default() }
    }

    /// Waits for the app's turn and then the instance's, for two seconds each
    /// at most. `app_concurrency` is the app's limit; a change takes effect
    /// with the next admission.
    ///
    /// # Errors
    /// [`Refused`] at once if the queue is full, or after the wait.
    pub async fn admit(&self, app: AppId, app_concurrency: u64) -> Result<Permit, Refused> {
        let app = self.turnstile(app, app_concurrency).pass().await.ok_or(Refused::AppBusy)?;
        let instance = self.instance.pass().await.ok_or(Refused::InstanceBusy)?;
        Ok(Permit { _app: app, _instance: instance })
    }

    /// How many invocations run now.
    #[must_use]
    pub fn running(&self) -> usize {
        self.instance.busy()
    }

    /// Forgets an app that was deleted.
    pub fn forget(&self, app: AppId) {
        self.apps.write().unwrap_or_else(PoisonError::into_inner).remove(&app);
    }

    fn turnstile(&self, app: AppId, concurrency: u64) -> Arc<Turnstile> {
        let size = bounded(usize::try_from(concurrency).unwrap_or(usize::MAX));
        let known = self.apps.read().unwrap_or_else(PoisonError::into_inner).get(&app).cloned();
        let turnstile = known.unwrap_or_else(|| {
            let mut apps = self.apps.write().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(apps.entry(app).or_insert_with(|| Arc::new(Turnstile::new(size))))
        });
        if turnstile.size().now != size {
            turnstile.resize(size);
        }
        turnstile
    }
}

fn bounded(size: usize) -> usize {
    size.clamp(1, Semaphore::MAX_PERMITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: AppId = AppId(1);
    const B: AppId = AppId(2);

    #[tokio::test(start_paused = true)]
    async fn a_busy_app_does_not_hold_back_another() {
        let gate = ExecutionGate::new(8);
        let held = gate.admit(A, 1).await.ok().unwrap();
        assert_eq!(gate.admit(A, 1).await.err().unwrap(), Refused::AppBusy);
        drop(gate.admit(B, 1).await.ok().unwrap());
        drop(held);
        drop(gate.admit(A, 1).await.ok().unwrap());
        assert_eq!(gate.running(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_instance_refuses_after_a_bounded_wait() {
        let gate = ExecutionGate::new(1);
        let _held = gate.admit(A, 4).await.ok().unwrap();
        let before = tokio::time::Instant::now();
        assert_eq!(gate.admit(B, 4).await.err().unwrap(), Refused::InstanceBusy);
        assert_eq!(before.elapsed(), MAX_WAIT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_refuses_at_once() {
        let gate = Arc::new(ExecutionGate::new(100));
        let held = gate.admit(A, 1).await.ok().unwrap();
        let waiters: Vec<_> = (0..QUEUE_PER_PLACE)
            .map(|_| {
                let gate = Arc::clone(&gate);
                tokio::spawn(async move { gate.admit(A, 1).await.map(drop) })
            })
            .collect();
        tokio::task::yield_now().await;
        let before = tokio::time::Instant::now();
        assert_eq!(gate.admit(A, 1).await.err().unwrap(), Refused::AppBusy);
        assert_eq!(before.elapsed(), Duration::ZERO);
        drop(held);
        for waiter in waiters {
            waiter.await.unwrap().unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiter_that_gives_up_leaves_no_trace() {
        let gate = ExecutionGate::new(1);
        let held = gate.admit(A, 1).await.ok().unwrap();
        for _ in 0..100 {
            let waiter = gate.admit(A, 1);
            assert!(tokio::time::timeout(Duration::from_millis(1), waiter).await.is_err());
        }
        drop(held);
        drop(gate.admit(A, 1).await.ok().unwrap());
        assert_eq!(gate.turnstile(A, 1).waiting.load(Ordering::Relaxed), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn changing_the_size_gives_nobody_more_places_than_the_larger_one() {
        let gate = ExecutionGate::new(100);
        let mut held = Vec::new();
        for _ in 0..16 {
            held.push(gate.admit(A, 16).await.ok().unwrap());
        }
        // Two releases of one app with different limits, in turns.
        for _ in 0..3 {
            assert!(gate.admit(A, 15).await.is_err());
            assert!(gate.admit(A, 16).await.is_err());
        }
        held.truncate(14);
        held.push(gate.admit(A, 15).await.ok().unwrap());
        assert!(gate.admit(A, 15).await.is_err(), "fifteen, and no more");
        held.push(gate.admit(A, 16).await.ok().unwrap());
        assert!(gate.admit(A, 16).await.is_err(), "sixteen, and no more");
        drop(held);
        assert_eq!(gate.running(), 0);
        assert_eq!(gate.turnstile(A, 16).busy(), 0);
    }
}
