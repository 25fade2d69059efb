//! Ports in memory.

use std::collections::{BTreeMap, HashMap};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use picloud_executor_core::{Backends, Executor, Owners, Recorder, Task, UsageKeeper};
use picloud_shared::execution::{
    Bucket, ExecutionPage, ExecutionQuery, HistoryCap, LogQuery, StatsQuery,
};
use picloud_shared::kv::{
    Change, Collection, Entry, Key, KvStore, Listed, Range, Seen, Write, WriteSet,
};
use picloud_shared::outbox::{Emitted, Lease};
use picloud_shared::owner::{Account, OwnerLimitOverrides, OwnerStore};
use picloud_shared::unit::{self, Kept, Quotas, UnitStore};
use picloud_shared::usage::{Counters, Day, Storage, UsageStore, Used};
use picloud_shared::{
    AppId, Clock, CompileError, Event, Execution, ExecutionId, ExecutionStore, Finished,
    Invocation, Limits, LogLine, Outcome, Program, Quota, ReleaseNumber, Request, Response,
    Sandbox, ScriptInfo, Services, StoreError, Usage, UserId, Vault,
};

use crate::outside::{MemoryFiles, MemoryHttp, MemorySecrets};

pub const APP: AppId = AppId(1);

/// A clock that a test moves.
#[derive(Default)]
pub struct FakeClock(pub AtomicU64);

impl Clock for FakeClock {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A store with the rules of the port, and nothing else.
#[derive(Default)]
pub struct MemoryStore {
    pub entries: Mutex<BTreeMap<(AppId, Collection, Key), Entry>>,
    version: Mutex<i64>,
    /// What every call fails with, while it is set.
    pub broken: Mutex<bool>,
    pub reads: AtomicU64,
    pub files: Arc<MemoryFiles>,
    /// Events and acknowledgements that were committed.
    pub events: Mutex<Vec<Emitted>>,
    pub acks: Mutex<Vec<Lease>>,
    /// The lease that somebody else has taken over.
    pub taken_over: Mutex<Option<Lease>>,
}

impl MemoryStore {
    fn check(&self) -> Result<(), StoreError> {
        if *self.broken.lock().unwrap() {
            return Err(StoreError::unavailable("the disk is full"));
        }
        Ok(())
    }

    /// Writes an entry, whatever is there.
    pub async fn put(&self, collection: &str, key: &str, value: &str) {
        let write = Write {
            collection: collection.parse().unwrap(),
            key: key.parse().unwrap(),
            seen: Seen::Unread,
            change: Change::Set { value: value.to_owned(), expires_at_ms: None },
        };
        let write_set = WriteSet { writes: vec![write], clears: vec![] };
        self.commit_kv(APP, write_set, u64::MAX, 0).await.unwrap();
    }

