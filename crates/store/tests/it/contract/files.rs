//! What is known of files.

use picloud_shared::files::{Bucket, Change, Info, MAX_PAGE, Path, Write};
use picloud_shared::kv::{self, Range, Seen};
use picloud_shared::unit::{Kept, WriteSet};
use picloud_shared::{AppId, BlobHash, StoreError};
use picloud_store::Stores;

use crate::support::{NOW, PLENTY, app, assert_conflict, on_both, quotas, set, two_apps, value};

on_both![
    a_file_comes_back_as_it_was_put,
    what_was_seen_must_still_hold,
    a_file_made_again_is_not_the_one_seen,
    entries_and_files_land_together_or_not_at_all,
    files_have_a_quota_of_their_own,
    files_are_listed_in_the_order_of_their_paths,
    paths_are_compared_byte_for_byte,
    contents_are_referenced_while_a_file_has_them,
    two_apps_never_meet,
    a_deleted_app_takes_its_files_along,
    writers_of_one_file_do_not_lose_each_other,
];

fn info(contents: &str) -> Info {
    Info {
        bytes: contents.len() as u64,
        hash: BlobHash::of(contents.as_bytes()),
        content_type: "text/plain; charset=utf-8".to_owned(),
        modified_ms: NOW,
    }
}

fn put(path: &str, seen: Seen, contents: &str) -> Write {
    write(path, seen, Change::Put(info(contents)))
}

fn write(path: &str, seen: Seen, change: Change) -> Write {
    Write { bucket: bucket("b"), path: path.parse().unwrap(), seen, change }
}

fn bucket(name: &str) -> Bucket {
    name.parse().unwrap()
}

async fn commit(stores: &Stores, app: AppId, files: Vec<Write>) -> Result<Kept, StoreError> {
    let write_set = WriteSet { files, ..WriteSet::default() };
    let quotas = quotas(PLENTY, PLENTY);
    stores.units.commit(app, write_set, quotas, NOW).await
}

async fn found(stores: &Stores, app: AppId, path: &str) -> Option<(Info, i64)> {
    let path: Path = path.parse().unwrap();
    let entry = stores.files.get(app, &bucket("b"), &path).await.unwrap();
    entry.map(|entry| (entry.info, entry.version))
}

async fn paths(stores: &Stores, app: AppId, prefix: &str, after: Option<&str>) -> Vec<String> {
    let range = Range { prefix, after, limit: MAX_PAGE };
    let listed = stores.files.list(app, &bucket("b"), range).await.unwrap();
    assert!(!listed.more);
    listed.files.into_iter().map(|(path, _)| path.to_string()).collect()
}

async fn a_file_comes_back_as_it_was_put(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    assert_eq!(found(stores, app, "a/é.txt").await, None);
    commit(stores, app, vec![put("a/é.txt", Seen::Unread, "one")]).await.unwrap();
    let (first, version) = found(stores, app, "a/é.txt").await.unwrap();
    assert_eq!(first, info("one"));
    commit(stores, app, vec![put("a/é.txt", Seen::Unread, "two!")]).await.unwrap();
    let (second, later) = found(stores, app, "a/é.txt").await.unwrap();
    assert_eq!(second, info("two!"));
    assert!(later > version);
    commit(stores, app, vec![write("a/é.txt", Seen::Unread, Change::Delete)]).await.unwrap();
    assert_eq!(found(stores, app, "a/é.txt").await, None);
    // Deleting what is not there is fine unless it was seen.
    commit(stores, app, vec![write("a/é.txt", Seen::Absent, Change::Delete)]).await.unwrap();
}

async fn what_was_seen_must_still_hold(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    assert_conflict(commit(stores, app, vec![put("p", Seen::Version(1), "x")]).await);
    commit(stores, app, vec![put("p", Seen::Absent, "x")]).await.unwrap();
    assert_conflict(commit(stores, app, vec![put("p", Seen::Absent, "y")]).await);
    let (_, version) = found(stores, app, "p").await.unwrap();
    commit(stores, app, vec![put("p", Seen::Version(version), "y")]).await.unwrap();
    assert_conflict(commit(stores, app, vec![put("p", Seen::Version(version), "z")]).await);
    let delete = write("p", Seen::Version(version), Change::Delete);
    assert_conflict(commit(stores, app, vec![delete]).await);
    assert_eq!(found(stores, app, "p").await.unwrap().0, info("y"));
}

