//! The stores on PostgreSQL.

mod app;
mod audit;
mod backup;
mod domain;
mod execution;
mod files;
mod invite;
mod kv;
mod member;
mod outbox;
mod owner;
mod release;
mod schedule;
mod secrets;
mod session;
mod token;
mod unit;
mod usage;
mod user;

use std::time::Duration;

use picloud_shared::StoreError;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgDatabaseError, PgListener, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgPool};
use tokio::sync::Notify;

pub(crate) use app::PostgresAppStore;
pub(crate) use audit::PostgresAuditStore;
pub(crate) use domain::PostgresDomainStore;
pub(crate) use execution::PostgresExecutionStore;
pub(crate) use files::PostgresFileStore;
pub(crate) use invite::PostgresInviteStore;
pub(crate) use kv::PostgresKvStore;
pub(crate) use member::PostgresMemberStore;
pub(crate) use outbox::PostgresOutboxStore;
pub(crate) use owner::PostgresOwnerStore;
pub(crate) use release::PostgresReleaseStore;
pub(crate) use schedule::PostgresScheduleStore;
pub(crate) use secrets::PostgresSecretStore;
pub(crate) use session::PostgresSessionStore;
pub(crate) use token::PostgresTokenStore;
pub(crate) use unit::PostgresUnitStore;
pub(crate) use usage::PostgresUsageStore;
pub(crate) use user::PostgresUserStore;

use crate::convert::failed;

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

const CONNECTIONS: u32 = 16;
/// A connection idle for longer is tested before use, for the server may have
/// gone and come back; one in steady use costs no extra round trip.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);
/// Time until it listens again after its connection was lost.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);
/// Runs of a transaction that the server ends for another's sake.
const ATTEMPTS: u32 = 5;

#[derive(Clone)]
pub(crate) struct PostgresDatabase {
    pool: PgPool,
}

impl PostgresDatabase {
    pub(crate) async fn connect(url: &str) -> Result<Self, StoreError> {
        let options: PgConnectOptions = url.parse().map_err(failed)?;
        // Nothing reaps idle connections, so nothing wakes up for it.
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(Duration::from_secs(5))
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    Ok(meta.idle_for < TRUSTED_IDLE || connection.ping().await.is_ok())
                })
            })
            .connect_with(options.disable_statement_logging())
            .await
            .map_err(failed)?;
        MIGRATIONS.run(&pool).await.map_err(failed)?;
        Ok(Self { pool })
    }

    /// Apps and users.
    pub(crate) async fn counts(&self) -> Result<(i64, i64), StoreError> {
        sqlx::query_as("SELECT (SELECT count(*) FROM apps), (SELECT count(*) FROM users)")
            .fetch_one(&self.pool)
            .await
            .map_err(failed)
    }

    /// Checks that the server takes writes: a standby refuses to count on.
    pub(crate) async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT nextval('kv_version')")
            .execute(&self.pool)
            .await
            .map(drop)
            .map_err(failed)
    }

    /// See [`crate::Stores::remember`].
    pub(crate) async fn remember(&self, name: &str, value: &str) -> Result<String, StoreError> {
        sqlx::query("INSERT INTO instance (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING")
            .bind(name)
            .bind(value)
            .execute(&self.pool)
            .await
            .map_err(failed)?;
        sqlx::query_scalar("SELECT value FROM instance WHERE name = $1")
            .bind(name)
            .fetch_one(&self.pool)
            .await
            .map_err(failed)
    }

    /// See [`crate::Stores::tell_of_outbox`].
    pub(crate) async fn tell_of_outbox(&self, deliver: &Notify) {
        loop {
            if let Err(error) = self.listen(deliver).await {
                tracing::debug!(%error, "notifications are not heard");
            }
            deliver.notify_one();
            tokio::time::sleep(LISTEN_AGAIN).await;
        }
    }

    /// Listens until the connection is lost.
    async fn listen(&self, deliver: &Notify) -> Result<(), sqlx::Error> {
        let mut listener = PgListener::connect_with(&self.pool).await?;
        listener.listen("picloud_outbox").await?;
        // What came before this.
        deliver.notify_one();
        while listener.try_recv().await?.is_some() {
            deliver.notify_one();
        }
        Ok(())
    }

    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }
}

/// Whether to run a transaction again that the server has rolled back because
/// of somebody else's, on a deadlock or a serialization failure.
#[derive(Default)]
struct Retries(u32);

impl Retries {
    fn again(&mut self, error: &sqlx::Error) -> bool {
        self.0 += 1;
        self.0 < ATTEMPTS && matches!(state(error), "40001" | "40P01")
    }
}

/// The error's SQLSTATE, empty if it does not come from the server.
fn state(error: &sqlx::Error) -> &str {
    let error = error.as_database_error();
    let error = error.and_then(|error| error.try_downcast_ref::<PgDatabaseError>());
    error.map_or("", PgDatabaseError::code)
}