    pub fn value(&self, collection: &str, key: &str) -> Option<String> {
        let id = (APP, collection.parse().unwrap(), key.parse().unwrap());
        self.entries.lock().unwrap().get(&id).map(|entry| entry.value.clone())
    }
}

impl MemoryStore {
    pub async fn commit_kv(
        &self,
        app: AppId,
        write_set: WriteSet,
        quota_bytes: u64,
        now_ms: u64,
    ) -> Result<u64, StoreError> {
        // Others get a turn between a run and its commit, as with a database.
        tokio::task::yield_now().await;
        self.check()?;
        let mut entries = self.entries.lock().unwrap();
        let holds = |write: &Write| {
            let id = (app, write.collection.clone(), write.key.clone());
            let live = entries.get(&id).filter(|e| e.expires_at_ms.is_none_or(|at| at > now_ms));
            match write.seen {
                Seen::Unread => true,
                Seen::Absent => live.is_none(),
                Seen::Version(v) => live.is_some_and(|entry| entry.version == v),
            }
        };
        if !write_set.writes.iter().all(holds) {
            return Err(StoreError::Conflict);
        }
        let mut after = entries.clone();
        after.retain(|(a, c, _), _| *a != app || !write_set.clears.contains(c));
        for write in write_set.writes {
            let id = (app, write.collection, write.key);
            match write.change {
                Change::Delete => _ = after.remove(&id),
                Change::Set { value, expires_at_ms } => {
                    let mut version = self.version.lock().unwrap();
                    *version += 1;
                    after.insert(id, Entry { value, version: *version, expires_at_ms });
                }
            }
        }
        let used = after.values().map(|entry| entry.value.len() as u64).sum();
        if used > quota_bytes {
            return Err(StoreError::QuotaExceeded(Quota::Kv));
        }
        *entries = after;
        Ok(used)
    }
}

#[async_trait]
impl UnitStore for MemoryStore {
    async fn commit(
        &self,
        app: AppId,
        write_set: unit::WriteSet,
        quotas: Quotas,
        now_ms: u64,
    ) -> Result<Kept, StoreError> {
        if write_set.ack.is_some() && write_set.ack == *self.taken_over.lock().unwrap() {
            return Err(StoreError::Superseded);
        }
        let kv_bytes = self.commit_kv(app, write_set.kv, quotas.kv_bytes, now_ms).await?;
        self.events.lock().unwrap().extend(write_set.events);
        self.acks.lock().unwrap().extend(write_set.ack);
        let file_bytes = self.files.apply(app, write_set.files, quotas.file_bytes)?;
        Ok(Kept { kv_bytes, file_bytes })
    }
}

#[async_trait]
impl KvStore for MemoryStore {
    async fn get(
        &self,
        app: AppId,
        collection: &Collection,
        key: &Key,
        now_ms: u64,
    ) -> Result<Option<Entry>, StoreError> {
        self.check()?;
        self.reads.fetch_add(1, Ordering::Relaxed);
        let entries = self.entries.lock().unwrap();
        let entry = entries.get(&(app, collection.clone(), key.clone()));
        Ok(entry.filter(|e| e.expires_at_ms.is_none_or(|at| at > now_ms)).cloned())
    }

    async fn list(
        &self,
        app: AppId,
        collection: &Collection,
        range: Range<'_>,
        now_ms: u64,
    ) -> Result<Listed, StoreError> {
        self.check()?;
        let entries = self.entries.lock().unwrap();
        let mut live = entries
            .iter()
            .filter(|((a, c, key), entry)| {
                *a == app
                    && c == collection
                    && key.as_str().starts_with(range.prefix)
                    && range.after.is_none_or(|after| key.as_str() > after)
                    && entry.expires_at_ms.is_none_or(|at| at > now_ms)
            })
            .map(|((_, _, key), entry)| (key.clone(), entry.clone()));
        let entries = live.by_ref().take(range.limit as usize).collect();
        Ok(Listed { entries, more: live.next().is_some() })
    }

    async fn count(&self, app: AppId, collection: &Collection, _: u64) -> Result<u64, StoreError> {
        self.check()?;
        let entries = self.entries.lock().unwrap();
        Ok(entries.keys().filter(|(a, c, _)| *a == app && c == collection).count() as u64)
    }

    async fn collections(&self, _: AppId, _: u64) -> Result<Vec<(Collection, u64)>, StoreError> {
        unimplemented!("the executor does not list collections")
    }

    async fn usage(&self, app: AppId, now_ms: u64) -> Result<u64, StoreError> {
        let entries = self.entries.lock().unwrap();
        let live = entries.iter().filter(|((of, ..), entry)| {
            *of == app && entry.expires_at_ms.is_none_or(|at| at > now_ms)
        });
        Ok(live.map(|(_, entry)| entry.value.len() as u64).sum())
    }

    async fn purge_expired(&self, _: u64, _: u32) -> Result<Option<u64>, StoreError> {
        unimplemented!("the executor does not purge")
    }
}

/// Keeps what is recorded.
#[derive(Default)]
pub struct MemoryHistory(pub Mutex<(Vec<Execution>, Vec<LogLine>)>);

#[async_trait]
impl ExecutionStore for MemoryHistory {
    async fn record(&self, e: &[Execution], l: &[LogLine]) -> Result<(), StoreError> {
        let mut history = self.0.lock().unwrap();
        history.0.extend_from_slice(e);
        history.1.extend_from_slice(l);
        Ok(())
    }

