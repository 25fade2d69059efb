//! What only SQLite has: files of ours, and a disk under them.

use std::path::Path;
use std::process::Command;

use picloud_shared::StoreError;
use picloud_shared::kv::{Range, Seen};
use picloud_store::Stores;
use rustix::process::{Resource, getrlimit, setrlimit};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, SqliteConnection};
use tokio::task::JoinSet;

use crate::support::{
    NOW, app, assert_unavailable, commit, commit_kv, execution, keys, line, on_sqlite, put, set,
    value,
};

async fn connect(file: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(file).connect().await.unwrap()
}

async fn run(connection: &mut SqliteConnection, sql: &'static str) {
    sqlx::raw_sql(sql).execute(connection).await.unwrap();
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_an_end_without_a_close() {
    let dir = tempfile::tempdir().unwrap();
    let stores = Stores::open_sqlite(dir.path()).await.unwrap();
    let app = app(&stores, "alice").await.id;
    put(&stores, app, "c", "k", "1").await;
    // The files as they are at this moment, without the process's help.
    let copy = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(dir.path()).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }

    let after = Stores::open_sqlite(copy.path()).await.unwrap();
    assert_eq!(value(&after, app, "c", "k").await.as_deref(), Some("1"));
    assert_eq!(after.kv.usage(app, 0).await.unwrap(), 3);
    put(&after, app, "c", "k", "2").await;
    after.close().await;
    stores.close().await;
}

#[tokio::test]
async fn a_closed_store_is_two_files_that_open_again_as_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let mut id = None;
    for round in 0..3 {
        let stores = Stores::open_sqlite(dir.path()).await.unwrap();
        let app = match id {
            Some(app) => app,
            None => app(&stores, "alice").await.id,
        };
        id = Some(app);
        assert_eq!(keys(&stores, app, "c", "", None).await.len(), round);
        put(&stores, app, "c", &format!("k{round}"), "1").await;
        stores.executions.record(&[execution(app, 1)], &[]).await.unwrap();
        stores.close().await;

        let files = std::fs::read_dir(dir.path()).unwrap();
        let mut files: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
        files.sort();
        assert_eq!(files, ["history.db", "picloud.db"]);
    }
}

#[tokio::test]
async fn a_database_of_a_later_version_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    Stores::open_sqlite(dir.path()).await.unwrap().close().await;
    let mut connection = connect(&dir.path().join("picloud.db")).await;
    let later =
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                 VALUES (9999, 'later', true, x'00', 1)";
    run(&mut connection, later).await;
    assert_unavailable(Stores::open_sqlite(dir.path()).await.map(drop));
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("picloud.db"), "not a database, ".repeat(1_000)).unwrap();
    assert_unavailable(Stores::open_sqlite(dir.path()).await.map(drop));
    assert_unavailable(Stores::open_sqlite(&dir.path().join("missing")).await.map(drop));
}

#[tokio::test]
async fn corrupt_rows_are_reported_with_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let stores = Stores::open_sqlite(dir.path()).await.unwrap();
    let app = app(&stores, "alice").await;
    put(&stores, app.id, "c", "k", "1").await;
    let mut connection = connect(&dir.path().join("picloud.db")).await;
    let said = |error: StoreError| match error {
        StoreError::Unavailable(source) => source.to_string(),
        other => panic!("{other:?}"),
    };

    run(&mut connection, "UPDATE apps SET limits = '{\"fuel\": -1}'").await;
    let error = said(stores.apps.find(&app.slug).await.unwrap_err());
    assert!(error.contains("an app's limits"), "{error}");

    run(&mut connection, "UPDATE kv SET key = char(7)").await;
    let range = Range { limit: 1, ..Range::default() };
    let page = stores.kv.list(app.id, &"c".parse().unwrap(), range, NOW).await;
    let error = said(page.unwrap_err());
    assert!(error.contains("for a key"), "{error}");

    run(&mut connection, "UPDATE kv SET key = 'k', value = x'ffff'").await;
    let get = stores.kv.get(app.id, &"c".parse().unwrap(), &"k".parse().unwrap(), NOW).await;
    let error = said(get.unwrap_err());
    assert!(error.contains("malformed JSON"), "{error}");
    stores.close().await;
}