async fn a_file_made_again_is_not_the_one_seen(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    commit(stores, app, vec![put("p", Seen::Unread, "x")]).await.unwrap();
    let (_, version) = found(stores, app, "p").await.unwrap();
    commit(stores, app, vec![write("p", Seen::Unread, Change::Delete)]).await.unwrap();
    commit(stores, app, vec![put("p", Seen::Unread, "x")]).await.unwrap();
    assert_conflict(commit(stores, app, vec![put("p", Seen::Version(version), "y")]).await);
}

async fn entries_and_files_land_together_or_not_at_all(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    let both = |kv_seen, file_seen| WriteSet {
        kv: kv::WriteSet { clears: vec![], writes: vec![set("c", "k", kv_seen, "1")] },
        files: vec![put("p", file_seen, "x"), put("q", Seen::Unread, "x")],
        ..WriteSet::default()
    };
    let quotas = quotas(PLENTY, PLENTY);
    for refused in [both(Seen::Version(9), Seen::Unread), both(Seen::Unread, Seen::Version(9))] {
        assert_conflict(stores.units.commit(app, refused, quotas, NOW).await);
        assert_eq!(value(stores, app, "c", "k").await, None);
        assert!(paths(stores, app, "", None).await.is_empty());
    }
    let landed = stores.units.commit(app, both(Seen::Absent, Seen::Absent), quotas, NOW).await;
    assert_eq!(landed.unwrap(), Kept { kv_bytes: 3, file_bytes: Some(2) });
    assert_eq!(value(stores, app, "c", "k").await.as_deref(), Some("1"));
    assert_eq!(paths(stores, app, "", None).await, ["p", "q"]);

    let of_entries = kv::WriteSet { clears: vec![], writes: vec![] };
    let kept = stores.units.commit(app, of_entries.into(), quotas, NOW).await.unwrap();
    assert_eq!(kept, Kept { kv_bytes: 3, file_bytes: None });
}

async fn files_have_a_quota_of_their_own(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    let put = async |path: &str, contents: &str, file_bytes| {
        let files = vec![put(path, Seen::Unread, contents)];
        let write_set = WriteSet { files, ..WriteSet::default() };
        let quotas = quotas(0, file_bytes);
        stores.units.commit(app, write_set, quotas, NOW).await
    };
    assert_eq!(put("p", "12345", 10).await.unwrap().file_bytes, Some(5));
    assert_eq!(put("q", "12345", 10).await.unwrap().file_bytes, Some(10));
    for (path, contents) in [("r", "1"), ("p", "123456")] {
        let refused = put(path, contents, 10).await;
        assert!(matches!(refused, Err(StoreError::QuotaExceeded(_))), "{refused:?}");
    }
    assert_eq!(stores.files.usage(app).await.unwrap(), 10);
    // The quota binds only what grows.
    assert_eq!(put("p", "1234", 5).await.unwrap().file_bytes, Some(9));
    commit(stores, app, vec![write("q", Seen::Unread, Change::Delete)]).await.unwrap();
    assert_eq!(stores.files.usage(app).await.unwrap(), 4);
    assert_eq!(put("empty", "", 4).await.unwrap().file_bytes, Some(4));
}

async fn files_are_listed_in_the_order_of_their_paths(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    let all = ["a", "a/b", "a/c", "a0", "b"];
    let writes = all.iter().rev().map(|path| put(path, Seen::Unread, path)).collect();
    commit(stores, app, writes).await.unwrap();
    assert_eq!(paths(stores, app, "", None).await, all);
    assert_eq!(paths(stores, app, "a/", None).await, ["a/b", "a/c"]);
    assert_eq!(paths(stores, app, "a", Some("a/b")).await, ["a/c", "a0"]);
    assert_eq!(paths(stores, app, "c", None).await, [""; 0]);
    let range = Range { prefix: "a", after: None, limit: 2 };
    let page = stores.files.list(app, &bucket("b"), range).await.unwrap();
    assert_eq!(page.files.len(), 2);
    assert!(page.more);
    assert_eq!(stores.files.buckets(app).await.unwrap(), [(bucket("b"), 5)]);
}