    async fn executions(&self, _: AppId, _: &ExecutionQuery) -> Result<ExecutionPage, StoreError> {
        unimplemented!()
    }

    async fn execution(&self, _: AppId, _: ExecutionId) -> Result<Option<Execution>, StoreError> {
        unimplemented!()
    }

    async fn logs(&self, _: AppId, _: &LogQuery) -> Result<Vec<LogLine>, StoreError> {
        unimplemented!()
    }

    async fn stats(&self, _: AppId, _: &StatsQuery) -> Result<Vec<Bucket>, StoreError> {
        unimplemented!()
    }

    async fn prune(&self, _: u64, _: u32) -> Result<u64, StoreError> {
        unimplemented!()
    }

    async fn trim(&self, _: AppId, _: HistoryCap, _: u32) -> Result<u64, StoreError> {
        unimplemented!()
    }
}

/// What was used, added up.
#[derive(Default)]
pub struct MemoryUsage {
    days: Mutex<HashMap<Day, Counters>>,
    pub is_broken: AtomicBool,
    /// What apps keep.
    pub storage: Mutex<Vec<(AppId, Storage)>>,
    /// The account of every app's one owner.
    pub account: Mutex<Option<Account>>,
}

impl MemoryUsage {
    pub fn of(&self, day: u32) -> Counters {
        self.days.lock().unwrap().get(&Day(day)).copied().unwrap_or_default()
    }
}

#[async_trait]
impl UsageStore for MemoryUsage {
    async fn add(&self, used: &[Used]) -> Result<(), StoreError> {
        if self.is_broken.load(Ordering::SeqCst) {
            return Err(StoreError::unavailable("disk full"));
        }
        for Used { app, day, counters } in used {
            assert_eq!(*app, APP);
            *self.days.lock().unwrap().entry(*day).or_default() += *counters;
        }
        Ok(())
    }

    async fn days(&self, apps: &[AppId], from: Day) -> Result<Vec<Used>, StoreError> {
        if self.is_broken.load(Ordering::SeqCst) {
            return Err(StoreError::unavailable("disk full"));
        }
        let days = self.days.lock().unwrap();
        let days = days.iter().filter(|(day, _)| apps.contains(&APP) && **day >= from);
        Ok(days.map(|(&day, &counters)| Used { app: APP, day, counters }).collect())
    }

    async fn storage(&self, apps: &[AppId]) -> Result<Vec<(AppId, Storage)>, StoreError> {
        let storage = self.storage.lock().unwrap();
        Ok(storage.iter().filter(|(app, _)| apps.contains(app)).copied().collect())
    }

    async fn prune(&self, _: Day, _: u32) -> Result<u64, StoreError> {
        unimplemented!()
    }
}

#[async_trait]
impl OwnerStore for MemoryUsage {
    async fn of_app(&self, app: AppId) -> Result<Vec<Account>, StoreError> {
        let account = self.account.lock().unwrap().clone();
        Ok(account.into_iter().filter(|account| account.apps.contains(&app)).collect())
    }

    async fn account(&self, user: UserId) -> Result<Option<Account>, StoreError> {
        Ok(self.account.lock().unwrap().clone().filter(|account| account.user == user))
    }

    async fn limits(&self, _: UserId) -> Result<Option<OwnerLimitOverrides>, StoreError> {
        unimplemented!()
    }

    async fn set_limits(&self, _: UserId, _: &OwnerLimitOverrides) -> Result<(), StoreError> {
        unimplemented!()
    }
}

pub type Running = Pin<Box<dyn Future<Output = Outcome> + Send>>;
type Script = dyn Fn(Services) -> Running + Send + Sync;

/// A sandbox whose only program is a closure.
pub struct ClosureSandbox(Mutex<Arc<Script>>);

#[async_trait]
impl Sandbox for ClosureSandbox {
    async fn compile(&self, _: &Program) -> Result<ScriptInfo, CompileError> {
        Ok(ScriptInfo::default())
    }

