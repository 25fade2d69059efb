//! KV: keys, prefixes and cursors that somebody chose with care.

use picloud_shared::kv::{Range, Seen};
use picloud_store::Stores;

use crate::support::{NOW, app, commit, delete, keys, on_both, put, set, two_apps, value};

on_both![
    hostile_keys_are_keys_like_any_other_and_stay_in_their_app,
    a_prefix_is_compared_byte_for_byte,
    prefixes_end_where_characters_do,
    pages_follow_each_other_without_gap_or_overlap,
    forged_prefixes_and_cursors_reach_nothing_else,
];

/// In the order of their bytes.
fn hostile() -> Vec<String> {
    let mut keys: Vec<String> = [
        " ",
        "%",
        "%k",
        "'; DROP TABLE kv; --",
        "*",
        "../",
        "..\\",
        "1",
        "01",
        "1.0",
        "?1",
        "$1",
        "K",
        "[\"a\"]",
        "_",
        "_k",
        "a",
        "a ",
        "a/b",
        "alice",
        "k",
        "k:",
        "k:c",
        "null",
        "other:k",
        "é",
        "e\u{301}",
        "\u{a0}",
        "\u{d7ff}",
        "\u{e000}",
        "\u{feff}k",
        "\u{fffd}",
        "\u{1f600}",
        "\u{10ffff}",
    ]
    .map(str::to_owned)
    .to_vec();
    keys.push("k".repeat(512));
    keys.push("é".repeat(256));
    keys.push("\u{10ffff}".repeat(128));
    keys.sort_unstable();
    keys
}

async fn hostile_keys_are_keys_like_any_other_and_stay_in_their_app(stores: &Stores) {
    let (alice, bob) = two_apps(stores).await;
    let keys_of = hostile();
    for (n, key) in keys_of.iter().enumerate() {
        put(stores, alice, "c", key, &n.to_string()).await;
    }
    for (n, key) in keys_of.iter().enumerate() {
        assert_eq!(value(stores, alice, "c", key).await, Some(n.to_string()), "{key:?}");
        assert_eq!(value(stores, bob, "c", key).await, None, "{key:?}");
        assert_eq!(value(stores, alice, "d", key).await, None, "{key:?}");
    }
    assert_eq!(keys(stores, alice, "c", "", None).await, keys_of);
    assert!(keys(stores, bob, "c", "", None).await.is_empty());

    // Bob's changes under every one of them leave all of Alice's alone.
    for key in &keys_of {
        commit(stores, bob, [set("c", key, Seen::Absent, "\"bob\"")]).await.unwrap();
        commit(stores, bob, [delete("c", key, Seen::Unread)]).await.unwrap();
    }
    assert_eq!(keys(stores, alice, "c", "", None).await, keys_of);
    // And a deleted key takes no other with it.
    for n in 0..keys_of.len() {
        commit(stores, alice, [delete("c", &keys_of[n], Seen::Unread)]).await.unwrap();
        assert_eq!(keys(stores, alice, "c", "", None).await, keys_of[n + 1..]);
    }
}

async fn a_prefix_is_compared_byte_for_byte(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    let all = hostile();
    for key in &all {
        put(stores, app, "c", key, "1").await;
    }
    let cut: String = all.last().unwrap().chars().take(64).collect();
    for prefix in all.iter().chain([&cut]) {
        let expected: Vec<_> = all.iter().filter(|key| key.starts_with(prefix)).collect();
        let found = keys(stores, app, "c", prefix, None).await;
        assert!(found.iter().eq(expected), "{prefix:?} found {found:?}");
    }
}

async fn prefixes_end_where_characters_do(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    let all = [
        "a",
        "a\u{d7fe}",
        "a\u{d7ff}",
        "a\u{d7ff}z",
        "a\u{e000}",
        "a\u{10ffff}",
        "a\u{10ffff}\u{10ffff}z",
        "b",
        "\u{10ffff}",
        "\u{10ffff}\u{10ffff}",
    ];
    for key in all {
        put(stores, app, "c", key, "1").await;
    }
    for (prefix, expected) in [
        ("a\u{d7ff}", &all[2..4]),
        ("a\u{d7fe}", &all[1..2]),
        ("a\u{e000}", &all[4..5]),
        ("a\u{10ffff}", &all[5..7]),
        ("a", &all[..7]),
        ("\u{10ffff}", &all[8..]),
        ("\u{10ffff}\u{10ffff}\u{10ffff}", &[]),
        ("", &all[..]),
    ] {
        assert_eq!(keys(stores, app, "c", prefix, None).await, expected, "{prefix:?}");
    }
}

async fn pages_follow_each_other_without_gap_or_overlap(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    let all = hostile();
    for key in &all {
        put(stores, app, "c", key, "1").await;
    }
    let collection = "c".parse().unwrap();
    for limit in [1, 2, 7, 1_000] {
        let mut found = Vec::new();
        loop {
            let after = found.last().map(String::as_str);
            let range = Range { prefix: "", after, limit };
            let page = stores.kv.list(app, &collection, range, NOW).await.unwrap().entries;
            if page.is_empty() {
                break;
            }
            assert!(page.len() <= limit as usize);
            found.extend(page.into_iter().map(|(key, _)| key.as_str().to_owned()));
        }
        assert_eq!(found, all, "in pages of {limit}");
    }
    let range = Range { prefix: "", after: None, limit: 0 };
    assert!(stores.kv.list(app, &collection, range, NOW).await.unwrap().entries.is_empty());
    assert_eq!(keys(stores, app, "c", "k", Some("k")).await.first().unwrap(), "k:");
    assert_eq!(keys(stores, app, "c", "k:", Some("a")).await, ["k:", "k:c"]);
    assert!(keys(stores, app, "c", "k:", Some("k;")).await.is_empty());
}

async fn forged_prefixes_and_cursors_reach_nothing_else(stores: &Stores) {
    let (alice, bob) = two_apps(stores).await;
    for (app, collection, key) in
        [(alice, "a", "k1"), (alice, "c", "k1"), (alice, "z", "k1"), (bob, "c", "k2")]
    {
        put(stores, app, collection, key, "1").await;
    }
    for after in ["k0", "", "\0", "k\0", "\u{1}", "a", "../", "k1\0k2", "%", "c\0k0"] {
        assert_eq!(keys(stores, bob, "c", "", Some(after)).await, ["k2"], "{after:?}");
    }
    for after in ["k2", "z", "\u{10ffff}", "k2\0"] {
        assert!(keys(stores, bob, "c", "", Some(after)).await.is_empty(), "{after:?}");
    }
    for prefix in ["%", "_", "k_", "\0", "k\0", "k2\0", "c", "K", ".*", "k1", "\u{301}"] {
        assert!(keys(stores, bob, "c", prefix, None).await.is_empty(), "{prefix:?}");
    }
}
