//! PiCloud's stores: the ports of `picloud-shared` that end in `Store`, on
//! SQLite and on PostgreSQL, and [`DirContents`], which keeps files' bytes in a
//! directory. This is the only crate that knows SQL.
//!
//! [`Stores`] opens a database, brings its schema up to date and hands out the
//! ports. Which database it is cannot be told from outside.
//!
//! # To add a port
//!
//! 1. The trait and its words go to `crates/shared`, the rules of its methods
//!    in its docs. Its every method names the app first.
//! 2. Its tables go to a new pair of migrations with the next number, one in
//!    `migrations/sqlite` (or `sqlite-history`, see below) and one in
//!    `migrations/postgres`. `app_id` is the first column of every primary key
//!    and refers to `apps` with `ON DELETE CASCADE`.
//! 3. Its rules go to `tests/it/contract/<port>.rs`: one body per case, run on
//!    both databases, two apps that must never meet among them.
//! 4. Its implementations go to `src/sqlite/<port>.rs` and
//!    `src/postgres/<port>.rs`, and a field to [`Stores`].
//!
//! # To change a table
//!
//! Add a migration; one that has been released is never edited. Expand first
//! and contract in a later release, for two versions may run side by side.
//!
//! # Invariants
//!
//! - No sqlx type leaves the crate, nor does an error of it other than as text.
//! - No query is put together from text at run time.
//! - On SQLite one connection writes `picloud.db`, behind a fair lock, so
//!   nobody waits for a database lock by polling and nobody starves.
//! - Executions and logs lie in a file of their own on SQLite, `history.db`,
//!   so that their volume never queues before a KV commit. They refer to apps
//!   that may be gone; apps' numbers are never used twice, so nobody sees them.
//! - Time comes in as a parameter. No method reads a clock.

mod access_row;
pub mod backup;
mod bounds;
mod contents;
mod convert;
mod domain_row;
mod entry;
mod execution_row;
mod file_row;
mod hashed;
mod outbox_row;
mod owner_row;
mod postgres;
mod sqlite;
#[cfg(feature = "testing")]
pub mod testing;
mod usage_row;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use picloud_shared::access::{InviteStore, MemberStore, SessionStore, TokenStore};
use picloud_shared::audit::AuditStore;
use picloud_shared::files::FileStore;
use picloud_shared::kv::KvStore;
use picloud_shared::owner::OwnerStore;
use picloud_shared::secrets::SecretStore;
use picloud_shared::user::UserStore;
use picloud_shared::{
    AppStore, DomainStore, ExecutionStore, OutboxStore, ReleaseStore, ScheduleStore, StoreError,
    UnitStore, UsageStore,
};
use tokio::sync::Notify;

pub use contents::DirContents;

/// How long [`Stores::ping`] waits for its answer.
const PING: Duration = Duration::from_secs(5);

/// How much an instance has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    pub apps: u64,
    pub users: u64,
}

/// The ports of one open database.
#[derive(Clone)]
pub struct Stores {
    pub apps: Arc<dyn AppStore>,
    pub releases: Arc<dyn ReleaseStore>,
    pub kv: Arc<dyn KvStore>,
    pub files: Arc<dyn FileStore>,
    pub secrets: Arc<dyn SecretStore>,
    pub domains: Arc<dyn DomainStore>,
    /// Commits what invocations write.
    pub units: Arc<dyn UnitStore>,
    pub executions: Arc<dyn ExecutionStore>,
    pub outbox: Arc<dyn OutboxStore>,
    pub schedules: Arc<dyn ScheduleStore>,
    pub users: Arc<dyn UserStore>,
    pub sessions: Arc<dyn SessionStore>,
    pub tokens: Arc<dyn TokenStore>,
    pub invites: Arc<dyn InviteStore>,
    pub members: Arc<dyn MemberStore>,
    pub audit: Arc<dyn AuditStore>,
    pub usage: Arc<dyn UsageStore>,
    pub owners: Arc<dyn OwnerStore>,
    database: Database,
}

#[derive(Clone)]
enum Database {
    Sqlite(Arc<sqlite::SqliteDatabase>),
    Postgres(postgres::PostgresDatabase),
}

