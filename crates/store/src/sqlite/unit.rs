//! Units of work on SQLite.

use std::sync::Arc;

use async_trait::async_trait;
use picloud_shared::unit::{Kept, Quotas, UnitStore, WriteSet};
use picloud_shared::{AppId, StoreError};

use super::plan::Member;
use super::{SqliteDatabase, commit, files};

pub(crate) struct SqliteUnitStore(pub(crate) Arc<SqliteDatabase>);

#[async_trait]
impl UnitStore for SqliteUnitStore {
    async fn commit(
        &self,
        app: AppId,
        write_set: WriteSet,
        quotas: Quotas,
        now_ms: u64,
    ) -> Result<Kept, StoreError> {
        let WriteSet { kv, files, events, ack } = write_set;
        let member = Member { app, write_set: kv, events, ack, quotas, now_ms };
        if files.is_empty() {
            let kv_bytes = self.0.committer.commit(member).await?;
            return Ok(Kept { kv_bytes, file_bytes: None });
        }
        // Whoever writes files has waited for the disk already, once per file,
        // so a transaction of their own costs them little.
        let mut transaction = self.0.main.writer.begin().await?;
        let connection = transaction.connection()?;
        let result = async {
            let kv_bytes = commit::alone(connection, &member).await?;
            let file_bytes = files::commit(connection, app, &files, quotas.file_bytes).await?;
            Ok(Kept { kv_bytes, file_bytes: Some(file_bytes) })
        };
        let result = result.await;
        transaction.finish(result).await
    }
}
