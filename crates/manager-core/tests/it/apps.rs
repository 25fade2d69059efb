use std::sync::atomic::Ordering::SeqCst;

use picloud_manager_core::Error;
use picloud_shared::{LimitOverrides, Quota, UserId};

use crate::fakes::{World, files, slug};

#[tokio::test]
async fn a_name_has_one_app() {
    let world = World::new().await;
    world.clock.0.store(5_000, SeqCst);
    let made = world.manager.create_app(&slug("blog"), None).await.unwrap();
    assert_eq!(made.created_at_ms, 5_000);
    let error = world.manager.create_app(&slug("blog"), None).await.unwrap_err();
    assert_eq!(error.code(), "name_taken");
    assert_eq!(world.manager.find_app(&slug("blog")).await.unwrap(), Some(made));
    assert_eq!(world.manager.find_app(&slug("none")).await.unwrap(), None);
}

#[tokio::test]
async fn apps_are_listed_page_by_page_and_deleted() {
    let world = World::new().await;
    let blog = world.manager.create_app(&slug("blog"), None).await.unwrap();
    let names = async |after: Option<&str>, limit| -> Vec<String> {
        let after = after.map(slug);
        let apps = world.manager.apps(after.as_ref(), limit).await.unwrap();
        apps.into_iter().map(|app| app.slug.to_string()).collect()
    };
    assert_eq!(names(None, 1).await, ["blog"]);
    assert_eq!(names(Some("blog"), 9).await, ["shop"]);
    world.manager.delete_app(&blog).await.unwrap();
    assert_eq!(names(None, 9).await, ["shop"]);
    let error = world.manager.delete_app(&blog).await.unwrap_err();
    assert_eq!((error.code(), error.to_string().as_str()), ("not_found", "there is no app blog"));
}

#[tokio::test]
async fn limits_are_replaced() {
    let world = World::new().await;
    let limits = LimitOverrides { fuel: Some(7), ..LimitOverrides::default() };
    let app = world.manager.set_limits(&world.shop().await, limits.clone()).await.unwrap();
    assert_eq!(app.limits, limits);
    assert_eq!(world.manager.app(&slug("shop")).await.unwrap().limits, limits);
}

#[tokio::test]
async fn releases_are_listed_newest_first() {
    let world = World::new().await;
    for text in ["1", "2", "3"] {
        world.manager.deploy(&world.shop().await, files(&[("a.rhai", text)]), text).await.unwrap();
    }
    let list = world.manager.releases(&world.shop().await, None, 2).await.unwrap();
    assert_eq!(list.iter().map(|release| release.number.0).collect::<Vec<_>>(), [3, 2]);
    let rest = world.manager.releases(&world.shop().await, Some(list[1].number), 9).await.unwrap();
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

#[tokio::test]
async fn a_user_owns_as_many_apps_as_one_may() {
    let world = World::new().await;
    let (ann, bob) = (UserId(1), UserId(2));
    world.manager.create_app(&slug("first"), Some(ann)).await.unwrap();
    let refused = world.manager.create_app(&slug("second"), Some(ann)).await.unwrap_err();
    assert!(matches!(refused, Error::QuotaExceeded(Quota::Apps)), "{refused}");
    world.manager.create_app(&slug("second"), Some(bob)).await.unwrap();
    world.manager.create_app(&slug("third"), None).await.unwrap();
}
