//! Sealed secrets on PostgreSQL.

use async_trait::async_trait;
use picloud_shared::secrets::{Listed, MAX_SECRETS, Name, SecretStore};
use picloud_shared::{AppId, Quota, StoreError};

use super::PostgresDatabase;
use crate::convert::{corrupt, failed, signed, unsigned};

pub(crate) struct PostgresSecretStore(pub(crate) PostgresDatabase);

/// Two writers at once can end one over the limit, which harms nobody.
const SET: &str = "WITH app AS (
    SELECT id FROM apps WHERE id = $1
), others AS (
    SELECT count(*) AS number FROM secrets, app WHERE app_id = app.id AND name <> $2
), written AS (
    INSERT INTO secrets (app_id, name, sealed, updated_at_ms)
    SELECT app.id, $2, $3, $4 FROM app, others WHERE others.number < $5
    ON CONFLICT (app_id, name) DO UPDATE
        SET sealed = excluded.sealed, updated_at_ms = excluded.updated_at_ms
    RETURNING 1
)
SELECT (SELECT count(*) FROM app), (SELECT count(*) FROM written)";

#[async_trait]
impl SecretStore for PostgresSecretStore {
    async fn get(&self, app: AppId, name: &Name) -> Result<Option<Vec<u8>>, StoreError> {
        sqlx::query_scalar("SELECT sealed FROM secrets WHERE app_id = $1 AND name = $2")
            .bind(app.0)
            .bind(name.as_str())
            .fetch_optional(&self.0.pool)
            .await
            .map_err(failed)
    }

    async fn list(&self, app: AppId) -> Result<Vec<Listed>, StoreError> {
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "SELECT name, updated_at_ms FROM secrets WHERE app_id = $1 ORDER BY name",
        )
        .bind(app.0)
        .fetch_all(&self.0.pool)
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
        let (apps, written): (i64, i64) = sqlx::query_as(SET)
            .bind(app.0)
            .bind(name.as_str())
            .bind(sealed)
            .bind(signed(now_ms))
            .bind(signed(MAX_SECRETS as u64))
            .fetch_one(&self.0.pool)
            .await
            .map_err(failed)?;
        match (apps, written) {
            (0, _) => Err(StoreError::Conflict),
            (_, 0) => Err(StoreError::QuotaExceeded(Quota::Secrets)),
            _ => Ok(()),
        }
    }

    async fn delete(&self, app: AppId, name: &Name) -> Result<bool, StoreError> {
        let done = sqlx::query("DELETE FROM secrets WHERE app_id = $1 AND name = $2")
            .bind(app.0)
            .bind(name.as_str())
            .execute(&self.0.pool)
            .await
            .map_err(failed)?;
        Ok(done.rows_affected() > 0)
    }
}
