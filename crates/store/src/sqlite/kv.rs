//! KV on SQLite.

use std::sync::Arc;

use async_trait::async_trait;
use picloud_shared::kv::{Collection, Entry, Key, KvStore, Listed, Range};
use picloud_shared::{AppId, StoreError};
use sqlx::SqliteConnection;

use super::SqliteDatabase;
use super::commit::lower_usage;
use crate::bounds::Bounds;
use crate::convert::{corrupt, failed, signed, unsigned};
use crate::entry::listed;

pub(crate) struct SqliteKvStore(pub(crate) Arc<SqliteDatabase>);

#[async_trait]
impl KvStore for SqliteKvStore {
    async fn get(
        &self,
        app: AppId,
        collection: &Collection,
        key: &Key,
        now_ms: u64,
    ) -> Result<Option<Entry>, StoreError> {
        self.0.entries.get(app, collection, key, now_ms)
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
            "SELECT key, json(value), version, expires_at_ms FROM kv
             WHERE app_id = ?1 AND collection = ?2 AND key >= ?3 AND key < ?4
                AND (expires_at_ms IS NULL OR expires_at_ms > ?5)
             ORDER BY key LIMIT ?6",
        )
        .bind(app.0)
        .bind(collection.as_str())
        .bind(bounds.lower)
        .bind(bounds.upper)
        .bind(signed(now_ms))
        // One more, to know whether there is one.
        .bind(i64::from(range.limit) + 1)
        .fetch(&self.0.main.readers);
        listed(rows, range.limit).await
    }

    async fn count(
        &self,
        app: AppId,
        collection: &Collection,
        now_ms: u64,
    ) -> Result<u64, StoreError> {
        let count = sqlx::query_scalar(
            "SELECT count(*) FROM kv WHERE app_id = ?1 AND collection = ?2
                AND (expires_at_ms IS NULL OR expires_at_ms > ?3)",
        )
        .bind(app.0)
        .bind(collection.as_str())
        .bind(signed(now_ms))
        .fetch_one(&self.0.main.readers)
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
            "SELECT collection, count(*) FROM kv WHERE app_id = ?1
                AND (expires_at_ms IS NULL OR expires_at_ms > ?2)
             GROUP BY collection ORDER BY collection",
        )
        .bind(app.0)
        .bind(signed(now_ms))
        .fetch_all(&self.0.main.readers)
        .await
        .map_err(failed)?;
        rows.into_iter()
            .map(|(name, count)| {
                let name = name.parse().map_err(|_| corrupt("a collection", name))?;
                Ok((name, unsigned("a count", count)?))
            })
            .collect()
    }

    async fn usage(&self, app: AppId, now_ms: u64) -> Result<u64, StoreError> {
        // The counter has rows that nobody has removed yet.
        let bytes: Option<i64> = sqlx::query_scalar(
            "SELECT bytes - (SELECT coalesce(sum(kv.bytes), 0) FROM kv
                WHERE kv.app_id = ?1 AND expires_at_ms <= ?2)
             FROM kv_usage WHERE app_id = ?1",
        )
        .bind(app.0)
        .bind(signed(now_ms))
        .fetch_optional(&self.0.main.readers)
        .await
        .map_err(failed)?;
        bytes.map_or(Ok(0), |bytes| unsigned("an app's usage", bytes))
    }

    async fn purge_expired(&self, now_ms: u64, limit: u32) -> Result<Option<u64>, StoreError> {
        let mut transaction = self.0.main.writer.begin().await?;
        let next = purge_expired(transaction.connection()?, now_ms, limit).await;
        transaction.finish(next).await
    }
}

async fn purge_expired(
    connection: &mut SqliteConnection,
    now_ms: u64,
    limit: u32,
) -> Result<Option<u64>, StoreError> {
    let gone = sqlx::query_as(
        "DELETE FROM kv WHERE (app_id, collection, key) IN (
            SELECT app_id, collection, key FROM kv WHERE expires_at_ms <= ?1
            ORDER BY expires_at_ms LIMIT ?2)
         RETURNING app_id, bytes",
    )
    .bind(signed(now_ms))
    .bind(limit)
    .fetch_all(&mut *connection)
    .await
    .map_err(failed)?;
    lower_usage(connection, &gone).await?;
    let next: Option<i64> = sqlx::query_scalar("SELECT min(expires_at_ms) FROM kv")
        .fetch_one(connection)
        .await
        .map_err(failed)?;
    next.map(|at| unsigned("a time", at)).transpose()
}
