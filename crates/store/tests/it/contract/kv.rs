//! KV: what one writer at a time can expect.

use picloud_shared::StoreError;
use picloud_shared::kv::{MAX_PAGE_BYTES, Range, Seen, WriteSet};
use picloud_store::Stores;
use serde_json::Value;

use crate::support::{
    NOW, PLENTY, app, assert_conflict, commit, commit_kv, delete, entry, keys, on_both, put, set,
    set_until, two_apps, value,
};

on_both![
    json_comes_back_equal,
    what_was_seen_must_still_hold,
    an_entry_made_again_is_not_the_one_seen,
    every_write_has_a_version_of_its_own,
    a_write_set_lands_wholly_or_not_at_all,
    deleting_what_is_not_there_is_fine_unless_it_was_seen,
    an_expired_entry_does_not_exist,
    an_expired_entry_is_absent_and_has_no_version,
    expired_rows_are_purged_in_portions,
    usage_is_the_bytes_of_what_is_there,
    the_quota_binds_only_what_grows,
    expired_entries_take_no_quota,
    expired_entries_do_not_count_as_used,
    clears_come_before_writes,
    what_was_seen_was_seen_before_the_clears,
    a_cleared_collection_is_the_apps_own_and_no_other,
    collections_are_counted,
    a_list_of_large_values_stops_early_and_says_so,
    a_thousand_writes_land_together,
    two_apps_never_meet,
];

fn clear(names: &[&str], writes: Vec<picloud_shared::kv::Write>) -> WriteSet {
    WriteSet { clears: names.iter().map(|name| name.parse().unwrap()).collect(), writes }
}

async fn json_comes_back_equal(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    let long = format!("\"{}\"", "x".repeat(65_534));
    let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
    for json in [
        "null",
        "true",
        "0",
        "-1",
        "9007199254740993",
        "9223372036854775807",
        "-9223372036854775808",
        "1.5",
        "1e-7",
        "\"\"",
        "[]",
        "{}",
        r#"{"b": 1, "a": {"": [1, "2", null, 1.25, {"x": false}]}}"#,
        r#""quote \" slash \\ tab \t bell \u0007 é e\u0301 \ud83d\ude00 \u2028""#,
        "\"é e\u{301} \u{1F600} \u{10FFFF} \u{7f} %_' -- ; ?1 $1\"",
        &long,
        &deep,
    ] {
        put(stores, app, "c", "k", json).await;
        let found = value(stores, app, "c", "k").await.unwrap();
        let parse = |json: &str| serde_json::from_str::<Value>(json).unwrap();
        assert_eq!(parse(&found), parse(json), "{found:.80}");
        let collection = "c".parse().unwrap();
        let range = Range { limit: 1, ..Range::default() };
        let page = stores.kv.list(app, &collection, range, NOW).await.unwrap().entries;
        assert_eq!(page[0].1.value, found);
    }
}

async fn a_list_of_large_values_stops_early_and_says_so(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    let large = format!("\"{}\"", "x".repeat(60_000));
    for batch in 0..10 {
        let writes = (0..10).map(|i| set("c", &format!("{batch}{i}"), Seen::Unread, &large));
        commit(stores, app, writes.collect::<Vec<_>>()).await.unwrap();
    }
    let collection = "c".parse().unwrap();
    let (mut keys, mut pages, mut after) = (Vec::new(), 0, None::<String>);
    loop {
        let range = Range { after: after.as_deref(), limit: 1_000, ..Range::default() };
        let page = stores.kv.list(app, &collection, range, NOW).await.unwrap();
        let bytes: usize = page.entries.iter().map(|(_, entry)| entry.value.len()).sum();
        assert!(bytes < MAX_PAGE_BYTES + 64 * 1024, "{bytes}");
        keys.extend(page.entries.into_iter().map(|(key, _)| key.to_string()));
        pages += 1;
        if !page.more {
            break;
        }
        after = keys.last().cloned();
    }
    let expected: Vec<String> = (0..100).map(|i| format!("{i:02}")).collect();
    assert_eq!((keys, pages), (expected, 2));
}

