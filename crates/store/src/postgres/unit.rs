//! Units of work on PostgreSQL.

use async_trait::async_trait;
use picloud_shared::kv::{self, Collection, Seen};
use picloud_shared::outbox::MAX_PER_ROOT;
use picloud_shared::unit::{Kept, Quotas, UnitStore, WriteSet};
use picloud_shared::{AppId, Quota, StoreError, fault, files};
use sqlx::postgres::PgDatabaseError;

use super::outbox::Outbox;
use super::{PostgresDatabase, Retries, state};
use crate::convert::{failed, signed, unsigned};

pub(crate) struct PostgresUnitStore(pub(crate) PostgresDatabase);

/// One round trip, and one transaction, for all services.
const COMMIT: &str = "SELECT kv_commit($1, $2, $3, $4, $5, $6, $7, $8, $9),
    files_commit($1, $10, $11, $12, $13, $14, $15, $16, $17),
    outbox_commit($1, $18, $19, $20::jsonb, $21::jsonb, $22, $23, $24, $25)";

#[async_trait]
impl UnitStore for PostgresUnitStore {
    async fn commit(
        &self,
        app: AppId,
        write_set: WriteSet,
        quotas: Quotas,
        now_ms: u64,
    ) -> Result<Kept, StoreError> {
        let clears: Vec<_> = write_set.kv.clears.iter().map(Collection::as_str).collect();
        let kv = KvArrays::of(&write_set.kv);
        let files = FileArrays::of(&write_set.files);
        let outbox = Outbox::of(&write_set.events)?;
        let (outbox_rows, outbox_bytes) = quotas.outbox(write_set.ack.is_some());
        let mut retries = Retries::default();
        fault::point("commit.before");
        let kept = loop {
            let kept = sqlx::query_as(COMMIT)
                .bind(app.0)
                .bind(&clears)
                .bind(&kv.collections)
                .bind(&kv.keys)
                .bind(&kv.seen)
                .bind(&kv.values)
                .bind(&kv.expires_at_ms)
                .bind(signed(quotas.kv_bytes))
                .bind(signed(now_ms))
                .bind(&files.buckets)
                .bind(&files.paths)
                .bind(&files.seen)
                .bind(&files.hashes)
                .bind(&files.bytes)
                .bind(&files.content_types)
                .bind(&files.modified_ms)
                .bind(signed(quotas.file_bytes))
                .bind(write_set.ack.map(|lease| lease.delivery.0))
                .bind(write_set.ack.map(|lease| lease.token))
                .bind(&outbox.events)
                .bind(&outbox.deliveries)
                .bind(signed(MAX_PER_ROOT))
                .bind(&outbox.too_many)
                .bind(signed(outbox_rows))
                .bind(signed(outbox_bytes))
                .fetch_one(&self.0.pool)
                .await;
            match kept {
                Err(error) if retries.again(&error) => {}
                kept => break kept,
            }
        };
        fault::point("commit.after");
        let (kv_bytes, file_bytes, ()): (i64, Option<i64>, ()) =
            kept.map_err(|error| match state(&error) {
                "PC001" => StoreError::Conflict,
                "PC002" => StoreError::QuotaExceeded(quota(&error)),
                "PC003" => StoreError::Superseded,
                "PC004" => StoreError::QuotaExceeded(Quota::Outbox),
                _ => failed(error),
            })?;
        Ok(Kept {
            kv_bytes: unsigned("an app's usage", kv_bytes)?,
            file_bytes: file_bytes.map(|bytes| unsigned("an app's usage", bytes)).transpose()?,
        })
    }
}

/// Which of the two that are alike by their code: the server says which function
/// has raised it.
fn quota(error: &sqlx::Error) -> Quota {
    let error = error.as_database_error();
    let error = error.and_then(|error| error.try_downcast_ref::<PgDatabaseError>());
    let is_of_files = error
        .and_then(PgDatabaseError::r#where)
        .is_some_and(|context| context.contains("files_commit"));
    if is_of_files { Quota::Files } else { Quota::Kv }
}

/// What was seen, as the functions take it: NULL for unread, 0 for absent.
fn seen(seen: Seen) -> Option<i64> {
    match seen {
        Seen::Unread => None,
        Seen::Absent => Some(0),
        Seen::Version(version) => Some(version),
    }
}

/// A write-set's writes as the arrays that `kv_commit` takes.
#[derive(Default)]
struct KvArrays<'a> {
    collections: Vec<&'a str>,
    keys: Vec<&'a str>,
    seen: Vec<Option<i64>>,
    /// `None` deletes.
    values: Vec<Option<&'a str>>,
    expires_at_ms: Vec<Option<i64>>,
}

impl<'a> KvArrays<'a> {
    fn of(write_set: &'a kv::WriteSet) -> Self {
        let mut writes = Self::default();
        for write in &write_set.writes {
            writes.collections.push(write.collection.as_str());
            writes.keys.push(write.key.as_str());
            writes.seen.push(seen(write.seen));
            let (value, expires_at_ms) = match &write.change {
                kv::Change::Set { value, expires_at_ms } => (Some(value.as_str()), *expires_at_ms),
                kv::Change::Delete => (None, None),
            };
            writes.values.push(value);
            writes.expires_at_ms.push(expires_at_ms.map(signed));
        }
        writes
    }
}

/// A write-set's files as the arrays that `files_commit` takes.
#[derive(Default)]
struct FileArrays<'a> {
    buckets: Vec<&'a str>,
    paths: Vec<&'a str>,
    seen: Vec<Option<i64>>,
    /// `None` deletes.
    hashes: Vec<Option<&'a [u8]>>,
    bytes: Vec<Option<i64>>,
    content_types: Vec<Option<&'a str>>,
    modified_ms: Vec<Option<i64>>,
}

impl<'a> FileArrays<'a> {
    fn of(writes: &'a [files::Write]) -> Self {
        let mut arrays = Self::default();
        for write in writes {
            arrays.buckets.push(write.bucket.as_str());
            arrays.paths.push(write.path.as_str());
            arrays.seen.push(seen(write.seen));
            let info = match &write.change {
                files::Change::Put(info) => Some(info),
                files::Change::Delete => None,
            };
            arrays.hashes.push(info.map(|info| info.hash.as_bytes().as_slice()));
            arrays.bytes.push(info.map(|info| signed(info.bytes)));
            arrays.content_types.push(info.map(|info| info.content_type.as_str()));
            arrays.modified_ms.push(info.map(|info| signed(info.modified_ms)));
        }
        arrays
    }
}
