//! Apps on SQLite.

use std::sync::Arc;

use async_trait::async_trait;
use picloud_shared::{
    App, AppId, AppRole, AppSlug, AppStore, LimitOverrides, ReleaseNumber, StoreError, UserId,
};
use sqlx::SqliteConnection;

use super::SqliteDatabase;
use crate::access_row::{app_role_name, member};
use crate::convert::{corrupt, failed, limits, signed, to_json, unsigned};

pub(crate) struct SqliteAppStore(pub(crate) Arc<SqliteDatabase>);

type Row = (i64, String, i64, Option<i64>, String);

#[async_trait]
impl AppStore for SqliteAppStore {
    async fn create(
        &self,
        slug: &AppSlug,
        owner: Option<UserId>,
        now_ms: u64,
    ) -> Result<App, StoreError> {
        let mut transaction = self.0.main.writer.begin().await?;
        let created = create(transaction.connection()?, slug, owner, now_ms).await;
        transaction.finish(created).await
    }

    async fn find(&self, slug: &AppSlug) -> Result<Option<App>, StoreError> {
        let row = sqlx::query_as(
            "SELECT id, slug, created_at_ms, active_release, limits FROM apps WHERE slug = ?1",
        )
        .bind(slug.as_str())
        .fetch_optional(&self.0.main.readers)
        .await
        .map_err(failed)?;
        row.map(app).transpose()
    }

    async fn list(&self, after: Option<&AppSlug>, limit: u32) -> Result<Vec<App>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT id, slug, created_at_ms, active_release, limits FROM apps
             WHERE slug > ?1 ORDER BY slug LIMIT ?2",
        )
        .bind(after.map_or("", AppSlug::as_str))
        .bind(limit)
        .fetch_all(&self.0.main.readers)
        .await
        .map_err(failed)?;
        rows.into_iter().map(app).collect()
    }

    async fn set_limits(&self, app: AppId, limits: &LimitOverrides) -> Result<(), StoreError> {
        let limits = to_json(limits)?;
        let query =
            sqlx::query("UPDATE apps SET limits = ?2 WHERE id = ?1").bind(app.0).bind(limits);
        let changed = self.0.main.writer.begin().await?.execute(query).await?;
        if changed == 0 { Err(StoreError::Conflict) } else { Ok(()) }
    }

    async fn delete(&self, app: AppId) -> Result<bool, StoreError> {
        // History first: if the app goes first and this fails, nobody could
        // ask for it again.
        let mut transaction = self.0.history.writer.begin().await?;
        let deleted = delete_history(transaction.connection()?, app).await;
        transaction.finish(deleted).await?;

        let query = sqlx::query("DELETE FROM apps WHERE id = ?1").bind(app.0);
        Ok(self.0.main.writer.begin().await?.execute(query).await? > 0)
    }
}

async fn create(
    connection: &mut SqliteConnection,
    slug: &AppSlug,
    owner: Option<UserId>,
    now_ms: u64,
) -> Result<App, StoreError> {
    let row = sqlx::query_as(
        "INSERT INTO apps (slug, created_at_ms) VALUES (?1, ?2) ON CONFLICT DO NOTHING
         RETURNING id, slug, created_at_ms, active_release, limits",
    )
    .bind(slug.as_str())
    .bind(signed(now_ms))
    .fetch_all(&mut *connection)
    .await
    .map_err(failed)?;
    let created = row.into_iter().next().map(app).ok_or(StoreError::Conflict)??;
    sqlx::query(
        "INSERT INTO kv_usage (app_id, bytes) VALUES (?1, 0);
         INSERT INTO files_usage (app_id, bytes) VALUES (?1, 0);
         INSERT INTO outbox_usage (app_id, rows, bytes) VALUES (?1, 0, 0)",
    )
    .bind(created.id.0)
    .execute(&mut *connection)
    .await
    .map_err(failed)?;
    if let Some(owner) = owner {
        let done = sqlx::query(member::SET)
            .bind(created.id.0)
            .bind(owner.0)
            .bind(app_role_name(AppRole::Owner))
            .execute(connection)
            .await
            .map_err(failed)?;
        if done.rows_affected() == 0 {
            return Err(StoreError::Conflict);
        }
    }
    Ok(created)
}

async fn delete_history(connection: &mut SqliteConnection, app: AppId) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM executions WHERE app_id = ?1; DELETE FROM logs WHERE app_id = ?1")
        .bind(app.0)
        .execute(connection)
        .await
        .map(drop)
        .map_err(failed)
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
