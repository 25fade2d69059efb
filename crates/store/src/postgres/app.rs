//! Apps on PostgreSQL.

use async_trait::async_trait;
use picloud_shared::{
    App, AppId, AppSlug, AppStore, LimitOverrides, ReleaseNumber, StoreError, UserId,
};
use sqlx::PgPool;

use super::{PostgresDatabase, Retries};
use crate::convert::{corrupt, failed, limits, signed, to_json, unsigned};

pub(crate) struct PostgresAppStore(pub(crate) PostgresDatabase);

type Row = (i64, String, i64, Option<i64>, String);

#[async_trait]
impl AppStore for PostgresAppStore {
    async fn create(
        &self,
        slug: &AppSlug,
        owner: Option<UserId>,
        now_ms: u64,
    ) -> Result<App, StoreError> {
        let row = sqlx::query_as(
            "WITH made AS (
                INSERT INTO apps (slug, created_at_ms) SELECT $1, $2
                WHERE $3 IS NULL OR EXISTS (SELECT 1 FROM users WHERE id = $3)
                ON CONFLICT DO NOTHING
                RETURNING id, slug, created_at_ms, active_release, limits::text
            ), counted AS (
                INSERT INTO kv_usage (app_id, bytes) SELECT id, 0 FROM made
            ), files_counted AS (
                INSERT INTO files_usage (app_id, bytes) SELECT id, 0 FROM made
            ), owned AS (
                INSERT INTO members (app_id, user_id, role)
                SELECT id, $3, 'owner' FROM made WHERE $3 IS NOT NULL
            )
            SELECT * FROM made",
        )
        .bind(slug.as_str())
        .bind(signed(now_ms))
        .bind(owner.map(|owner| owner.0))
        .fetch_optional(&self.0.pool)
        .await
        .map_err(failed)?;
        row.map(app).ok_or(StoreError::Conflict)?
    }

    async fn find(&self, slug: &AppSlug) -> Result<Option<App>, StoreError> {
        let row = sqlx::query_as(
            "SELECT id, slug, created_at_ms, active_release, limits::text FROM apps
             WHERE slug = $1",
        )
        .bind(slug.as_str())
        .fetch_optional(&self.0.pool)
        .await
        .map_err(failed)?;
        row.map(app).transpose()
    }

    async fn list(&self, after: Option<&AppSlug>, limit: u32) -> Result<Vec<App>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT id, slug, created_at_ms, active_release, limits::text FROM apps
             WHERE slug > $1 ORDER BY slug LIMIT $2",
        )
        .bind(after.map_or("", AppSlug::as_str))
        .bind(i64::from(limit))
        .fetch_all(&self.0.pool)
        .await
        .map_err(failed)?;
        rows.into_iter().map(app).collect()
    }

    async fn set_limits(&self, app: AppId, limits: &LimitOverrides) -> Result<(), StoreError> {
        let done = sqlx::query("UPDATE apps SET limits = $2::text::jsonb WHERE id = $1")
            .bind(app.0)
            .bind(to_json(limits)?)
            .execute(&self.0.pool)
            .await
            .map_err(failed)?;
        if done.rows_affected() == 0 { Err(StoreError::Conflict) } else { Ok(()) }
    }

    async fn delete(&self, app: AppId) -> Result<bool, StoreError> {
        let mut retries = Retries::default();
        loop {
            match delete(&self.0.pool, app).await {
                Err(error) if retries.again(&error) => {}
                deleted => return deleted.map_err(failed),
            }
        }
    }
}

async fn delete(pool: &PgPool, app: AppId) -> Result<bool, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let apps = sqlx::query("DELETE FROM apps WHERE id = $1")
        .bind(app.0)
        .execute(&mut *transaction)
        .await?;
    for history in
        ["DELETE FROM executions WHERE app_id = $1", "DELETE FROM logs WHERE app_id = $1"]
    {
        sqlx::query(history).bind(app.0).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(apps.rows_affected() > 0)
}

pub(super) fn app((id, slug, created_at_ms, active_release, json): Row) -> Result<App, StoreError> {
    Ok(App {
        id: AppId(id),
        slug: slug.parse().map_err(|_| corrupt("an app's slug", slug))?,
        created_at_ms: unsigned("a time", created_at_ms)?,
        active_release: active_release.map(ReleaseNumber),
        limits: limits(&json)?,
    })
}