async fn paths_are_compared_byte_for_byte(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    let hostile = ["%", "%_", "_", "a'--", "é", "e\u{301}", "A", "a", "..a", "\u{10FFFF}"];
    for path in hostile {
        commit(stores, app, vec![put(path, Seen::Absent, path)]).await.unwrap();
    }
    for path in hostile {
        assert_eq!(found(stores, app, path).await.unwrap().0, info(path), "{path}");
    }
    for (prefix, expected) in [("%", &["%", "%_"][..]), ("_", &["_"]), ("a", &["a", "a'--"])] {
        assert_eq!(paths(stores, app, prefix, None).await, expected);
    }
    assert!(paths(stores, app, "\0", None).await.is_empty());
}

async fn contents_are_referenced_while_a_file_has_them(stores: &Stores) {
    let (alice, bob) = two_apps(stores).await;
    let hash = |text: &str| BlobHash::of(text.as_bytes());
    let asked = [hash("x"), hash("y"), hash("z")];
    let referenced = async |app| stores.files.referenced(app, &asked).await.unwrap();
    commit(stores, alice, vec![put("p", Seen::Unread, "x"), put("q", Seen::Unread, "x")])
        .await
        .unwrap();
    assert_eq!(referenced(alice).await, [hash("x")]);
    assert_eq!(referenced(bob).await, []);
    commit(stores, alice, vec![put("p", Seen::Unread, "y")]).await.unwrap();
    assert_eq!(referenced(alice).await.len(), 2);
    commit(stores, alice, vec![write("q", Seen::Unread, Change::Delete)]).await.unwrap();
    assert_eq!(referenced(alice).await, [hash("y")]);
    assert_eq!(stores.files.referenced(alice, &[]).await.unwrap(), []);
}

async fn two_apps_never_meet(stores: &Stores) {
    let (alice, bob) = two_apps(stores).await;
    commit(stores, alice, vec![put("p", Seen::Absent, "alice's")]).await.unwrap();
    assert_eq!(found(stores, bob, "p").await, None);
    assert!(paths(stores, bob, "", None).await.is_empty());
    assert!(stores.files.buckets(bob).await.unwrap().is_empty());
    assert_eq!(stores.files.usage(bob).await.unwrap(), 0);
    let (_, version) = found(stores, alice, "p").await.unwrap();
    assert_conflict(commit(stores, bob, vec![put("p", Seen::Version(version), "x")]).await);
    commit(stores, bob, vec![write("p", Seen::Unread, Change::Delete)]).await.unwrap();
    commit(stores, bob, vec![put("p", Seen::Absent, "bob's")]).await.unwrap();
    assert_eq!(found(stores, alice, "p").await.unwrap().0, info("alice's"));
    assert_eq!(stores.files.usage(alice).await.unwrap(), 7);
}

async fn a_deleted_app_takes_its_files_along(stores: &Stores) {
    let (alice, bob) = two_apps(stores).await;
    commit(stores, alice, vec![put("p", Seen::Unread, "x")]).await.unwrap();
    commit(stores, bob, vec![put("p", Seen::Unread, "x")]).await.unwrap();
    assert!(stores.apps.delete(alice).await.unwrap());
    assert_eq!(found(stores, alice, "p").await, None);
    assert!(found(stores, bob, "p").await.is_some());
    assert_conflict(commit(stores, alice, vec![put("p", Seen::Unread, "x")]).await);
}

async fn writers_of_one_file_do_not_lose_each_other(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..20 {
        let stores = stores.clone();
        tasks.spawn(async move {
            loop {
                let seen = match found(&stores, app, "p").await {
                    Some((_, version)) => Seen::Version(version),
                    None => Seen::Absent,
                };
                match commit(&stores, app, vec![put("p", seen, &"x".repeat(n))]).await {
                    Err(StoreError::Conflict) => {}
                    done => break done.map(|_| ()),
                }
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap().unwrap();
    }
    let (last, _) = found(stores, app, "p").await.unwrap();
    assert_eq!(stores.files.usage(app).await.unwrap(), last.bytes);
}
