//! Backups that are not as they were made: refused, and nothing is touched.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use picloud_store::backup::{self, End, Error, Head};
use picloud_store::testing::with_postgres;
use picloud_store::{DirContents, Stores};
use tempfile::TempDir;

use super::{bytes, filled, lines};
use crate::support::app;

/// A backup of an instance in which something is everywhere.
async fn sound() -> Vec<u8> {
    let origin = TempDir::new().unwrap();
    let stores = Stores::open_sqlite(origin.path()).await.unwrap();
    let contents = DirContents::open(&origin.path().join("files")).unwrap();
    filled::fill(&stores, &contents).await;
    let sound = bytes(&stores, &contents).await;
    stores.close().await;
    sound
}

fn verify(bytes: &[u8]) -> Result<(Head, End), Error> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    std::io::Seek::rewind(&mut file).unwrap();
    backup::verify(file, |_| {})
}

pub(super) fn unzip(bytes: &[u8]) -> String {
    let mut text = String::new();
    GzDecoder::new(bytes).read_to_string(&mut text).unwrap();
    text
}

pub(super) fn zip(text: &str) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(text.as_bytes()).unwrap();
    gzip.finish().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_cut_off_anywhere_is_refused() {
    let sound = sound().await;
    verify(&sound).unwrap();
    for length in 0..sound.len() {
        assert!(verify(&sound[..length]).is_err(), "the first {length} bytes pass");
    }
    for more in [&b"\0"[..], b"\n", &sound] {
        let error = verify(&[&sound, more].concat()).unwrap_err();
        assert!(matches!(error, Error::Damaged(_)), "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_with_a_changed_bit_is_refused_or_says_the_same() {
    let sound = sound().await;
    let text = unzip(&sound);
    for at in 0..sound.len() {
        let mut changed = sound.clone();
        changed[at] ^= 1 << (at % 8);
        if verify(&changed).is_ok() {
            // The compression has a few bits of no meaning, as that for the time.
            assert_eq!(unzip(&changed), text, "byte {at}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_line_is_refused_though_it_is_compressed_well() {
    let text = unzip(&sound().await);
    verify(&zip(&text)).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    for at in 0..lines.len() {
        let mut without = lines.clone();
        without.remove(at);
        assert!(verify(&zip(&(without.join("\n") + "\n"))).is_err(), "without {}", lines[at]);
        let mut twice = lines.clone();
        twice.insert(at, lines[at]);
        assert!(verify(&zip(&(twice.join("\n") + "\n"))).is_err(), "twice {}", lines[at]);
    }
    let changed = text.replace("sealed", "SEALED").replacen("\"shop\"", "\"shot\"", 1);
    assert!(matches!(verify(&zip(&changed)), Err(Error::Damaged(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_backup_of_this_format_is_told_apart() {
    let text = unzip(&sound().await);
    let newer = text.replacen("\"format\":1", "\"format\":2", 1);
    assert!(matches!(verify(&zip(&newer)), Err(Error::Format(2))));
    for foreign in [&b""[..], b"hello", text.as_bytes(), &zip("hello\n"), &zip("{}\n")] {
        assert!(matches!(verify(foreign), Err(Error::Foreign)));
    }
    // A line without an end is not read into memory for ever.
    let endless = zip(&"x".repeat(1 << 20));
    assert!(matches!(verify(&endless), Err(Error::Foreign)));
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_is_replaced_only_by_what_is_sound_and_only_if_wanted() {
    let name = "postgres_is_replaced_only_by_what_is_sound_and_only_if_wanted";
    let dir = TempDir::new().unwrap();
    let (good, bad, files) =
        (dir.path().join("good"), dir.path().join("bad"), dir.path().join("files"));
    let sound = sound().await;
    std::fs::write(&good, &sound).unwrap();
    // All of it can be loaded, but it is not what was backed up.
    let text = unzip(&sound).replacen("\"laptop\"", "\"lapdog\"", 1);
    std::fs::write(&bad, zip(&text)).unwrap();
    with_postgres(name, async |url| {
        let restore = async |path: &Path, replace| {
            let file = File::open(path).unwrap();
            backup::restore_postgres(file, url, &files, replace, |_| {}).await
        };
        let slugs = async || {
            let stores = Stores::connect_postgres(url).await.unwrap();
            let apps = stores.apps.list(None, 9).await.unwrap();
            stores.close().await;
            apps.into_iter().map(|app| app.slug.to_string()).collect::<Vec<_>>()
        };
        let stores = Stores::connect_postgres(url).await.unwrap();
        app(&stores, "theirs").await;
        stores.close().await;

        let refused = restore(&good, false).await;
        assert!(matches!(refused, Err(Error::NotEmpty)), "{refused:?}");
        let refused = restore(&bad, true).await;
        assert!(matches!(refused, Err(Error::Damaged(_))), "{refused:?}");
        assert_eq!(slugs().await, ["theirs"]);
        restore(&good, true).await.unwrap();
        assert_eq!(slugs().await, ["blog", "shop"]);

        // Once more over what is there, which is the same.
        restore(&good, true).await.unwrap();
        let stores = Stores::connect_postgres(url).await.unwrap();
        let contents = DirContents::open(&files).unwrap();
        let again = dir.path().join("again");
        std::fs::write(&again, bytes(&stores, &contents).await).unwrap();
        assert_eq!(lines(&again), lines(&good));
        stores.close().await;
    })
    .await;
}