async fn what_was_seen_must_still_hold(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    commit(stores, app, [set("c", "k", Seen::Absent, "1")]).await.unwrap();
    assert_conflict(commit(stores, app, [set("c", "k", Seen::Absent, "2")]).await);
    let first = entry(stores, app, "c", "k").await.unwrap().version;
    commit(stores, app, [set("c", "k", Seen::Version(first), "2")]).await.unwrap();
    assert_conflict(commit(stores, app, [set("c", "k", Seen::Version(first), "3")]).await);
    assert_conflict(commit(stores, app, [delete("c", "k", Seen::Version(first))]).await);
    assert_conflict(commit(stores, app, [delete("c", "k", Seen::Absent)]).await);
    assert_conflict(commit(stores, app, [set("c", "other", Seen::Version(first), "3")]).await);
    assert_eq!(value(stores, app, "c", "k").await.as_deref(), Some("2"));
    commit(stores, app, [set("c", "k", Seen::Unread, "4")]).await.unwrap();
    assert_eq!(value(stores, app, "c", "k").await.as_deref(), Some("4"));
    let last = entry(stores, app, "c", "k").await.unwrap().version;
    commit(stores, app, [delete("c", "k", Seen::Version(last))]).await.unwrap();
    assert_eq!(value(stores, app, "c", "k").await, None);
}

async fn an_entry_made_again_is_not_the_one_seen(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    put(stores, app, "c", "k", "1").await;
    let seen = entry(stores, app, "c", "k").await.unwrap().version;
    commit(stores, app, [delete("c", "k", Seen::Unread)]).await.unwrap();
    put(stores, app, "c", "k", "1").await;
    assert_conflict(commit(stores, app, [set("c", "k", Seen::Version(seen), "2")]).await);
}

async fn every_write_has_a_version_of_its_own(stores: &Stores) {
    let (alice, bob) = two_apps(stores).await;
    let mut versions = Vec::new();
    for round in 0..3 {
        for app in [alice, bob] {
            let writes = ["a", "b"].map(|key| set("c", key, Seen::Unread, &round.to_string()));
            commit(stores, app, writes).await.unwrap();
            for key in ["a", "b"] {
                versions.push(entry(stores, app, "c", key).await.unwrap().version);
            }
        }
    }
    let newest = versions[versions.len() - 2..].iter().min().unwrap();
    assert!(versions[..versions.len() - 2].iter().all(|version| version < newest), "they grow");
    versions.sort_unstable();
    versions.dedup();
    assert_eq!(versions.len(), 12);
}

async fn a_write_set_lands_wholly_or_not_at_all(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    put(stores, app, "c", "k", "1").await;
    let usage = stores.kv.usage(app, 0).await.unwrap();
    let refused = clear(
        &["c"],
        vec![
            set("a", "new", Seen::Absent, "1"),
            delete("c", "k", Seen::Unread),
            set("d", "k", Seen::Version(1 << 40), "1"),
            set("z", "new", Seen::Absent, "1"),
        ],
    );
    assert_conflict(commit_kv(stores, app, refused, PLENTY, NOW).await);
    assert_eq!(value(stores, app, "c", "k").await.as_deref(), Some("1"));
    assert_eq!(value(stores, app, "a", "new").await, None);
    assert_eq!(value(stores, app, "z", "new").await, None);
    assert_eq!(stores.kv.usage(app, 0).await.unwrap(), usage);
}

async fn deleting_what_is_not_there_is_fine_unless_it_was_seen(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    assert_eq!(commit(stores, app, [delete("c", "k", Seen::Unread)]).await.unwrap(), 0);
    assert_eq!(commit(stores, app, [delete("c", "k", Seen::Absent)]).await.unwrap(), 0);
    assert_conflict(commit(stores, app, [delete("c", "k", Seen::Version(1))]).await);
    assert_eq!(commit(stores, app, []).await.unwrap(), 0, "nor is doing nothing an error");
}

