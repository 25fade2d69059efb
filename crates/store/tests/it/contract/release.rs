//! Releases.

use std::collections::BTreeMap;

use bytes::Bytes;
use picloud_shared::idempotency::{Idempotency, KEPT_MS, MadeDeploy, NewDeploy};
use picloud_shared::schedule::Planned;
use picloud_shared::{
    AppId, BlobHash, NewRelease, Quota, Release, ReleaseFile, ReleaseNumber, StoreError,
};
use picloud_store::Stores;

use crate::support::{NOW, PLENTY, app, assert_conflict, on_both, two_apps};

on_both![
    a_release_comes_back_as_it_was_made,
    numbers_count_from_one_in_each_app,
    releases_are_listed_newest_first_in_pages,
    equal_files_share_a_blob_and_lose_nothing,
    an_empty_release_is_a_release,
    a_hundred_files_of_any_bytes_come_back,
    what_was_derived_from_a_replaced_release_is_a_conflict,
    of_two_deploys_of_the_same_origin_one_conflicts,
    deploys_at_the_same_time_get_numbers_of_their_own,
    a_draft_is_kept_and_changes_nothing_until_it_is_activated,
    activating_switches_between_releases_that_exist,
    activating_instead_of_a_replaced_release_is_a_conflict,
    a_deploy_is_found_by_its_key_for_a_day,
    a_key_makes_one_release_however_many_deploy_with_it,
    keys_of_two_callers_or_apps_never_meet,
    a_refused_deploy_leaves_its_key_free,
    two_apps_never_meet,
    releases_have_a_quota_for_what_is_new_in_them,
    a_deleted_release_takes_along_what_no_other_has,
    a_release_is_not_made_active_while_it_is_deleted,
];

fn new(files: &[(&str, &[u8])]) -> NewRelease {
    let files = files.iter().map(|(path, c)| ((*path).to_owned(), Bytes::copy_from_slice(c)));
    NewRelease {
        note: "upload".to_owned(),
        created_at_ms: NOW,
        activate: true,
        files: files.collect(),
        derived_from: None,
        deploy: None,
        schedules: vec![],
        quota_bytes: PLENTY,
    }
}

pub(super) async fn deploy(stores: &Stores, app: AppId, files: &[(&str, &[u8])]) {
    stores.releases.create(app, &new(files)).await.unwrap();
}

async fn active(stores: &Stores, slug: &str) -> Option<i64> {
    let app = stores.apps.find(&slug.parse().unwrap()).await.unwrap().unwrap();
    app.active_release.map(|number| number.0)
}

async fn a_release_comes_back_as_it_was_made(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    let mut release = new(&[("index.rhai", b"1 + 1"), ("public/a.bin", &[0, 255, 10])]);
    release.note = "script index.rhai \0 é".to_owned();
    let made = stores.releases.create(app, &release).await.unwrap();
    let expected = Release {
        number: ReleaseNumber(1),
        created_at_ms: NOW,
        note: "script index.rhai \u{FFFD} é".to_owned(),
        files: 2,
        bytes: 8,
    };
    assert_eq!(made, expected);
    assert_eq!(stores.releases.find(app, made.number).await.unwrap(), Some(expected));
    assert_eq!(stores.releases.contents(app, made.number).await.unwrap(), release.files);
    let file = |path: &str, contents: &[u8]| ReleaseFile {
        path: path.to_owned(),
        hash: BlobHash::of(contents),
        bytes: contents.len() as u64,
    };
    assert_eq!(
        stores.releases.files(app, made.number).await.unwrap(),
        [file("index.rhai", b"1 + 1"), file("public/a.bin", &[0, 255, 10])]
    );
    let blob = stores.releases.blob(app, BlobHash::of(b"1 + 1")).await.unwrap();
    assert_eq!(blob.as_deref(), Some(b"1 + 1".as_slice()));
    assert_eq!(stores.releases.blob(app, BlobHash::of(b"other")).await.unwrap(), None);
    assert_eq!(active(stores, "alice").await, Some(1));
}

