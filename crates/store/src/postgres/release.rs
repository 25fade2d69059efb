//! Releases on PostgreSQL.

use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;
use picloud_shared::idempotency::{Idempotency, KEPT_MS, MadeDeploy, NewDeploy};
use picloud_shared::schedule::Planned;
use picloud_shared::{
    AppId, BlobHash, NewRelease, Quota, Release, ReleaseFile, ReleaseNumber, ReleaseStore,
    StoreError,
};
use sqlx::PgConnection;

use super::{PostgresDatabase, schedule};
use crate::convert::{failed, hash, signed, unsigned, without_nul};
use crate::hashed::{HashedFile, hashed, total_bytes};

pub(crate) struct PostgresReleaseStore(pub(crate) PostgresDatabase);

type Row = (i64, i64, String, i64, i64);

#[async_trait]
impl ReleaseStore for PostgresReleaseStore {
    async fn create(&self, app: AppId, release: &NewRelease) -> Result<Release, StoreError> {
        let files = hashed(release).await?;
        let mut transaction = self.0.pool.begin().await.map_err(failed)?;
        let created = create(&mut transaction, app, release, &files).await?;
        transaction.commit().await.map_err(failed)?;
        Ok(created)
    }

    async fn find(&self, app: AppId, number: ReleaseNumber) -> Result<Option<Release>, StoreError> {
        let row = sqlx::query_as(
            "SELECT number, created_at_ms, note, files, bytes FROM releases
             WHERE app_id = $1 AND number = $2",
        )
        .bind(app.0)
        .bind(number.0)
        .fetch_optional(&self.0.pool)
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
             WHERE app_id = $1 AND number < $2 ORDER BY number DESC LIMIT $3",
        )
        .bind(app.0)
        .bind(before.map_or(i64::MAX, |before| before.0))
        .bind(i64::from(limit))
        .fetch_all(&self.0.pool)
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
             WHERE app_id = $1 AND caller = $2 AND key = $3 AND created_at_ms > $4",
        )
        .bind(app.0)
        .bind(&idempotency.caller)
        .bind(idempotency.key.as_str())
        .bind(signed(now_ms) - signed(KEPT_MS))
        .fetch_optional(&self.0.pool)
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
        let mut transaction = self.0.pool.begin().await.map_err(failed)?;
        // A statement of its own: the next one sees whether the release was
        // deleted while this one waited.
        let active: Option<Option<i64>> =
            sqlx::query_scalar("SELECT active_release FROM apps WHERE id = $1 FOR NO KEY UPDATE")
                .bind(app.0)
                .fetch_optional(&mut *transaction)
                .await
                .map_err(failed)?;
        if instead_of.is_some_and(|instead_of| active.flatten() != Some(instead_of.0)) {
            return Err(StoreError::Conflict);
        }
        let done = sqlx::query(
            "UPDATE apps SET active_release = $2 WHERE id = $1
             AND EXISTS (SELECT 1 FROM releases WHERE app_id = $1 AND number = $2)",
        )
        .bind(app.0)
        .bind(number.0)
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
        let found = done.rows_affected() > 0;
        if found {
            schedule::plan(&mut transaction, app, schedules).await?;
        }
        transaction.commit().await.map_err(failed)?;
        Ok(found)
    }

    async fn delete(&self, app: AppId, number: ReleaseNumber) -> Result<bool, StoreError> {
        let mut transaction = self.0.pool.begin().await.map_err(failed)?;
        let deleted = delete(&mut transaction, app, number).await?;
        transaction.commit().await.map_err(failed)?;
        Ok(deleted)
    }

    async fn files(
        &self,
        app: AppId,
        number: ReleaseNumber,
    ) -> Result<Vec<ReleaseFile>, StoreError> {
        let rows: Vec<(String, Vec<u8>, i64)> = sqlx::query_as(
            "SELECT path, hash, bytes FROM release_files
             WHERE app_id = $1 AND number = $2 ORDER BY path",
        )
        .bind(app.0)
        .bind(number.0)
        .fetch_all(&self.0.pool)
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
            sqlx::query_scalar("SELECT contents FROM blobs WHERE app_id = $1 AND hash = $2")
                .bind(app.0)
                .bind(hash.as_bytes().as_slice())
                .fetch_optional(&self.0.pool)
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
             WHERE app_id = $1 AND number = $2",
        )
        .bind(app.0)
        .bind(number.0)
        .fetch_all(&self.0.pool)
        .await
        .map_err(failed)?;
        Ok(rows.into_iter().map(|(path, contents)| (path, Bytes::from(contents))).collect())
    }
}