async fn an_expired_entry_does_not_exist(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    let until = [("gone", Some(NOW)), ("soon", Some(NOW + 1)), ("stays", None)];
    let writes = until.map(|(key, at)| set_until("c", key, Seen::Absent, "1", at));
    commit(stores, app, writes).await.unwrap();
    commit(stores, app, [set_until("d", "k", Seen::Absent, "1", Some(NOW))]).await.unwrap();

    assert_eq!(entry(stores, app, "c", "gone").await, None);
    assert_eq!(entry(stores, app, "c", "soon").await.unwrap().expires_at_ms, Some(NOW + 1));
    assert_eq!(entry(stores, app, "c", "stays").await.unwrap().expires_at_ms, None);
    assert_eq!(keys(stores, app, "c", "", None).await, ["soon", "stays"]);
    let collection = "c".parse().unwrap();
    assert_eq!(stores.kv.count(app, &collection, NOW).await.unwrap(), 2);
    assert_eq!(stores.kv.collections(app, NOW).await.unwrap(), [(collection.clone(), 2)]);
    assert_eq!(stores.kv.count(app, &collection, NOW + 1).await.unwrap(), 1);
    assert_eq!(stores.kv.count(app, &collection, NOW - 1).await.unwrap(), 3);
    let range = Range { limit: 1, ..Range::default() };
    let page = stores.kv.list(app, &collection, range, NOW).await.unwrap().entries;
    assert_eq!(page[0].0.as_str(), "soon", "expired rows take no place on a page");
}

async fn expired_entries_do_not_count_as_used(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    let soon = set_until("c", "a", Seen::Unread, "1234", Some(NOW + 1));
    commit(stores, app, [soon, set("c", "b", Seen::Unread, "1")]).await.unwrap();
    assert_eq!(stores.kv.usage(app, NOW).await.unwrap(), 6 + 3);
    assert_eq!(stores.kv.usage(app, NOW + 1).await.unwrap(), 3);
}

async fn an_expired_entry_is_absent_and_has_no_version(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    let expiring = set_until("c", "k", Seen::Absent, "1", Some(NOW + 10));
    commit(stores, app, [expiring]).await.unwrap();
    let version = entry(stores, app, "c", "k").await.unwrap().version;
    let write = |seen| clear(&[], vec![set("c", "k", seen, "2")]);
    let seen = commit_kv(stores, app, write(Seen::Version(version)), PLENTY, NOW + 10).await;
    assert_conflict(seen);
    assert_conflict(commit_kv(stores, app, write(Seen::Absent), PLENTY, NOW + 9).await);
    commit_kv(stores, app, write(Seen::Absent), PLENTY, NOW + 10).await.unwrap();
    let found = entry(stores, app, "c", "k").await.unwrap();
    assert_eq!((found.value.as_str(), found.expires_at_ms), ("2", None), "the TTL is gone too");
    assert_eq!(stores.kv.usage(app, 0).await.unwrap(), 3);
}

async fn expired_rows_are_purged_in_portions(stores: &Stores) {
    let (alice, bob) = two_apps(stores).await;
    assert_eq!(stores.kv.purge_expired(NOW, 9).await.unwrap(), None);
    for (app, key, at) in
        [(alice, "a", 1), (bob, "b", 2), (alice, "c", 3), (bob, "d", 10), (alice, "e", 20)]
    {
        let write = set_until("c", key, Seen::Absent, "1", Some(NOW + at));
        commit(stores, app, [write]).await.unwrap();
    }
    put(stores, bob, "c", "stays", "1").await;
    assert_eq!(stores.kv.purge_expired(NOW, 9).await.unwrap(), Some(NOW + 1));
    assert_eq!(stores.kv.purge_expired(NOW + 5, 2).await.unwrap(), Some(NOW + 3));
    assert_eq!(stores.kv.usage(alice, 0).await.unwrap(), 6);
    assert_eq!(stores.kv.usage(bob, 0).await.unwrap(), 10);
    assert_eq!(stores.kv.purge_expired(NOW + 5, 2).await.unwrap(), Some(NOW + 10));
    assert_eq!(stores.kv.usage(alice, 0).await.unwrap(), 3);
    assert_eq!(stores.kv.purge_expired(NOW + 20, 9).await.unwrap(), None);
    assert_eq!(stores.kv.usage(alice, 0).await.unwrap(), 0);
    assert_eq!(keys(stores, bob, "c", "", None).await, ["stays"]);
}

