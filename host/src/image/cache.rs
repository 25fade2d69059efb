//! The images in use lately, each built once however many ask for it.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lru::LruCache;
use picloud_shared::{CompileError, Program};
use tokio::sync::{OnceCell, Semaphore};

use super::{Image, ImageBuilder};

type Digest = [u8; 32];
type Slot = Arc<OnceCell<Arc<Image>>>;

/// A least-recently-used cache with single-flight builds. Every image holds a
/// file descriptor, which is what the capacity bounds, and memory, which
/// `max_bytes` does.
pub(crate) struct ImageCache {
    slots: Mutex<LruCache<Digest, Slot>>,
    max_bytes: u64,
    builds: AtomicU64,
}

impl ImageCache {
    pub(crate) fn new(capacity: NonZeroUsize, max_bytes: u64) -> Self {
        Self { slots: Mutex::new(LruCache::new(capacity)), max_bytes, builds: AtomicU64::new(0) }
    }

    /// The program's image, built if need be. Those who ask while it is being
    /// built wait for that build; if its builder is cancelled one of them takes
    /// over. A program that does not compile is not remembered.
    ///
    /// `waited` is told how long all that took, if the image was not there.
    pub(crate) async fn get(
        &self,
        program: &Program,
        builder: &ImageBuilder,
        build_slots: &Semaphore,
        waited: &mut Duration,
    ) -> Result<Arc<Image>, CompileError> {
        let slot =
            Arc::clone(self.lock().get_or_insert(*program.digest(), || Arc::new(OnceCell::new())));
        if let Some(image) = slot.get() {
            return Ok(Arc::clone(image));
        }
        let begun = Instant::now();
        let built = slot
            .get_or_try_init(async || {
                let _slot = build_slots.acquire().await;
                self.builds.fetch_add(1, Ordering::Relaxed);
                builder.build(program).await.map(Arc::new)
            })
            .await;
        *waited = begun.elapsed();
        let mut slots = self.lock();
        if built.is_ok() {
            while bytes(&slots) > self.max_bytes && slots.pop_lru().is_some() {}
        } else if slots.peek(program.digest()).is_some_and(|current| Arc::ptr_eq(current, &slot)) {
            slots.pop(program.digest());
        }
        drop(slots);
        built.map(Arc::clone)
    }

    /// How many images are held.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// How many bytes they hold.
    pub(crate) fn bytes(&self) -> u64 {
        bytes(&self.lock())
    }

    /// How many builds were begun.
    pub(crate) fn builds(&self) -> u64 {
        self.builds.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<Digest, Slot>> {
        // Nothing that holds the lock can leave the map half changed.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bytes(slots: &LruCache<Digest, Slot>) -> u64 {
    slots.iter().filter_map(|(_, slot)| slot.get()).map(|image| image.bytes).sum()
}