async fn numbers_count_from_one_in_each_app(stores: &Stores) {
    let (alice, bob) = two_apps(stores).await;
    for (app, number) in [(alice, 1), (alice, 2), (bob, 1), (alice, 3), (bob, 2)] {
        let made = stores.releases.create(app, &new(&[("a", b"1")])).await.unwrap();
        assert_eq!(made.number.0, number);
    }
}

async fn releases_are_listed_newest_first_in_pages(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    for _ in 0..4 {
        stores.releases.create(app, &new(&[("a", b"1")])).await.unwrap();
    }
    let page = async |before: Option<i64>, limit| {
        let releases = stores.releases.list(app, before.map(ReleaseNumber), limit).await.unwrap();
        releases.into_iter().map(|release| release.number.0).collect::<Vec<_>>()
    };
    assert_eq!(page(None, 9).await, [4, 3, 2, 1]);
    assert_eq!(page(None, 2).await, [4, 3]);
    assert_eq!(page(Some(3), 1).await, [2]);
    assert!(page(Some(1), 9).await.is_empty());
}

async fn equal_files_share_a_blob_and_lose_nothing(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    let first = new(&[("a", b"same"), ("b", b"same"), ("c", b"")]);
    let second = new(&[("a", b"same"), ("d", b"new")]);
    for (release, number) in [(&first, 1), (&second, 2)] {
        stores.releases.create(app, release).await.unwrap();
        let contents = stores.releases.contents(app, ReleaseNumber(number)).await.unwrap();
        assert_eq!(contents, release.files);
    }
    let files = stores.releases.files(app, ReleaseNumber(1)).await.unwrap();
    assert_eq!(files[0].hash, files[1].hash);
    assert_eq!(files.iter().map(|file| file.bytes).collect::<Vec<_>>(), [4, 4, 0]);
}

async fn an_empty_release_is_a_release(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    let made = stores.releases.create(app, &new(&[])).await.unwrap();
    assert_eq!((made.files, made.bytes), (0, 0));
    assert!(stores.releases.find(app, made.number).await.unwrap().is_some());
    assert!(stores.releases.contents(app, made.number).await.unwrap().is_empty());
}

async fn a_hundred_files_of_any_bytes_come_back(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    let files: BTreeMap<String, Bytes> = (0..100_u8)
        .map(|n| (format!("f/{n}-é'%_.bin"), Bytes::from(vec![n; 1_000 * usize::from(n)])))
        .collect();
    let release = NewRelease { files: files.clone(), ..new(&[]) };
    let made = stores.releases.create(app, &release).await.unwrap();
    assert_eq!(stores.releases.contents(app, made.number).await.unwrap(), files);
    let paths = stores.releases.files(app, made.number).await.unwrap();
    assert!(paths.iter().map(|file| &file.path).eq(files.keys()), "in the order of their bytes");
}

async fn what_was_derived_from_a_replaced_release_is_a_conflict(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    let derived = |from| NewRelease { derived_from: Some(ReleaseNumber(from)), ..new(&[]) };
    assert_conflict(stores.releases.create(app, &derived(1)).await);
    stores.releases.create(app, &new(&[])).await.unwrap();
    stores.releases.create(app, &derived(1)).await.unwrap();
    assert_conflict(stores.releases.create(app, &derived(1)).await);
    assert_eq!(active(stores, "alice").await, Some(2));
    assert_eq!(stores.releases.list(app, None, 9).await.unwrap().len(), 2);

    // After a rollback the old release is what others derive from again.
    stores.releases.activate(app, ReleaseNumber(1), &[], None).await.unwrap();
    assert_eq!(stores.releases.create(app, &derived(1)).await.unwrap().number.0, 3);
}

async fn of_two_deploys_of_the_same_origin_one_conflicts(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    for origin in 1..=5 {
        if origin == 1 {
            stores.releases.create(app, &new(&[])).await.unwrap();
        }
        let derived = NewRelease {
            derived_from: Some(ReleaseNumber(origin)),
            ..new(&[("a", origin.to_string().as_bytes())])
        };
        let (first, second) = tokio::join!(
            stores.releases.create(app, &derived),
            stores.releases.create(app, &derived)
        );
        let (won, lost) = if first.is_ok() { (first, second) } else { (second, first) };
        assert_eq!(won.unwrap().number.0, origin + 1);
        assert_conflict(lost);
    }
}