async fn usage_is_the_bytes_of_what_is_there(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    let spaced = "{ \"a\" : 1 }";
    let usage = commit(stores, app, [set("col", "é", Seen::Unread, spaced)]).await.unwrap();
    assert_eq!(usage, 3 + 2 + 11, "as given, in UTF-8");
    let more = [set("col", "é", Seen::Unread, "1"), set("col", "b", Seen::Absent, "22")];
    assert_eq!(commit(stores, app, more).await.unwrap(), 6 + 6);
    let swap = [set("col", "é", Seen::Unread, "22"), set("col", "b", Seen::Unread, "1")];
    assert_eq!(commit(stores, app, swap).await.unwrap(), 12);
    assert_eq!(commit(stores, app, [delete("col", "é", Seen::Unread)]).await.unwrap(), 5);
    assert_eq!(stores.kv.usage(app, 0).await.unwrap(), 5);
}

async fn the_quota_binds_only_what_grows(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    let with_quota =
        async |quota, writes: Vec<_>| commit_kv(stores, app, clear(&[], writes), quota, NOW).await;
    let full = || set("c", "a", Seen::Unread, "12345678");
    assert_eq!(with_quota(10, vec![full()]).await.unwrap(), 10);
    let refused = with_quota(10, vec![set("c", "b", Seen::Absent, "1")]).await;
    assert!(matches!(refused, Err(StoreError::QuotaExceeded(_))), "{refused:?}");
    assert_eq!(value(stores, app, "c", "b").await, None);
    assert_eq!(stores.kv.usage(app, 0).await.unwrap(), 10);

    assert_eq!(with_quota(3, vec![full()]).await.unwrap(), 10, "the same size");
    let smaller = set("c", "a", Seen::Unread, "1234567");
    assert_eq!(with_quota(3, vec![smaller]).await.unwrap(), 9, "smaller, if still too large");
    let moved = vec![delete("c", "a", Seen::Unread), set("c", "b", Seen::Absent, "1234567")];
    assert_eq!(with_quota(3, moved).await.unwrap(), 9);
    let both = vec![
        set("c", "b", Seen::Version(1 << 40), "1"),
        set("c", "big", Seen::Unread, "123456789"),
    ];
    assert_conflict(with_quota(3, both).await);
}

async fn expired_entries_take_no_quota(stores: &Stores) {
    let (alice, bob) = two_apps(stores).await;
    for app in [alice, bob] {
        let expiring = set_until("c", "old", Seen::Absent, "12345", Some(NOW + 1));
        commit(stores, app, [expiring]).await.unwrap();
    }
    let write = || clear(&[], vec![set("c", "new", Seen::Absent, "12345")]);
    let early = commit_kv(stores, alice, write(), 10, NOW).await;
    assert!(matches!(early, Err(StoreError::QuotaExceeded(_))), "{early:?}");
    assert_eq!(commit_kv(stores, alice, write(), 10, NOW + 1).await.unwrap(), 9);
    assert_eq!(stores.kv.usage(alice, 0).await.unwrap(), 9);
    assert_eq!(stores.kv.usage(bob, 0).await.unwrap(), 9, "bob's row is still there");
    assert_eq!(stores.kv.purge_expired(NOW + 1, 9).await.unwrap(), None);
    assert_eq!(stores.kv.usage(bob, 0).await.unwrap(), 0);
}

async fn clears_come_before_writes(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    for key in ["a", "b", "c"] {
        put(stores, app, "c", key, "1").await;
    }
    put(stores, app, "d", "k", "1").await;
    let write_set = clear(&["c", "none"], vec![set("c", "b", Seen::Unread, "22")]);
    assert_eq!(commit_kv(stores, app, write_set, PLENTY, NOW).await.unwrap(), 4 + 3);
    assert_eq!(keys(stores, app, "c", "", None).await, ["b"]);
    assert_eq!(value(stores, app, "c", "b").await.as_deref(), Some("22"));
    assert_eq!(value(stores, app, "d", "k").await.as_deref(), Some("1"));
    let write_set = clear(&["c", "d"], vec![delete("d", "k", Seen::Unread)]);
    assert_eq!(commit_kv(stores, app, write_set, PLENTY, NOW).await.unwrap(), 0);
    assert!(stores.kv.collections(app, NOW).await.unwrap().is_empty());
}

