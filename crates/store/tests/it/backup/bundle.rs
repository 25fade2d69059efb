//! Bundles: an app that becomes another instance's, and what is not let in.

use std::fs::File;
use std::io::Write as _;

use futures_util::TryStreamExt as _;
use picloud_shared::files::Contents as _;
use picloud_shared::{AppSlug, BlobHash, Quota, StoreError};
use picloud_store::backup::{self, Error, Head, Import, Imported, Room};
use picloud_store::testing::with_postgres;
use picloud_store::{DirContents, Stores};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::damage::{unzip, zip};
use super::{filled, head};
use crate::support::{NOW, PLENTY, app, entry, put, value};

const ROOM: Room = Room { kv_bytes: PLENTY, file_bytes: PLENTY, release_bytes: PLENTY };

/// The bundle of the filled instance's `shop`.
async fn bundle(stores: &Stores, contents: &DirContents) -> Vec<u8> {
    let shop = stores.apps.find(&"shop".parse().unwrap()).await.unwrap().unwrap();
    let head = Head { app: Some("shop".to_owned()), ..head(stores) };
    let chunks = stores.export(contents, head, shop.id, &std::env::temp_dir());
    chunks.try_collect::<Vec<_>>().await.unwrap().concat()
}

async fn filled_bundle() -> Vec<u8> {
    let origin = TempDir::new().unwrap();
    let stores = Stores::open_sqlite(origin.path()).await.unwrap();
    let contents = DirContents::open(&origin.path().join("files")).unwrap();
    filled::fill(&stores, &contents).await;
    let bundle = bundle(&stores, &contents).await;
    stores.close().await;
    bundle
}

