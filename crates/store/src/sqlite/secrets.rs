//! Sealed secrets on SQLite.

use std::sync::Arc;

use async_trait::async_trait;
use picloud_shared::secrets::{Listed, MAX_SECRETS, Name, SecretStore};
use picloud_shared::{AppId, Quota, StoreError};
use sqlx::SqliteConnection;

use super::SqliteDatabase;
use crate::convert::{corrupt, failed, signed, unsigned};

pub(crate) struct SqliteSecretStore(pub(crate) Arc<SqliteDatabase>);

#[async_trait]
impl SecretStore for SqliteSecretStore {
    async fn get(&self, app: AppId, name: &Name) -> Result<Option<Vec<u8>>, StoreError> {
        sqlx::query_scalar("SELECT sealed FROM secrets WHERE app_id = ?1 AND name = ?2")
            .bind(app.0)
            .bind(name.as_str())
            .fetch_optional(&self.0.main.readers)
            .await
            .map_err(failed)
    }

    async fn list(&self, app: AppId) -> Result<Vec<Listed>, StoreError> {
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "SELECT name, updated_at_ms FROM secrets WHERE app_id = ?1 ORDER BY name",
        )
        .bind(app.0)
        .fetch_all(&self.0.main.readers)
        .await
        .map_err(failed)?;
        let listed = |(name, at): (String, i64)| {
            let name = name.parse().map_err(|_| corrupt("a secret's name", name))?;
            Ok(Listed { name, updated_at_ms: unsigned("a time", at)? })
        };
        rows.into_iter().map(listed).collect()
    }

    async fn set(
        &self,
        app: AppId,
        name: &Name,
        sealed: &[u8],
        now_ms: u64,
    ) -> Result<(), StoreError> {
        let mut transaction = self.0.main.writer.begin().await?;
        let set = set(transaction.connection()?, app, name, sealed, now_ms).await;
        transaction.finish(set).await
    }

    async fn delete(&self, app: AppId, name: &Name) -> Result<bool, StoreError> {
        let query = sqlx::query("DELETE FROM secrets WHERE app_id = ?1 AND name = ?2")
            .bind(app.0)
            .bind(name.as_str());
        Ok(self.0.main.writer.begin().await?.execute(query).await? > 0)
    }
}

async fn set(
    connection: &mut SqliteConnection,
    app: AppId,
    name: &Name,
    sealed: &[u8],
    now_ms: u64,
) -> Result<(), StoreError> {
    let exists: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM apps WHERE id = ?1)")
        .bind(app.0)
        .fetch_one(&mut *connection)
        .await
        .map_err(failed)?;
    if !exists {
        return Err(StoreError::Conflict);
    }
    let others: i64 =
        sqlx::query_scalar("SELECT count(*) FROM secrets WHERE app_id = ?1 AND name <> ?2")
            .bind(app.0)
            .bind(name.as_str())
            .fetch_one(&mut *connection)
            .await
            .map_err(failed)?;
    if unsigned::<usize>("a count", others)? >= MAX_SECRETS {
        return Err(StoreError::QuotaExceeded(Quota::Secrets));
    }
    sqlx::query(
        "INSERT INTO secrets (app_id, name, sealed, updated_at_ms) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO UPDATE SET sealed = excluded.sealed, updated_at_ms = excluded.updated_at_ms",
    )
    .bind(app.0)
    .bind(name.as_str())
    .bind(sealed)
    .bind(signed(now_ms))
    .execute(connection)
    .await
    .map(drop)
    .map_err(failed)
}
