//! Usage on PostgreSQL.

use async_trait::async_trait;
use picloud_shared::usage::{Day, Storage, UsageStore, Used};
use picloud_shared::{AppId, StoreError};

use super::{PostgresDatabase, Retries};
use crate::convert::{failed, to_json};
use crate::usage_row::{StorageRow, rows, storage, used};

pub(crate) struct PostgresUsageStore(pub(crate) PostgresDatabase);

#[async_trait]
impl UsageStore for PostgresUsageStore {
    async fn add(&self, used: &[Used]) -> Result<(), StoreError> {
        if used.is_empty() {
            return Ok(());
        }
        let rows = to_json(&rows(used))?;
        let mut retries = Retries::default();
        loop {
            // Held, so that no app goes away between the look and the insert.
            let added = sqlx::query(
                "WITH given AS (
                    SELECT (value ->> 0)::bigint AS app_id, value
                    FROM jsonb_array_elements($1::jsonb) AS value
                 ), alive AS (
                    SELECT id FROM apps WHERE id IN (SELECT app_id FROM given)
                    ORDER BY id FOR KEY SHARE
                 )
                 INSERT INTO usage AS u (app_id, day, requests, invocations, failures, fuel,
                    duration_us, host_calls, bytes_in, bytes_out, events, deliveries)
                 SELECT app_id, (value ->> 1)::bigint, (value ->> 2)::bigint,
                    (value ->> 3)::bigint, (value ->> 4)::bigint, (value ->> 5)::bigint,
                    (value ->> 6)::bigint, (value ->> 7)::bigint, (value ->> 8)::bigint,
                    (value ->> 9)::bigint, (value ->> 10)::bigint, (value ->> 11)::bigint
                 FROM given JOIN alive ON id = app_id ORDER BY 1, 2
                 ON CONFLICT (app_id, day) DO UPDATE SET requests = u.requests + excluded.requests,
                    invocations = u.invocations + excluded.invocations,
                    failures = u.failures + excluded.failures, fuel = u.fuel + excluded.fuel,
                    duration_us = u.duration_us + excluded.duration_us,
                    host_calls = u.host_calls + excluded.host_calls,
                    bytes_in = u.bytes_in + excluded.bytes_in,
                    bytes_out = u.bytes_out + excluded.bytes_out,
                    events = u.events + excluded.events,
                    deliveries = u.deliveries + excluded.deliveries",
            )
            .bind(&rows)
            .execute(&self.0.pool)
            .await;
            match added {
                Err(error) if retries.again(&error) => {}
                added => return added.map(drop).map_err(failed),
            }
        }
    }

    async fn days(&self, apps: &[AppId], from: Day) -> Result<Vec<Used>, StoreError> {
        let rows = sqlx::query(
            "SELECT app_id, day, requests, invocations, failures, fuel, duration_us, host_calls,
                bytes_in, bytes_out, events, deliveries
             FROM usage WHERE app_id = ANY ($1) AND day >= $2 ORDER BY app_id, day",
        )
        .bind(ids(apps))
        .bind(i64::from(from.0))
        .fetch_all(&self.0.pool)
        .await
        .map_err(failed)?;
        rows.iter().map(used).collect()
    }

    async fn storage(&self, apps: &[AppId]) -> Result<Vec<(AppId, Storage)>, StoreError> {
        let rows: Vec<StorageRow> = sqlx::query_as(
            "SELECT id, kv_usage.bytes, files_usage.bytes,
                (SELECT coalesce(sum(octet_length(contents)), 0)::bigint
                 FROM blobs WHERE app_id = id),
                outbox.rows, outbox.bytes
             FROM apps
                JOIN kv_usage ON kv_usage.app_id = id
                JOIN files_usage ON files_usage.app_id = id
                CROSS JOIN LATERAL (
                    SELECT coalesce(sum(rows), 0)::bigint AS rows,
                        coalesce(sum(bytes), 0)::bigint AS bytes
                    FROM outbox_usage WHERE app_id = id
                ) AS outbox
             WHERE id = ANY ($1) ORDER BY id",
        )
        .bind(ids(apps))
        .fetch_all(&self.0.pool)
        .await
        .map_err(failed)?;
        rows.into_iter().map(storage).collect()
    }

    async fn prune(&self, before: Day, limit: u32) -> Result<u64, StoreError> {
        let done = sqlx::query(
            "DELETE FROM usage WHERE (app_id, day) IN (
                SELECT app_id, day FROM usage WHERE day < $1 ORDER BY day LIMIT $2)",
        )
        .bind(i64::from(before.0))
        .bind(i64::from(limit))
        .execute(&self.0.pool)
        .await
        .map_err(failed)?;
        Ok(done.rows_affected())
    }
}

fn ids(apps: &[AppId]) -> Vec<i64> {
    apps.iter().map(|app| app.0).collect()
}
