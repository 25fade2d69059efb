//! Usage on SQLite.

use std::sync::Arc;

use async_trait::async_trait;
use picloud_shared::usage::{Day, Storage, UsageStore, Used};
use picloud_shared::{AppId, StoreError};

use super::SqliteDatabase;
use crate::convert::{failed, to_json};
use crate::usage_row::{StorageRow, rows, storage, used};

pub(crate) struct SqliteUsageStore(pub(crate) Arc<SqliteDatabase>);

#[async_trait]
impl UsageStore for SqliteUsageStore {
    async fn add(&self, used: &[Used]) -> Result<(), StoreError> {
        if used.is_empty() {
            return Ok(());
        }
        let rows = to_json(&rows(used))?;
        // A power failure may take the last of it; nobody is to wait for the
        // disk because of it.
        let query = sqlx::query(
            "INSERT INTO usage (app_id, day, requests, invocations, failures, fuel, duration_us,
                host_calls, bytes_in, bytes_out, events, deliveries)
             SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5,
                value ->> 6, value ->> 7, value ->> 8, value ->> 9, value ->> 10, value ->> 11
             FROM json_each(?1) WHERE EXISTS (SELECT 1 FROM apps WHERE id = value ->> 0)
             ON CONFLICT DO UPDATE SET requests = requests + excluded.requests,
                invocations = invocations + excluded.invocations,
                failures = failures + excluded.failures, fuel = fuel + excluded.fuel,
                duration_us = duration_us + excluded.duration_us,
                host_calls = host_calls + excluded.host_calls,
                bytes_in = bytes_in + excluded.bytes_in,
                bytes_out = bytes_out + excluded.bytes_out,
                events = events + excluded.events, deliveries = deliveries + excluded.deliveries",
        )
        .bind(rows);
        self.0.main.writer.begin_unflushed().await?.execute(query).await.map(drop)
    }

    async fn days(&self, apps: &[AppId], from: Day) -> Result<Vec<Used>, StoreError> {
        let rows = sqlx::query(
            "SELECT app_id, day, requests, invocations, failures, fuel, duration_us, host_calls,
                bytes_in, bytes_out, events, deliveries
             FROM usage WHERE app_id IN (SELECT value FROM json_each(?1)) AND day >= ?2
             ORDER BY app_id, day",
        )
        .bind(to_json(apps)?)
        .bind(from.0)
        .fetch_all(&self.0.main.readers)
        .await
        .map_err(failed)?;
        rows.iter().map(used).collect()
    }

    async fn storage(&self, apps: &[AppId]) -> Result<Vec<(AppId, Storage)>, StoreError> {
        let rows: Vec<StorageRow> = sqlx::query_as(
            "SELECT id, kv_usage.bytes, files_usage.bytes,
                (SELECT coalesce(sum(length(contents)), 0) FROM blobs WHERE app_id = id),
                outbox_usage.rows, outbox_usage.bytes
             FROM apps
                JOIN kv_usage ON kv_usage.app_id = id
                JOIN files_usage ON files_usage.app_id = id
                JOIN outbox_usage ON outbox_usage.app_id = id
             WHERE id IN (SELECT value FROM json_each(?1)) ORDER BY id",
        )
        .bind(to_json(apps)?)
        .fetch_all(&self.0.main.readers)
        .await
        .map_err(failed)?;
        rows.into_iter().map(storage).collect()
    }

    async fn prune(&self, before: Day, limit: u32) -> Result<u64, StoreError> {
        let query = sqlx::query(
            "DELETE FROM usage WHERE (app_id, day) IN (
                SELECT app_id, day FROM usage WHERE day < ?1 ORDER BY day LIMIT ?2)",
        )
        .bind(before.0)
        .bind(limit);
        self.0.main.writer.begin_unflushed().await?.execute(query).await
    }
}
