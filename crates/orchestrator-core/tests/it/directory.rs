use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use picloud_orchestrator_core::{AppDirectory, DirectoryError, Match, RunnableApp};
use picloud_shared::{AppSlug, LimitOverrides, Limits, ReleaseNumber};

use crate::stores::Stores;

const CAPACITY: u64 = 64 << 20;

fn setup() -> (Arc<Stores>, Arc<AppDirectory>) {
    let stores = Arc::new(Stores::new());
    let directory = AppDirectory::new(stores.clone(), stores.clone(), Limits::default(), CAPACITY);
    (stores, Arc::new(directory))
}

fn slug(text: &str) -> AppSlug {
    text.parse().unwrap()
}

async fn active(directory: &AppDirectory, name: &str) -> Option<Arc<RunnableApp>> {
    directory.active(&slug(name)).await.unwrap()
}

fn source(app: &RunnableApp) -> &str {
    &app.release.program("index.rhai").unwrap().files()["index.rhai"]
}

#[tokio::test]
async fn an_app_is_loaded_once_and_then_kept() {
    let (stores, directory) = setup();
    let manifest = "[limits]\nfuel = 7\nkv_bytes = 999_999_999_999";
    stores.deploy("shop", &[("index.rhai", "1"), ("lib/a.rhai", "2"), ("picloud.toml", manifest)]);
    stores.edit("shop", |app| app.limits.http_ms = Some(99_000));

    let shop = active(&directory, "shop").await.unwrap();
    assert_eq!(shop.release.number, ReleaseNumber(1));
    assert_eq!(shop.limits.http_ms, 99_000);
    assert_eq!(shop.limits.fuel, 7);
    assert_eq!(shop.limits.kv_bytes, Limits::default().kv_bytes);
    assert!(matches!(shop.release.routes.find("GET", "/"), Match::Script { .. }));
    assert_eq!(shop.release.program("index.rhai").unwrap().files().len(), 2);
    assert!(shop.release.program("lib/a.rhai").is_none());

    let (finds, loads) = (stores.finds.load(SeqCst), stores.loads.load(SeqCst));
    assert!(Arc::ptr_eq(&shop, &active(&directory, "shop").await.unwrap()));
    assert_eq!((stores.finds.load(SeqCst), stores.loads.load(SeqCst)), (finds, loads));
}

#[tokio::test]
async fn a_crowd_loads_an_app_once() {
    let (stores, directory) = setup();
    stores.deploy("shop", &[("index.rhai", "1")]);
    stores.reads.forget_permits(usize::MAX);
    let crowd: Vec<_> = (0..100)
        .map(|_| {
            let directory = directory.clone();
            tokio::spawn(async move { active(&directory, "shop").await })
        })
        .collect();
    while stores.finds.load(SeqCst) < 101 {
        tokio::task::yield_now().await;
    }
    stores.reads.add_permits(1);
    for one in crowd {
        assert!(one.await.unwrap().is_some());
    }
    assert_eq!(stores.loads.load(SeqCst), 1);
}

#[tokio::test]
async fn after_an_invalidation_everyone_sees_the_new_release() {
    let (stores, directory) = setup();
    stores.deploy("shop", &[("index.rhai", "old")]);
    assert_eq!(source(&active(&directory, "shop").await.unwrap()), "old");
    stores.deploy("shop", &[("index.rhai", "new")]);
    assert_eq!(source(&active(&directory, "shop").await.unwrap()), "old");
    directory.invalidate(&slug("shop"));
    assert_eq!(source(&active(&directory, "shop").await.unwrap()), "new");
}