impl Stores {
    /// Whether other processes may use the database, too.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        matches!(self.database, Database::Postgres(_))
    }

    /// Tells `deliver` whenever any node has committed something to deliver or
    /// to fire, for as long as this runs. What is lost with a connection is
    /// made up for by telling once more.
    pub async fn tell_of_outbox(&self, deliver: &Notify) {
        match &self.database {
            // There is no other node.
            Database::Sqlite(_) => std::future::pending().await,
            Database::Postgres(database) => database.tell_of_outbox(deliver).await,
        }
    }

    /// Opens the databases in `dir`, an existing directory that no other
    /// process uses, and makes them if need be.
    ///
    /// Must be called on a tokio runtime, which then runs the writer's task.
    pub async fn open_sqlite(dir: &Path) -> Result<Self, StoreError> {
        let database = Arc::new(sqlite::SqliteDatabase::open(dir).await?);
        Ok(Self {
            apps: Arc::new(sqlite::SqliteAppStore(database.clone())),
            releases: Arc::new(sqlite::SqliteReleaseStore(database.clone())),
            kv: Arc::new(sqlite::SqliteKvStore(database.clone())),
            files: Arc::new(sqlite::SqliteFileStore(database.clone())),
            secrets: Arc::new(sqlite::SqliteSecretStore(database.clone())),
            domains: Arc::new(sqlite::SqliteDomainStore(database.clone())),
            units: Arc::new(sqlite::SqliteUnitStore(database.clone())),
            executions: Arc::new(sqlite::SqliteExecutionStore(database.clone())),
            outbox: Arc::new(sqlite::SqliteOutboxStore(database.clone())),
            schedules: Arc::new(sqlite::SqliteScheduleStore(database.clone())),
            users: Arc::new(sqlite::SqliteUserStore(database.clone())),
            sessions: Arc::new(sqlite::SqliteSessionStore(database.clone())),
            tokens: Arc::new(sqlite::SqliteTokenStore(database.clone())),
            invites: Arc::new(sqlite::SqliteInviteStore(database.clone())),
            members: Arc::new(sqlite::SqliteMemberStore(database.clone())),
            audit: Arc::new(sqlite::SqliteAuditStore(database.clone())),
            usage: Arc::new(sqlite::SqliteUsageStore(database.clone())),
            owners: Arc::new(sqlite::SqliteOwnerStore(database.clone())),
            database: Database::Sqlite(database),
        })
    }

    /// Connects to `postgres://user:password@host/database`, PostgreSQL 14 or
    /// later.
    pub async fn connect_postgres(url: &str) -> Result<Self, StoreError> {
        let database = postgres::PostgresDatabase::connect(url).await?;
        Ok(Self {
            apps: Arc::new(postgres::PostgresAppStore(database.clone())),
            releases: Arc::new(postgres::PostgresReleaseStore(database.clone())),
            kv: Arc::new(postgres::PostgresKvStore(database.clone())),
            files: Arc::new(postgres::PostgresFileStore(database.clone())),
            secrets: Arc::new(postgres::PostgresSecretStore(database.clone())),
            domains: Arc::new(postgres::PostgresDomainStore(database.clone())),
            units: Arc::new(postgres::PostgresUnitStore(database.clone())),
            executions: Arc::new(postgres::PostgresExecutionStore(database.clone())),
            outbox: Arc::new(postgres::PostgresOutboxStore(database.clone())),
            schedules: Arc::new(postgres::PostgresScheduleStore(database.clone())),
            users: Arc::new(postgres::PostgresUserStore(database.clone())),
            sessions: Arc::new(postgres::PostgresSessionStore(database.clone())),
            tokens: Arc::new(postgres::PostgresTokenStore(database.clone())),
            invites: Arc::new(postgres::PostgresInviteStore(database.clone())),
            members: Arc::new(postgres::PostgresMemberStore(database.clone())),
            audit: Arc::new(postgres::PostgresAuditStore(database.clone())),
            usage: Arc::new(postgres::PostgresUsageStore(database.clone())),
            owners: Arc::new(postgres::PostgresOwnerStore(database.clone())),
            database: Database::Postgres(database),
        })
    }

    /// Checks that the database takes writes, by writing.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let ping = async {
            match &self.database {
                Database::Sqlite(database) => database.ping().await,
                Database::Postgres(database) => database.ping().await,
            }
        };
        tokio::time::timeout(PING, ping).await.map_err(|_| {
            StoreError::unavailable(format!("the database did not answer within {PING:?}"))
        })?
    }

    /// What the database is, in a word.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.database {
            Database::Sqlite(_) => "sqlite",
            Database::Postgres(_) => "postgresql",
        }
    }

    /// How many apps and users there are.
    pub async fn counts(&self) -> Result<Counts, StoreError> {
        let (apps, users) = match &self.database {
            Database::Sqlite(database) => database.counts().await,
            Database::Postgres(database) => database.counts().await,
        }?;
        let apps = convert::unsigned("a number of apps", apps)?;
        let users = convert::unsigned("a number of users", users)?;
        Ok(Counts { apps, users })
    }

    /// Remembers a value of the instance's own, unless one is remembered under
    /// that name already, and returns the one that is.
    pub async fn remember(&self, name: &str, value: &str) -> Result<String, StoreError> {
        match &self.database {
            Database::Sqlite(database) => database.remember(name, value).await,
            Database::Postgres(database) => database.remember(name, value).await,
        }
    }

    /// Finishes the commits that wait, writes everything to its final place
    /// and closes. Every later call of any port is [`StoreError::Unavailable`].
    pub async fn close(&self) {
        match &self.database {
            Database::Sqlite(database) => database.close().await,
            Database::Postgres(database) => database.close().await,
        }
    }
}