async fn a_draft_is_kept_and_changes_nothing_until_it_is_activated(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    let draft = NewRelease { activate: false, ..new(&[("a", b"1")]) };
    assert_eq!(stores.releases.create(app, &draft).await.unwrap().number.0, 1);
    assert_eq!(active(stores, "alice").await, None);
    stores.releases.create(app, &new(&[("a", b"2")])).await.unwrap();
    let planned = vec![Planned {
        name: "nightly".to_owned(),
        cron: "0 0 * * *".to_owned(),
        due_ms: Some(NOW),
    }];
    let scheduled = NewRelease { schedules: planned.clone(), ..draft };
    assert_eq!(stores.releases.create(app, &scheduled).await.unwrap().number.0, 3);
    assert_eq!(active(stores, "alice").await, Some(2));
    assert!(stores.schedules.list(app).await.unwrap().is_empty());
    let contents = stores.releases.contents(app, ReleaseNumber(3)).await.unwrap();
    assert_eq!(contents["a"], &b"1"[..]);
    assert!(stores.releases.activate(app, ReleaseNumber(3), &planned, None).await.unwrap());
    assert_eq!(active(stores, "alice").await, Some(3));
    assert_eq!(stores.schedules.list(app).await.unwrap().len(), 1);
}

async fn deploys_at_the_same_time_get_numbers_of_their_own(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    let deploys: Vec<_> = (0..12)
        .map(|n: i32| {
            let releases = stores.releases.clone();
            let release = new(&[("a", b"same"), ("b", n.to_string().as_bytes())]);
            tokio::spawn(async move { releases.create(app, &release).await.unwrap().number.0 })
        })
        .collect();
    let mut numbers = Vec::new();
    for deploy in deploys {
        numbers.push(deploy.await.unwrap());
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=12).collect::<Vec<_>>());
    assert_eq!(active(stores, "alice").await, Some(12));
}

async fn activating_switches_between_releases_that_exist(stores: &Stores) {
    let (alice, bob) = two_apps(stores).await;
    for _ in 0..2 {
        stores.releases.create(alice, &new(&[])).await.unwrap();
    }
    assert!(stores.releases.activate(alice, ReleaseNumber(1), &[], None).await.unwrap());
    assert_eq!(active(stores, "alice").await, Some(1));
    for missing in [0, 3, -1, i64::MAX] {
        assert!(!stores.releases.activate(alice, ReleaseNumber(missing), &[], None).await.unwrap());
    }
    assert!(!stores.releases.activate(bob, ReleaseNumber(1), &[], None).await.unwrap(), "alice's");
    assert_eq!(active(stores, "alice").await, Some(1));
    assert_eq!(active(stores, "bob").await, None);
}

async fn activating_instead_of_a_replaced_release_is_a_conflict(stores: &Stores) {
    let (alice, bob) = two_apps(stores).await;
    let release = |number| ReleaseNumber(number);
    for _ in 0..3 {
        stores.releases.create(alice, &new(&[])).await.unwrap();
    }
    let activate = async |app, number, instead_of| {
        stores.releases.activate(app, release(number), &[], Some(release(instead_of))).await
    };
    assert_conflict(activate(alice, 1, 2).await);
    assert_eq!(active(stores, "alice").await, Some(3));
    assert!(activate(alice, 1, 3).await.unwrap());
    assert_conflict(activate(alice, 2, 3).await);
    assert!(!activate(alice, 9, 1).await.unwrap(), "there is no such release");
    assert_conflict(activate(bob, 1, 1).await);

    // Of two at the same time one is first.
    let (one, other) = tokio::join!(activate(alice, 2, 1), activate(alice, 3, 1));
    let (won, lost) = if one.is_ok() { (one, other) } else { (other, one) };
    assert!(won.unwrap());
    assert_conflict(lost);
}

