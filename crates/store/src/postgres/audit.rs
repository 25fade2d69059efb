//! The audit log on PostgreSQL.

use async_trait::async_trait;
use picloud_shared::audit::{AuditStore, Change, Entry};
use picloud_shared::{AppId, StoreError};

use super::PostgresDatabase;
use crate::access_row::audit::{BEGIN, END, LIST, LIST_OF_APP, PRUNE};
use crate::access_row::{EntryRow, entry};
use crate::convert::{failed, signed, without_nul};

pub(crate) struct PostgresAuditStore(pub(crate) PostgresDatabase);

#[async_trait]
impl AuditStore for PostgresAuditStore {
    async fn begin(&self, change: &Change) -> Result<i64, StoreError> {
        sqlx::query_scalar(BEGIN)
            .bind(signed(change.at_ms))
            .bind(&change.actor)
            .bind(&change.token)
            .bind(&change.action)
            .bind(without_nul(&change.target))
            .bind(change.app.map(|app| app.0))
            .bind(change.ip.to_string())
            .fetch_one(&self.0.pool)
            .await
            .map_err(failed)
    }

    async fn end(&self, id: i64, status: u16) -> Result<(), StoreError> {
        sqlx::query(END)
            .bind(id)
            .bind(i64::from(status))
            .execute(&self.0.pool)
            .await
            .map(drop)
            .map_err(failed)
    }

    async fn list(
        &self,
        app: Option<AppId>,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<Entry>, StoreError> {
        let query = sqlx::query_as(if app.is_some() { LIST_OF_APP } else { LIST })
            .bind(before.unwrap_or(i64::MAX))
            .bind(i64::from(limit));
        let query = if let Some(app) = app { query.bind(app.0) } else { query };
        let rows: Vec<EntryRow> = query.fetch_all(&self.0.pool).await.map_err(failed)?;
        rows.into_iter().map(entry).collect()
    }

    async fn prune(&self, before_ms: u64, limit: u32) -> Result<u64, StoreError> {
        let done = sqlx::query(PRUNE)
            .bind(signed(before_ms))
            .bind(i64::from(limit))
            .execute(&self.0.pool)
            .await
            .map_err(failed)?;
        Ok(done.rows_affected())
    }
}
