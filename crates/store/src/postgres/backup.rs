//! Backups of PostgreSQL.

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use picloud_shared::{AppId, BlobHash, StoreError};
use sqlx::{AssertSqlSafe, PgTransaction, Postgres};

use super::PostgresDatabase;
use crate::backup::tables::{TABLES, Table, bundled};
use crate::backup::{Lines, NewApp, Numbers, Rows, Target};
use crate::convert::{failed, hash, signed};

impl PostgresDatabase {
    /// Writes all rows as they are now. Which files' contents go with them.
    pub(crate) async fn dump(
        &self,
        only: Option<AppId>,
        lines: &mut Lines,
    ) -> Result<Vec<(AppId, BlobHash)>, StoreError> {
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        let mut snapshot = self.pool.begin_with(begin).await.map_err(failed)?;
        let tables: Vec<&Table> = match only {
            None => TABLES.iter().collect(),
            Some(_) => bundled().collect(),
        };
        for table in tables {
            lines.table(table.name).await?;
            let get = AssertSqlSafe(table.of(table.postgres.get, only));
            let rows = sqlx::query_scalar::<Postgres, String>(get);
            let mut rows = rows.fetch(&mut *snapshot);
            while let Some(row) = rows.try_next().await.map_err(failed)? {
                lines.row(&row).await?;
            }
        }
        let stored = sqlx::query_as::<Postgres, (i64, Vec<u8>)>(
            "SELECT DISTINCT app_id, hash FROM files WHERE $1 IS NULL OR app_id = $1
             ORDER BY app_id, hash",
        )
        .bind(only.map(|app| app.0))
        .fetch_all(&mut *snapshot)
        .await
        .map_err(failed)?;
        stored.into_iter().map(|(app, bytes)| Ok((AppId(app), hash(&bytes)?))).collect()
    }

    /// A transaction in which everything is to be replaced; `None` if there is
    /// an app or a user, who are not to be.
    pub(crate) async fn replace(&self, replace: bool) -> Result<Option<Replacing>, StoreError> {
        let mut transaction = self.pool.begin().await.map_err(failed)?;
        let is_empty: bool = sqlx::query_scalar(
            "SELECT NOT EXISTS (SELECT FROM apps) AND NOT EXISTS (SELECT FROM users)",
        )
        .fetch_one(&mut *transaction)
        .await
        .map_err(failed)?;
        if !is_empty && !replace {
            return Ok(None);
        }
        // With all that refers to them. Nobody else can use them until the end.
        // Links that were given out before lead to nothing after it.
        sqlx::query("TRUNCATE apps, users, invites, audit, instance, executions, logs CASCADE")
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        Ok(Some(Replacing(transaction)))
    }

    /// Numbers for an app that is to be imported.
    pub(crate) async fn reserve(&self) -> Result<Numbers, StoreError> {
        let (app, kv_version, files_version) = sqlx::query_as(
            "SELECT nextval(pg_get_serial_sequence('apps', 'id')), nextval('kv_version'),
                nextval('files_version')",
        )
        .fetch_one(&self.pool)
        .await
        .map_err(failed)?;
        Ok(Numbers { app, kv_version, files_version })
    }

    /// Makes the app, with these rows.
    pub(crate) async fn import(&self, app: &NewApp, mut rows: Rows) -> Result<(), StoreError> {
        let mut transaction = self.pool.begin().await.map_err(failed)?;
        let made = sqlx::query(
            "WITH made AS (
                INSERT INTO apps (id, slug, created_at_ms, active_release)
                OVERRIDING SYSTEM VALUE SELECT $1, $2, $3, $4
                WHERE $5 IS NULL OR EXISTS (SELECT 1 FROM users WHERE id = $5)
                ON CONFLICT DO NOTHING
                RETURNING id
            ), counted AS (
                INSERT INTO kv_usage (app_id, bytes) SELECT id, $6 FROM made
            ), files_counted AS (
                INSERT INTO files_usage (app_id, bytes) SELECT id, $7 FROM made
            ), owned AS (
                INSERT INTO members (app_id, user_id, role)
                SELECT id, $5, 'owner' FROM made WHERE $5 IS NOT NULL
            )
            SELECT id FROM made",
        )
        .bind(app.numbers.app)
        .bind(app.slug.as_str())
        .bind(signed(app.now_ms))
        .bind(app.active_release)
        .bind(app.owner.map(|owner| owner.0))
        .bind(app.kv_bytes)
        .bind(app.file_bytes)
        .fetch_optional(&mut *transaction)
        .await
        .map_err(failed)?;
        if made.is_none() {
            return Err(StoreError::Conflict);
        }
        while let Some((table, rows)) = rows.next().await? {
            let put = sqlx::query(table.postgres.put).bind(rows).execute(&mut *transaction).await;
            put.map_err(failed)?;
        }
        transaction.commit().await.map_err(failed)
    }
}

/// A transaction in which everything is replaced.
pub(crate) struct Replacing(PgTransaction<'static>);

impl Replacing {
    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        self.0.commit().await.map_err(failed)
    }
}

#[async_trait]
impl Target for Replacing {
    async fn put(&mut self, table: &'static Table, rows: String) -> Result<(), StoreError> {
        let put = sqlx::query(table.postgres.put).bind(rows).execute(&mut *self.0).await;
        put.map(drop).map_err(failed)
    }
}
