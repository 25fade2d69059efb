//! Owners' accounts on SQLite.

use std::sync::Arc;

use async_trait::async_trait;
use picloud_shared::owner::{Account, OwnerLimitOverrides, OwnerLimits, OwnerStore};
use picloud_shared::{AppId, StoreError, UserId};

use super::SqliteDatabase;
use crate::convert::{failed, to_json};
use crate::owner_row::{APPS, LIMITS, OWNERS, SET_LIMITS, limits};

pub(crate) struct SqliteOwnerStore(pub(crate) Arc<SqliteDatabase>);

#[async_trait]
impl OwnerStore for SqliteOwnerStore {
    async fn of_app(&self, app: AppId) -> Result<Vec<Account>, StoreError> {
        let owners: Vec<i64> = sqlx::query_scalar(OWNERS)
            .bind(app.0)
            .fetch_all(&self.0.main.readers)
            .await
            .map_err(failed)?;
        let mut accounts = Vec::new();
        for owner in owners {
            accounts.extend(self.account(UserId(owner)).await?);
        }
        Ok(accounts)
    }

    async fn account(&self, user: UserId) -> Result<Option<Account>, StoreError> {
        let Some(limits) = self.limits(user).await? else { return Ok(None) };
        let apps: Vec<i64> = sqlx::query_scalar(APPS)
            .bind(user.0)
            .fetch_all(&self.0.main.readers)
            .await
            .map_err(failed)?;
        let (limits, apps) = (OwnerLimits::of(&limits), apps.into_iter().map(AppId).collect());
        Ok(Some(Account { user, limits, apps }))
    }

    async fn limits(&self, user: UserId) -> Result<Option<OwnerLimitOverrides>, StoreError> {
        let json: Option<String> = sqlx::query_scalar(LIMITS)
            .bind(user.0)
            .fetch_optional(&self.0.main.readers)
            .await
            .map_err(failed)?;
        json.as_deref().map(limits).transpose()
    }

    async fn set_limits(
        &self,
        user: UserId,
        limits: &OwnerLimitOverrides,
    ) -> Result<(), StoreError> {
        let limits = to_json(limits)?;
        let query = sqlx::query(SET_LIMITS).bind(user.0).bind(limits);
        let changed = self.0.main.writer.begin().await?.execute(query).await?;
        if changed == 0 { Err(StoreError::Conflict) } else { Ok(()) }
    }
}
