//! No more tries than a person needs: the generic cell rate algorithm (ITU-T
//! I.371), one cell per key.

use std::hash::Hash;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use lru::LruCache;

/// Lets each key try `burst` times at once, and then once every `period_ms`.
pub(super) struct Throttle<K: Eq + Hash> {
    burst: u64,
    period_ms: u64,
    /// When each key's bucket will be full again. Whoever has been silent the
    /// longest is forgotten.
    full_at_ms: Mutex<LruCache<K, u64>>,
}

impl<K: Eq + Hash> Throttle<K> {
    pub(super) fn new(burst: u64, period_ms: u64, keys: NonZeroUsize) -> Self {
        Self { burst, period_ms, full_at_ms: Mutex::new(LruCache::new(keys)) }
    }

    /// Takes a try.
    ///
    /// # Errors
    /// The milliseconds until there is one.
    pub(super) fn take(&self, key: K, now_ms: u64) -> Result<(), u64> {
        let mut cells = self.full_at_ms.lock().unwrap_or_else(PoisonError::into_inner);
        let full_at_ms = cells.get_or_insert_mut(key, || now_ms);
        let begins_ms = (*full_at_ms).max(now_ms);
        let room_ms = self.period_ms * (self.burst - 1);
        let wait_ms = begins_ms.saturating_sub(now_ms + room_ms);
        if wait_ms > 0 {
            return Err(wait_ms);
        }
        *full_at_ms = begins_ms + self.period_ms;
        Ok(())
    }

    /// Gives a try back.
    pub(super) fn give_back(&self, key: &K) {
        let mut cells = self.full_at_ms.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(full_at_ms) = cells.get_mut(key) {
            *full_at_ms = full_at_ms.saturating_sub(self.period_ms);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_one_at_a_time() {
        let throttle = Throttle::new(3, 1_000, NonZeroUsize::MIN);
        let tries = |now_ms| throttle.take("anna", now_ms);
        assert_eq!([tries(0), tries(0), tries(0)], [Ok(()); 3]);
        assert_eq!((tries(0), tries(400)), (Err(1_000), Err(600)));
        assert_eq!((tries(1_000), tries(1_000)), (Ok(()), Err(1_000)));
        throttle.give_back(&"anna");
        assert_eq!((tries(1_000), tries(1_000)), (Ok(()), Err(1_000)));
        // Whoever waits long enough has a whole burst again, and no more.
        assert_eq!([tries(99_000), tries(99_000), tries(99_000)], [Ok(()); 3]);
        assert!(tries(99_000).is_err());
    }

    #[test]
    fn one_key_is_nothing_to_another_and_memory_is_bounded() {
        let throttle = Throttle::new(1, 1_000, NonZeroUsize::new(2).unwrap());
        assert_eq!((throttle.take(1, 0), throttle.take(2, 0)), (Ok(()), Ok(())));
        assert!(throttle.take(1, 0).is_err());
        for key in 3..1_000 {
            assert_eq!(throttle.take(key, 0), Ok(()));
        }
        assert_eq!(throttle.full_at_ms.lock().unwrap().len(), 2);
    }
}
