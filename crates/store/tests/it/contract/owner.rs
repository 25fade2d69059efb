//! Owners: whose apps count, and what they may use.

use picloud_shared::access::AppRole;
use picloud_shared::owner::{Account, OwnerLimitOverrides, OwnerLimits};
use picloud_shared::{App, UserId};
use picloud_store::Stores;

use super::access::user;
use crate::support::{NOW, app, assert_conflict, on_both};

on_both![
    an_account_has_the_apps_that_the_user_owns,
    limits_are_replaced_as_a_whole,
    whoever_is_gone_has_no_account,
];

async fn app_of(stores: &Stores, slug: &str, owner: UserId) -> App {
    stores.apps.create(&slug.parse().unwrap(), Some(owner), NOW).await.unwrap()
}

async fn an_account_has_the_apps_that_the_user_owns(stores: &Stores) {
    let (ann, bob) = (user(stores, "ann").await.id, user(stores, "bob").await.id);
    let (shop, blog) = (app_of(stores, "shop", ann).await.id, app_of(stores, "blog", ann).await.id);
    let nobodys = app(stores, "nobodys").await.id;
    stores.members.set(shop, bob, AppRole::Developer).await.unwrap();
    let limits = OwnerLimits::default();
    let of_ann = Account { user: ann, limits, apps: vec![shop, blog] };
    assert_eq!(stores.owners.account(ann).await.unwrap(), Some(of_ann.clone()));
    let of_bob = Account { user: bob, limits, apps: vec![] };
    assert_eq!(stores.owners.account(bob).await.unwrap(), Some(of_bob));
    assert_eq!(stores.owners.of_app(shop).await.unwrap(), std::slice::from_ref(&of_ann));
    assert_eq!(stores.owners.of_app(nobodys).await.unwrap(), []);

    stores.members.set(blog, bob, AppRole::Owner).await.unwrap();
    let of_bob = Account { user: bob, limits, apps: vec![blog] };
    assert_eq!(stores.owners.of_app(blog).await.unwrap(), [of_ann, of_bob]);
}

async fn limits_are_replaced_as_a_whole(stores: &Stores) {
    let (ann, bob) = (user(stores, "ann").await.id, user(stores, "bob").await.id);
    let none = OwnerLimitOverrides::default();
    assert_eq!(stores.owners.limits(ann).await.unwrap(), Some(none.clone()));
    let few = OwnerLimitOverrides { apps: Some(2), kv_bytes: Some(0), ..none.clone() };
    stores.owners.set_limits(ann, &few).await.unwrap();
    let other = OwnerLimitOverrides { requests_per_day: Some(10), ..none.clone() };
    stores.owners.set_limits(ann, &other).await.unwrap();
    assert_eq!(stores.owners.limits(ann).await.unwrap(), Some(other.clone()));
    let account = stores.owners.account(ann).await.unwrap().unwrap();
    assert_eq!(account.limits, OwnerLimits { requests_per_day: 10, ..OwnerLimits::default() });
    assert_eq!(stores.owners.limits(bob).await.unwrap(), Some(none), "they are ann's alone");
}

async fn whoever_is_gone_has_no_account(stores: &Stores) {
    let ann = user(stores, "ann").await.id;
    let few = OwnerLimitOverrides { apps: Some(2), ..OwnerLimitOverrides::default() };
    stores.owners.set_limits(ann, &few).await.unwrap();
    assert!(stores.users.delete(ann).await.unwrap());
    assert_eq!(stores.owners.account(ann).await.unwrap(), None);
    assert_eq!(stores.owners.limits(ann).await.unwrap(), None);
    assert_conflict(stores.owners.set_limits(ann, &few).await);
}
