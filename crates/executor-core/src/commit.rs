//! The commit of one attempt: files' contents are kept first, so that nothing
//! visible lacks its bytes, and what nobody refers to afterwards is removed.

use std::sync::Arc;

use picloud_shared::files::{Change, Staged, Write};
use picloud_shared::kv;
use picloud_shared::outbox::{Emitted, Lease};
use picloud_shared::owner::OwnerQuotas as _;
use picloud_shared::receipt::Commit;
use picloud_shared::unit::{Kept, Quotas, WriteSet};
use picloud_shared::usage::Counters;
use picloud_shared::{AppId, BlobHash, Limits, Outcome, StoreError};
use tokio::sync::Mutex;

use crate::emitter::{ServiceEvent, ServiceEventEmitter};
use crate::services::{AppState, Attempt, Backends};

/// What an attempt has written.
pub(crate) struct Written {
    write_set: WriteSet,
    contents: Vec<Arc<dyn Staged>>,
}

impl Written {
    /// `None` if it has written nothing. Reads what entries were before, where
    /// an event is to tell it.
    pub(crate) async fn by(attempt: &Attempt, ack: Option<Lease>) -> Result<Option<Self>, Outcome> {
        let Attempt { kv, files, outbox, emitter, .. } = attempt;
        let mut events = kv.events(emitter).await.map_err(of_kv)?;
        let (writes, contents) = files.write_set();
        events.extend(writes.iter().filter_map(|write| emitter.emit(&of_file(write))));
        events.extend(outbox.events());
        let write_set = WriteSet { kv: kv.write_set(), files: writes, events, ack };
        Ok((!write_set.is_empty()).then_some(Self { write_set, contents }))
    }

    /// Events alone.
    pub(crate) fn events(events: Vec<Emitted>) -> Self {
        let write_set = WriteSet { events, ..WriteSet::default() };
        Self { write_set, contents: Vec::new() }
    }

    /// What was written without an attempt. What is to be told of the files is
    /// added to the events.
    pub(crate) fn from_outside(
        kv: kv::WriteSet,
        (files, contents): (Vec<Write>, Vec<Arc<dyn Staged>>),
        mut events: Vec<Emitted>,
        emitter: &ServiceEventEmitter,
    ) -> Self {
        events.extend(files.iter().filter_map(|write| emitter.emit(&of_file(write))));
        let write_set = WriteSet { kv, files, events, ..WriteSet::default() };
        Self { write_set, contents }
    }

    /// How much it is; `None` if it is but an acknowledgement.
    pub(crate) fn size(&self) -> Option<Commit> {
        let WriteSet { kv, files, events, .. } = &self.write_set;
        let of_entry = |write: &kv::Write| {
            let value = match &write.change {
                kv::Change::Set { value, .. } => value.len(),
                kv::Change::Delete => 0,
            };
            (write.key.as_str().len() + value) as u64
        };
        let of_file = |write: &Write| match &write.change {
            Change::Put(info) => info.bytes,
            Change::Delete => 0,
        };
        let of_event = |emitted: &Emitted| emitted.event.fields.len() as u64;
        let size = Commit {
            entries: (kv.clears.len() + kv.writes.len()) as u64,
            files: files.len() as u64,
            events: events.len() as u64,
            bytes: kv.writes.iter().map(of_entry).sum::<u64>()
                + files.iter().map(of_file).sum::<u64>()
                + events.iter().map(of_event).sum::<u64>(),
        };
        (size != Commit::default()).then_some(size)
    }

    /// Commits it. Whoever calls this holds [`AppState::commits`].
    pub(crate) async fn commit(
        self,
        backends: &Backends,
        app: &AppState,
        id: AppId,
        limits: &Limits,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        let Self { write_set, contents } = self;
        let quotas = Quotas::of(&backends.owners.lower(id, limits).await);
        let events = write_set.events.len() as u64;
        let kept = if write_set.files.is_empty() {
            backends.units.commit(id, write_set, quotas, now_ms).await?
        } else {
            let commit = WithFiles { app: id, write_set, contents, quotas, now_ms };
            commit.commit(backends.clone(), Arc::clone(&app.contents)).await?
        };
        app.has_kept(kept);
        if events > 0 {
            backends.usage.add(id, Counters { events, ..Counters::default() });
            backends.deliver.notify_one();
        }
        Ok(())
    }
}

fn of_file(write: &Write) -> ServiceEvent<'_> {
    let (bucket, path) = (write.bucket.as_str(), write.path.as_str());
    match &write.change {
        Change::Put(info) => ServiceEvent::FilesPut { bucket, path, info },
        Change::Delete => ServiceEvent::FilesDelete { bucket, path },
    }
}

/// Why entries could not be looked at once the handler had answered.
pub(crate) fn of_kv(error: kv::Error) -> Outcome {
    match error {
        kv::Error::BudgetExceeded(budget) => Outcome::BudgetExceeded(budget),
        kv::Error::Unavailable(source) => {
            Outcome::Unavailable(format!("the entries to tell of could not be read: {source}"))
        }
        other => Outcome::HostFault(format!("a change that was accepted is refused: {other}")),
    }
}

/// A write-set with files among it.
struct WithFiles {
    app: AppId,
    write_set: WriteSet,
    contents: Vec<Arc<dyn Staged>>,
    quotas: Quotas,
    now_ms: u64,
}

impl WithFiles {
    /// Commits to the end, even if whoever waits for it goes away: halfway
    /// through, contents would lie about that nobody refers to.
    ///
    /// `one_at_a_time` is the app's: what one commit finds unreferenced no
    /// other is about to refer to.
    async fn commit(
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
            Err(StoreError::Conflict | StoreError::Superseded | StoreError::QuotaExceeded(_)) => {
                fresh
            }
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
