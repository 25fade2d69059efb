//! The commit of one attempt: files' contents are kept first, so that nothing
//! visible lacks its bytes, and what nobody refers to afterwards is removed.

use std::sync::Arc;

use picloud_shared::files::{Change, Staged, Write};
use picloud_shared::unit::{Kept, Quotas, WriteSet};
use picloud_shared::{AppId, BlobHash, StoreError};
use tokio::sync::Mutex;

use crate::services::Backends;

/// A write-set with files among it.
pub(crate) struct WithFiles {
    pub(crate) app: AppId,
    pub(crate) write_set: WriteSet,
    pub(crate) contents: Vec<Arc<dyn Staged>>,
    pub(crate) quotas: Quotas,
    pub(crate) now_ms: u64,
}

impl WithFiles {
    /// Commits to the end, even if whoever waits for it goes away: halfway
    /// through, contents would lie about that nobody refers to.
    ///
    /// `one_at_a_time` is the app's: what one commit finds unreferenced no
    /// other is about to refer to.
    pub(crate) async fn commit(
        self,
        backends: Backends,
        one_at_a_time: Arc<Mutex<()>>,
    ) -> Result<Kept, StoreError> {
        let committed = tokio::spawn(async move {
            let _turn = one_at_a_time.lock().await;
            self.run(&backends).await
        });
        committed.await.map_err(StoreError::unavailable)?
    }

    async fn run(self, backends: &Backends) -> Result<Kept, StoreError> {
        let Self { app, write_set, contents, quotas, now_ms } = self;
        let replaced = replaced(backends, app, &write_set.files).await?;
        let mut fresh = Vec::new();
        for staged in contents {
            if staged.keep().await? {
                fresh.push(staged.hash());
            }
        }
        let result = backends.units.commit(app, write_set, quotas, now_ms).await;
        let leftover = match &result {
            Ok(_) => replaced,
            Err(StoreError::Conflict | StoreError::QuotaExceeded) => fresh,
            // It may have happened or not. The clean-up will know.
            Err(StoreError::Unavailable(_)) => return result,
        };
        if let Err(error) = remove_unreferenced(backends, app, leftover).await {
            // They take space until the clean-up finds them.
            tracing::warn!(error = &error as &dyn std::error::Error, "contents were not removed");
        }
        result
    }
}

/// The contents that the files have now which are to be written.
async fn replaced(
    backends: &Backends,
    app: AppId,
    writes: &[Write],
) -> Result<Vec<BlobHash>, StoreError> {
    let mut hashes = Vec::new();
    for Write { bucket, path, change, .. } in writes {
        let Some(old) = backends.files.get(app, bucket, path).await? else { continue };
        match change {
            Change::Put(info) if info.hash == old.info.hash => {}
            _ => hashes.push(old.info.hash),
        }
    }
    Ok(hashes)
}

/// Removes those of the contents that no file of the app has.
pub(crate) async fn remove_unreferenced(
    backends: &Backends,
    app: AppId,
    mut hashes: Vec<BlobHash>,
) -> Result<(), StoreError> {
    if hashes.is_empty() {
        return Ok(());
    }
    let referenced = backends.files.referenced(app, &hashes).await?;
    hashes.retain(|hash| !referenced.contains(hash));
    backends.contents.remove(app, &hashes).await
}
