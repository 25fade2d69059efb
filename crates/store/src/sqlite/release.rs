//! Releases on SQLite.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use picloud_shared::idempotency::{Idempotency, KEPT_MS, MadeDeploy, NewDeploy};
use picloud_shared::schedule::Planned;
use picloud_shared::{
    AppId, BlobHash, NewRelease, Quota, Release, ReleaseFile, ReleaseNumber, ReleaseStore,
    StoreError,
};
use sqlx::SqliteConnection;

use super::{SqliteDatabase, schedule};
use crate::convert::{failed, hash, signed, unsigned, without_nul};
use crate::hashed::{HashedFile, hashed, total_bytes};

pub(crate) struct SqliteReleaseStore(pub(crate) Arc<SqliteDatabase>);

type Row = (i64, i64, String, i64, i64);

#[async_trait]
impl ReleaseStore for SqliteReleaseStore {
    async fn create(&self, app: AppId, release: &NewRelease) -> Result<Release, StoreError> {
        let files = hashed(release).await?;
        let mut transaction = self.0.main.writer.begin().await?;
        let created = create(transaction.connection()?, app, release, &files).await;
        transaction.finish(created).await
    }

    async fn find(&self, app: AppId, number: ReleaseNumber) -> Result<Option<Release>, StoreError> {
        let row = sqlx::query_as(
            "SELECT number, created_at_ms, note, files, bytes FROM releases
             WHERE app_id = ?1 AND number = ?2",
        )
        .bind(app.0)
        .bind(number.0)
        .fetch_optional(&self.0.main.readers)
        .await
        .map_err(failed)?;
        row.map(found).transpose()
    }

    async fn list(
        &self,
        app: AppId,
        before: Option<ReleaseNumber>,
        limit: u32,
    ) -> Result<Vec<Release>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT number, created_at_ms, note, files, bytes FROM releases
             WHERE app_id = ?1 AND number < ?2 ORDER BY number DESC LIMIT ?3",
        )
        .bind(app.0)
        .bind(before.map_or(i64::MAX, |before| before.0))
        .bind(limit)
        .fetch_all(&self.0.main.readers)
        .await
        .map_err(failed)?;
        rows.into_iter().map(found).collect()
    }

    async fn made(
        &self,
        app: AppId,
        idempotency: &Idempotency,
        now_ms: u64,
    ) -> Result<Option<MadeDeploy>, StoreError> {
        let row: Option<(Vec<u8>, String, i64)> = sqlx::query_as(
            "SELECT request, answer, number FROM deploys
             WHERE app_id = ?1 AND caller = ?2 AND key = ?3 AND created_at_ms > ?4",
        )
        .bind(app.0)
        .bind(&idempotency.caller)
        .bind(idempotency.key.as_str())
        .bind(signed(now_ms) - signed(KEPT_MS))
        .fetch_optional(&self.0.main.readers)
        .await
        .map_err(failed)?;
        row.map(made).transpose()
    }

    async fn activate(
        &self,
        app: AppId,
        number: ReleaseNumber,
        schedules: &[Planned],
        instead_of: Option<ReleaseNumber>,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.0.main.writer.begin().await?;
        let connection = transaction.connection()?;
        let activated = activate(connection, app, number, schedules, instead_of).await;
        transaction.finish(activated).await
    }

    async fn delete(&self, app: AppId, number: ReleaseNumber) -> Result<bool, StoreError> {
        let mut transaction = self.0.main.writer.begin().await?;
        let deleted = delete(transaction.connection()?, app, number).await;
        transaction.finish(deleted).await
    }

    async fn files(
        &self,
        app: AppId,
        number: ReleaseNumber,
    ) -> Result<Vec<ReleaseFile>, StoreError> {
        let rows: Vec<(String, Vec<u8>, i64)> = sqlx::query_as(
            "SELECT path, hash, bytes FROM release_files
             WHERE app_id = ?1 AND number = ?2 ORDER BY path",
        )
        .bind(app.0)
        .bind(number.0)
        .fetch_all(&self.0.main.readers)
        .await
        .map_err(failed)?;
        let file = |(path, digest, bytes): (_, Vec<u8>, _)| {
            let bytes = unsigned("a file's size", bytes)?;
            Ok(ReleaseFile { path, hash: hash(&digest)?, bytes })
        };
        rows.into_iter().map(file).collect()
    }

    async fn blob(&self, app: AppId, hash: BlobHash) -> Result<Option<Bytes>, StoreError> {
        let contents: Option<Vec<u8>> =
            sqlx::query_scalar("SELECT contents FROM blobs WHERE app_id = ?1 AND hash = ?2")
                .bind(app.0)
                .bind(hash.as_bytes().as_slice())
                .fetch_optional(&self.0.main.readers)
                .await
                .map_err(failed)?;
        Ok(contents.map(Bytes::from))
    }

    async fn contents(
        &self,
        app: AppId,
        number: ReleaseNumber,
    ) -> Result<BTreeMap<String, Bytes>, StoreError> {
        let rows: Vec<(String, Vec<u8>)> = sqlx::query_as(
            "SELECT path, contents FROM release_files JOIN blobs USING (app_id, hash)
             WHERE app_id = ?1 AND number = ?2",
        )
        .bind(app.0)
        .bind(number.0)
        .fetch_all(&self.0.main.readers)
        .await
        .map_err(failed)?;
        Ok(rows.into_iter().map(|(path, contents)| (path, Bytes::from(contents))).collect())
    }
}

