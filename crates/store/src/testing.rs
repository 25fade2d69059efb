//! PostgreSQL for tests, this crate's and others' (feature `testing`).
//!
//! [`with_postgres`] runs a test in a schema of its own, on the server that
//! `PICLOUD_TEST_POSTGRES_URL` names or else on a throwaway one, started once
//! per test process from the machine's own `initdb` and `pg_ctl`. Where there
//! is neither, the test is skipped, which is said on standard error past the
//! test harness's capture; with `PICLOUD_REQUIRE_POSTGRES=1` it fails instead.

mod cluster;

use std::io::Write as _;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

use futures_util::FutureExt as _;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use uuid::Uuid;

use crate::backup::tables::{OMITTED, TABLES};
use cluster::Cluster;

/// Where the tests' PostgreSQL is, or why there is none.
enum Server {
    Given(String),
    Started(Cluster),
    Missing(String),
}

/// Runs `test` with the URL of an empty schema and drops the schema after it,
/// whether it succeeds or not.
///
/// # Panics
/// With what `test` panics with; if the server cannot be used; and if there is
/// none but the environment demands one.
#[expect(clippy::panic, clippy::expect_used, reason = "this is a part of tests")]
pub async fn with_postgres(name: &str, test: impl AsyncFnOnce(&str)) {
    let url = match server() {
        Server::Given(url) => url.as_str(),
        Server::Started(cluster) => cluster.url(),
        Server::Missing(why) if required() => panic!("PICLOUD_REQUIRE_POSTGRES=1, but {why}"),
        Server::Missing(why) => return skipped(name, why),
    };
    // A random name: several processes may use one server.
    let schema = format!("test_{}", Uuid::new_v4().simple());
    let mut connection = PgConnection::connect(url).await.expect("the tests' PostgreSQL answers");
    run(&mut connection, format!("CREATE SCHEMA {schema}")).await;

    let separator = if url.contains('?') { '&' } else { '?' };
    let schema_url = format!("{url}{separator}options[search_path]={schema}");
    let result = AssertUnwindSafe(test(&schema_url)).catch_unwind().await;

    run(&mut connection, format!("DROP SCHEMA {schema} CASCADE")).await;
    if let Err(panic) = result {
        resume_unwind(panic);
    }
}

#[expect(clippy::expect_used, reason = "this is a part of tests")]
async fn run(connection: &mut PgConnection, sql: String) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.expect("the schema can be changed");
}

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| match variable("PICLOUD_TEST_POSTGRES_URL") {
        Some(url) => Server::Given(url),
        None => Cluster::start().map_or_else(Server::Missing, Server::Started),
    })
}

fn required() -> bool {
    variable("PICLOUD_REQUIRE_POSTGRES").is_some_and(|value| value == "1")
}

#[expect(clippy::disallowed_methods, reason = "tests have no command line of their own")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Says so at once, and again in one line after the process has ended.
fn skipped(name: &str, why: &str) {
    static REPORT: Mutex<Option<Child>> = Mutex::new(None);
    let mut report = REPORT.lock().unwrap_or_else(PoisonError::into_inner);
    if report.is_none() {
        let script =
            "skipped=$(wc -l); echo \"PostgreSQL was NOT tested: $skipped tests skipped\" >&2";
        *report = after_exit(script).spawn().ok();
    }
    if let Some(stdin) = report.as_mut().and_then(|child| child.stdin.as_mut()) {
        writeln!(stdin, "{name}").ok();
    }
    writeln!(std::io::stderr(), "SKIPPED {name}: {why}").ok();
}

/// A shell script whose input ends when this process does, however it
/// ends: the kernel closes the pipe even after `kill -9`. Its own process group
/// keeps it from being interrupted together with the tests.
fn after_exit(script: &str) -> Command {
    use std::os::unix::process::CommandExt as _;
    let mut command = Command::new("sh");
    command.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::null()).process_group(0);
    command
}

/// What backups know of: each table with its columns, and those that they
/// leave out, without.
#[must_use]
pub fn backed_up() -> (Vec<(&'static str, &'static [&'static str])>, &'static [&'static str]) {
    let tables = TABLES.iter().filter(|table| !table.columns.is_empty());
    (tables.map(|table| (table.name, table.columns)).collect(), OMITTED)
}
