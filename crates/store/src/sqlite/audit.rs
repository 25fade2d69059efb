//! The audit log on SQLite. It is written without waiting for the disk: the
//! change that an entry is about waits, and comes after it in the same log.

use std::sync::Arc;

use async_trait::async_trait;
use picloud_shared::audit::{AuditStore, Change, Entry};
use picloud_shared::{AppId, StoreError};

use super::SqliteDatabase;
use crate::access_row::audit::{BEGIN, END, LIST, LIST_OF_APP, PRUNE};
use crate::access_row::{EntryRow, entry};
use crate::convert::{failed, signed, without_nul};

pub(crate) struct SqliteAuditStore(pub(crate) Arc<SqliteDatabase>);

#[async_trait]
impl AuditStore for SqliteAuditStore {
    async fn begin(&self, change: &Change) -> Result<i64, StoreError> {
        let mut transaction = self.0.main.writer.begin_unflushed().await?;
        // All rows: a statement that returns some is only then at its end.
        let begun: Result<Vec<i64>, _> = sqlx::query_scalar(BEGIN)
            .bind(signed(change.at_ms))
            .bind(&change.actor)
            .bind(&change.token)
            .bind(&change.action)
            .bind(without_nul(&change.target))
            .bind(change.app.map(|app| app.0))
            .bind(change.ip.to_string())
            .fetch_all(transaction.connection()?)
            .await;
        let ids = transaction.finish(begun.map_err(failed)).await?;
        ids.into_iter().next().ok_or_else(|| failed("no entry was written"))
    }

    async fn end(&self, id: i64, status: u16) -> Result<(), StoreError> {
        let query = sqlx::query(END).bind(id).bind(status);
        self.0.main.writer.begin_unflushed().await?.execute(query).await.map(drop)
    }

    async fn list(
        &self,
        app: Option<AppId>,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<Entry>, StoreError> {
        let query = sqlx::query_as(if app.is_some() { LIST_OF_APP } else { LIST })
            .bind(before.unwrap_or(i64::MAX))
            .bind(limit);
        let query = if let Some(app) = app { query.bind(app.0) } else { query };
        let rows: Vec<EntryRow> = query.fetch_all(&self.0.main.readers).await.map_err(failed)?;
        rows.into_iter().map(entry).collect()
    }

    async fn prune(&self, before_ms: u64, limit: u32) -> Result<u64, StoreError> {
        let query = sqlx::query(PRUNE).bind(signed(before_ms)).bind(limit);
        self.0.main.writer.begin_unflushed().await?.execute(query).await
    }
}