fn file(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

async fn import(
    stores: &Stores,
    contents: &DirContents,
    bytes: &[u8],
    slug: &str,
    room: Room,
) -> Result<Imported, Error> {
    let is_path = |path: &str| !path.contains("..");
    let import = Import { slug: slug.parse().unwrap(), owner: None, room, now_ms: NOW, is_path };
    stores.import(file(bytes), contents, import).await
}

/// The app is what it was elsewhere, and can be written to.
async fn check(stores: &Stores, contents: &DirContents, slug: &str) {
    let slug: AppSlug = slug.parse().unwrap();
    let found = stores.apps.find(&slug).await.unwrap().unwrap();
    assert_eq!(found.limits.fuel, None, "limits are the instance's to give");
    let number = found.active_release.unwrap();
    assert_eq!(number.0, 2);
    assert_eq!(stores.releases.files(found.id, number).await.unwrap().len(), 3);
    assert_eq!(value(stores, found.id, "c", "number").await.as_deref(), Some("9007199254740993"));
    let soon = entry(stores, found.id, "c", "soon").await.unwrap();
    assert_eq!(soon.expires_at_ms, Some(NOW + 1_000));
    let hello = contents.read(found.id, BlobHash::of(b"hello")).await.unwrap();
    assert_eq!(hello.as_deref(), Some(&b"hello"[..]));
    assert!(stores.secrets.list(found.id).await.unwrap().is_empty());
    assert_eq!(stores.files.usage(found.id).await.unwrap(), 10);
    let before = stores.kv.usage(found.id, NOW).await.unwrap();
    put(stores, found.id, "d", "k", "12").await;
    assert_eq!(stores.kv.usage(found.id, NOW).await.unwrap(), before + 4);
    let written = entry(stores, found.id, "d", "k").await.unwrap();
    assert!(written.version > soon.version);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_moves_between_databases() {
    let name = "an_app_moves_between_databases";
    let first = filled_bundle().await;
    assert!(!unzip(&first).contains("sealed"), "no secret leaves, not even sealed");
    let dir = TempDir::new().unwrap();
    let stores = Stores::open_sqlite(dir.path()).await.unwrap();
    let contents = DirContents::open(&dir.path().join("files")).unwrap();
    let imported = import(&stores, &contents, &first, "copy", ROOM).await.unwrap();
    assert_eq!(imported.secrets, ["KEY"]);
    check(&stores, &contents, "copy").await;
    // Beside what is there, under a number of its own.
    import(&stores, &contents, &first, "shop", ROOM).await.unwrap();
    check(&stores, &contents, "shop").await;
    assert_eq!(app(&stores, "next").await.id.0, 3);
    stores.close().await;

    with_postgres(name, async |url| {
        let dir = TempDir::new().unwrap();
        let stores = Stores::connect_postgres(url).await.unwrap();
        let contents = DirContents::open(&dir.path().join("files")).unwrap();
        app(&stores, "theirs").await;
        import(&stores, &contents, &first, "shop", ROOM).await.unwrap();
        let second = bundle(&stores, &contents).await;
        check(&stores, &contents, "shop").await;
        let taken = import(&stores, &contents, &first, "theirs", ROOM).await;
        assert!(matches!(taken, Err(Error::Store(StoreError::Conflict))), "{taken:?}");
        app(&stores, "next").await;
        stores.close().await;

        // And back.
        let dir = TempDir::new().unwrap();
        let stores = Stores::open_sqlite(dir.path()).await.unwrap();
        let contents = DirContents::open(&dir.path().join("files")).unwrap();
        import(&stores, &contents, &second, "back", ROOM).await.unwrap();
        check(&stores, &contents, "back").await;
        stores.close().await;
    })
    .await;
}

/// The bundle with one line changed, and a checksum that is right.
fn changed(text: &str, change: impl Fn(&mut Vec<Value>)) -> Vec<u8> {
    let mut lines: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut end = lines.pop().unwrap();
    change(&mut lines);
    let lines: Vec<String> = lines.iter().map(Value::to_string).collect();
    let text = lines.join("\n") + "\n";
    end["end"]["sha256"] = json!(hex::encode(Sha256::digest(&text)));
    zip(&format!("{text}{end}\n"))
}

/// What is changed in a bundle's lines.
type Change = Box<dyn Fn(&mut Vec<Value>)>;

/// The first row that has this column.
fn row<'a>(lines: &'a mut [Value], column: &str) -> &'a mut Value {
    let has = |line: &&mut Value| line["row"].get(column).is_some();
    &mut lines.iter_mut().find(has).unwrap()["row"]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_server_would_have_written_is_let_in_nowhere() {
    let text = unzip(&filled_bundle().await);
    let dir = TempDir::new().unwrap();
    let stores = Stores::open_sqlite(dir.path()).await.unwrap();
    let contents = DirContents::open(&dir.path().join("files")).unwrap();
    let set = |of: &'static str, column: &'static str, to: Value| -> Change {
        Box::new(move |lines| row(lines, of)[column] = to.clone())
    };
    let cases: Vec<(Change, &str)> = vec![
        (set("bucket", "path", json!("../../etc/passwd")), "no path of a file"),
        (set("number", "app_id", json!(7)), "another app's"),
        (set("collection", "app_id", json!(7)), "another app's"),
        (set("cron", "app_id", json!(2)), "another app's"),
        (set("collection", "key", json!("a\u{0}")), "has no key"),
        (set("collection", "value", json!("{")), "is no JSON"),
        (set("collection", "more", json!(1)), "a row is none"),
        (set("collection", "value", json!(format!("\"{}\"", "x".repeat(70_000)))), "too long"),
        (set("contents", "contents", json!("00")), "not what its hash says"),
        (set("bucket", "bytes", json!(-1)), "below zero"),
        (set("bucket", "bytes", json!(4)), "size"),
        (set("note", "files", json!(9)), "not the files that it says"),
        (set("slug", "active_release", json!(9)), "active release is missing"),
        (set("slug", "id", json!(9)), "another app's"),
        (
            Box::new(|lines| {
                let at = lines.iter().position(|line| line["row"].get("path").is_some()).unwrap();
                lines[at]["row"]["path"] = json!("../x");
            }),
            "no path of a release's file",
        ),
        (Box::new(|lines| lines.push(json!({ "table": "users" }))), "it has a table users"),
        (
            Box::new(|lines| {
                let piece = json!({ "app": 1, "hash": "0".repeat(64), "base64": "AA==" });
                lines.push(json!({ "piece": piece }));
            }),
            "belong to no file",
        ),
        (Box::new(|lines| lines.retain(|line| line.get("piece").is_none())), "missing"),
    ];
    for (change, expected) in &cases {
        let refused = import(&stores, &contents, &changed(&text, change), "copy", ROOM).await;
        let error = refused.unwrap_err();
        assert!(matches!(error, Error::Invalid(_)), "{error:?}, and not {expected}");
        assert!(error.to_string().contains(expected), "{error}, and not {expected}");
    }
    let whole = changed(&text, |_| {});
    for room in [
        (Room { kv_bytes: 99, ..ROOM }, Quota::Kv),
        (Room { file_bytes: 9, ..ROOM }, Quota::Files),
        (Room { release_bytes: 3, ..ROOM }, Quota::Releases),
    ] {
        let refused = import(&stores, &contents, &whole, "copy", room.0).await.unwrap_err();
        let Error::Store(StoreError::QuotaExceeded(quota)) = refused else { panic!("{refused:?}") };
        assert_eq!(quota, room.1);
    }
    assert!(stores.apps.list(None, 9).await.unwrap().is_empty());
    assert!(contents.apps().await.unwrap().is_empty());
    import(&stores, &contents, &whole, "copy", ROOM).await.unwrap();
    stores.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_unpacks_to_too_much_is_refused_early() {
    let text = unzip(&filled_bundle().await);
    let (first, _) = text.split_once('\n').unwrap();
    let dir = TempDir::new().unwrap();
    let stores = Stores::open_sqlite(dir.path()).await.unwrap();
    let contents = DirContents::open(&dir.path().join("files")).unwrap();
    let none = Room { kv_bytes: 0, file_bytes: 0, release_bytes: 0 };
    // Two megabytes of one line, which are a few hundred bytes.
    let bomb = zip(&format!("{first}\n{{\"table\":\"{}\"}}\n", "x".repeat(2 << 20)));
    let refused = import(&stores, &contents, &bomb, "copy", none).await;
    assert!(matches!(refused, Err(Error::TooLarge)), "{refused:?}");
    stores.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_is_not_restored_and_a_backup_is_not_imported() {
    let origin = TempDir::new().unwrap();
    let stores = Stores::open_sqlite(origin.path()).await.unwrap();
    let contents = DirContents::open(&origin.path().join("files")).unwrap();
    filled::fill(&stores, &contents).await;
    let all = super::bytes(&stores, &contents).await;
    let refused = import(&stores, &contents, &all, "copy", ROOM).await;
    assert!(matches!(refused, Err(Error::NoBundle)), "{refused:?}");
    let path = origin.path().join("bundle");
    std::fs::write(&path, bundle(&stores, &contents).await).unwrap();
    let dir = TempDir::new().unwrap();
    let refused = backup::restore_sqlite(File::open(&path).unwrap(), dir.path(), |_| {}).await;
    assert!(matches!(refused, Err(Error::Bundle(app)) if app == "shop"));
    stores.close().await;
}
