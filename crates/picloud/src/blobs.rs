//! The contents of files, kept in memory: as they are, and compressed.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
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
/// Files that are compressed at one time.
const COMPRESSIONS: usize = 2;
/// How long a request waits for a file to be compressed, or for its turn, when
/// it could have the file at once as it is.
const PATIENCE: Duration = Duration::from_millis(500);

/// Contents by their app and their hash, so that none is ever stale, and no app
/// can tell what another has.
pub struct Blobs {
    cache: Arc<Cache<Key, Bytes, ByBytes>>,
    loads: Semaphore,
    compressions: Arc<Semaphore>,
}

type Key = (AppId, BlobHash, Form);

/// Which form of the contents is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Form {
    Plain,
    Gzip,
}

/// What came of asking for compressed contents.
#[derive(Debug, PartialEq, Eq)]
pub enum Gzipped {
    Contents(Bytes),
    /// The store has no such contents.
    Missing,
    /// Others come first.
    Busy,
}

impl Default for Blobs {
    fn default() -> Self {
        Self {
            cache: Arc::new(Cache::with_weighter(ESTIMATED_ITEMS, CAPACITY_BYTES, ByBytes)),
            loads: Semaphore::new(LOADS),
            compressions: Arc::new(Semaphore::new(COMPRESSIONS)),
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
        let key = (app, hash, Form::Plain);
        let guard = match self.cache.get_value_or_guard_async(&key).await {
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

    /// The contents compressed with gzip, which are kept beside the plain ones.
    pub async fn gzip(
        &self,
        app: AppId,
        hash: BlobHash,
        load: impl Future<Output = Result<Option<Bytes>, StoreError>>,
    ) -> Result<Gzipped, StoreError> {
        let key = (app, hash, Form::Gzip);
        let turn = async {
            match self.cache.get_value_or_guard_async(&key).await {
                Ok(contents) => Ok(contents),
                Err(guard) => Err((guard, Arc::clone(&self.compressions).acquire_owned().await)),
            }
        };
        let (guard, place) = match tokio::time::timeout(PATIENCE, turn).await {
            Ok(Ok(contents)) => return Ok(Gzipped::Contents(contents)),
            Ok(Err((guard, place))) => (guard, place.map_err(StoreError::unavailable)?),
            Err(_elapsed) => return Ok(Gzipped::Busy),
        };
        // Loaded only now, so that nobody who waits holds contents.
        let Some(plain) = self.get(app, hash, load).await? else { return Ok(Gzipped::Missing) };
        let cache = Arc::clone(&self.cache);
        let compressed = tokio::task::spawn_blocking(move || {
            let _place = place;
            let compressed = gzip(&plain)?;
            // Here, for the request that wanted it may be gone, and the next one
            // is not to begin anew.
            cache.insert(key, compressed.clone());
            Ok::<_, std::io::Error>(compressed)
        });
        let compressed = compressed.await.map_err(StoreError::unavailable)?;
        let compressed = compressed.map_err(StoreError::unavailable)?;
        // For those who wait for this guard; the cache has it already.
        let _ = guard.insert(compressed.clone());
        Ok(Gzipped::Contents(compressed))
    }
}

/// The same contents always into the same bytes.
fn gzip(contents: &[u8]) -> std::io::Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(contents)?;
    Ok(encoder.finish()?.into())
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<Key, Bytes> for ByBytes {
    fn weight(&self, _: &Key, contents: &Bytes) -> u64 {
        ENTRY_BYTES + contents.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::io::Read as _;

    use flate2::read::GzDecoder;
    use futures_util::FutureExt;

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

    fn text() -> Bytes {
        Bytes::from("All work and no play makes a dull file.\n".repeat(1_000))
    }

    #[tokio::test]
    async fn a_file_is_compressed_once_for_all_who_ask_and_each_app_for_itself() {
        let (blobs, loads, hash) = (Blobs::default(), Cell::new(0), BlobHash::of(&text()));
        let get = |app| {
            let loads = &loads;
            let load = async move {
                loads.set(loads.get() + 1);
                Ok(Some(text()))
            };
            blobs.gzip(AppId(app), hash, load)
        };
        let (a, b) = tokio::join!(get(1), get(1));
        let Gzipped::Contents(a) = a.unwrap() else { panic!("nobody else is here") };
        assert_eq!(b.unwrap(), Gzipped::Contents(a.clone()));
        let mut unpacked = Vec::new();
        GzDecoder::new(&*a).read_to_end(&mut unpacked).unwrap();
        assert_eq!(unpacked, text());
        assert!(a.len() < 1_000, "{}", a.len());
        // Once it is known, only a look at the cache away.
        assert_eq!(get(1).await.unwrap(), Gzipped::Contents(a.clone()));
        assert_eq!(loads.get(), 1);
        assert_eq!(get(2).await.unwrap(), Gzipped::Contents(a));
        assert_eq!(loads.get(), 2);
        // The plain contents are another entry.
        assert_eq!(blobs.get(AppId(1), hash, async { Ok(None) }).await.unwrap(), Some(text()));
    }

    #[tokio::test]
    async fn what_is_missing_is_not_compressed_and_asked_for_again() {
        let (blobs, hash) = (Blobs::default(), BlobHash::of(b"none"));
        let missing = blobs.gzip(AppId(1), hash, async { Ok(None) }).await.unwrap();
        assert_eq!(missing, Gzipped::Missing);
        let found = blobs.gzip(AppId(1), hash, async { Ok(Some(text())) }).await.unwrap();
        assert!(matches!(found, Gzipped::Contents(_)));
    }

    #[tokio::test]
    async fn what_has_begun_is_kept_though_nobody_waits_for_it_any_more() {
        let (blobs, loads) = (Blobs::default(), Cell::new(0));
        let get = || {
            let load = async {
                loads.set(loads.get() + 1);
                Ok(Some(text()))
            };
            blobs.gzip(AppId(1), BlobHash::of(&text()), load)
        };
        let mut hung_up = Box::pin(get());
        assert!(hung_up.as_mut().now_or_never().is_none());
        drop(hung_up);
        // Whoever compresses gives its place back at the end.
        drop(blobs.compressions.acquire_many(2).await.unwrap());
        assert!(matches!(get().await.unwrap(), Gzipped::Contents(_)));
        assert_eq!(loads.get(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_long_for_others_files() {
        let blobs = Blobs::default();
        let others = Arc::clone(&blobs.compressions).acquire_many_owned(2).await.unwrap();
        let get = || blobs.gzip(AppId(1), BlobHash::of(b"x"), async { Ok(Some(text())) });
        let begun = tokio::time::Instant::now();
        let (a, b) = tokio::join!(get(), get());
        assert_eq!((a.unwrap(), b.unwrap()), (Gzipped::Busy, Gzipped::Busy));
        // Both together, not one after the other.
        assert_eq!(begun.elapsed().as_millis(), PATIENCE.as_millis());
        drop(others);
        assert!(matches!(get().await.unwrap(), Gzipped::Contents(_)));
    }
}
