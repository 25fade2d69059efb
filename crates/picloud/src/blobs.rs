//! The contents of files, kept in memory.

use bytes::Bytes;
use picloud_shared::{AppId, BlobHash, StoreError};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tokio::sync::Semaphore;

/// Bytes of contents that are kept.
const CAPACITY_BYTES: u64 = 32 << 20;
/// What an entry weighs beside its contents.
const ENTRY_BYTES: u64 = 256;
/// So few that the cache is not divided into parts too small for a large file.
const ESTIMATED_ITEMS: usize = 32;
/// Loads at one time: the database has few readers, and scripts need them too.
const LOADS: usize = 8;

/// Contents by their hash, so that none is ever stale.
pub struct Blobs {
    cache: Cache<(AppId, BlobHash), Bytes, ByBytes>,
    loads: Semaphore,
}

impl Default for Blobs {
    fn default() -> Self {
        Self {
            cache: Cache::with_weighter(ESTIMATED_ITEMS, CAPACITY_BYTES, ByBytes),
            loads: Semaphore::new(LOADS),
        }
    }
}

impl Blobs {
    /// The contents that are kept, or else what `load` says. Who asks for the
    /// same meanwhile waits for the one load.
    pub async fn get(
        &self,
        app: AppId,
        hash: BlobHash,
        load: impl Future<Output = Result<Option<Bytes>, StoreError>>,
    ) -> Result<Option<Bytes>, StoreError> {
        let guard = match self.cache.get_value_or_guard_async(&(app, hash)).await {
            Ok(contents) => return Ok(Some(contents)),
            Err(guard) => guard,
        };
        let _place = self.loads.acquire().await.map_err(StoreError::unavailable)?;
        let contents = load.await?;
        if let Some(contents) = &contents {
            // Not kept if it was removed meanwhile, which nobody does.
            let _ = guard.insert(contents.clone());
        }
        Ok(contents)
    }
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<(AppId, BlobHash), Bytes> for ByBytes {
    fn weight(&self, _: &(AppId, BlobHash), contents: &Bytes) -> u64 {
        ENTRY_BYTES + contents.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test]
    async fn a_large_file_is_loaded_once_and_a_missing_one_is_asked_for_again() {
        let (blobs, loads) = (Blobs::default(), Cell::new(0));
        let load = |contents: Option<Bytes>| {
            let loads = &loads;
            async move {
                loads.set(loads.get() + 1);
                tokio::task::yield_now().await;
                Ok(contents)
            }
        };
        let hash = BlobHash::of(b"large");
        let large = Bytes::from(vec![7; 10 << 20]);
        let get = || blobs.get(AppId(1), hash, load(Some(large.clone())));
        let (a, b) = tokio::join!(get(), get());
        assert_eq!((a.unwrap(), b.unwrap()), (Some(large.clone()), Some(large.clone())));
        assert_eq!(get().await.unwrap(), Some(large.clone()));
        assert_eq!(loads.get(), 1);
        for expected in [2, 3] {
            assert_eq!(blobs.get(AppId(2), hash, load(None)).await.unwrap(), None);
            assert_eq!(loads.get(), expected);
        }
    }

    #[tokio::test]
    async fn what_is_kept_is_bounded() {
        let blobs = Blobs::default();
        for n in 0..64_u8 {
            let contents = Bytes::from(vec![n; 1 << 20]);
            let load = async { Ok(Some(contents.clone())) };
            blobs.get(AppId(1), BlobHash::of(&contents), load).await.unwrap();
        }
        assert!(blobs.cache.weight() <= CAPACITY_BYTES, "{}", blobs.cache.weight());
    }
}
