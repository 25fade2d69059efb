//! The one connection of a file that writes.

use picloud_shared::StoreError;
use sqlx::migrate::Migrator;
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteConnectOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Sqlite, SqliteConnection};
use tokio::sync::{Mutex, MutexGuard};

use crate::convert::failed;

/// Begins a transaction whose commit waits until it is on the disk.
const FLUSHED: &str = "PRAGMA synchronous = FULL; BEGIN IMMEDIATE";
/// Begins one whose commit does not wait.
const UNFLUSHED: &str = "PRAGMA synchronous = NORMAL; BEGIN IMMEDIATE";

/// Hands out one transaction at a time, in the order they were asked for.
pub(super) struct Writer {
    options: SqliteConnectOptions,
    /// How a transaction begins.
    begin: &'static str,
    state: Mutex<State>,
}

struct State {
    /// `None` once closed.
    connection: Option<SqliteConnection>,
    /// A transaction was begun and not seen to end: its future was dropped, or
    /// the database failed in the midst of it.
    unfinished: bool,
}

/// A write transaction. [`Transaction::finish`] ends it; dropped instead, it is
/// rolled back before the next one begins.
pub(super) struct Transaction<'a> {
    state: MutexGuard<'a, State>,
}

impl Writer {
    /// Opens the file and brings its schema up to date.
    pub(super) async fn open(
        options: SqliteConnectOptions,
        synchronous: SqliteSynchronous,
        migrations: &Migrator,
    ) -> Result<Self, StoreError> {
        let begin = match synchronous {
            SqliteSynchronous::Full => FLUSHED,
            _ => UNFLUSHED,
        };
        let options = options.synchronous(synchronous);
        let mut connection = options.connect().await.map_err(failed)?;
        migrations.run(&mut connection).await.map_err(failed)?;
        let state = State { connection: Some(connection), unfinished: false };
        Ok(Self { options, begin, state: Mutex::new(state) })
    }

    pub(super) async fn begin(&self) -> Result<Transaction<'_>, StoreError> {
        self.begin_as(self.begin).await
    }

    /// A transaction that a power failure may undo, and never without all that
    /// came after it: its commit does not wait for the disk, the next one of
    /// [`Writer::begin`] does for both, as the log is written in order.
    pub(super) async fn begin_unflushed(&self) -> Result<Transaction<'_>, StoreError> {
        self.begin_as(UNFLUSHED).await
    }

    async fn begin_as(&self, begin: &'static str) -> Result<Transaction<'_>, StoreError> {
        let mut state = self.state.lock().await;
        if state.unfinished && !rolled_back(state.connection()?).await {
            // Whatever state the old connection is in, a new one is not.
            let connection = self.options.connect().await.map_err(failed)?;
            if let Some(old) = state.connection.replace(connection) {
                tracing::warn!("the database's writer has reconnected");
                old.close().await.ok();
            }
        }
        state.unfinished = true;
        // IMMEDIATE takes the write lock now, so that no statement later on
        // can find that somebody else has it.
        execute(state.connection()?, begin).await?;
        Ok(Transaction { state })
    }

    /// Checks that the file takes writes.
    pub(super) async fn ping(&self) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        // Rewrites the page that holds it, with the number it already has.
        let written = execute(transaction.connection()?, "PRAGMA user_version = 1").await;
        transaction.finish(written).await
    }

    /// Moves the WAL into the file and closes.
    pub(super) async fn close(&self) {
        let mut state = self.state.lock().await;
        if let Some(connection) = state.connection.take()
            && let Err(error) = connection.close().await
        {
            tracing::warn!(%error, "the database did not close cleanly");
        }
    }
}

impl State {
    fn connection(&mut self) -> Result<&mut SqliteConnection, StoreError> {
        self.connection.as_mut().ok_or_else(|| StoreError::unavailable("the store is closed"))
    }
}

impl Transaction<'_> {
    pub(super) fn connection(&mut self) -> Result<&mut SqliteConnection, StoreError> {
        self.state.connection()
    }

    /// Runs one statement and commits it; how many rows it has changed.
    pub(super) async fn execute(
        mut self,
        query: Query<'_, Sqlite, SqliteArguments>,
    ) -> Result<u64, StoreError> {
        let done = query.execute(self.connection()?).await.map_err(failed);
        Ok(self.finish(done).await?.rows_affected())
    }

    /// Commits what succeeded and rolls back what did not.
    pub(super) async fn finish<T>(
        mut self,
        result: Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let connection = self.state.connection()?;
        let result = match result {
            Ok(value) => execute(connection, "COMMIT").await.map(|()| value),
            Err(error) => Err(error),
        };
        self.state.unfinished = result.is_err() && !rolled_back(self.state.connection()?).await;
        result
    }
}

/// Whether no transaction is open any more.
async fn rolled_back(connection: &mut SqliteConnection) -> bool {
    match sqlx::query("ROLLBACK").execute(connection).await {
        Ok(_) => true,
        // SQLite rolls back by itself on some errors, a full disk among them.
        Err(error) => error.to_string().contains("no transaction is active"),
    }
}

async fn execute(connection: &mut SqliteConnection, sql: &'static str) -> Result<(), StoreError> {
    sqlx::query(sql).execute(connection).await.map(drop).map_err(failed)
}
