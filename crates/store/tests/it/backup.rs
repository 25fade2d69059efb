//! Backups, taken from real databases and brought back into others.

mod bundle;
mod damage;
mod filled;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use flate2::read::GzDecoder;
use futures_util::{Stream, TryStreamExt as _};
use picloud_shared::files::Contents as _;
use picloud_shared::kv::Seen;
use picloud_store::backup::{self, End, FORMAT, Head};
use picloud_store::testing::{backed_up, with_postgres};
use picloud_store::{DirContents, Stores};
use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};
use tempfile::TempDir;

use crate::support::{NOW, app, commit, put, set, value};

fn head(stores: &Stores) -> Head {
    Head {
        format: FORMAT,
        version: "1.2.3".to_owned(),
        database: stores.kind().to_owned(),
        created_at_ms: NOW,
        master_key: "fingerprint".to_owned(),
        app: None,
    }
}

fn backup_of(
    stores: &Stores,
    contents: &DirContents,
) -> impl Stream<Item = io::Result<Bytes>> + use<> {
    stores.backup(contents, head(stores), &std::env::temp_dir())
}

/// A backup, whole.
async fn bytes(stores: &Stores, contents: &DirContents) -> Vec<u8> {
    let chunks: Vec<_> = backup_of(stores, contents).try_collect().await.unwrap();
    chunks.concat()
}

/// A backup in a file, which is whole.
async fn file(stores: &Stores, contents: &DirContents, dir: &Path) -> (PathBuf, End) {
    let path = dir.join("backup");
    std::fs::write(&path, bytes(stores, contents).await).unwrap();
    let (told, end) = backup::verify(File::open(&path).unwrap(), |_| {}).unwrap();
    assert_eq!(told, head(stores));
    (path, end)
}

/// A backup's lines between the first and the last, as far as they are the
/// same of both databases: their forms of one JSON value differ.
fn lines(backup: &Path) -> BTreeSet<String> {
    let mut text = String::new();
    GzDecoder::new(File::open(backup).unwrap()).read_to_string(&mut text).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let between = lines[1..lines.len() - 1].iter().map(|line| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        for column in ["value", "limits"] {
            if let Some(Value::String(json)) = line["row"].get_mut(column) {
                // A setting of the instance is no JSON.
                if let Ok(value) = serde_json::from_str::<Value>(json) {
                    *json = value.to_string();
                }
            }
        }
        line.to_string()
    });
    between.collect()
}

/// A database and a directory of files, made of a backup.
async fn sqlite_of(path: &Path) -> (TempDir, Stores, DirContents) {
    let dir = TempDir::new().unwrap();
    backup::restore_sqlite(File::open(path).unwrap(), dir.path(), |_| {}).await.unwrap();
    let stores = Stores::open_sqlite(dir.path()).await.unwrap();
    let contents = DirContents::open(&dir.path().join("files")).unwrap();
    (dir, stores, contents)
}

