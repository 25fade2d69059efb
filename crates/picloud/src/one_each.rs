//! Work that each may have one of at a time: whoever is slow keeps nobody else
//! waiting, and nobody has all of it.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

/// What is under way, and whose it is.
#[derive(Debug)]
pub struct OneEach<K>(Arc<Mutex<HashSet<K>>>);

impl<K> Default for OneEach<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Eq + Hash + Copy> OneEach<K> {
    /// The one that this may have; `None` while there is another.
    pub fn begin(&self, of: K) -> Option<Turn<K>> {
        let mut under_way = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A turn is made only where it is the first: dropped, it ends another.
        under_way.insert(of).then(|| Turn { of, under_way: Arc::clone(&self.0) })
    }
}

/// Over when it is dropped.
#[derive(Debug)]
pub struct Turn<K: Eq + Hash> {
    of: K,
    under_way: Arc<Mutex<HashSet<K>>>,
}

impl<K: Eq + Hash> Drop for Turn<K> {
    fn drop(&mut self) {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.of);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_one_at_a_time() {
        let turns = OneEach::default();
        let first = turns.begin(1);
        assert!(first.is_some());
        assert!(turns.begin(1).is_none());
        assert!(turns.begin(1).is_none(), "what is refused ends nothing");
        assert!(turns.begin(2).is_some());
        drop(first);
        assert!(turns.begin(1).is_some());
    }
}
