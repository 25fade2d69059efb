//! Claims to domains on SQLite.

use std::sync::Arc;

use async_trait::async_trait;
use picloud_shared::domain::{Claim, MAX_DOMAINS, Token};
use picloud_shared::{AppId, AppSlug, Domain, DomainStore, Quota, StoreError};
use sqlx::SqliteConnection;

use super::SqliteDatabase;
use crate::convert::{failed, signed, unsigned};
use crate::domain_row::{Row, claim, owned, verified};

pub(crate) struct SqliteDomainStore(pub(crate) Arc<SqliteDatabase>);

#[async_trait]
impl DomainStore for SqliteDomainStore {
    async fn claim(
        &self,
        app: AppId,
        domain: &Domain,
        token: &Token,
        now_ms: u64,
    ) -> Result<Claim, StoreError> {
        let mut transaction = self.0.main.writer.begin().await?;
        let claimed = insert(transaction.connection()?, app, domain, token, now_ms).await;
        transaction.finish(claimed).await
    }

    async fn find(&self, app: AppId, domain: &Domain) -> Result<Option<Claim>, StoreError> {
        let row = sqlx::query_as(
            "SELECT domain, token, created_at_ms, verified_at_ms FROM domains
             WHERE app_id = ?1 AND domain = ?2",
        )
        .bind(app.0)
        .bind(domain.as_str())
        .fetch_optional(&self.0.main.readers)
        .await
        .map_err(failed)?;
        row.map(claim).transpose()
    }

    async fn list(&self, app: AppId) -> Result<Vec<Claim>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT domain, token, created_at_ms, verified_at_ms FROM domains
             WHERE app_id = ?1 ORDER BY domain",
        )
        .bind(app.0)
        .fetch_all(&self.0.main.readers)
        .await
        .map_err(failed)?;
        rows.into_iter().map(claim).collect()
    }

    async fn verify(
        &self,
        app: AppId,
        domain: &Domain,
        now_ms: u64,
    ) -> Result<Option<Claim>, StoreError> {
        let mut transaction = self.0.main.writer.begin().await?;
        let rows: Result<Vec<Row>, _> = sqlx::query_as(
            "UPDATE domains SET verified_at_ms = coalesce(verified_at_ms, ?3)
             WHERE app_id = ?1 AND domain = ?2
             RETURNING domain, token, created_at_ms, verified_at_ms",
        )
        .bind(app.0)
        .bind(domain.as_str())
        .bind(signed(now_ms))
        .fetch_all(transaction.connection()?)
        .await;
        let row = transaction.finish(verified(rows)).await?.into_iter().next();
        row.map(claim).transpose()
    }

    async fn remove(&self, app: AppId, domain: &Domain) -> Result<bool, StoreError> {
        let query = sqlx::query("DELETE FROM domains WHERE app_id = ?1 AND domain = ?2")
            .bind(app.0)
            .bind(domain.as_str());
        Ok(self.0.main.writer.begin().await?.execute(query).await? > 0)
    }

    async fn verified(&self) -> Result<Vec<(Domain, AppSlug)>, StoreError> {
        let rows: Vec<(String, String)> = sqlx::query_as(
            "SELECT domain, slug FROM domains JOIN apps ON apps.id = app_id
             WHERE verified_at_ms IS NOT NULL",
        )
        .fetch_all(&self.0.main.readers)
        .await
        .map_err(failed)?;
        Ok(rows.into_iter().filter_map(owned).collect())
    }
}

async fn insert(
    connection: &mut SqliteConnection,
    app: AppId,
    domain: &Domain,
    token: &Token,
    now_ms: u64,
) -> Result<Claim, StoreError> {
    let exists: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM apps WHERE id = ?1)")
        .bind(app.0)
        .fetch_one(&mut *connection)
        .await
        .map_err(failed)?;
    if !exists {
        return Err(StoreError::Conflict);
    }
    let others: i64 =
        sqlx::query_scalar("SELECT count(*) FROM domains WHERE app_id = ?1 AND domain <> ?2")
            .bind(app.0)
            .bind(domain.as_str())
            .fetch_one(&mut *connection)
            .await
            .map_err(failed)?;
    if unsigned::<usize>("a count", others)? >= MAX_DOMAINS {
        return Err(StoreError::QuotaExceeded(Quota::Domains));
    }
    let row = sqlx::query_as(
        "INSERT INTO domains (app_id, domain, token, created_at_ms) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO UPDATE SET token = domains.token
         RETURNING domain, token, created_at_ms, verified_at_ms",
    )
    .bind(app.0)
    .bind(domain.as_str())
    .bind(token.as_str())
    .bind(signed(now_ms))
    .fetch_one(connection)
    .await
    .map_err(failed)?;
    claim(row)
}
