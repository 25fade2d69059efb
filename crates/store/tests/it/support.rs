//! What the cases share: databases to run on and short ways to say things.

use picloud_shared::execution::ExecutionQuery;
use picloud_shared::kv::{Change, Entry, Range, Seen, Write, WriteSet};
use picloud_shared::unit::Quotas;
use picloud_shared::{
    App, AppId, Execution, ExecutionId, Level, LogLine, ReleaseNumber, StoreError, Usage,
};
use picloud_store::Stores;
use picloud_store::testing::with_postgres;

/// A moment. Nothing here looks at a real clock.
pub const NOW: u64 = 1_700_000_000_000;
/// A quota that nothing reaches.
pub const PLENTY: u64 = 1 << 40;

/// Makes a test per case and database, so that the output names both.
macro_rules! on_both {
    ($($case:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                crate::support::on_sqlite(super::$case).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let name = concat!(module_path!(), "::", stringify!($case));
                crate::support::on_postgres(name, super::$case).await;
            })*
        }
    };
}
pub(crate) use on_both;

pub async fn on_sqlite(case: impl AsyncFnOnce(&Stores)) {
    let dir = tempfile::tempdir().unwrap();
    let stores = Stores::open_sqlite(dir.path()).await.unwrap();
    case(&stores).await;
    stores.close().await;
}

pub async fn on_postgres(name: &str, case: impl AsyncFnOnce(&Stores)) {
    let case = async |url: &str| {
        let stores = Stores::connect_postgres(url).await.unwrap();
        case(&stores).await;
        stores.close().await;
    };
    with_postgres(name, case).await;
}

/// The `n`th execution, begun `n` ms after [`NOW`].
pub fn execution(app: AppId, n: u8) -> Execution {
    let started_at_ms = NOW + u64::from(n);
    Execution {
        id: ExecutionId::new(started_at_ms, [n; 10]),
        app,
        release: ReleaseNumber(3),
        handler: "api.rhai#post".to_owned(),
        cause: "GET /a%00b".to_owned(),
        event: None,
        started_at_ms,
        duration_us: 1_234,
        outcome: "ok".to_owned(),
        status: Some(200),
        error: None,
        usage: Usage {
            fuel: 1 << 40,
            memory_bytes: 2,
            host_calls: 3,
            host_bytes: 4,
            ..Usage::default()
        },
        commit: None,
        attempts: 1,
    }
}

pub fn line(app: AppId, execution: ExecutionId, message: &str) -> LogLine {
    LogLine {
        seq: 0,
        app,
        execution,
        at_ms: NOW,
        level: Level::Info,
        message: message.to_owned(),
        fields: None,
    }
}

/// The app's newest executions.
pub async fn newest(stores: &Stores, app: AppId) -> Vec<Execution> {
    let query = ExecutionQuery { limit: 9, scan: 1_000, ..ExecutionQuery::default() };
    stores.executions.executions(app, &query).await.unwrap().executions
}

pub async fn app(stores: &Stores, slug: &str) -> App {
    stores.apps.create(&slug.parse().unwrap(), None, NOW).await.unwrap()
}

/// Two apps that must never meet.
pub async fn two_apps(stores: &Stores) -> (AppId, AppId) {
    (app(stores, "alice").await.id, app(stores, "bob").await.id)
}

pub fn set(collection: &str, key: &str, seen: Seen, value: &str) -> Write {
    set_until(collection, key, seen, value, None)
}

pub fn set_until(
    collection: &str,
    key: &str,
    seen: Seen,
    value: &str,
    expires_at_ms: Option<u64>,
) -> Write {
    let change = Change::Set { value: value.to_owned(), expires_at_ms };
    Write { collection: collection.parse().unwrap(), key: key.parse().unwrap(), seen, change }
}

pub fn delete(collection: &str, key: &str, seen: Seen) -> Write {
    Write { change: Change::Delete, ..set(collection, key, seen, "") }
}

pub async fn commit(
    stores: &Stores,
    app: AppId,
    writes: impl IntoIterator<Item = Write>,
) -> Result<u64, StoreError> {
    let write_set = WriteSet { clears: vec![], writes: writes.into_iter().collect() };
    commit_kv(stores, app, write_set, PLENTY, NOW).await
}

/// Commits what is KV's alone.
pub async fn commit_kv(
    stores: &Stores,
    app: AppId,
    write_set: WriteSet,
    kv_bytes: u64,
    now_ms: u64,
) -> Result<u64, StoreError> {
    let quotas = quotas(kv_bytes, 0);
    Ok(stores.units.commit(app, write_set.into(), quotas, now_ms).await?.kv_bytes)
}

pub async fn put(stores: &Stores, app: AppId, collection: &str, key: &str, value: &str) {
    commit(stores, app, [set(collection, key, Seen::Unread, value)]).await.unwrap();
}

pub async fn entry(stores: &Stores, app: AppId, collection: &str, key: &str) -> Option<Entry> {
    let (collection, key) = (collection.parse().unwrap(), key.parse().unwrap());
    stores.kv.get(app, &collection, &key, NOW).await.unwrap()
}

pub async fn value(stores: &Stores, app: AppId, collection: &str, key: &str) -> Option<String> {
    entry(stores, app, collection, key).await.map(|entry| entry.value)
}

/// Keys that start with `prefix` and come after `after`.
pub async fn keys(
    stores: &Stores,
    app: AppId,
    collection: &str,
    prefix: &str,
    after: Option<&str>,
) -> Vec<String> {
    let range = Range { prefix, after, limit: 1_000 };
    let page = stores.kv.list(app, &collection.parse().unwrap(), range, NOW).await.unwrap().entries;
    page.into_iter().map(|(key, _)| key.as_str().to_owned()).collect()
}

#[track_caller]
pub fn assert_conflict<T: std::fmt::Debug>(result: Result<T, StoreError>) {
    let error = result.unwrap_err();
    assert!(matches!(error, StoreError::Conflict), "{error:?}");
}

#[track_caller]
pub fn assert_unavailable<T: std::fmt::Debug>(result: Result<T, StoreError>) {
    let error = result.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
}

/// With an outbox that is never full.
pub fn quotas(kv_bytes: u64, file_bytes: u64) -> Quotas {
    Quotas { kv_bytes, file_bytes, outbox_rows: PLENTY, outbox_bytes: PLENTY }
}
