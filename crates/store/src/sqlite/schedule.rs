//! Schedules on SQLite.

use std::sync::Arc;

use async_trait::async_trait;
use picloud_shared::schedule::{Due, Fire, Planned, ScheduleState, ScheduleStore};
use picloud_shared::{AppId, StoreError};
use sqlx::SqliteConnection;

use super::SqliteDatabase;
use super::outbox::write_judged;
use crate::convert::{failed, signed};
use crate::outbox_row::{DueRow, ScheduleRow, due, planned, schedule_state};

pub(crate) struct SqliteScheduleStore(pub(crate) Arc<SqliteDatabase>);

#[async_trait]
impl ScheduleStore for SqliteScheduleStore {
    async fn upcoming(&self, limit: u32) -> Result<Vec<Due>, StoreError> {
        let rows: Vec<DueRow> = sqlx::query_as(
            "SELECT app_id, slug, schedules.name, due_ms
             FROM schedules JOIN apps ON apps.id = app_id
             WHERE due_ms IS NOT NULL ORDER BY due_ms LIMIT ?1",
        )
        .bind(limit)
        .fetch_all(&self.0.main.readers)
        .await
        .map_err(failed)?;
        rows.into_iter().map(due).collect()
    }

    async fn fire(&self, fires: &[Fire]) -> Result<u64, StoreError> {
        if fires.is_empty() {
            return Ok(0);
        }
        let mut transaction = self.0.main.writer.begin().await?;
        let fired = fire(transaction.connection()?, fires).await;
        transaction.finish(fired).await
    }

    async fn list(&self, app: AppId) -> Result<Vec<ScheduleState>, StoreError> {
        let rows: Vec<ScheduleRow> = sqlx::query_as(
            "SELECT name, paused, last_fire_ms, due_ms FROM schedules
             WHERE app_id = ?1 ORDER BY name",
        )
        .bind(app.0)
        .fetch_all(&self.0.main.readers)
        .await
        .map_err(failed)?;
        rows.into_iter().map(schedule_state).collect()
    }

    async fn pause(&self, app: AppId, schedule: &str) -> Result<bool, StoreError> {
        let query = sqlx::query(
            "UPDATE schedules SET paused = 1, due_ms = NULL WHERE app_id = ?1 AND name = ?2",
        )
        .bind(app.0)
        .bind(schedule);
        Ok(self.0.main.writer.begin().await?.execute(query).await? > 0)
    }

    async fn resume(
        &self,
        app: AppId,
        schedule: &str,
        due_ms: Option<u64>,
    ) -> Result<bool, StoreError> {
        let query = sqlx::query(
            "UPDATE schedules SET paused = 0, due_ms = ?3
             WHERE app_id = ?1 AND name = ?2 AND paused = 1",
        )
        .bind(app.0)
        .bind(schedule)
        .bind(due_ms.map(signed));
        Ok(self.0.main.writer.begin().await?.execute(query).await? > 0)
    }
}

async fn fire(connection: &mut SqliteConnection, fires: &[Fire]) -> Result<u64, StoreError> {
    let mut count = 0;
    for Fire { app, name, due_ms, next_ms, tick } in fires {
        let moved = sqlx::query(
            "UPDATE schedules SET due_ms = ?4, last_fire_ms = coalesce(?5, last_fire_ms)
             WHERE app_id = ?1 AND name = ?2 AND due_ms = ?3",
        )
        .bind(app.0)
        .bind(name)
        .bind(signed(*due_ms))
        .bind(next_ms.map(signed))
        .bind(tick.as_ref().map(|(tick_ms, _)| signed(*tick_ms)))
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
        if moved.rows_affected() == 0 {
            continue;
        }
        count += 1;
        if let Some((_, emitted)) = tick {
            write_judged(connection, *app, std::slice::from_ref(emitted)).await?;
        }
    }
    Ok(count)
}

/// Puts the schedules of the release that becomes active in place of those
/// before. What has not changed keeps its next tick, and stays paused.
pub(super) async fn plan(
    connection: &mut SqliteConnection,
    app: AppId,
    schedules: &[Planned],
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE schedules SET due_ms = NULL
         WHERE app_id = ?1 AND name NOT IN (SELECT value ->> 'name' FROM json_each(?2));
         INSERT INTO schedules (app_id, name, cron, paused, due_ms)
         SELECT ?1, value ->> 'name', value ->> 'cron', 0, value ->> 'due_ms'
         FROM json_each(?2) WHERE true
         ON CONFLICT DO UPDATE SET cron = excluded.cron, due_ms = CASE
            WHEN paused THEN NULL
            WHEN cron = excluded.cron AND due_ms IS NOT NULL THEN due_ms
            ELSE excluded.due_ms
         END",
    )
    .bind(app.0)
    .bind(planned(schedules)?)
    .execute(connection)
    .await
    .map(drop)
    .map_err(failed)
}