fn idempotency(caller: &str, key: &str) -> Idempotency {
    Idempotency { caller: caller.to_owned(), key: key.parse().unwrap() }
}

fn keyed(caller: &str, key: &str, created_at_ms: u64) -> NewRelease {
    let deploy = NewDeploy {
        idempotency: idempotency(caller, key),
        request: BlobHash::of(b"request"),
        answer: "{\"warnings\":[]}".to_owned(),
    };
    NewRelease { deploy: Some(deploy), created_at_ms, ..new(&[("a", b"1")]) }
}

async fn a_deploy_is_found_by_its_key_for_a_day(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    let made =
        async |now_ms| stores.releases.made(app, &idempotency("ann", "k"), now_ms).await.unwrap();
    assert_eq!(made(NOW).await, None);
    stores.releases.create(app, &new(&[])).await.unwrap();
    stores.releases.create(app, &keyed("ann", "k", NOW)).await.unwrap();
    let expected = MadeDeploy {
        request: BlobHash::of(b"request"),
        answer: "{\"warnings\":[]}".to_owned(),
        release: ReleaseNumber(2),
    };
    assert_eq!(made(NOW).await, Some(expected.clone()));
    assert_eq!(made(NOW + KEPT_MS - 1).await, Some(expected));
    assert_eq!(made(NOW + KEPT_MS).await, None);

    assert_conflict(stores.releases.create(app, &keyed("ann", "k", NOW + KEPT_MS - 1)).await);
    stores.releases.create(app, &keyed("ann", "k", NOW + KEPT_MS)).await.unwrap();
    assert_eq!(made(NOW + KEPT_MS).await.unwrap().release, ReleaseNumber(3));
}

async fn a_key_makes_one_release_however_many_deploy_with_it(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    let deploys: Vec<_> = (0..8)
        .map(|_| {
            let releases = stores.releases.clone();
            tokio::spawn(async move { releases.create(app, &keyed("ann", "k", NOW)).await })
        })
        .collect();
    let mut made = 0;
    for deploy in deploys {
        match deploy.await.unwrap() {
            Ok(_) => made += 1,
            lost => assert_conflict(lost),
        }
    }
    assert_eq!(made, 1);
    assert_eq!(stores.releases.list(app, None, 9).await.unwrap().len(), 1);
    assert_eq!(active(stores, "alice").await, Some(1));
}

async fn keys_of_two_callers_or_apps_never_meet(stores: &Stores) {
    let (alice, bob) = two_apps(stores).await;
    stores.releases.create(alice, &keyed("ann", "k", NOW)).await.unwrap();
    let made = async |app, caller: &str| {
        let made = stores.releases.made(app, &idempotency(caller, "k"), NOW).await.unwrap();
        made.map(|made| made.release.0)
    };
    assert_eq!((made(alice, "ben").await, made(bob, "ann").await), (None, None));
    stores.releases.create(alice, &keyed("ben", "k", NOW)).await.unwrap();
    stores.releases.create(bob, &keyed("ann", "k", NOW)).await.unwrap();
    assert_eq!((made(alice, "ann").await, made(alice, "ben").await), (Some(1), Some(2)));
    assert_eq!((made(bob, "ann").await, made(bob, "ben").await), (Some(1), None));

    // An app that is made anew knows nothing of the old one's.
    stores.apps.delete(bob).await.unwrap();
    let anew = app(stores, "bob").await.id;
    assert_eq!(made(anew, "ann").await, None);
}

async fn a_refused_deploy_leaves_its_key_free(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    let refused = NewRelease { derived_from: Some(ReleaseNumber(7)), ..keyed("ann", "k", NOW) };
    assert_conflict(stores.releases.create(app, &refused).await);
    let made = stores.releases.made(app, &idempotency("ann", "k"), NOW).await.unwrap();
    assert_eq!(made, None);
    stores.releases.create(app, &keyed("ann", "k", NOW)).await.unwrap();
}

