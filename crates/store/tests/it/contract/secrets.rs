//! Sealed secrets, and what an instance remembers of itself.

use picloud_shared::StoreError;
use picloud_shared::secrets::{Listed, MAX_SECRETS, Name};
use picloud_store::Stores;

use crate::support::{NOW, app, assert_conflict, on_both, two_apps};

on_both![
    a_secret_comes_back_sealed_as_it_was,
    two_apps_never_meet,
    secrets_are_limited_in_number,
    a_deleted_app_takes_its_secrets_along,
    an_instance_remembers_what_it_was_told_first,
];

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

async fn a_secret_comes_back_sealed_as_it_was(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    assert_eq!(stores.secrets.get(app, &name("KEY")).await.unwrap(), None);
    stores.secrets.set(app, &name("KEY"), b"\0sealed\xff", NOW).await.unwrap();
    stores.secrets.set(app, &name("A"), b"", NOW + 1).await.unwrap();
    assert_eq!(
        stores.secrets.get(app, &name("KEY")).await.unwrap().as_deref(),
        Some(&b"\0sealed\xff"[..])
    );
    stores.secrets.set(app, &name("KEY"), b"new", NOW + 2).await.unwrap();
    assert_eq!(stores.secrets.get(app, &name("KEY")).await.unwrap().as_deref(), Some(&b"new"[..]));
    let listed = |text: &str, at| Listed { name: name(text), updated_at_ms: at };
    let all = stores.secrets.list(app).await.unwrap();
    assert_eq!(all, [listed("A", NOW + 1), listed("KEY", NOW + 2)]);
    assert!(stores.secrets.delete(app, &name("KEY")).await.unwrap());
    assert!(!stores.secrets.delete(app, &name("KEY")).await.unwrap());
    assert_eq!(stores.secrets.get(app, &name("KEY")).await.unwrap(), None);
}

async fn two_apps_never_meet(stores: &Stores) {
    let (alice, bob) = two_apps(stores).await;
    stores.secrets.set(alice, &name("KEY"), b"alice's", NOW).await.unwrap();
    assert_eq!(stores.secrets.get(bob, &name("KEY")).await.unwrap(), None);
    assert!(stores.secrets.list(bob).await.unwrap().is_empty());
    assert!(!stores.secrets.delete(bob, &name("KEY")).await.unwrap());
    stores.secrets.set(bob, &name("KEY"), b"bob's", NOW).await.unwrap();
    assert_eq!(stores.secrets.get(alice, &name("KEY")).await.unwrap().unwrap(), b"alice's");
}

async fn secrets_are_limited_in_number(stores: &Stores) {
    let (alice, bob) = two_apps(stores).await;
    for n in 0..MAX_SECRETS {
        stores.secrets.set(alice, &name(&format!("K{n}")), b"x", NOW).await.unwrap();
    }
    let refused = stores.secrets.set(alice, &name("ONE_MORE"), b"x", NOW).await;
    assert!(matches!(refused, Err(StoreError::QuotaExceeded(_))), "{refused:?}");
    stores.secrets.set(alice, &name("K0"), b"y", NOW).await.unwrap();
    stores.secrets.set(bob, &name("K0"), b"y", NOW).await.unwrap();
    stores.secrets.delete(alice, &name("K1")).await.unwrap();
    stores.secrets.set(alice, &name("ONE_MORE"), b"x", NOW).await.unwrap();
}

async fn a_deleted_app_takes_its_secrets_along(stores: &Stores) {
    let (alice, bob) = two_apps(stores).await;
    stores.secrets.set(alice, &name("KEY"), b"x", NOW).await.unwrap();
    stores.secrets.set(bob, &name("KEY"), b"x", NOW).await.unwrap();
    stores.apps.delete(alice).await.unwrap();
    assert_eq!(stores.secrets.get(alice, &name("KEY")).await.unwrap(), None);
    assert!(stores.secrets.get(bob, &name("KEY")).await.unwrap().is_some());
    assert_conflict(stores.secrets.set(alice, &name("KEY"), b"x", NOW).await);
}

async fn an_instance_remembers_what_it_was_told_first(stores: &Stores) {
    assert_eq!(stores.remember("key", "one").await.unwrap(), "one");
    assert_eq!(stores.remember("key", "two").await.unwrap(), "one");
    assert_eq!(stores.remember("other", "two").await.unwrap(), "two");
}
