//! Claims to domains on PostgreSQL.

use async_trait::async_trait;
use picloud_shared::domain::{Claim, MAX_DOMAINS, Token};
use picloud_shared::{AppId, AppSlug, Domain, DomainStore, Quota, StoreError};

use super::PostgresDatabase;
use crate::convert::{failed, signed};
use crate::domain_row::{Row, claim, owned, verified};

pub(crate) struct PostgresDomainStore(pub(crate) PostgresDatabase);

/// Two writers at once can end one over the limit, which harms nobody.
const CLAIM: &str = "WITH app AS (
    SELECT id FROM apps WHERE id = $1
), others AS (
    SELECT count(*) AS number FROM domains, app WHERE app_id = app.id AND domain <> $2
), written AS (
    INSERT INTO domains (app_id, domain, token, created_at_ms)
    SELECT app.id, $2, $3, $4 FROM app, others WHERE others.number < $5
    ON CONFLICT (app_id, domain) DO UPDATE SET token = domains.token
    RETURNING domain, token, created_at_ms, verified_at_ms
)
SELECT domain, token, created_at_ms, verified_at_ms FROM app LEFT JOIN written ON true";

/// [`Row`], all of it null where nothing was written.
type Written = (Option<String>, Option<String>, Option<i64>, Option<i64>);

#[async_trait]
impl DomainStore for PostgresDomainStore {
    async fn claim(
        &self,
        app: AppId,
        domain: &Domain,
        token: &Token,
        now_ms: u64,
    ) -> Result<Claim, StoreError> {
        let written: Option<Written> = sqlx::query_as(CLAIM)
            .bind(app.0)
            .bind(domain.as_str())
            .bind(token.as_str())
            .bind(signed(now_ms))
            .bind(signed(MAX_DOMAINS as u64))
            .fetch_optional(&self.0.pool)
            .await
            .map_err(failed)?;
        match written {
            None => Err(StoreError::Conflict),
            Some((Some(domain), Some(token), Some(created), verified)) => {
                claim((domain, token, created, verified))
            }
            Some(_) => Err(StoreError::QuotaExceeded(Quota::Domains)),
        }
    }

    async fn find(&self, app: AppId, domain: &Domain) -> Result<Option<Claim>, StoreError> {
        let row = sqlx::query_as(
            "SELECT domain, token, created_at_ms, verified_at_ms FROM domains
             WHERE app_id = $1 AND domain = $2",
        )
        .bind(app.0)
        .bind(domain.as_str())
        .fetch_optional(&self.0.pool)
        .await
        .map_err(failed)?;
        row.map(claim).transpose()
    }

    async fn list(&self, app: AppId) -> Result<Vec<Claim>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT domain, token, created_at_ms, verified_at_ms FROM domains
             WHERE app_id = $1 ORDER BY domain",
        )
        .bind(app.0)
        .fetch_all(&self.0.pool)
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
        let row = sqlx::query_as(
            "UPDATE domains SET verified_at_ms = coalesce(verified_at_ms, $3)
             WHERE app_id = $1 AND domain = $2
             RETURNING domain, token, created_at_ms, verified_at_ms",
        )
        .bind(app.0)
        .bind(domain.as_str())
        .bind(signed(now_ms))
        .fetch_optional(&self.0.pool)
        .await;
        verified(row)?.map(claim).transpose()
    }

    async fn remove(&self, app: AppId, domain: &Domain) -> Result<bool, StoreError> {
        let done = sqlx::query("DELETE FROM domains WHERE app_id = $1 AND domain = $2")
            .bind(app.0)
            .bind(domain.as_str())
            .execute(&self.0.pool)
            .await
            .map_err(failed)?;
        Ok(done.rows_affected() > 0)
    }

    async fn verified(&self) -> Result<Vec<(Domain, AppSlug)>, StoreError> {
        let rows: Vec<(String, String)> = sqlx::query_as(
            "SELECT domain, slug FROM domains JOIN apps ON apps.id = app_id
             WHERE verified_at_ms IS NOT NULL",
        )
        .fetch_all(&self.0.pool)
        .await
        .map_err(failed)?;
        Ok(rows.into_iter().filter_map(owned).collect())
    }
}
