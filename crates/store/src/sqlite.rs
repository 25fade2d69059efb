//! The stores on SQLite: two files in a directory.

mod app;
mod audit;
mod backup;
mod commit;
mod domain;
mod entry_reader;
mod execution;
mod files;
mod invite;
mod kv;
mod member;
mod outbox;
mod owner;
mod plan;
mod release;
mod schedule;
mod secrets;
mod session;
mod token;
mod unit;
mod usage;
mod user;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use picloud_shared::StoreError;
use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, SqlitePool};

pub(crate) use app::SqliteAppStore;
pub(crate) use audit::SqliteAuditStore;
pub(crate) use domain::SqliteDomainStore;
pub(crate) use execution::SqliteExecutionStore;
pub(crate) use files::SqliteFileStore;
pub(crate) use invite::SqliteInviteStore;
pub(crate) use kv::SqliteKvStore;
pub(crate) use member::SqliteMemberStore;
pub(crate) use outbox::SqliteOutboxStore;
pub(crate) use owner::SqliteOwnerStore;
pub(crate) use release::SqliteReleaseStore;
pub(crate) use schedule::SqliteScheduleStore;
pub(crate) use secrets::SqliteSecretStore;
pub(crate) use session::SqliteSessionStore;
pub(crate) use token::SqliteTokenStore;
pub(crate) use unit::SqliteUnitStore;
pub(crate) use usage::SqliteUsageStore;
pub(crate) use user::SqliteUserStore;

use crate::convert::failed;
use commit::Committer;
use entry_reader::EntryReader;
use writer::Writer;

static MAIN: Migrator = sqlx::migrate!("migrations/sqlite");
static HISTORY: Migrator = sqlx::migrate!("migrations/sqlite-history");

/// Connections for reading, per file. Each is a thread that sleeps when idle.
const READERS: u32 = 4;

/// Both files, open.
pub(crate) struct SqliteDatabase {
    main: File,
    entries: EntryReader,
    history: File,
    committer: Committer,
}

/// One database file: a connection that writes and some that read.
struct File {
    writer: Arc<Writer>,
    readers: SqlitePool,
}

impl SqliteDatabase {
    pub(crate) async fn open(dir: &Path) -> Result<Self, StoreError> {
        // FULL: a commit is on the disk when it returns.
        let path = dir.join("picloud.db");
        let main = File::open(&path, SqliteSynchronous::Full, &MAIN).await?;
        // NORMAL: the last records may be lost with the machine's power, but
        // the file stays sound.
        let history =
            File::open(&dir.join("history.db"), SqliteSynchronous::Normal, &HISTORY).await?;
        outbox::recover(&main.writer).await?;
        let committer = Committer::start(main.writer.clone());
        Ok(Self { main, entries: EntryReader::new(&path), history, committer })
    }

    /// Apps and users.
    pub(crate) async fn counts(&self) -> Result<(i64, i64), StoreError> {
        sqlx::query_as("SELECT (SELECT count(*) FROM apps), (SELECT count(*) FROM users)")
            .fetch_one(&self.main.readers)
            .await
            .map_err(failed)
    }

    pub(crate) async fn ping(&self) -> Result<(), StoreError> {
        self.main.writer.ping().await?;
        self.history.writer.ping().await
    }

    /// See [`crate::Stores::remember`].
    pub(crate) async fn remember(&self, name: &str, value: &str) -> Result<String, StoreError> {
        let mut transaction = self.main.writer.begin().await?;
        let remembered = sqlx::query_scalar(
            "INSERT INTO instance (name, value) VALUES (?1, ?2)
             ON CONFLICT DO UPDATE SET value = instance.value RETURNING value",
        )
        .bind(name)
        .bind(value)
        .fetch_one(transaction.connection()?)
        .await
        .map_err(failed);
        transaction.finish(remembered).await
    }

    pub(crate) async fn close(&self) {
        self.committer.close().await;
        self.entries.close();
        self.main.close().await;
        self.history.close().await;
    }
}

impl File {
    async fn open(
        path: &Path,
        synchronous: SqliteSynchronous,
        migrations: &Migrator,
    ) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .busy_timeout(Duration::from_secs(5))
            .disable_statement_logging();
        // No mmap: there an I/O error would be a signal that ends the process.
        let write = options
            .clone()
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .pragma("cache_size", "-8000")
            .pragma("wal_autocheckpoint", "4000")
            .pragma("journal_size_limit", "67108864");
        let writer = Writer::open(write, synchronous, migrations).await?;
        // Nothing reaps idle connections, so nothing wakes up for it.
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .connect_with(options.read_only(true))
            .await
            .map_err(failed)?;
        Ok(Self { writer: Arc::new(writer), readers })
    }

    async fn close(&self) {
        // Readers first: the last connection to go removes the WAL.
        self.readers.close().await;
        self.writer.close().await;
    }
}
