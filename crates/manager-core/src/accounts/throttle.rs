//! No more tries than a person needs: one bucket per key.

use std::hash::Hash;
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lru::LruCache;
use picloud_shared::allowance::{Allowance, Bucket, Exceeded};

/// Lets each key try so often.
pub(super) struct Throttle<K: Eq + Hash> {
    allowance: Allowance,
    /// Whoever has been silent the longest is forgotten.
    buckets: Mutex<LruCache<K, Bucket>>,
}

impl<K: Eq + Hash> Throttle<K> {
    pub(super) fn new(allowance: Allowance, keys: NonZeroUsize) -> Self {
        Self { allowance, buckets: Mutex::new(LruCache::new(keys)) }
    }

    /// Takes a try.
    ///
    /// # Errors
    /// [`Exceeded`].
    pub(super) fn take(&self, key: K, now_ms: u64) -> Result<(), Exceeded> {
        let mut buckets = self.lock();
        buckets.get_or_insert_mut(key, Bucket::default).take(self.allowance, now_ms)
    }

    /// Gives a try back.
    pub(super) fn give_back(&self, key: &K) {
        if let Some(bucket) = self.lock().get_mut(key) {
            bucket.give_back(self.allowance);
        }
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<K, Bucket>> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_key_is_nothing_to_another_and_memory_is_bounded() {
        let allowance = Allowance { count: 1, per_ns: 1_000_000_000 };
        let throttle = Throttle::new(allowance, NonZeroUsize::new(2).unwrap());
        assert_eq!((throttle.take(1, 0), throttle.take(2, 0)), (Ok(()), Ok(())));
        assert_eq!(throttle.take(1, 0), Err(Exceeded { wait_ms: 1_000 }));
        throttle.give_back(&1);
        assert_eq!(throttle.take(1, 0), Ok(()));
        for key in 3..1_000 {
            assert_eq!(throttle.take(key, 0), Ok(()));
        }
        assert_eq!(throttle.lock().len(), 2);
    }
}