    async fn invoke(
        &self,
        _: &Program,
        _: Invocation,
        _: Event,
        services: Services,
        _: &Limits,
        deadline: Duration,
    ) -> Finished {
        let script = Arc::clone(&self.0.lock().unwrap());
        let outcome = tokio::time::timeout(deadline, script(services)).await;
        let usage =
            Usage { fuel: 10, memory_bytes: 100, host_calls: 1, host_bytes: 1, ..Usage::default() };
        Finished { outcome: outcome.unwrap_or(Outcome::TimedOut), usage, calls: Vec::new() }
    }
}

pub struct Setup {
    pub executor: Arc<Executor>,
    sandbox: Arc<ClosureSandbox>,
    pub store: Arc<MemoryStore>,
    pub files: Arc<MemoryFiles>,
    pub http: Arc<MemoryHttp>,
    pub secrets: Arc<MemorySecrets>,
    pub vault: Arc<Vault>,
    pub history: Arc<MemoryHistory>,
    pub recorder: Recorder,
    pub clock: Arc<FakeClock>,
    pub usage: UsageKeeper,
    pub used: Arc<MemoryUsage>,
    pub owners: Owners,
}

impl Setup {
    /// From here on tasks run this.
    pub fn replace(&self, script: impl Fn(Services) -> Running + Send + Sync + 'static) {
        *self.sandbox.0.lock().unwrap() = Arc::new(script);
    }
}

/// An executor whose every task runs `script`.
pub fn setup(script: impl Fn(Services) -> Running + Send + Sync + 'static) -> Setup {
    let sandbox = Arc::new(ClosureSandbox(Mutex::new(Arc::new(script))));
    let (store, history) = (Arc::new(MemoryStore::default()), Arc::new(MemoryHistory::default()));
    let (http, secrets) = (Arc::new(MemoryHttp::default()), Arc::new(MemorySecrets::default()));
    let (files, vault) = (Arc::clone(&store.files), Arc::new(Vault::new(&[7; 32])));
    let clock = Arc::new(FakeClock::default());
    let (recorder, _) = Recorder::start(Arc::clone(&history) as _);
    let used = Arc::new(MemoryUsage::default());
    let usage = UsageKeeper::new(Arc::clone(&used) as _, Arc::clone(&clock) as _);
    let owners =
        Owners::new(Arc::clone(&used) as _, Arc::clone(&used) as _, Arc::clone(&clock) as _);
    let backends = Backends {
        kv: Arc::clone(&store) as _,
        files: Arc::clone(&files) as _,
        contents: Arc::clone(&files) as _,
        secrets: Arc::clone(&secrets) as _,
        units: Arc::clone(&store) as _,
        http: Arc::clone(&http) as _,
        vault: Arc::clone(&vault),
        usage: usage.clone(),
        owners: owners.clone(),
        deliver: Arc::default(),
    };
    let executor = Executor::new(
        Arc::clone(&sandbox) as _,
        backends,
        Arc::clone(&clock) as _,
        recorder.clone(),
        64,
    );
    let executor = Arc::new(executor);
    Setup {
        executor,
        sandbox,
        store,
        files,
        http,
        secrets,
        vault,
        history,
        recorder,
        clock,
        usage,
        used,
        owners,
    }
}

pub fn task() -> Task {
    Task {
        app: APP,
        slug: "app".parse().unwrap(),
        release: ReleaseNumber(1),
        program: Arc::new(Program::single("index.rhai", "")),
        handler: "index.rhai".parse().unwrap(),
        event: Event::Http(Request::default()),
        limits: Arc::new(Limits::default()),
        settings: Arc::default(),
        egress: Arc::from([]),
        origin: "https://app.example".into(),
        cause: "GET /".to_owned(),
        triggers: Arc::from([]),
        delivery: None,
        span: None,
    }
}

pub fn answer() -> Outcome {
    Outcome::Ok(Response { status: 200, ..Response::default() })
}
