//! What apps use, added up in memory and stored about once a second: nobody's
//! request waits for it. A process that is killed loses the last second of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use picloud_shared::usage::{Counters, Day, UsageStore, Used};
use picloud_shared::{AppId, Clock, StoreError};
use tokio::sync::Notify;

/// How long it gathers before it is stored.
const GATHER: Duration = Duration::from_secs(1);

/// Adds up what apps use.
#[derive(Clone)]
pub struct UsageKeeper(Arc<Keeper>);

struct Keeper {
    store: Arc<dyn UsageStore>,
    clock: Arc<dyn Clock>,
    /// What is not stored yet.
    pending: Mutex<Pending>,
    /// Told when there is something again.
    is_pending: Notify,
    /// Held while something is stored, so that whoever flushes waits for what
    /// another one has taken.
    storing: tokio::sync::Mutex<()>,
}

type Pending = HashMap<(AppId, Day), Counters>;

impl UsageKeeper {
    #[must_use]
    pub fn new(store: Arc<dyn UsageStore>, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Keeper {
            store,
            clock,
            pending: Mutex::default(),
            is_pending: Notify::new(),
            storing: tokio::sync::Mutex::default(),
        }))
    }

    /// Adds to what the app has used today. Never waits.
    pub fn add(&self, app: AppId, counters: Counters) {
        let day = Day::of(self.0.clock.now_ms());
        let was_empty = {
            let mut pending = self.0.pending();
            let was_empty = pending.is_empty();
            *pending.entry((app, day)).or_default() += counters;
            was_empty
        };
        if was_empty {
            self.0.is_pending.notify_one();
        }
    }

    /// Stores what was added so far.
    ///
    /// # Errors
    /// It is kept then, and stored another time.
    pub async fn flush(&self) -> Result<(), StoreError> {
        let _turn = self.0.storing.lock().await;
        let taken = std::mem::take(&mut *self.0.pending());
        let used: Vec<_> =
            taken.iter().map(|(&(app, day), &counters)| Used { app, day, counters }).collect();
        let stored = self.0.store.add(&used).await;
        if stored.is_err() {
            {
                let mut pending = self.0.pending();
                for (app_and_day, counters) in taken {
                    *pending.entry(app_and_day).or_default() += counters;
                }
            }
            self.0.is_pending.notify_one();
        }
        stored
    }

    /// Stores about once a second what was added, for as long as this runs.
    pub async fn run(&self) {
        loop {
            self.0.is_pending.notified().await;
            tokio::time::sleep(GATHER).await;
            if let Err(error) = self.flush().await {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "what apps have used could not be stored; it is kept");
            }
        }
    }
}

impl Keeper {
    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
