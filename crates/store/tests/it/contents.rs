//! Files' bytes in a directory.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use picloud_shared::files::{Contents as _, Pieces};
use picloud_shared::{AppId, BlobHash, StoreError};
use picloud_store::DirContents;

const APP: AppId = AppId(1);
const OTHER: AppId = AppId(2);

fn open() -> (tempfile::TempDir, DirContents) {
    let dir = tempfile::tempdir().unwrap();
    let contents = DirContents::open(&dir.path().join("files")).unwrap();
    (dir, contents)
}

async fn keep(contents: &DirContents, app: AppId, text: &str) -> (BlobHash, bool) {
    let staged = contents.stage(app, text.to_owned().into()).await.unwrap();
    let hash = staged.hash();
    (hash, staged.keep().await.unwrap())
}

fn pieces(pieces: Vec<std::io::Result<&'static str>>) -> Pieces {
    stream::iter(pieces.into_iter().map(|piece| piece.map(Bytes::from))).boxed()
}

fn names(dir: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test]
async fn what_was_kept_comes_back_whole_or_in_part() {
    let (_dir, contents) = open();
    let (hash, is_new) = keep(&contents, APP, "hello").await;
    assert_eq!((hash, is_new), (BlobHash::of(b"hello"), true));
    assert_eq!(contents.read(APP, hash).await.unwrap().unwrap(), "hello");
    for (offset, rest) in [(0, "hello"), (3, "lo"), (5, ""), (9, "")] {
        let pieces = contents.open(APP, hash, offset).await.unwrap().unwrap();
        let read: Vec<Bytes> = pieces.try_collect().await.unwrap();
        assert_eq!(read.concat(), rest.as_bytes());
    }
    assert_eq!(keep(&contents, APP, "hello").await, (hash, false));
}

#[tokio::test]
async fn large_contents_pass_in_pieces() {
    let (_dir, contents) = open();
    let piece = Bytes::from(vec![7; 100_000]);
    let all = stream::iter((0..30).map(|_| Ok(Bytes::from(vec![7; 100_000])))).boxed();
    let staged = contents.stage_pieces(APP, all, 3_000_000).await.unwrap();
    assert_eq!((staged.hash(), staged.bytes()), (BlobHash::of(&piece.repeat(30)), 3_000_000));
    let hash = staged.hash();
    staged.keep().await.unwrap();
    let mut read = contents.open(APP, hash, 0).await.unwrap().unwrap();
    let mut bytes = 0;
    while let Some(piece) = read.try_next().await.unwrap() {
        assert!(piece.len() <= 64 << 10);
        bytes += piece.len();
    }
    assert_eq!(bytes, 3_000_000);
}

#[tokio::test]
async fn what_is_staged_can_be_read_and_leaves_nothing_if_it_is_not_kept() {
    let (dir, contents) = open();
    let staged = contents.stage(APP, "draft".into()).await.unwrap();
    assert_eq!(staged.read().await.unwrap(), "draft");
    assert_eq!(contents.read(APP, staged.hash()).await.unwrap(), None);
    drop(staged);
    let too_many = pieces(vec![Ok("abc"), Ok("def")]);
    let refused = contents.stage_pieces(APP, too_many, 5).await.err();
    assert!(matches!(refused, Some(StoreError::QuotaExceeded(_))));
    let broken = pieces(vec![Ok("abc"), Err(std::io::ErrorKind::ConnectionReset.into())]);
    assert!(contents.stage_pieces(APP, broken, 5).await.is_err());
    // Removal happens on another thread; the directory's lock orders it before.
    let removed = async {
        while !names(&dir.path().join("files/1")).is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), removed).await.unwrap();
}

#[tokio::test]
async fn two_apps_never_meet() {
    let (_dir, contents) = open();
    let (hash, _) = keep(&contents, APP, "alice's").await;
    assert_eq!(contents.read(OTHER, hash).await.unwrap(), None);
    assert!(contents.open(OTHER, hash, 0).await.unwrap().is_none());
    let (_, is_new) = keep(&contents, OTHER, "alice's").await;
    assert!(is_new, "whether another app has the same bytes is not to be seen");
    contents.remove(OTHER, &[hash]).await.unwrap();
    assert!(contents.read(APP, hash).await.unwrap().is_some());
    contents.remove_app(OTHER).await.unwrap();
    contents.remove_app(AppId(9)).await.unwrap();
    assert_eq!(contents.apps().await.unwrap(), [APP]);
}

#[tokio::test]
async fn what_nobody_needs_is_removed() {
    let (dir, contents) = open();
    let (hash, _) = keep(&contents, APP, "x").await;
    let app_dir = dir.path().join("files/1");
    std::fs::write(app_dir.join("incoming-left-by-a-killed-process"), "y").unwrap();
    assert_eq!(contents.older_than(APP, 0).await.unwrap(), []);
    assert_eq!(names(&app_dir).len(), 2);
    assert_eq!(contents.older_than(APP, u64::MAX >> 20).await.unwrap(), [hash]);
    assert_eq!(names(&app_dir), [hash.to_string()]);
    contents.remove(APP, &[hash, BlobHash::of(b"none")]).await.unwrap();
    assert!(names(&app_dir).is_empty());
    assert_eq!(contents.read(APP, hash).await.unwrap(), None);
}

#[tokio::test]
async fn others_on_the_machine_cannot_look_in() {
    let (dir, contents) = open();
    let (hash, _) = keep(&contents, APP, "x").await;
    let mode =
        |path: &str| std::fs::metadata(dir.path().join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("files"), 0o700);
    assert_eq!(mode("files/1"), 0o700);
    assert_eq!(mode(&format!("files/1/{hash}")), 0o600);
}

#[tokio::test]
async fn a_link_that_leads_out_is_not_followed() {
    let (dir, contents) = open();
    std::fs::create_dir(dir.path().join("outside")).unwrap();
    let hash = BlobHash::of(b"secret");
    std::fs::write(dir.path().join("outside").join(hash.to_string()), "secret").unwrap();
    std::os::unix::fs::symlink("../outside", dir.path().join("files/1")).unwrap();
    assert!(contents.read(APP, hash).await.is_err());
}