async fn two_apps_never_meet(stores: &Stores) {
    let (alice, bob) = two_apps(stores).await;
    stores.releases.create(alice, &new(&[("a", b"alice's")])).await.unwrap();
    let first = ReleaseNumber(1);
    assert_eq!(stores.releases.find(bob, first).await.unwrap(), None);
    assert!(stores.releases.list(bob, None, 9).await.unwrap().is_empty());
    assert!(stores.releases.list(bob, Some(ReleaseNumber(9)), 9).await.unwrap().is_empty());
    assert!(stores.releases.files(bob, first).await.unwrap().is_empty());
    assert!(stores.releases.contents(bob, first).await.unwrap().is_empty());
    let hash = BlobHash::of(b"alice's");
    assert_eq!(stores.releases.blob(bob, hash).await.unwrap(), None);

    stores.releases.create(bob, &new(&[("a", b"bob's")])).await.unwrap();
    let contents = stores.releases.contents(alice, first).await.unwrap();
    assert_eq!(contents["a"], "alice's");
    let contents = stores.releases.contents(bob, first).await.unwrap();
    assert_eq!(contents["a"], "bob's");
    assert_eq!(stores.releases.blob(bob, hash).await.unwrap(), None, "not by the hash either");
}

async fn releases_have_a_quota_for_what_is_new_in_them(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    let create = async |files: &[(&str, &[u8])], quota_bytes| {
        stores.releases.create(app, &NewRelease { quota_bytes, ..new(files) }).await
    };
    create(&[("a", b"12345"), ("b", b"12345")], 5).await.unwrap();
    let refused = create(&[("a", b"123456")], 10).await;
    let is_full = matches!(refused, Err(StoreError::QuotaExceeded(Quota::Releases)));
    assert!(is_full, "{refused:?}");
    assert_eq!(active(stores, "alice").await, Some(1));
    assert_eq!(stores.releases.blob(app, BlobHash::of(b"123456")).await.unwrap(), None);
    // What is there already takes no more, however little there may be.
    create(&[("c", b"12345")], 0).await.unwrap();
    create(&[("a", b"123456")], 11).await.unwrap();
}

async fn a_deleted_release_takes_along_what_no_other_has(stores: &Stores) {
    let (alice, bob) = two_apps(stores).await;
    for files in [&[("a", &b"old"[..]), ("b", b"both")][..], &[("b", b"both")], &[("c", b"new")]] {
        stores.releases.create(alice, &new(files)).await.unwrap();
    }
    stores.releases.create(bob, &new(&[("a", b"old")])).await.unwrap();
    stores.releases.create(bob, &new(&[])).await.unwrap();
    let delete = async |number| stores.releases.delete(alice, ReleaseNumber(number)).await.unwrap();
    assert!(!delete(3).await, "it is the active one");
    assert!(stores.releases.activate(alice, ReleaseNumber(2), &[], None).await.unwrap());
    assert!(!delete(2).await, "now this is");
    assert!(!delete(3).await, "its number would be given out again");
    assert!(!delete(4).await, "there is none");
    assert!(delete(1).await);
    assert!(!delete(1).await);
    assert_eq!(stores.releases.find(alice, ReleaseNumber(1)).await.unwrap(), None);
    assert!(!stores.releases.activate(alice, ReleaseNumber(1), &[], None).await.unwrap());
    let blob = async |app, contents| stores.releases.blob(app, BlobHash::of(contents)).await;
    assert_eq!(blob(alice, b"old").await.unwrap(), None);
    assert!(blob(alice, b"both").await.unwrap().is_some());
    assert!(blob(bob, b"old").await.unwrap().is_some());
}

async fn a_release_is_not_made_active_while_it_is_deleted(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    for _ in 0..20 {
        let old = stores.releases.create(app, &new(&[("a", b"1")])).await.unwrap().number;
        stores.releases.create(app, &new(&[("a", b"2")])).await.unwrap();
        let (activated, deleted) = tokio::join!(
            stores.releases.activate(app, old, &[], None),
            stores.releases.delete(app, old)
        );
        assert_ne!(activated.unwrap(), deleted.unwrap());
        let active = active(stores, "alice").await.unwrap();
        let active = stores.releases.contents(app, ReleaseNumber(active)).await.unwrap();
        assert_eq!(active.len(), 1, "what is active is there");
    }
}
