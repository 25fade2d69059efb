//! Backups of SQLite.

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use picloud_shared::{AppId, BlobHash, StoreError};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Sqlite, SqliteConnection};

use super::{File, SqliteDatabase};
use crate::backup::tables::{TABLES, Table, bundled};
use crate::backup::{Lines, NewApp, Numbers, Rows, Target};
use crate::convert::{failed, hash, signed};

impl SqliteDatabase {
    /// Writes all rows as they are now, and says which files' contents go with
    /// them. Whoever writes meanwhile is not held up; the log of changes cannot
    /// be shortened before this is done.
    pub(crate) async fn dump(
        &self,
        only: Option<AppId>,
        lines: &mut Lines,
    ) -> Result<Vec<(AppId, BlobHash)>, StoreError> {
        let mut main = snapshot(&self.main).await?;
        let mut history = snapshot(&self.history).await?;
        let tables: Vec<&Table> = match only {
            None => TABLES.iter().collect(),
            Some(_) => bundled().collect(),
        };
        for table in tables {
            lines.table(table.name).await?;
            let connection = if table.is_history { &mut history } else { &mut main };
            let get = AssertSqlSafe(table.of(table.sqlite.get, only));
            let mut rows = sqlx::query_scalar::<Sqlite, String>(get).fetch(connection);
            while let Some(row) = rows.try_next().await.map_err(failed)? {
                lines.row(&row).await?;
            }
        }
        history.close().await.map_err(failed)?;
        let stored = sqlx::query_as::<Sqlite, (i64, Vec<u8>)>(
            "SELECT DISTINCT app_id, hash FROM files WHERE ?1 IS NULL OR app_id = ?1
             ORDER BY app_id, hash",
        )
        .bind(only.map(|app| app.0))
        .fetch_all(&mut main)
        .await
        .map_err(failed)?;
        stored.into_iter().map(|(app, bytes)| Ok((AppId(app), hash(&bytes)?))).collect()
    }

    /// Numbers for an app that is to be imported.
    pub(crate) async fn reserve(&self) -> Result<Numbers, StoreError> {
        let mut transaction = self.main.writer.begin().await?;
        let reserved = reserve(transaction.connection()?).await;
        transaction.finish(reserved).await
    }

    /// Makes the app, with these rows. Whoever else writes waits for it.
    pub(crate) async fn import(&self, app: &NewApp, rows: Rows) -> Result<(), StoreError> {
        let mut transaction = self.main.writer.begin().await?;
        let imported = import(transaction.connection()?, app, rows).await;
        transaction.finish(imported).await
    }
}

async fn reserve(connection: &mut SqliteConnection) -> Result<Numbers, StoreError> {
    // There is no row before the first app.
    let app = sqlx::query_scalar(
        "INSERT INTO sqlite_sequence (name, seq)
         SELECT 'apps', 0 WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'apps');
         UPDATE sqlite_sequence SET seq = seq + 1 WHERE name = 'apps' RETURNING seq",
    )
    .fetch_one(&mut *connection)
    .await
    .map_err(failed)?;
    let mut last = async |next: &'static str| {
        sqlx::query_scalar(next).fetch_one(&mut *connection).await.map_err(failed)
    };
    let kv_version = last("UPDATE kv_sequence SET last = last + 1 RETURNING last").await?;
    let files_version = last("UPDATE files_sequence SET last = last + 1 RETURNING last").await?;
    Ok(Numbers { app, kv_version, files_version })
}

async fn import(
    connection: &mut SqliteConnection,
    app: &NewApp,
    mut rows: Rows,
) -> Result<(), StoreError> {
    let made = sqlx::query(
        "INSERT INTO apps (id, slug, created_at_ms, active_release) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO NOTHING",
    )
    .bind(app.numbers.app)
    .bind(app.slug.as_str())
    .bind(signed(app.now_ms))
    .bind(app.active_release)
    .execute(&mut *connection)
    .await
    .map_err(failed)?;
    if made.rows_affected() == 0 {
        return Err(StoreError::Conflict);
    }
    if let Some(owner) = app.owner {
        let owned = sqlx::query(
            "INSERT INTO members (app_id, user_id, role)
             SELECT ?1, id, 'owner' FROM users WHERE id = ?2",
        )
        .bind(app.numbers.app)
        .bind(owner.0)
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
        if owned.rows_affected() == 0 {
            return Err(StoreError::Conflict);
        }
    }
    sqlx::query(
        "INSERT INTO kv_usage (app_id, bytes) VALUES (?1, ?2);
         INSERT INTO files_usage (app_id, bytes) VALUES (?1, ?3);
         INSERT INTO outbox_usage (app_id, rows, bytes) VALUES (?1, 0, 0)",
    )
    .bind(app.numbers.app)
    .bind(app.kv_bytes)
    .bind(app.file_bytes)
    .execute(&mut *connection)
    .await
    .map_err(failed)?;
    while let Some((table, rows)) = rows.next().await? {
        sqlx::query(table.sqlite.put).bind(rows).execute(&mut *connection).await.map_err(failed)?;
    }
    Ok(())
}

/// A connection that sees what is committed now, and nothing later.
async fn snapshot(file: &File) -> Result<SqliteConnection, StoreError> {
    let mut connection = file.readers.connect_options().connect().await.map_err(failed)?;
    // A transaction begins with its first read.
    sqlx::raw_sql("BEGIN; SELECT count(*) FROM sqlite_schema;")
        .execute(&mut connection)
        .await
        .map_err(failed)?;
    Ok(connection)
}

/// Files that nobody else uses yet, and which are of no use if this does not
/// come to its end: nothing waits for the disk before that.
#[async_trait]
impl Target for &SqliteDatabase {
    async fn put(&mut self, table: &'static Table, rows: String) -> Result<(), StoreError> {
        let file = if table.is_history { &self.history } else { &self.main };
        let mut transaction = file.writer.begin_unflushed().await?;
        let put = sqlx::query(table.sqlite.put).bind(rows).execute(transaction.connection()?).await;
        transaction.finish(put.map(drop).map_err(failed)).await
    }
}
