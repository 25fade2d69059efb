//! Which domains are apps' own, kept in memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use picloud_shared::{AppSlug, Clock, Domain, DomainStore, StoreError};

/// A store that has failed is not asked again for so long, or all who wait
/// would wait for each other in vain.
const RETRY_MS: u64 = 1_000;

/// Finds the app that a domain belongs to.
///
/// All domains that are apps' are in memory at once, so that whatever names a
/// client invents, none of them costs a question to the store. They are read
/// when they are first asked for and again after an `invalidate`; where other
/// nodes share the store they are no older than `max_age_ms`.
pub struct DomainDirectory {
    store: Arc<dyn DomainStore>,
    clock: Arc<dyn Clock>,
    max_age_ms: Option<u64>,
    state: Mutex<State>,
    /// Held by whoever reads, so that all who wait have one reading. When the
    /// store last failed, if it has.
    reading: tokio::sync::Mutex<Option<u64>>,
}

#[derive(Default)]
struct State {
    known: Option<Known>,
    /// Changes with every `invalidate`, so that what was read before is not kept.
    generation: u64,
}

#[derive(Clone)]
struct Known {
    apps: Arc<HashMap<Domain, AppSlug>>,
    read_at_ms: u64,
}

impl DomainDirectory {
    /// A `max_age_ms` of `None` is for a store that no other node changes.
    #[must_use]
    pub fn new(
        store: Arc<dyn DomainStore>,
        clock: Arc<dyn Clock>,
        max_age_ms: Option<u64>,
    ) -> Self {
        Self {
            store,
            clock,
            max_age_ms,
            state: Mutex::default(),
            reading: tokio::sync::Mutex::default(),
        }
    }

    /// The app that has proved to own the domain.
    ///
    /// # Errors
    /// Only before the first reading since an `invalidate`: what has merely
    /// grown old is better than nothing while the store is away.
    pub async fn app(&self, domain: &Domain) -> Result<Option<AppSlug>, StoreError> {
        Ok(self.current().await?.get(domain).cloned())
    }

    /// To be called after a domain was proved or given up, or an app deleted:
    /// who asks from now on is told what is in the store now.
    pub fn invalidate(&self) {
        let mut state = self.lock();
        state.known = None;
        state.generation += 1;
    }

    async fn current(&self) -> Result<Arc<HashMap<Domain, AppSlug>>, StoreError> {
        if let Some(fresh) = self.fresh() {
            return Ok(fresh);
        }
        let mut failed_at_ms = self.reading.lock().await;
        // Somebody may have read while this one waited.
        if let Some(fresh) = self.fresh() {
            return Ok(fresh);
        }
        // Taken before the reading: what changes meanwhile is not in it.
        let now_ms = self.clock.now_ms();
        if failed_at_ms.is_some_and(|at| now_ms.saturating_sub(at) < RETRY_MS) {
            return Err(StoreError::unavailable("it has failed a moment ago"));
        }
        let (generation, old) = {
            let state = self.lock();
            (state.generation, state.known.clone())
        };
        let apps = match (self.store.verified().await, old) {
            (Ok(domains), _) => Arc::new(domains.into_iter().collect()),
            (Err(_), Some(old)) => old.apps,
            (Err(error), None) => {
                *failed_at_ms = Some(now_ms);
                return Err(error);
            }
        };
        let mut state = self.lock();
        if state.generation == generation {
            state.known = Some(Known { apps: Arc::clone(&apps), read_at_ms: now_ms });
        }
        Ok(apps)
    }

    /// What is known, unless it is too old.
    fn fresh(&self) -> Option<Arc<HashMap<Domain, AppSlug>>> {
        let known = self.lock().known.clone()?;
        let age_ms = self.clock.now_ms().saturating_sub(known.read_at_ms);
        self.max_age_ms.is_none_or(|max| age_ms < max).then_some(known.apps)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
