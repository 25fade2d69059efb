//! Who may use which app, on SQLite.

use std::sync::Arc;

use async_trait::async_trait;
use picloud_shared::access::{AppRole, Member, MemberStore};
use picloud_shared::{App, AppId, AppSlug, StoreError, UserId};

use super::{SqliteDatabase, app};
use crate::access_row::member::{LIST, REMOVE, ROLE, SET};
use crate::access_row::{app_role, app_role_name, member};
use crate::convert::failed;

pub(crate) struct SqliteMemberStore(pub(crate) Arc<SqliteDatabase>);

type AppRow = (i64, String, i64, Option<i64>, String, String);

#[async_trait]
impl MemberStore for SqliteMemberStore {
    async fn role(&self, app: AppId, user: UserId) -> Result<Option<AppRole>, StoreError> {
        let role: Option<String> = sqlx::query_scalar(ROLE)
            .bind(app.0)
            .bind(user.0)
            .fetch_optional(&self.0.main.readers)
            .await
            .map_err(failed)?;
        role.as_deref().map(app_role).transpose()
    }

    async fn list(&self, app: AppId) -> Result<Vec<Member>, StoreError> {
        let rows: Vec<(String, String)> = sqlx::query_as(LIST)
            .bind(app.0)
            .fetch_all(&self.0.main.readers)
            .await
            .map_err(failed)?;
        rows.into_iter().map(member).collect()
    }

    async fn set(&self, app: AppId, user: UserId, role: AppRole) -> Result<(), StoreError> {
        let query = sqlx::query(SET).bind(app.0).bind(user.0).bind(app_role_name(role));
        let changed = self.0.main.writer.begin().await?.execute(query).await?;
        if changed == 0 { Err(StoreError::Conflict) } else { Ok(()) }
    }

    async fn remove(&self, app: AppId, user: UserId) -> Result<bool, StoreError> {
        let mut transaction = self.0.main.writer.begin().await?;
        let connection = transaction.connection()?;
        let removed = sqlx::query(REMOVE).bind(app.0).bind(user.0).execute(&mut *connection).await;
        let removed = match removed {
            Ok(done) if done.rows_affected() == 0 => {
                // Whoever is still there is the last owner.
                let role: Result<Option<String>, _> = sqlx::query_scalar(ROLE)
                    .bind(app.0)
                    .bind(user.0)
                    .fetch_optional(connection)
                    .await;
                match role {
                    Ok(Some(_)) => Err(StoreError::Conflict),
                    Ok(None) => Ok(false),
                    Err(error) => Err(failed(error)),
                }
            }
            other => other.map(|_| true).map_err(failed),
        };
        transaction.finish(removed).await
    }

    async fn apps(
        &self,
        user: UserId,
        after: Option<&AppSlug>,
        limit: u32,
    ) -> Result<Vec<(App, AppRole)>, StoreError> {
        let rows: Vec<AppRow> = sqlx::query_as(
            "SELECT id, slug, created_at_ms, active_release, limits, role
             FROM members JOIN apps ON apps.id = app_id
             WHERE user_id = ?1 AND slug > ?2 ORDER BY slug LIMIT ?3",
        )
        .bind(user.0)
        .bind(after.map_or("", AppSlug::as_str))
        .bind(limit)
        .fetch_all(&self.0.main.readers)
        .await
        .map_err(failed)?;
        let with_role = |(id, slug, created, active, limits, role): AppRow| {
            Ok((app::app((id, slug, created, active, limits))?, app_role(&role)?))
        };
        rows.into_iter().map(with_role).collect()
    }
}