#[tokio::test]
async fn a_writer_from_outside_only_delays() {
    let dir = tempfile::tempdir().unwrap();
    let stores = Stores::open_sqlite(dir.path()).await.unwrap();
    let app = app(&stores, "alice").await.id;
    let mut outside = connect(&dir.path().join("picloud.db")).await;
    run(&mut outside, "BEGIN IMMEDIATE").await;
    let waiting = tokio::join!(
        commit(&stores, app, [set("c", "k", Seen::Absent, "1")]),
        run(&mut outside, "UPDATE kv_usage SET bytes = 100; COMMIT"),
    );
    assert_eq!(waiting.0.unwrap(), 103, "it saw what was committed while it waited");
    stores.close().await;
}

#[tokio::test]
async fn history_does_not_queue_behind_the_main_file() {
    let dir = tempfile::tempdir().unwrap();
    let stores = Stores::open_sqlite(dir.path()).await.unwrap();
    let app = app(&stores, "alice").await.id;
    let mut outside = connect(&dir.path().join("picloud.db")).await;
    run(&mut outside, "BEGIN IMMEDIATE").await;
    let recorded = execution(app, 1);
    let lines = [line(app, recorded.id, "x")];
    stores.executions.record(&[recorded], &lines).await.unwrap();
    run(&mut outside, "ROLLBACK").await;
    stores.close().await;
}

/// Names the variable under which this test runs itself as a child process,
/// because a file-size limit is a process's.
const CHILD: &str = "PICLOUD_STORE_FULL_DISK";

#[test]
fn a_full_disk_is_unavailable_and_recovered_from() {
    if std::env::var_os(CHILD).is_some() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        return runtime.block_on(on_sqlite(full_disk));
    }
    // A write beyond the limit fails if the signal that it also sends is
    // ignored, and what is ignored stays so across exec.
    let name = "sqlite::a_full_disk_is_unavailable_and_recovered_from";
    let status = Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$0\" --exact \"$1\" --nocapture"])
        .arg(std::env::current_exe().unwrap())
        .arg(name)
        .env(CHILD, "1")
        .status();
    assert!(status.unwrap().success());
}

async fn full_disk(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    let room = getrlimit(Resource::Fsize);
    let mut full = room;
    full.current = Some(2 << 20);
    setrlimit(Resource::Fsize, full).unwrap();

    let large = format!("\"{}\"", "x".repeat(60_000));
    let mut written = 0;
    let error = loop {
        let write = set("c", &format!("{written:04}"), Seen::Absent, &large);
        match commit(stores, app, [write]).await {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 1_000, "the disk never filled up");
    };
    assert_unavailable(Err::<(), _>(error));
    assert!(written > 5);
    // Whole batches fail, and each member is told.
    let mut tasks = JoinSet::new();
    for n in 0..40 {
        let (stores, large) = (stores.clone(), large.clone());
        tasks.spawn(async move {
            let write = set("c", &format!("lost{n}"), Seen::Absent, &large);
            let writes = vec![write];
            let write_set = picloud_shared::kv::WriteSet { clears: vec![], writes };
            commit_kv(&stores, app, write_set, u64::MAX, NOW).await
        });
    }
    tasks.join_all().await.into_iter().for_each(assert_unavailable);
    // A ping writes a page; there may be room for a few of them yet.
    let mut pings = 0;
    while stores.ping().await.is_ok() {
        pings += 1;
        assert!(pings < 100, "pings do not notice");
    }
    assert_eq!(keys(stores, app, "c", "", None).await.len(), written, "reading goes on");

    setrlimit(Resource::Fsize, room).unwrap();
    stores.ping().await.unwrap();
    put(stores, app, "c", "after", "1").await;
    let found = keys(stores, app, "c", "", None).await;
    assert_eq!(found.len(), written + 1, "what was acknowledged and nothing else");
    let bytes = written as u64 * (1 + 4 + 60_002) + 7;
    assert_eq!(stores.kv.usage(app, 0).await.unwrap(), bytes);
    assert_eq!(value(stores, app, "c", "0000").await, Some(large));
}
