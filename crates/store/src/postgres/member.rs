//! Who may use which app, on PostgreSQL.

use async_trait::async_trait;
use picloud_shared::access::{AppRole, Member, MemberStore};
use picloud_shared::{App, AppId, AppSlug, StoreError, UserId};
use sqlx::PgConnection;

use super::{PostgresDatabase, app};
use crate::access_row::member::{LIST, REMOVE, ROLE, SET};
use crate::access_row::{app_role, app_role_name, member};
use crate::convert::failed;

pub(crate) struct PostgresMemberStore(pub(crate) PostgresDatabase);

type AppRow = (i64, String, i64, Option<i64>, String, String);

/// Whoever takes an app's owner waits for whoever takes another one of it.
async fn lock(connection: &mut PgConnection, app: AppId) -> Result<(), StoreError> {
    sqlx::query("SELECT 1 FROM apps WHERE id = $1 FOR NO KEY UPDATE")
        .bind(app.0)
        .execute(connection)
        .await
        .map(drop)
        .map_err(failed)
}

#[async_trait]
impl MemberStore for PostgresMemberStore {
    async fn role(&self, app: AppId, user: UserId) -> Result<Option<AppRole>, StoreError> {
        let role: Option<String> = sqlx::query_scalar(ROLE)
            .bind(app.0)
            .bind(user.0)
            .fetch_optional(&self.0.pool)
            .await
            .map_err(failed)?;
        role.as_deref().map(app_role).transpose()
    }

    async fn list(&self, app: AppId) -> Result<Vec<Member>, StoreError> {
        let rows: Vec<(String, String)> =
            sqlx::query_as(LIST).bind(app.0).fetch_all(&self.0.pool).await.map_err(failed)?;
        rows.into_iter().map(member).collect()
    }

    async fn set(&self, app: AppId, user: UserId, role: AppRole) -> Result<(), StoreError> {
        let mut transaction = self.0.pool.begin().await.map_err(failed)?;
        lock(&mut transaction, app).await?;
        let done = sqlx::query(SET)
            .bind(app.0)
            .bind(user.0)
            .bind(app_role_name(role))
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        if done.rows_affected() == 0 {
            return Err(StoreError::Conflict);
        }
        transaction.commit().await.map_err(failed)
    }

    async fn remove(&self, app: AppId, user: UserId) -> Result<bool, StoreError> {
        let mut transaction = self.0.pool.begin().await.map_err(failed)?;
        lock(&mut transaction, app).await?;
        let done = sqlx::query(REMOVE)
            .bind(app.0)
            .bind(user.0)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        if done.rows_affected() > 0 {
            transaction.commit().await.map_err(failed)?;
            return Ok(true);
        }
        let role: Option<String> = sqlx::query_scalar(ROLE)
            .bind(app.0)
            .bind(user.0)
            .fetch_optional(&mut *transaction)
            .await
            .map_err(failed)?;
        // Whoever is still there is the last owner.
        if role.is_some() { Err(StoreError::Conflict) } else { Ok(false) }
    }

    async fn apps(
        &self,
        user: UserId,
        after: Option<&AppSlug>,
        limit: u32,
    ) -> Result<Vec<(App, AppRole)>, StoreError> {
        let rows: Vec<AppRow> = sqlx::query_as(
            "SELECT id, slug, created_at_ms, active_release, limits::text, role
             FROM members JOIN apps ON apps.id = app_id
             WHERE user_id = $1 AND slug > $2 ORDER BY slug LIMIT $3",
        )
        .bind(user.0)
        .bind(after.map_or("", AppSlug::as_str))
        .bind(i64::from(limit))
        .fetch_all(&self.0.pool)
        .await
        .map_err(failed)?;
        let with_role = |(id, slug, created, active, limits, role): AppRow| {
            Ok((app::app((id, slug, created, active, limits))?, app_role(&role)?))
        };
        rows.into_iter().map(with_role).collect()
    }
}
