use picloud_manager_core::Diff;
use picloud_shared::ReleaseNumber;

use crate::fakes::{World, files, slug};

/// A world with three releases, the second of which is active.
async fn world() -> World {
    let world = World::new().await;
    for text in ["1", "2", "3"] {
        let upload = files(&[("a.rhai", text), ("same.rhai", "")]);
        world.manager.deploy(&world.shop().await, upload, "test").await.unwrap();
    }
    world.manager.rollback(&world.shop().await, ReleaseNumber(2)).await.unwrap();
    world
}

async fn diff(world: &World, from: Option<i64>, to: i64) -> Result<Diff, String> {
    let (from, to) = (from.map(ReleaseNumber), ReleaseNumber(to));
    let snapshots = world.manager.snapshots(&world.shop().await, from, to).await;
    let (from, to) = snapshots.map_err(|error| format!("{} {error}", error.code()))?;
    Ok(Diff::of(&from, &to))
}

#[tokio::test]
async fn two_releases_are_compared_in_either_direction() {
    let world = world().await;
    for (from, to) in [(1, 3), (3, 1)] {
        let diff = diff(&world, Some(from), to).await.unwrap();
        assert_eq!((diff.from.0, diff.to.0), (from, to));
        let paths: Vec<_> = diff.files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["a.rhai"]);
        assert!(diff.manifest.is_some());
    }
    assert_eq!(diff(&world, Some(3), 3).await.unwrap().files, []);
}

#[tokio::test]
async fn a_release_is_compared_with_the_active_one_unless_told_otherwise() {
    let world = world().await;
    assert_eq!(diff(&world, None, 3).await.unwrap().from, ReleaseNumber(2));
    assert_eq!(diff(&world, None, 1).await.unwrap().from, ReleaseNumber(2));
}

#[tokio::test]
async fn what_is_not_there_cannot_be_compared() {
    let world = world().await;
    for (from, to, missing) in [(None, 9, 9), (Some(8), 1, 8), (Some(1), 9, 9)] {
        let error = diff(&world, from, to).await.unwrap_err();
        assert_eq!(error, format!("not_found there is no release {missing}"));
    }
    let manager = &world.manager;
    let empty = manager.create_app(&slug("empty"), None).await.unwrap();
    let error = manager.snapshots(&empty, None, ReleaseNumber(1)).await.unwrap_err();
    assert_eq!(error.to_string(), "there is no release 1");
}
