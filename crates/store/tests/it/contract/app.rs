//! Apps.

use std::collections::BTreeMap;

use picloud_shared::execution::LogQuery;
use picloud_shared::kv::Seen;
use picloud_shared::{AppSlug, BlobHash, LimitOverrides, NewRelease};
use picloud_store::Stores;

use crate::support::{
    NOW, PLENTY, app, assert_conflict, commit, execution, line, newest, on_both, put, set,
    two_apps, value,
};

on_both![
    an_app_comes_back_as_it_was_made,
    a_slug_belongs_to_one_app,
    apps_are_listed_by_slug_in_pages,
    limits_come_back_whole,
    limits_of_an_app_that_is_gone_are_a_conflict,
    a_deleted_app_takes_everything_with_it_and_nothing_else,
    an_app_made_again_is_another_app,
];

fn slug(text: &str) -> AppSlug {
    text.parse().unwrap()
}

async fn an_app_comes_back_as_it_was_made(stores: &Stores) {
    let made = stores.apps.create(&slug("guestbook"), None, NOW).await.unwrap();
    assert_eq!(made.slug.as_str(), "guestbook");
    assert_eq!(made.created_at_ms, NOW);
    assert_eq!(made.active_release, None);
    assert_eq!(made.limits, LimitOverrides::default());
    assert_eq!(stores.apps.find(&slug("guestbook")).await.unwrap(), Some(made));
    assert_eq!(stores.apps.find(&slug("guest")).await.unwrap(), None);
}

async fn a_slug_belongs_to_one_app(stores: &Stores) {
    let first = app(stores, "alice").await;
    assert_conflict(stores.apps.create(&slug("alice"), None, NOW + 1).await);
    assert_eq!(stores.apps.find(&slug("alice")).await.unwrap(), Some(first));
}

async fn apps_are_listed_by_slug_in_pages(stores: &Stores) {
    for each in ["bb", "a1", "a-b", "ab"] {
        app(stores, each).await;
    }
    let page = async |after: Option<&str>, limit| {
        let after = after.map(slug);
        let apps = stores.apps.list(after.as_ref(), limit).await.unwrap();
        apps.into_iter().map(|app| app.slug.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(page(None, 10).await, ["a-b", "a1", "ab", "bb"]);
    assert_eq!(page(None, 2).await, ["a-b", "a1"]);
    assert_eq!(page(Some("a1"), 2).await, ["ab", "bb"]);
    assert_eq!(page(Some("a1x"), 1).await, ["ab"]);
    assert!(page(Some("bb"), 2).await.is_empty());
}

async fn limits_come_back_whole(stores: &Stores) {
    let (alice, bob) = two_apps(stores).await;
    let limits = LimitOverrides {
        fuel: Some(u64::MAX),
        kv_bytes: Some(0),
        concurrency: Some(1 << 53),
        ..LimitOverrides::default()
    };
    stores.apps.set_limits(alice, &limits).await.unwrap();
    assert_eq!(stores.apps.find(&slug("alice")).await.unwrap().unwrap().limits, limits);
    let other = stores.apps.find(&slug("bob")).await.unwrap().unwrap();
    assert_eq!((other.id, other.limits), (bob, LimitOverrides::default()));

    stores.apps.set_limits(alice, &LimitOverrides::default()).await.unwrap();
    let reset = stores.apps.find(&slug("alice")).await.unwrap().unwrap();
    assert_eq!(reset.limits, LimitOverrides::default());
}

async fn limits_of_an_app_that_is_gone_are_a_conflict(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    stores.apps.delete(app).await.unwrap();
    assert_conflict(stores.apps.set_limits(app, &LimitOverrides::default()).await);
}

async fn a_deleted_app_takes_everything_with_it_and_nothing_else(stores: &Stores) {
    let (alice, bob) = two_apps(stores).await;
    let release = NewRelease {
        note: "upload".to_owned(),
        created_at_ms: NOW,
        activate: true,
        files: BTreeMap::from([("index.rhai".to_owned(), "1".into())]),
        derived_from: None,
        deploy: None,
        schedules: vec![],
        quota_bytes: PLENTY,
    };
    let hash = BlobHash::of(b"1");
    let mut numbers = Vec::new();
    for app in [alice, bob] {
        put(stores, app, "c", "k", "1").await;
        numbers.push(stores.releases.create(app, &release).await.unwrap().number);
        let execution = execution(app, 1);
        let lines = [line(app, execution.id, "hello")];
        stores.executions.record(&[execution], &lines).await.unwrap();
    }

    assert!(stores.apps.delete(alice).await.unwrap());
    assert!(!stores.apps.delete(alice).await.unwrap(), "it is gone");

    for (app, number, left) in [(alice, numbers[0], false), (bob, numbers[1], true)] {
        assert_eq!(value(stores, app, "c", "k").await.is_some(), left);
        assert_eq!(stores.kv.usage(app, 0).await.unwrap() > 0, left);
        assert_eq!(!stores.kv.collections(app, NOW).await.unwrap().is_empty(), left);
        assert_eq!(stores.releases.find(app, number).await.unwrap().is_some(), left);
        assert_eq!(!stores.releases.contents(app, number).await.unwrap().is_empty(), left);
        assert_eq!(stores.releases.blob(app, hash).await.unwrap().is_some(), left);
        let executions = newest(stores, app).await;
        assert_eq!(!executions.is_empty(), left);
        let query = LogQuery { limit: 9, ..LogQuery::default() };
        assert_eq!(!stores.executions.logs(app, &query).await.unwrap().is_empty(), left);
    }
    assert_eq!(stores.apps.find(&slug("alice")).await.unwrap(), None);
    assert!(stores.apps.find(&slug("bob")).await.unwrap().is_some());
    assert_conflict(commit(stores, alice, [set("c", "k", Seen::Unread, "2")]).await);
    assert_conflict(stores.releases.create(alice, &release).await);
}

async fn an_app_made_again_is_another_app(stores: &Stores) {
    let first = app(stores, "alice").await.id;
    put(stores, first, "c", "k", "1").await;
    stores.apps.delete(first).await.unwrap();
    let second = app(stores, "alice").await.id;
    assert!(second > first, "{second:?} {first:?}");
    assert_eq!(value(stores, second, "c", "k").await, None);
    assert_eq!(stores.kv.usage(second, 0).await.unwrap(), 0);
}