async fn what_was_seen_was_seen_before_the_clears(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    put(stores, app, "c", "k", "1").await;
    let absent = clear(&["c"], vec![set("c", "k", Seen::Absent, "2")]);
    assert_conflict(commit_kv(stores, app, absent, PLENTY, NOW).await);
    let version = entry(stores, app, "c", "k").await.unwrap().version;
    let stale = clear(&["c"], vec![set("c", "k", Seen::Version(version + 1), "2")]);
    assert_conflict(commit_kv(stores, app, stale, PLENTY, NOW).await);
    let seen = clear(
        &["c"],
        vec![set("c", "k", Seen::Version(version), "2"), set("c", "n", Seen::Absent, "3")],
    );
    assert_eq!(commit_kv(stores, app, seen, PLENTY, NOW).await.unwrap(), 6);
    assert_eq!(value(stores, app, "c", "k").await.as_deref(), Some("2"));
}

async fn a_cleared_collection_is_the_apps_own_and_no_other(stores: &Stores) {
    let (alice, bob) = two_apps(stores).await;
    for app in [alice, bob] {
        for collection in ["c", "c.", "c_", "C", "cc"] {
            put(stores, app, collection, "k", "1").await;
        }
    }
    commit_kv(stores, alice, clear(&["c"], vec![]), PLENTY, NOW).await.unwrap();
    let names = async |app| {
        let collections = stores.kv.collections(app, NOW).await.unwrap();
        collections.into_iter().map(|(name, _)| name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(alice).await, ["C", "c.", "c_", "cc"]);
    assert_eq!(names(bob).await, ["C", "c", "c.", "c_", "cc"]);
}

async fn collections_are_counted(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    for (collection, keys) in [("b", 2), ("a.b", 3), ("B", 1)] {
        for key in 0..keys {
            put(stores, app, collection, &key.to_string(), "1").await;
        }
    }
    let counts = stores.kv.collections(app, NOW).await.unwrap();
    let counts: Vec<_> = counts.iter().map(|(name, count)| (name.as_str(), *count)).collect();
    assert_eq!(counts, [("B", 1), ("a.b", 3), ("b", 2)]);
    assert_eq!(stores.kv.count(app, &"a.b".parse().unwrap(), NOW).await.unwrap(), 3);
    assert_eq!(stores.kv.count(app, &"a".parse().unwrap(), NOW).await.unwrap(), 0);
}

async fn a_thousand_writes_land_together(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    let value = format!("\"{}\"", "x".repeat(4_000));
    let writes = || (0..1_000).map(|n| set("c", &format!("{n:04}"), Seen::Absent, &value));
    let usage = commit(stores, app, writes()).await.unwrap();
    assert_eq!(usage, 1_000 * (1 + 4 + 4_002));
    assert_conflict(commit(stores, app, writes()).await);
    let deletes = (0..1_000).map(|n| delete("c", &format!("{n:04}"), Seen::Unread));
    assert_eq!(commit(stores, app, deletes).await.unwrap(), 0);
}

async fn two_apps_never_meet(stores: &Stores) {
    let (alice, bob) = two_apps(stores).await;
    put(stores, alice, "c", "k", "\"alice\"").await;
    let collection = "c".parse().unwrap();
    assert_eq!(entry(stores, bob, "c", "k").await, None);
    assert!(keys(stores, bob, "c", "", None).await.is_empty());
    assert_eq!(stores.kv.count(bob, &collection, NOW).await.unwrap(), 0);
    assert!(stores.kv.collections(bob, NOW).await.unwrap().is_empty());
    assert_eq!(stores.kv.usage(bob, 0).await.unwrap(), 0);

    let version = entry(stores, alice, "c", "k").await.unwrap().version;
    assert_conflict(commit(stores, bob, [set("c", "k", Seen::Version(version), "1")]).await);
    commit(stores, bob, [set("c", "k", Seen::Absent, "\"bob\"")]).await.unwrap();
    assert_eq!(value(stores, alice, "c", "k").await.as_deref(), Some("\"alice\""));
    assert_eq!(value(stores, bob, "c", "k").await.as_deref(), Some("\"bob\""));
    commit(stores, bob, [delete("c", "k", Seen::Unread)]).await.unwrap();
    assert_eq!(value(stores, alice, "c", "k").await.as_deref(), Some("\"alice\""));
    assert_eq!(stores.kv.usage(alice, 0).await.unwrap(), 2 + 7);
}