async fn activate(
    connection: &mut SqliteConnection,
    app: AppId,
    number: ReleaseNumber,
    schedules: &[Planned],
    instead_of: Option<ReleaseNumber>,
) -> Result<bool, StoreError> {
    if let Some(instead_of) = instead_of {
        let active: Option<Option<i64>> =
            sqlx::query_scalar("SELECT active_release FROM apps WHERE id = ?1")
                .bind(app.0)
                .fetch_optional(&mut *connection)
                .await
                .map_err(failed)?;
        if active.flatten() != Some(instead_of.0) {
            return Err(StoreError::Conflict);
        }
    }
    let done = sqlx::query(
        "UPDATE apps SET active_release = ?2 WHERE id = ?1
         AND EXISTS (SELECT 1 FROM releases WHERE app_id = ?1 AND number = ?2)",
    )
    .bind(app.0)
    .bind(number.0)
    .execute(&mut *connection)
    .await
    .map_err(failed)?;
    let found = done.rows_affected() > 0;
    if found {
        schedule::plan(connection, app, schedules).await?;
    }
    Ok(found)
}

async fn create(
    connection: &mut SqliteConnection,
    app: AppId,
    release: &NewRelease,
    files: &[HashedFile],
) -> Result<Release, StoreError> {
    let current: Option<(Option<i64>, i64)> = sqlx::query_as(
        "SELECT active_release,
            (SELECT coalesce(max(number), 0) FROM releases WHERE app_id = id)
         FROM apps WHERE id = ?1",
    )
    .bind(app.0)
    .fetch_optional(&mut *connection)
    .await
    .map_err(failed)?;
    // An app deleted meanwhile is a change by somebody else like any other.
    let (active, last) = current.ok_or(StoreError::Conflict)?;
    if release.derived_from.is_some() && release.derived_from != active.map(ReleaseNumber) {
        return Err(StoreError::Conflict);
    }

    let kept_before = blob_bytes(connection, app).await?;
    let number = last + 1;
    let note = without_nul(&release.note).into_owned();
    let bytes = total_bytes(files);
    sqlx::query(
        "INSERT INTO releases (app_id, number, created_at_ms, note, files, bytes)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6);
         UPDATE apps SET active_release = ?2 WHERE id = ?1 AND ?7",
    )
    .bind(app.0)
    .bind(number)
    .bind(signed(release.created_at_ms))
    .bind(&note)
    .bind(signed(files.len() as u64))
    .bind(signed(bytes))
    .bind(release.activate)
    .execute(&mut *connection)
    .await
    .map_err(failed)?;
    if let Some(deploy) = &release.deploy {
        remember(connection, app, number, deploy, release.created_at_ms).await?;
    }
    for HashedFile { path, hash, contents } in files {
        sqlx::query(
            "INSERT INTO blobs (app_id, hash, contents) VALUES (?1, ?3, ?4) ON CONFLICT DO NOTHING;
             INSERT INTO release_files (app_id, number, path, hash, bytes)
             VALUES (?1, ?2, ?5, ?3, ?6)",
        )
        .bind(app.0)
        .bind(number)
        .bind(hash.as_bytes().to_vec())
        .bind(contents.to_vec())
        .bind(path)
        .bind(signed(contents.len() as u64))
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    }
    let kept = blob_bytes(connection, app).await?;
    if kept > kept_before && kept > release.quota_bytes {
        return Err(StoreError::QuotaExceeded(Quota::Releases));
    }
    if release.activate {
        schedule::plan(connection, app, &release.schedules).await?;
    }
    Ok(Release {
        number: ReleaseNumber(number),
        created_at_ms: release.created_at_ms,
        note,
        files: files.len() as u64,
        bytes,
    })
}