#[tokio::test]
async fn a_load_begun_before_an_invalidation_is_not_kept() {
    let (stores, directory) = setup();
    stores.deploy("shop", &[("index.rhai", "old")]);
    stores.reads.forget_permits(usize::MAX);
    let early = tokio::spawn({
        let directory = directory.clone();
        async move { active(&directory, "shop").await.unwrap() }
    });
    while stores.loads.load(SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    stores.deploy("shop", &[("index.rhai", "new")]);
    directory.invalidate(&slug("shop"));

    // Who comes after the invalidation does not wait for the load before it.
    let late = tokio::spawn({
        let directory = directory.clone();
        async move { active(&directory, "shop").await.unwrap() }
    });
    while stores.loads.load(SeqCst) == 1 {
        tokio::task::yield_now().await;
    }
    stores.reads.add_permits(2);
    assert_eq!(source(&early.await.unwrap()), "old");
    assert_eq!(source(&late.await.unwrap()), "new");
    assert_eq!(source(&active(&directory, "shop").await.unwrap()), "new");
    assert_eq!(stores.loads.load(SeqCst), 2);
}

#[tokio::test]
async fn a_load_given_up_lets_the_next_one_try() {
    let (stores, directory) = setup();
    stores.deploy("shop", &[("index.rhai", "1")]);
    stores.reads.forget_permits(usize::MAX);
    let gone = tokio::spawn({
        let directory = directory.clone();
        async move { active(&directory, "shop").await }
    });
    while stores.loads.load(SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    stores.reads.add_permits(1);
    assert!(active(&directory, "shop").await.is_some());
}

#[tokio::test]
async fn names_of_no_app_are_not_remembered() {
    let (stores, directory) = setup();
    assert!(active(&directory, "shop").await.is_none());
    stores.deploy("shop", &[("index.rhai", "1")]);
    assert!(active(&directory, "shop").await.is_some());
    stores.remove("shop");
    directory.invalidate(&slug("shop"));
    assert!(active(&directory, "shop").await.is_none());
}

#[tokio::test]
async fn an_app_without_a_release_does_not_answer_yet() {
    let (stores, directory) = setup();
    stores.deploy("shop", &[]);
    stores.edit("shop", |app| app.active_release = None);
    assert!(active(&directory, "shop").await.is_none());
}

#[tokio::test]
async fn previews_are_loaded_by_number_and_follow_the_apps_limits() {
    let (stores, directory) = setup();
    stores.deploy("shop", &[("index.rhai", "old")]);
    stores.deploy("shop", &[("index.rhai", "new")]);
    let preview =
        async |number| directory.preview(&slug("shop"), ReleaseNumber(number)).await.unwrap();
    assert_eq!(source(&preview(1).await.unwrap()), "old");
    assert!(preview(3).await.is_none());
    assert!(directory.preview(&slug("other"), ReleaseNumber(1)).await.unwrap().is_none());

    let less = LimitOverrides { fuel: Some(5), ..LimitOverrides::default() };
    stores.edit("shop", |app| app.limits = less);
    assert_eq!(preview(1).await.unwrap().limits.fuel, 5);
    assert_eq!(
        stores.loads.load(SeqCst),
        3,
        "release 1, the try for release 3, and the active one for its triggers"
    );
    stores.remove("shop");
    assert!(preview(1).await.is_none());
}

#[tokio::test]
async fn a_store_that_is_down_is_told_and_not_remembered() {
    let (stores, directory) = setup();
    stores.deploy("shop", &[("index.rhai", "1")]);
    *stores.down.lock().unwrap() = true;
    let error = directory.active(&slug("shop")).await.unwrap_err();
    assert!(matches!(error, DirectoryError::Store(_)));
    *stores.down.lock().unwrap() = false;
    assert!(active(&directory, "shop").await.is_some());
}

#[tokio::test]
async fn a_release_that_breaks_todays_rules_is_told_apart() {
    let (stores, directory) = setup();
    stores.deploy("shop", &[("[a].rhai", "1"), ("[b].rhai", "1")]);
    let error = directory.active(&slug("shop")).await.unwrap_err();
    assert!(error.to_string().contains("[a].rhai and [b].rhai both answer"), "{error}");
}

#[tokio::test]
async fn memory_is_bounded_by_the_scripts_bytes() {
    let stores = Arc::new(Stores::new());
    let directory = AppDirectory::new(stores.clone(), stores.clone(), Limits::default(), 1 << 20);
    let source = " ".repeat(100 << 10);
    for number in 0..50 {
        stores.deploy(&format!("app{number}"), &[("index.rhai", &source)]);
        assert!(active(&directory, &format!("app{number}")).await.is_some());
    }
    let loads = stores.loads.load(SeqCst);
    for number in 0..50 {
        assert!(active(&directory, &format!("app{number}")).await.is_some());
    }
    let again = stores.loads.load(SeqCst) - loads;
    assert!(again >= 40, "only some ten of fifty fit, {again} had to be loaded again");
}