async fn postgres_of(path: &Path, url: &str) -> (TempDir, Stores, DirContents) {
    let dir = TempDir::new().unwrap();
    let files = dir.path().join("files");
    let source = File::open(path).unwrap();
    backup::restore_postgres(source, url, &files, false, |_| {}).await.unwrap();
    (dir, Stores::connect_postgres(url).await.unwrap(), DirContents::open(&files).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_table_and_column_of_sqlite_is_backed_up() {
    let dir = TempDir::new().unwrap();
    Stores::open_sqlite(dir.path()).await.unwrap().close().await;
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for name in ["picloud.db", "history.db"] {
        let options = SqliteConnectOptions::new().filename(dir.path().join(name));
        let columns: Vec<(String, String)> = sqlx::query_as(
            "SELECT t.name, c.name FROM sqlite_schema AS t, pragma_table_info(t.name) AS c
             WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite%' AND t.name NOT LIKE '_sqlx%'",
        )
        .fetch_all(&mut options.connect().await.unwrap())
        .await
        .unwrap();
        for (table, column) in columns {
            found.entry(table).or_default().insert(column);
        }
    }
    compare(found, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_table_and_column_of_postgres_is_backed_up() {
    with_postgres("every_table_and_column_of_postgres_is_backed_up", async |url| {
        Stores::connect_postgres(url).await.unwrap().close().await;
        let columns: Vec<(String, String)> = sqlx::query_as(
            "SELECT table_name::text, column_name::text FROM information_schema.columns
             WHERE table_schema = current_schema() AND table_name <> '_sqlx_migrations'",
        )
        .fetch_all(&mut PgConnection::connect(url).await.unwrap())
        .await
        .unwrap();
        let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (table, column) in columns {
            found.entry(table).or_default().insert(column);
        }
        // It is counted in slots, of which a backup has the sum.
        assert!(found.get_mut("outbox_usage").unwrap().remove("slot"));
        // Where SQLite has tables, PostgreSQL has sequences.
        compare(found, &["kv_sequence", "files_sequence"]);
    })
    .await;
}

#[track_caller]
fn compare(mut found: BTreeMap<String, BTreeSet<String>>, absent: &[&str]) {
    let (known, omitted) = backed_up();
    for table in omitted {
        assert!(found.remove(*table).is_some(), "there is no table {table} to be left out");
    }
    let known: BTreeMap<String, BTreeSet<String>> = known
        .into_iter()
        .filter(|(table, _)| !absent.contains(table))
        .map(|(table, columns)| {
            (table.to_owned(), columns.iter().map(|&column| column.to_owned()).collect())
        })
        .collect();
    assert_eq!(found, known, "crates/store/src/backup/tables.rs is not what the schema is");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_comes_back_as_it_was_on_either_database() {
    let name = "a_backup_comes_back_as_it_was_on_either_database";
    let origin = TempDir::new().unwrap();
    let stores = Stores::open_sqlite(origin.path()).await.unwrap();
    let contents = DirContents::open(&origin.path().join("files")).unwrap();
    filled::fill(&stores, &contents).await;
    let (original, end) = file(&stores, &contents, origin.path()).await;
    assert_eq!((end.contents, end.missing), (2, 0));
    for (table, rows) in &end.rows {
        assert!(*rows > 0, "nothing was written to {table}");
    }
    let expected = lines(&original);

    // SQLite → SQLite.
    let (dir, stores, contents) = sqlite_of(&original).await;
    assert_eq!(lines(&file(&stores, &contents, dir.path()).await.0), expected);
    filled::check(&stores, &contents).await;
    stores.close().await;

    with_postgres(name, async |url| {
        // SQLite → PostgreSQL.
        let (dir, stores, contents) = postgres_of(&original, url).await;
        let (second, _) = file(&stores, &contents, dir.path()).await;
        assert_eq!(lines(&second), expected);
        with_postgres(name, async |url| {
            // PostgreSQL → PostgreSQL.
            let (dir, stores, contents) = postgres_of(&second, url).await;
            assert_eq!(lines(&file(&stores, &contents, dir.path()).await.0), expected);
            filled::check(&stores, &contents).await;
            stores.close().await;
        })
        .await;
        // PostgreSQL → SQLite.
        let (dir, of_postgres, contents) = sqlite_of(&second).await;
        assert_eq!(lines(&file(&of_postgres, &contents, dir.path()).await.0), expected);
        filled::check(&of_postgres, &contents).await;
        of_postgres.close().await;
        stores.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_instance_can_be_backed_up() {
    let origin = TempDir::new().unwrap();
    let stores = Stores::open_sqlite(origin.path()).await.unwrap();
    let contents = DirContents::open(&origin.path().join("files")).unwrap();
    let (path, _) = file(&stores, &contents, origin.path()).await;
    let (_dir, copy, _) = sqlite_of(&path).await;
    assert!(copy.apps.list(None, 9).await.unwrap().is_empty());
    with_postgres("an_empty_instance_can_be_backed_up", async |url| {
        let (_dir, copy, _) = postgres_of(&path, url).await;
        app(&copy, "alice").await;
        copy.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_postgres_cannot_hold_is_replaced() {
    let origin = TempDir::new().unwrap();
    let stores = Stores::open_sqlite(origin.path()).await.unwrap();
    let contents = DirContents::open(&origin.path().join("files")).unwrap();
    let alice = app(&stores, "alice").await.id;
    // A backslash that is escaped makes no NUL of what follows.
    let cases = [
        (r#""a\u0000\u0000b""#, r#""a��b""#),
        (r#""\\u0000""#, r#""\\u0000""#),
        (r#""\\\u0000""#, r#""\\�""#),
    ];
    for (n, (written, _)) in cases.iter().enumerate() {
        put(&stores, alice, "c", &format!("k{n}"), written).await;
        assert_eq!(value(&stores, alice, "c", &format!("k{n}")).await.as_deref(), Some(*written));
    }
    let (path, _) = file(&stores, &contents, origin.path()).await;
    with_postgres("what_postgres_cannot_hold_is_replaced", async |url| {
        let (_dir, copy, _) = postgres_of(&path, url).await;
        for (n, (written, expected)) in cases.iter().enumerate() {
            let read = value(&copy, alice, "c", &format!("k{n}")).await;
            assert_eq!(read.as_deref(), Some(*expected), "{written}");
        }
        copy.close().await;
    })
    .await;
    stores.close().await;
}

/// Writers move one between two entries, so their sum never changes.
async fn sums_hold(stores: &Stores, contents: &DirContents, dir: &Path) {
    const WRITERS: usize = 4;
    let app = app(stores, "alice").await.id;
    for n in 0..WRITERS {
        let writes = ["left", "right"].map(|c| set(c, &format!("k{n}"), Seen::Absent, "0"));
        commit(stores, app, writes).await.unwrap();
    }
    // Enough that the backup is not done at once.
    let big = format!("\"{}\"", "x".repeat(50_000));
    for n in 0..100 {
        put(stores, app, "m", &format!("{n}"), &big).await;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..WRITERS)
        .map(|n| {
            let (stores, stop) = (stores.clone(), Arc::clone(&stop));
            tokio::spawn(async move {
                let (key, mut moved) = (format!("k{n}"), 0_i64);
                while !stop.load(Ordering::Relaxed) {
                    moved += 1;
                    let left = set("left", &key, Seen::Unread, &(-moved).to_string());
                    let right = set("right", &key, Seen::Unread, &moved.to_string());
                    commit(&stores, app, [left, right]).await.unwrap();
                }
                moved
            })
        })
        .collect();
    for _ in 0..3 {
        let (path, _) = file(stores, contents, dir).await;
        let (_dir, copy, _) = sqlite_of(&path).await;
        for n in 0..WRITERS {
            let sum = async |collection| {
                let text = value(&copy, app, collection, &format!("k{n}")).await.unwrap();
                text.parse::<i64>().unwrap()
            };
            assert_eq!(sum("left").await + sum("right").await, 0);
        }
        copy.close().await;
    }
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        assert!(writer.await.unwrap() > 0, "nobody has to wait for a backup");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_backup_is_of_one_moment_on_sqlite() {
    let dir = TempDir::new().unwrap();
    let stores = Stores::open_sqlite(dir.path()).await.unwrap();
    let contents = DirContents::open(&dir.path().join("files")).unwrap();
    sums_hold(&stores, &contents, dir.path()).await;
    stores.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_backup_is_of_one_moment_on_postgres() {
    with_postgres("a_backup_is_of_one_moment_on_postgres", async |url| {
        let dir = TempDir::new().unwrap();
        let stores = Stores::connect_postgres(url).await.unwrap();
        let contents = DirContents::open(&dir.path().join("files")).unwrap();
        sums_hold(&stores, &contents, dir.path()).await;
        stores.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_removed_during_a_backup_is_in_it() {
    let dir = TempDir::new().unwrap();
    let stores = Stores::open_sqlite(dir.path()).await.unwrap();
    let contents = DirContents::open(&dir.path().join("files")).unwrap();
    let app = app(&stores, "alice").await.id;
    // More than waits on the way, so its turn has not come before they are taken.
    let big = format!("\"{}\"", filled::noise(60_000));
    for n in 0..100 {
        put(&stores, app, "m", &format!("{n}"), &big).await;
    }
    let hash = filled::put_file(&stores, &contents, app, "a.txt", "hello").await;
    let mut chunks = Box::pin(backup_of(&stores, &contents));
    let mut taken = chunks.try_next().await.unwrap().unwrap().to_vec();
    filled::delete_file(&stores, app, "a.txt").await;
    contents.remove(app, &[hash]).await.unwrap();
    while let Some(chunk) = chunks.try_next().await.unwrap() {
        taken.extend_from_slice(&chunk);
    }
    let path = dir.path().join("backup");
    std::fs::write(&path, taken).unwrap();
    let (_dir, copy, copied) = sqlite_of(&path).await;
    assert_eq!(copied.read(app, hash).await.unwrap().as_deref(), Some(&b"hello"[..]));
    copy.close().await;

    // The backup is over: it is removed by whoever looks for what is left over.
    contents.remove(app, &[hash]).await.unwrap();
    assert_eq!(contents.read(app, hash).await.unwrap(), None);
    // What is missing is told, and does not keep the rest from being backed up.
    filled::put_file(&stores, &contents, app, "b.txt", "lost").await;
    contents.remove_app(app).await.unwrap();
    let (_, end) = file(&stores, &contents, dir.path()).await;
    assert_eq!((end.contents, end.missing), (0, 1));
    stores.close().await;
}
