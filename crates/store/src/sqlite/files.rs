//! What is known of files, on SQLite.

use std::sync::Arc;

use async_trait::async_trait;
use picloud_shared::files::{Bucket, Change, Entry, FileStore, Info, Listed, Path, Write};
use picloud_shared::kv::{Range, Seen};
use picloud_shared::{AppId, BlobHash, Quota, StoreError};
use sqlx::SqliteConnection;

use super::SqliteDatabase;
use crate::bounds::Bounds;
use crate::convert::{corrupt, failed, hash, signed, to_json, unsigned};
use crate::file_row::{entry, listed};

pub(crate) struct SqliteFileStore(pub(crate) Arc<SqliteDatabase>);

#[async_trait]
impl FileStore for SqliteFileStore {
    async fn get(
        &self,
        app: AppId,
        bucket: &Bucket,
        path: &Path,
    ) -> Result<Option<Entry>, StoreError> {
        let row = sqlx::query_as(
            "SELECT path, hash, bytes, content_type, modified_ms, version FROM files
             WHERE app_id = ?1 AND bucket = ?2 AND path = ?3",
        )
        .bind(app.0)
        .bind(bucket.as_str())
        .bind(path.as_str())
        .fetch_optional(&self.0.main.readers)
        .await
        .map_err(failed)?;
        Ok(row.map(entry).transpose()?.map(|(_, entry)| entry))
    }

    async fn list(
        &self,
        app: AppId,
        bucket: &Bucket,
        range: Range<'_>,
    ) -> Result<Listed, StoreError> {
        let Some(bounds) = Bounds::of(&range) else { return Ok(Listed::default()) };
        let rows = sqlx::query_as(
            "SELECT path, hash, bytes, content_type, modified_ms, version FROM files
             WHERE app_id = ?1 AND bucket = ?2 AND path >= ?3 AND path < ?4
             ORDER BY path LIMIT ?5",
        )
        .bind(app.0)
        .bind(bucket.as_str())
        .bind(bounds.lower)
        .bind(bounds.upper)
        // One more, to know whether there is one.
        .bind(i64::from(range.limit) + 1)
        .fetch(&self.0.main.readers);
        listed(rows, range.limit).await
    }

    async fn buckets(&self, app: AppId) -> Result<Vec<(Bucket, u64)>, StoreError> {
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "SELECT bucket, count(*) FROM files WHERE app_id = ?1 GROUP BY bucket ORDER BY bucket",
        )
        .bind(app.0)
        .fetch_all(&self.0.main.readers)
        .await
        .map_err(failed)?;
        let found = |(name, count): (String, i64)| {
            let bucket = name.parse().map_err(|_| corrupt("a bucket", name))?;
            Ok((bucket, unsigned("a count", count)?))
        };
        rows.into_iter().map(found).collect()
    }

    async fn usage(&self, app: AppId) -> Result<u64, StoreError> {
        let bytes: Option<i64> =
            sqlx::query_scalar("SELECT bytes FROM files_usage WHERE app_id = ?1")
                .bind(app.0)
                .fetch_optional(&self.0.main.readers)
                .await
                .map_err(failed)?;
        bytes.map_or(Ok(0), |bytes| unsigned("an app's usage", bytes))
    }

    async fn referenced(
        &self,
        app: AppId,
        hashes: &[BlobHash],
    ) -> Result<Vec<BlobHash>, StoreError> {
        let asked: Vec<String> = hashes.iter().map(ToString::to_string).collect();
        // Asked on the writer's connection: what it is about to commit counts.
        let mut transaction = self.0.main.writer.begin().await?;
        let found: Result<Vec<Vec<u8>>, _> = sqlx::query_scalar(
            "SELECT DISTINCT hash FROM files
             WHERE app_id = ?1 AND hash IN (SELECT unhex(value) FROM json_each(?2))",
        )
        .bind(app.0)
        .bind(to_json(&asked)?)
        .fetch_all(transaction.connection()?)
        .await;
        let found = transaction.finish(found.map_err(failed)).await?;
        found.iter().map(|bytes| hash(bytes)).collect()
    }
}

/// Applies one write-set's files within a transaction, and says how many bytes
/// the app's files have then.
pub(super) async fn commit(
    connection: &mut SqliteConnection,
    app: AppId,
    writes: &[Write],
    quota_bytes: u64,
) -> Result<u64, StoreError> {
    let used: Option<i64> = sqlx::query_scalar("SELECT bytes FROM files_usage WHERE app_id = ?1")
        .bind(app.0)
        .fetch_optional(&mut *connection)
        .await
        .map_err(failed)?;
    // An app deleted meanwhile is a change by somebody else like any other.
    let before: u64 = unsigned("an app's usage", used.ok_or(StoreError::Conflict)?)?;
    let (mut freed, mut added) = (0, 0);
    for write in writes {
        freed += check(connection, app, write).await?;
        match &write.change {
            Change::Put(info) => {
                put(connection, app, write, info).await?;
                added += info.bytes;
            }
            Change::Delete => delete(connection, app, write).await?,
        }
    }
    let after = (before + added).saturating_sub(freed);
    if after > before && after > quota_bytes {
        return Err(StoreError::QuotaExceeded(Quota::Files));
    }
    sqlx::query("UPDATE files_usage SET bytes = ?2 WHERE app_id = ?1")
        .bind(app.0)
        .bind(signed(after))
        .execute(connection)
        .await
        .map_err(failed)?;
    Ok(after)
}

/// The bytes that the file has now, if it is as it was seen.
async fn check(
    connection: &mut SqliteConnection,
    app: AppId,
    write: &Write,
) -> Result<u64, StoreError> {
    let row: Option<(i64, i64)> = sqlx::query_as(
        "SELECT version, bytes FROM files WHERE app_id = ?1 AND bucket = ?2 AND path = ?3",
    )
    .bind(app.0)
    .bind(write.bucket.as_str())
    .bind(write.path.as_str())
    .fetch_optional(connection)
    .await
    .map_err(failed)?;
    let holds = match write.seen {
        Seen::Unread => true,
        Seen::Absent => row.is_none(),
        Seen::Version(seen) => row.is_some_and(|(version, _)| version == seen),
    };
    if !holds {
        return Err(StoreError::Conflict);
    }
    row.map_or(Ok(0), |(_, bytes)| unsigned("a file's size", bytes))
}

async fn put(
    connection: &mut SqliteConnection,
    app: AppId,
    write: &Write,
    info: &Info,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE files_sequence SET last = last + 1")
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    sqlx::query(
        "INSERT INTO files (app_id, bucket, path, hash, bytes, content_type, modified_ms, version)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, (SELECT last FROM files_sequence))
         ON CONFLICT DO UPDATE SET hash = excluded.hash, bytes = excluded.bytes,
            content_type = excluded.content_type, modified_ms = excluded.modified_ms,
            version = excluded.version",
    )
    .bind(app.0)
    .bind(write.bucket.as_str())
    .bind(write.path.as_str())
    .bind(info.hash.as_bytes().as_slice())
    .bind(signed(info.bytes))
    .bind(&info.content_type)
    .bind(signed(info.modified_ms))
    .execute(connection)
    .await
    .map(drop)
    .map_err(failed)
}

async fn delete(
    connection: &mut SqliteConnection,
    app: AppId,
    write: &Write,
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM files WHERE app_id = ?1 AND bucket = ?2 AND path = ?3")
        .bind(app.0)
        .bind(write.bucket.as_str())
        .bind(write.path.as_str())
        .execute(connection)
        .await
        .map(drop)
        .map_err(failed)
}
