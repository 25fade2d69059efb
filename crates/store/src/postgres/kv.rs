//! KV on PostgreSQL.

use async_trait::async_trait;
use picloud_shared::kv::{Change, Collection, Entry, Key, KvStore, Listed, Range, Seen, WriteSet};
use picloud_shared::{AppId, StoreError};

use super::{PostgresDatabase, Retries, state};
use crate::bounds::Bounds;
use crate::convert::{corrupt, failed, signed, unsigned};
use crate::entry::{entry, listed};

pub(crate) struct PostgresKvStore(pub(crate) PostgresDatabase);

/// Removes expired rows and takes them off their apps' usage.
const PURGE: &str = "WITH due AS (
    SELECT app_id, collection, key FROM kv WHERE expires_at_ms <= $1
    ORDER BY expires_at_ms LIMIT $2 FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM kv USING due
    WHERE kv.app_id = due.app_id AND kv.collection = due.collection
        AND kv.key = due.key
    RETURNING kv.app_id, kv.bytes
), freed AS (
    SELECT app_id, sum(bytes)::bigint AS bytes FROM gone GROUP BY app_id
)
UPDATE kv_usage SET bytes = kv_usage.bytes - freed.bytes
FROM freed WHERE kv_usage.app_id = freed.app_id";

#[async_trait]
impl KvStore for PostgresKvStore {
    async fn get(
        &self,
        app: AppId,
        collection: &Collection,
        key: &Key,
        now_ms: u64,
    ) -> Result<Option<Entry>, StoreError> {
        let row = sqlx::query_as(
            "SELECT value::text, version, expires_at_ms FROM kv
             WHERE app_id = $1 AND collection = $2 AND key = $3
                AND (expires_at_ms IS NULL OR expires_at_ms > $4)",
        )
        .bind(app.0)
        .bind(collection.as_str())
        .bind(key.as_str())
        .bind(signed(now_ms))
        .fetch_optional(&self.0.pool)
        .await
        .map_err(failed)?;
        row.map(|(value, version, expires)| entry(value, version, expires)).transpose()
    }

    async fn list(
        &self,
        app: AppId,
        collection: &Collection,
        range: Range<'_>,
        now_ms: u64,
    ) -> Result<Listed, StoreError> {
        let Some(bounds) = Bounds::of(&range) else { return Ok(Listed::default()) };
        let rows = sqlx::query_as(
            "SELECT key, value::text, version, expires_at_ms FROM kv
             WHERE app_id = $1 AND collection = $2 AND key >= $3 AND key < $4
                AND (expires_at_ms IS NULL OR expires_at_ms > $5)
             ORDER BY key LIMIT $6",
        )
        .bind(app.0)
        .bind(collection.as_str())
        .bind(bounds.lower)
        .bind(bounds.upper)
        .bind(signed(now_ms))
        // One more, to know whether there is one.
        .bind(i64::from(range.limit) + 1)
        .fetch(&self.0.pool);
        listed(rows, range.limit).await
    }

    async fn count(
        &self,
        app: AppId,
        collection: &Collection,
        now_ms: u64,
    ) -> Result<u64, StoreError> {
        let count = sqlx::query_scalar(
            "SELECT count(*) FROM kv WHERE app_id = $1 AND collection = $2
                AND (expires_at_ms IS NULL OR expires_at_ms > $3)",
        )
        .bind(app.0)
        .bind(collection.as_str())
        .bind(signed(now_ms))
        .fetch_one(&self.0.pool)
        .await
        .map_err(failed)?;
        unsigned("a count", count)
    }