async fn create(
    connection: &mut PgConnection,
    app: AppId,
    release: &NewRelease,
    files: &[HashedFile],
) -> Result<Release, StoreError> {
    // The app's row is held until the end, so that the next creator sees this
    // release's number. NO KEY UPDATE lets KV commits pass meanwhile.
    let active: Option<Option<i64>> =
        sqlx::query_scalar("SELECT active_release FROM apps WHERE id = $1 FOR NO KEY UPDATE")
            .bind(app.0)
            .fetch_optional(&mut *connection)
            .await
            .map_err(failed)?;
    // An app deleted meanwhile is a change by somebody else like any other.
    let active = active.ok_or(StoreError::Conflict)?;
    if release.derived_from.is_some() && release.derived_from != active.map(ReleaseNumber) {
        return Err(StoreError::Conflict);
    }

    let kept_before = blob_bytes(connection, app).await?;
    let note = without_nul(&release.note).into_owned();
    let bytes = total_bytes(files);
    let number: i64 = sqlx::query_scalar(
        "WITH made AS (
            INSERT INTO releases (app_id, number, created_at_ms, note, files, bytes)
            SELECT $1, coalesce(max(number), 0) + 1, $2, $3, $4, $5
            FROM releases WHERE app_id = $1
            RETURNING number
        )
        UPDATE apps SET active_release = CASE WHEN $6 THEN number ELSE active_release END
        FROM made WHERE id = $1 RETURNING number",
    )
    .bind(app.0)
    .bind(signed(release.created_at_ms))
    .bind(&note)
    .bind(signed(files.len() as u64))
    .bind(signed(bytes))
    .bind(release.activate)
    .fetch_one(&mut *connection)
    .await
    .map_err(failed)?;

    if let Some(deploy) = &release.deploy {
        remember(connection, app, number, deploy, release.created_at_ms).await?;
    }
    let hashes: Vec<&[u8]> = files.iter().map(|file| file.hash.as_bytes().as_slice()).collect();
    let contents: Vec<&[u8]> = files.iter().map(|file| file.contents.as_ref()).collect();
    let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
    sqlx::query(
        "INSERT INTO blobs (app_id, hash, contents)
         SELECT $1, hash, contents FROM unnest($2::bytea[], $3::bytea[]) AS file (hash, contents)
         ON CONFLICT DO NOTHING",
    )
    .bind(app.0)
    .bind(&hashes)
    .bind(&contents)
    .execute(&mut *connection)
    .await
    .map_err(failed)?;
    sqlx::query(
        "INSERT INTO release_files (app_id, number, path, hash, bytes)
         SELECT $1, $2, path, hash, octet_length(contents)
         FROM unnest($3::text[], $4::bytea[]) AS file (path, hash)
            JOIN blobs USING (hash) WHERE app_id = $1",
    )
    .bind(app.0)
    .bind(number)
    .bind(&paths)
    .bind(&hashes)
    .execute(&mut *connection)
    .await
    .map_err(failed)?;
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
    connection: &mut PgConnection,
    app: AppId,
    number: i64,
    deploy: &NewDeploy,
    now_ms: u64,
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM deploys WHERE app_id = $1 AND created_at_ms <= $2")
        .bind(app.0)
        .bind(signed(now_ms) - signed(KEPT_MS))
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    let done = sqlx::query(
        "INSERT INTO deploys (app_id, caller, key, number, request, answer, created_at_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
    )
    .bind(app.0)
    .bind(&deploy.idempotency.caller)
    .bind(deploy.idempotency.key.as_str())
    .bind(number)
    .bind(deploy.request.as_bytes().as_slice())
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
async fn blob_bytes(connection: &mut PgConnection, app: AppId) -> Result<u64, StoreError> {
    let bytes: i64 = sqlx::query_scalar(
        "SELECT coalesce(sum(octet_length(contents)), 0)::bigint FROM blobs WHERE app_id = $1",
    )
    .bind(app.0)
    .fetch_one(connection)
    .await
    .map_err(failed)?;
    unsigned("an app's usage", bytes)
}

async fn delete(
    connection: &mut PgConnection,
    app: AppId,
    number: ReleaseNumber,
) -> Result<bool, StoreError> {
    // Held like by whoever makes a release, or makes one active: what is found
    // to be unused is not taken into use meanwhile.
    let active: Option<Option<i64>> =
        sqlx::query_scalar("SELECT active_release FROM apps WHERE id = $1 FOR NO KEY UPDATE")
            .bind(app.0)
            .fetch_optional(&mut *connection)
            .await
            .map_err(failed)?;
    if active.is_none_or(|active| active == Some(number.0)) {
        return Ok(false);
    }
    let done = sqlx::query(
        "DELETE FROM releases WHERE app_id = $1 AND number = $2
            AND number <> (SELECT max(number) FROM releases WHERE app_id = $1)",
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
        "DELETE FROM blobs WHERE app_id = $1 AND NOT EXISTS (
            SELECT 1 FROM release_files AS f WHERE f.app_id = $1 AND f.hash = blobs.hash
        )",
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