/// Writes by what the release is to be found, and forgets what was long ago.
async fn remember(
    connection: &mut SqliteConnection,
    app: AppId,
    number: i64,
    deploy: &NewDeploy,
    now_ms: u64,
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM deploys WHERE app_id = ?1 AND created_at_ms <= ?2")
        .bind(app.0)
        .bind(signed(now_ms) - signed(KEPT_MS))
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    let done = sqlx::query(
        "INSERT INTO deploys (app_id, caller, key, number, request, answer, created_at_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
    )
    .bind(app.0)
    .bind(&deploy.idempotency.caller)
    .bind(deploy.idempotency.key.as_str())
    .bind(number)
    .bind(deploy.request.as_bytes().to_vec())
    .bind(&deploy.answer)
    .bind(signed(now_ms))
    .execute(&mut *connection)
    .await
    .map_err(failed)?;
    if done.rows_affected() == 0 { Err(StoreError::Conflict) } else { Ok(()) }
}

fn made((request, answer, number): (Vec<u8>, String, i64)) -> Result<MadeDeploy, StoreError> {
    Ok(MadeDeploy { request: hash(&request)?, answer, release: ReleaseNumber(number) })
}

/// What the contents of all releases take. Their sizes are read, and not they.
async fn blob_bytes(connection: &mut SqliteConnection, app: AppId) -> Result<u64, StoreError> {
    let bytes: i64 = sqlx::query_scalar(
        "SELECT coalesce(sum(length(contents)), 0) FROM blobs WHERE app_id = ?1",
    )
    .bind(app.0)
    .fetch_one(connection)
    .await
    .map_err(failed)?;
    unsigned("an app's usage", bytes)
}

async fn delete(
    connection: &mut SqliteConnection,
    app: AppId,
    number: ReleaseNumber,
) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "DELETE FROM releases WHERE app_id = ?1 AND number = ?2
            AND number <> (SELECT max(number) FROM releases WHERE app_id = ?1)
            AND number IS NOT (SELECT active_release FROM apps WHERE id = ?1)",
    )
    .bind(app.0)
    .bind(number.0)
    .execute(&mut *connection)
    .await
    .map_err(failed)?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query(
        "DELETE FROM blobs WHERE app_id = ?1
            AND hash NOT IN (SELECT hash FROM release_files WHERE app_id = ?1)",
    )
    .bind(app.0)
    .execute(connection)
    .await
    .map_err(failed)?;
    Ok(true)
}

fn found((number, created_at_ms, note, files, bytes): Row) -> Result<Release, StoreError> {
    Ok(Release {
        number: ReleaseNumber(number),
        created_at_ms: unsigned("a time", created_at_ms)?,
        note,
        files: unsigned("a number of files", files)?,
        bytes: unsigned("a release's size", bytes)?,
    })
}
