//! What is known of files, on PostgreSQL.

use async_trait::async_trait;
use picloud_shared::files::{Bucket, Entry, FileStore, Listed, Path};
use picloud_shared::kv::Range;
use picloud_shared::{AppId, BlobHash, StoreError};

use super::PostgresDatabase;
use crate::bounds::Bounds;
use crate::convert::{corrupt, failed, hash, unsigned};
use crate::file_row::{entry, listed};

pub(crate) struct PostgresFileStore(pub(crate) PostgresDatabase);

#[async_trait]
impl FileStore for PostgresFileStore {
    async fn get(
        &self,
        app: AppId,
        bucket: &Bucket,
        path: &Path,
    ) -> Result<Option<Entry>, StoreError> {
        let row = sqlx::query_as(
            "SELECT path, hash, bytes, content_type, modified_ms, version FROM files
             WHERE app_id = $1 AND bucket = $2 AND path = $3",
        )
        .bind(app.0)
        .bind(bucket.as_str())
        .bind(path.as_str())
        .fetch_optional(&self.0.pool)
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
             WHERE app_id = $1 AND bucket = $2 AND path >= $3 AND path < $4
             ORDER BY path LIMIT $5",
        )
        .bind(app.0)
        .bind(bucket.as_str())
        .bind(bounds.lower)
        .bind(bounds.upper)
        // One more, to know whether there is one.
        .bind(i64::from(range.limit) + 1)
        .fetch(&self.0.pool);
        listed(rows, range.limit).await
    }

    async fn buckets(&self, app: AppId) -> Result<Vec<(Bucket, u64)>, StoreError> {
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "SELECT bucket, count(*) FROM files WHERE app_id = $1 GROUP BY bucket ORDER BY bucket",
        )
        .bind(app.0)
        .fetch_all(&self.0.pool)
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
            sqlx::query_scalar("SELECT bytes FROM files_usage WHERE app_id = $1")
                .bind(app.0)
                .fetch_optional(&self.0.pool)
                .await
                .map_err(failed)?;
        bytes.map_or(Ok(0), |bytes| unsigned("an app's usage", bytes))
    }

    async fn referenced(
        &self,
        app: AppId,
        hashes: &[BlobHash],
    ) -> Result<Vec<BlobHash>, StoreError> {
        let asked: Vec<&[u8]> = hashes.iter().map(|hash| hash.as_bytes().as_slice()).collect();
        let found: Vec<Vec<u8>> = sqlx::query_scalar(
            "SELECT DISTINCT hash FROM files WHERE app_id = $1 AND hash = ANY ($2)",
        )
        .bind(app.0)
        .bind(asked)
        .fetch_all(&self.0.pool)
        .await
        .map_err(failed)?;
        found.iter().map(|bytes| hash(bytes)).collect()
    }
}
