//! What an attempt can reach, put together for its app before its instance
//! exists.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use picloud_shared::files::{Contents, FileStore};
use picloud_shared::http::HttpClient;
use picloud_shared::kv::KvStore;
use picloud_shared::secrets::SecretStore;
use picloud_shared::unit::Kept;
use picloud_shared::{ExecutionId, Limits, Services, UnitStore, Vault};
use tokio::sync::{Notify, RwLock};

use crate::app_metrics::AppMetrics;
use crate::emitter::ServiceEventEmitter;
use crate::executor::Task;
use crate::log::InvocationLog;
use crate::outbound::Outbound;
use crate::owners::Owners;
use crate::passwords::{AppPasswords, Passwords};
use crate::secrets::AppSecrets;
use crate::unit_of_work::{FileUnit, KvUnit, OutboxUnit, Quota};
use crate::usage::UsageKeeper;

/// What all invocations reach, through services that are bound to their apps.
#[derive(Clone)]
pub struct Backends {
    pub kv: Arc<dyn KvStore>,
    pub files: Arc<dyn FileStore>,
    pub contents: Arc<dyn Contents>,
    pub secrets: Arc<dyn SecretStore>,
    pub units: Arc<dyn UnitStore>,
    pub http: Arc<dyn HttpClient>,
    pub vault: Arc<Vault>,
    pub usage: UsageKeeper,
    pub owners: Owners,
    /// Told when a commit has left something to be delivered.
    pub deliver: Arc<Notify>,
}

/// What is remembered of an app between invocations.
pub(crate) struct AppState {
    /// First attempts share it while they commit; a repeated attempt has it to
    /// itself from its first read to the end of its commit, so on one node it
    /// cannot conflict again. It runs no longer than its fuel lasts, and only
    /// commits of the same app wait for it.
    pub(crate) commits: RwLock<()>,
    /// Held while files' contents are kept, committed, and removed if nothing
    /// refers to them.
    pub(crate) contents: Arc<tokio::sync::Mutex<()>>,
    pub(crate) passwords: Arc<AppPasswords>,
    /// What the app kept after its last commit.
    kept: Mutex<(Option<u64>, Option<u64>)>,
    /// Made when the first of its invocations has ended.
    pub(crate) metrics: OnceLock<AppMetrics>,
}

impl AppState {
    pub(crate) fn new(passwords: Passwords) -> Self {
        Self {
            commits: RwLock::default(),
            contents: Arc::default(),
            passwords: Arc::new(AppPasswords::new(passwords)),
            kept: Mutex::default(),
            metrics: OnceLock::new(),
        }
    }

    pub(crate) fn has_kept(&self, now: Kept) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        *kept = (Some(now.kv_bytes), now.file_bytes.or(kept.1));
    }

    fn quotas(&self, limits: &Limits) -> (Quota, Quota) {
        let (kv, files) = *self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        (
            Quota { max_bytes: limits.kv_bytes, used_bytes: kv },
            Quota { max_bytes: limits.file_bytes, used_bytes: files },
        )
    }
}

/// One attempt's services.
pub(crate) struct Attempt {
    pub(crate) kv: Arc<KvUnit>,
    pub(crate) files: Arc<FileUnit>,
    pub(crate) http: Arc<Outbound>,
    pub(crate) outbox: Arc<OutboxUnit>,
    pub(crate) emitter: Arc<ServiceEventEmitter>,
}

impl Attempt {
    /// `execution` is the one that the attempt is of.
    pub(crate) fn new(
        backends: &Backends,
        app: &AppState,
        task: &Task,
        execution: ExecutionId,
        now_ms: u64,
    ) -> Self {
        let emitter = Arc::new(task.emitter(execution, now_ms));
        let Task { app: id, limits, .. } = task;
        let (kv_quota, file_quota) = app.quotas(limits);
        let kv = KvUnit::new(*id, Arc::clone(&backends.kv), now_ms, limits, kv_quota);
        let files = FileUnit::new(
            *id,
            Arc::clone(&backends.files),
            Arc::clone(&backends.contents),
            Arc::clone(&backends.vault),
            Arc::clone(&task.origin),
            now_ms,
            file_quota,
        );
        let egress = Arc::clone(&task.egress);
        let http = Outbound::new(*id, Arc::clone(&backends.http), egress, limits);
        Self {
            kv: Arc::new(kv),
            files: Arc::new(files),
            http: Arc::new(http),
            outbox: Arc::new(OutboxUnit::new(Arc::clone(&emitter))),
            emitter,
        }
    }

    /// As the sandbox lends them to the script.
    pub(crate) fn services(
        &self,
        app: &AppState,
        task: &Task,
        log: &Arc<InvocationLog>,
        secrets: &Arc<AppSecrets>,
    ) -> Services {
        Services {
            config: Arc::clone(&task.settings) as _,
            crypto: Arc::clone(&app.passwords) as _,
            events: Arc::clone(&self.outbox) as _,
            files: Arc::clone(&self.files) as _,
            http: Arc::clone(&self.http) as _,
            kv: Arc::clone(&self.kv) as _,
            log: Arc::clone(log) as _,
            origin: Arc::clone(&task.origin),
            queue: Arc::clone(&self.outbox) as _,
            secrets: Arc::clone(secrets) as _,
            test: None,
        }
    }
}
