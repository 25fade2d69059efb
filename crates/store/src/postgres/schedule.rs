//! Schedules on PostgreSQL.

use async_trait::async_trait;
use picloud_shared::outbox::{Emitted, MAX_PER_ROOT};
use picloud_shared::schedule::{Due, Fire, Planned, ScheduleState, ScheduleStore};
use picloud_shared::{AppId, StoreError};
use sqlx::PgConnection;

use super::PostgresDatabase;
use super::outbox::Outbox;
use crate::convert::{failed, signed};
use crate::outbox_row::{DueRow, ScheduleRow, due, planned, schedule_state};

pub(crate) struct PostgresScheduleStore(pub(crate) PostgresDatabase);

#[async_trait]
impl ScheduleStore for PostgresScheduleStore {
    async fn upcoming(&self, limit: u32) -> Result<Vec<Due>, StoreError> {
        let rows: Vec<DueRow> = sqlx::query_as(
            "SELECT app_id, slug, schedules.name, due_ms
             FROM schedules JOIN apps ON apps.id = app_id
             WHERE due_ms IS NOT NULL ORDER BY due_ms LIMIT $1",
        )
        .bind(i64::from(limit))
        .fetch_all(&self.0.pool)
        .await
        .map_err(failed)?;
        rows.into_iter().map(due).collect()
    }

    async fn fire(&self, fires: &[Fire]) -> Result<u64, StoreError> {
        let mut count = 0;
        for Fire { app, name, due_ms, next_ms, tick } in fires {
            let emitted: &[Emitted] =
                tick.as_ref().map_or(&[], |tick| std::slice::from_ref(&tick.1));
            let outbox = Outbox::of(emitted)?;
            let moved: Option<bool> = sqlx::query_scalar(
                "SELECT schedule_fire($1, $2, $3, $4, $5, $6::jsonb, $7::jsonb, $8, $9)",
            )
            .bind(app.0)
            .bind(name)
            .bind(signed(*due_ms))
            .bind(next_ms.map(signed))
            .bind(tick.as_ref().map(|(tick_ms, _)| signed(*tick_ms)))
            .bind(&outbox.events)
            .bind(&outbox.deliveries)
            .bind(signed(MAX_PER_ROOT))
            .bind(&outbox.too_many)
            .fetch_one(&self.0.pool)
            .await
            .map_err(failed)?;
            count += u64::from(moved == Some(true));
        }
        Ok(count)
    }

    async fn list(&self, app: AppId) -> Result<Vec<ScheduleState>, StoreError> {
        let rows: Vec<ScheduleRow> = sqlx::query_as(
            "SELECT name, paused, last_fire_ms, due_ms FROM schedules
             WHERE app_id = $1 ORDER BY name",
        )
        .bind(app.0)
        .fetch_all(&self.0.pool)
        .await
        .map_err(failed)?;
        rows.into_iter().map(schedule_state).collect()
    }

    async fn pause(&self, app: AppId, schedule: &str) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE schedules SET paused = true, due_ms = NULL WHERE app_id = $1 AND name = $2",
        )
        .bind(app.0)
        .bind(schedule)
        .execute(&self.0.pool)
        .await
        .map_err(failed)?;
        Ok(done.rows_affected() > 0)
    }

    async fn resume(
        &self,
        app: AppId,
        schedule: &str,
        due_ms: Option<u64>,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE schedules SET paused = false, due_ms = $3
             WHERE app_id = $1 AND name = $2 AND paused",
        )
        .bind(app.0)
        .bind(schedule)
        .bind(due_ms.map(signed))
        .execute(&self.0.pool)
        .await
        .map_err(failed)?;
        Ok(done.rows_affected() > 0)
    }
}

/// Puts the schedules of the release that becomes active in place of those
/// before. What has not changed keeps its next tick, and stays paused.
pub(super) async fn plan(
    connection: &mut PgConnection,
    app: AppId,
    schedules: &[Planned],
) -> Result<(), StoreError> {
    sqlx::query("SELECT schedules_plan($1, $2::jsonb)")
        .bind(app.0)
        .bind(planned(schedules)?)
        .execute(connection)
        .await
        .map(drop)
        .map_err(failed)
}
