use std::sync::atomic::Ordering::SeqCst;

use picloud_manager_core::{Conditions, Deployed, Error, Expected, Upload};
use picloud_shared::ReleaseNumber;
use picloud_shared::idempotency::Idempotency;

use crate::fakes::{World, files, remove, set, slug};

async fn deploy_if(
    world: &World,
    upload: Upload,
    conditions: &Conditions,
) -> Result<Deployed, Error> {
    world.manager.deploy_if(&world.shop().await, upload, "test", conditions).await
}

fn expecting(expected: Expected) -> Conditions {
    Conditions { expected: Some(expected), ..Conditions::default() }
}

fn keyed(caller: &str, key: &str) -> Conditions {
    let idempotency = Idempotency { caller: caller.to_owned(), key: key.parse().unwrap() };
    Conditions { idempotency: Some(idempotency), ..Conditions::default() }
}

async fn active(world: &World) -> Option<i64> {
    world.active().await.map(|(number, _)| number)
}

#[tokio::test]
async fn a_deploy_replaces_the_release_that_it_expects_and_no_other() {
    let world = World::new().await;
    let error = deploy_if(&world, set("a.rhai", "1"), &expecting(Expected::Any)).await.unwrap_err();
    assert_eq!(error.to_string(), "no release is active, and one was expected");

    let first = deploy_if(&world, set("a.rhai", "1"), &Conditions::default()).await.unwrap();
    let on_first = expecting(Expected::Tagged(vec!["other".to_owned(), first.release.tag()]));
    let second = deploy_if(&world, set("a.rhai", "2"), &on_first).await.unwrap();
    assert_eq!(second.release.number, ReleaseNumber(2));
    for upload in [set("a.rhai", "3"), remove("a.rhai"), files(&[("a.rhai", "3")])] {
        let error = deploy_if(&world, upload, &on_first).await.unwrap_err();
        assert_eq!(error.code(), "precondition_failed");
        assert_eq!(error.to_string(), "the active release is 2, and not the one that was expected");
    }
    assert_eq!(active(&world).await, Some(2));
    deploy_if(&world, files(&[("a.rhai", "3")]), &expecting(Expected::Any)).await.unwrap();

    let expected = Expected::Tagged(vec![second.release.tag()]);
    let rollback = async |expected| {
        world.manager.rollback_if(&world.shop().await, ReleaseNumber(1), Some(&expected)).await
    };
    assert_eq!(rollback(expected).await.unwrap_err().code(), "precondition_failed");
    assert_eq!(active(&world).await, Some(3));
    rollback(Expected::Any).await.unwrap();
    assert_eq!(active(&world).await, Some(1));
}

#[tokio::test]
async fn a_release_of_a_deleted_app_is_not_taken_for_the_new_ones() {
    let world = World::new().await;
    let old = deploy_if(&world, set("a.rhai", "1"), &Conditions::default()).await.unwrap();
    world.manager.delete_app(&world.shop().await).await.unwrap();
    world.clock.0.fetch_add(1, SeqCst);
    world.manager.create_app(&slug("shop"), None).await.unwrap();
    let new = deploy_if(&world, set("a.rhai", "1"), &Conditions::default()).await.unwrap();
    assert_eq!(old.release.number, new.release.number);
    let expected = expecting(Expected::Tagged(vec![old.release.tag()]));
    let error = deploy_if(&world, set("a.rhai", "2"), &expected).await.unwrap_err();
    assert_eq!(error.code(), "precondition_failed");
}

#[tokio::test]
async fn a_deploy_that_is_asked_for_again_is_answered_as_before() {
    let world = World::new().await;
    let key = keyed("ann", "k");
    let upload = || files(&[("index.rhai", "1"), ("public/a.css", "")]);
    let first = deploy_if(&world, upload(), &key).await.unwrap();
    deploy_if(&world, set("index.rhai", "2"), &Conditions::default()).await.unwrap();
    let again = deploy_if(&world, upload(), &key).await.unwrap();
    assert_eq!(again, first);
    assert_eq!(active(&world).await, Some(2), "it is not made the active one once more");

    // Also when the release that it expected has been replaced by itself.
    let expected = Expected::Tagged(vec![
        deploy_if(&world, set("index.rhai", "3"), &Conditions::default())
            .await
            .unwrap()
            .release
            .tag(),
    ]);
    let both = Conditions { expected: Some(expected), ..keyed("ann", "both") };
    let first = deploy_if(&world, upload(), &both).await.unwrap();
    assert_eq!(deploy_if(&world, upload(), &both).await.unwrap(), first);
}

#[tokio::test]
async fn a_key_is_for_one_deploy_of_one_caller() {
    let world = World::new().await;
    let key = keyed("ann", "k");
    deploy_if(&world, set("a.rhai", "1"), &key).await.unwrap();
    for other in
        [set("a.rhai", "2"), set("b.rhai", "1"), remove("a.rhai"), files(&[("a.rhai", "1")])]
    {
        let error = deploy_if(&world, other, &key).await.unwrap_err();
        assert_eq!(error.code(), "idempotency_key_reused");
        assert_eq!(
            error.to_string(),
            "something else has been deployed under the idempotency key k"
        );
    }
    let noted =
        world.manager.deploy_if(&world.shop().await, set("a.rhai", "1"), "other", &key).await;
    assert_eq!(noted.unwrap_err().code(), "idempotency_key_reused");
    assert_eq!(active(&world).await, Some(1));
    deploy_if(&world, set("a.rhai", "2"), &keyed("ben", "k")).await.unwrap();
    assert_eq!(active(&world).await, Some(2));
}

#[tokio::test]
async fn what_was_refused_can_be_deployed_under_its_key() {
    let world = World::new().await;
    let key = keyed("ann", "k");
    deploy_if(&world, set("a.rhai", "!!"), &key).await.unwrap_err();
    deploy_if(&world, set("a.rhai", "1"), &key).await.unwrap();
}

#[tokio::test]
async fn of_many_with_one_key_one_deploys_and_all_hear_of_it() {
    let world = World::new().await;
    let app = world.shop().await;
    let deploys: Vec<_> = (0..8)
        .map(|_| {
            let (manager, app) = (world.manager.clone(), app.clone());
            tokio::spawn(async move {
                let upload = set("a.rhai", "1");
                manager.deploy_if(&app, upload, "test", &keyed("ann", "k")).await.unwrap()
            })
        })
        .collect();
    for deploy in deploys {
        assert_eq!(deploy.await.unwrap().release.number, ReleaseNumber(1));
    }
    assert_eq!(active(&world).await, Some(1));
}
