use std::sync::atomic::Ordering::SeqCst;

use picloud_manager_core::Error;
use picloud_shared::LimitOverrides;

use crate::fakes::{World, files, slug};

#[tokio::test]
async fn making_an_app_twice_makes_one() {
    let world = World::new().await;
    world.clock.0.store(5_000, SeqCst);
    let (made, is_new) = world.manager.ensure_app(&slug("blog")).await.unwrap();
    assert!(is_new);
    assert_eq!(made.created_at_ms, 5_000);
    let (found, is_new) = world.manager.ensure_app(&slug("blog")).await.unwrap();
    assert!(!is_new);
    assert_eq!(found, made);
}

#[tokio::test]
async fn a_crowd_that_makes_an_app_makes_one() {
    let world = World::new().await;
    let crowd: Vec<_> = (0..20)
        .map(|_| {
            let manager = world.manager.clone();
            tokio::spawn(async move { manager.ensure_app(&slug("blog")).await.unwrap().1 })
        })
        .collect();
    let mut made = 0;
    for one in crowd {
        made += usize::from(one.await.unwrap());
    }
    assert_eq!(made, 1);
}

#[tokio::test]
async fn apps_are_listed_page_by_page_and_deleted() {
    let world = World::new().await;
    world.manager.ensure_app(&slug("blog")).await.unwrap();
    let names = async |after: Option<&str>, limit| -> Vec<String> {
        let after = after.map(slug);
        let apps = world.manager.apps(after.as_ref(), limit).await.unwrap();
        apps.into_iter().map(|app| app.slug.to_string()).collect()
    };
    assert_eq!(names(None, 1).await, ["blog"]);
    assert_eq!(names(Some("blog"), 9).await, ["shop"]);
    world.manager.delete_app(&slug("blog")).await.unwrap();
    assert_eq!(names(None, 9).await, ["shop"]);
    let error = world.manager.delete_app(&slug("blog")).await.unwrap_err();
    assert_eq!((error.code(), error.to_string().as_str()), ("not_found", "there is no app blog"));
}

#[tokio::test]
async fn limits_are_replaced() {
    let world = World::new().await;
    let limits = LimitOverrides { fuel: Some(7), ..LimitOverrides::default() };
    let app = world.manager.set_limits(&slug("shop"), limits.clone()).await.unwrap();
    assert_eq!(app.limits, limits);
    assert_eq!(world.manager.app(&slug("shop")).await.unwrap().limits, limits);
    let error = world.manager.set_limits(&slug("none"), limits).await.unwrap_err();
    assert_eq!(error.code(), "not_found");
}

#[tokio::test]
async fn releases_are_listed_newest_first() {
    let world = World::new().await;
    for text in ["1", "2", "3"] {
        world.manager.deploy(&slug("shop"), files(&[("a.rhai", text)]), text).await.unwrap();
    }
    let list = world.manager.releases(&slug("shop"), None, 2).await.unwrap();
    assert_eq!(list.iter().map(|release| release.number.0).collect::<Vec<_>>(), [3, 2]);
    let rest = world.manager.releases(&slug("shop"), Some(list[1].number), 9).await.unwrap();
    assert_eq!(rest[0].note, "1");
    assert_eq!(rest.len(), 1);
}

#[tokio::test]
async fn a_store_that_is_down_is_told_without_its_words() {
    let world = World::new().await;
    world.store.down.store(true, SeqCst);
    let error = world.manager.app(&slug("shop")).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)));
    assert_eq!(error.code(), "unavailable");
    assert_eq!(error.to_string(), "the database is unavailable");
}