    async fn collections(
        &self,
        app: AppId,
        now_ms: u64,
    ) -> Result<Vec<(Collection, u64)>, StoreError> {
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "SELECT collection, count(*) FROM kv WHERE app_id = $1
                AND (expires_at_ms IS NULL OR expires_at_ms > $2)
             GROUP BY collection ORDER BY collection",
        )
        .bind(app.0)
        .bind(signed(now_ms))
        .fetch_all(&self.0.pool)
        .await
        .map_err(failed)?;
        rows.into_iter()
            .map(|(name, count)| {
                let name = name.parse().map_err(|_| corrupt("a collection", name))?;
                Ok((name, unsigned("a count", count)?))
            })
            .collect()
    }

    async fn commit(
        &self,
        app: AppId,
        write_set: WriteSet,
        quota_bytes: u64,
        now_ms: u64,
    ) -> Result<u64, StoreError> {
        let clears: Vec<_> = write_set.clears.iter().map(Collection::as_str).collect();
        let writes = Writes::of(&write_set);
        let mut retries = Retries::default();
        let usage = loop {
            let usage = sqlx::query_scalar("SELECT kv_commit($1, $2, $3, $4, $5, $6, $7, $8, $9)")
                .bind(app.0)
                .bind(&clears)
                .bind(&writes.collections)
                .bind(&writes.keys)
                .bind(&writes.seen)
                .bind(&writes.values)
                .bind(&writes.expires_at_ms)
                .bind(signed(quota_bytes))
                .bind(signed(now_ms))
                .fetch_one(&self.0.pool)
                .await;
            match usage {
                Err(error) if retries.again(&error) => {}
                usage => break usage,
            }
        };
        match usage {
            Ok(usage) => unsigned("an app's usage", usage),
            Err(error) => Err(match state(&error) {
                "PC001" => StoreError::Conflict,
                "PC002" => StoreError::QuotaExceeded,
                _ => failed(error),
            }),
        }
    }

    async fn usage(&self, app: AppId, now_ms: u64) -> Result<u64, StoreError> {
        // The counter has rows that nobody has removed yet.
        let bytes: Option<i64> = sqlx::query_scalar(
            "SELECT bytes - (SELECT coalesce(sum(kv.bytes), 0)::bigint FROM kv
                WHERE kv.app_id = $1 AND expires_at_ms <= $2)
             FROM kv_usage WHERE app_id = $1",
        )
        .bind(app.0)
        .bind(signed(now_ms))
        .fetch_optional(&self.0.pool)
        .await
        .map_err(failed)?;
        bytes.map_or(Ok(0), |bytes| unsigned("an app's usage", bytes))
    }

    async fn purge_expired(&self, now_ms: u64, limit: u32) -> Result<Option<u64>, StoreError> {
        let mut retries = Retries::default();
        loop {
            let purged = sqlx::query(PURGE)
                .bind(signed(now_ms))
                .bind(i64::from(limit))
                .execute(&self.0.pool)
                .await;
            match purged {
                Err(error) if retries.again(&error) => {}
                purged => {
                    purged.map_err(failed)?;
                    break;
                }
            }
        }
        let next: Option<i64> = sqlx::query_scalar("SELECT min(expires_at_ms) FROM kv")
            .fetch_one(&self.0.pool)
            .await
            .map_err(failed)?;
        next.map(|at| unsigned("a time", at)).transpose()
    }
}

/// A write-set's writes as the arrays that `kv_commit` takes.
#[derive(Default)]
struct Writes<'a> {
    collections: Vec<&'a str>,
    keys: Vec<&'a str>,
    /// `None` for unread, 0 for absent.
    seen: Vec<Option<i64>>,
    /// `None` deletes.
    values: Vec<Option<&'a str>>,
    expires_at_ms: Vec<Option<i64>>,
}

impl<'a> Writes<'a> {
    fn of(write_set: &'a WriteSet) -> Self {
        let mut writes = Self::default();
        for write in &write_set.writes {
            writes.collections.push(write.collection.as_str());
            writes.keys.push(write.key.as_str());
            writes.seen.push(match write.seen {
                Seen::Unread => None,
                Seen::Absent => Some(0),
                Seen::Version(version) => Some(version),
            });
            let (value, expires_at_ms) = match &write.change {
                Change::Set { value, expires_at_ms } => (Some(value.as_str()), *expires_at_ms),
                Change::Delete => (None, None),
            };
            writes.values.push(value);
            writes.expires_at_ms.push(expires_at_ms.map(signed));
        }
        writes
    }
}
