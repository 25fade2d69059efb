//! Users, their credentials, who may use which app, and the audit log.

use std::net::{IpAddr, Ipv4Addr};

use picloud_shared::access::{AppRole, Digest, NewInvite, NewSession, NewToken, Purpose, Scope};
use picloud_shared::audit::Change;
use picloud_shared::{AppId, InstanceRole, StoreError, User, UserId, UserName};
use picloud_store::Stores;

use crate::support::{NOW, app, assert_conflict, on_both, two_apps};

on_both![
    an_invite_makes_one_user_and_is_used_up,
    a_name_that_is_taken_leaves_the_invite_as_it_was,
    two_at_once_cannot_use_one_invite,
    an_expired_invite_is_none,
    there_is_one_link_for_setup_and_none_once_there_is_a_user,
    a_reset_sets_the_password_and_ends_every_session,
    a_changed_password_ends_the_other_sessions,
    a_session_is_found_until_it_expires,
    of_many_sessions_the_oldest_go,
    a_token_is_found_until_it_expires_or_is_revoked,
    a_token_for_an_app_goes_with_it,
    there_are_so_many_tokens_and_no_more,
    nobody_ends_what_is_anothers,
    an_app_is_its_makers,
    an_app_keeps_an_owner,
    two_owners_who_leave_at_once_leave_one,
    a_user_who_owns_an_app_alone_stays,
    a_deleted_user_takes_everything_along,
    users_and_their_apps_are_listed_in_pages,
    the_audit_log_outlives_what_it_is_about,
];

const LATER: u64 = NOW + 1_000;

fn name(text: &str) -> UserName {
    text.parse().unwrap()
}

fn invite(digest: Digest, purpose: Purpose) -> NewInvite {
    NewInvite { digest, purpose, created_at_ms: NOW, expires_at_ms: LATER }
}

pub(super) async fn user(stores: &Stores, text: &str) -> User {
    let mut digest = [0; 32];
    digest[..text.len()].copy_from_slice(text.as_bytes());
    let purpose = Purpose::Join { role: InstanceRole::Member };
    stores.invites.create(&invite(digest, purpose)).await.unwrap();
    let made = stores.invites.accept(&digest, Some(&name(text)), "hash", NOW).await.unwrap();
    made.expect("it has not been used")
}

fn session(user: UserId, digest: Digest) -> NewSession {
    NewSession {
        user,
        digest,
        created_at_ms: NOW,
        expires_at_ms: LATER,
        ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        user_agent: "a\0b".to_owned(),
    }
}

fn token(user: UserId, digest: Digest, app: Option<AppId>) -> NewToken {
    NewToken {
        user,
        digest,
        name: "laptop".to_owned(),
        scope: Scope::Deploy,
        app,
        created_at_ms: NOW,
        expires_at_ms: Some(LATER),
    }
}

async fn an_invite_makes_one_user_and_is_used_up(stores: &Stores) {
    assert!(stores.users.is_empty().await.unwrap());
    let purpose = Purpose::Join { role: InstanceRole::Admin };
    let made = stores.invites.create(&invite([1; 32], purpose)).await.unwrap();
    assert_eq!(stores.invites.find(&[1; 32], NOW).await.unwrap(), Some(made.clone()));
    assert_eq!(stores.invites.list(NOW).await.unwrap(), [made]);
    assert_eq!(stores.invites.find(&[2; 32], NOW).await.unwrap(), None);

    let accept = async |text| stores.invites.accept(&[1; 32], Some(&name(text)), "h", NOW).await;
    let anna = accept("anna").await.unwrap().unwrap();
    assert_eq!((anna.name.as_str(), anna.role), ("anna", InstanceRole::Admin));
    assert_eq!(accept("bert").await.unwrap(), None);
    assert_eq!(stores.invites.find(&[1; 32], NOW).await.unwrap(), None);
    assert_eq!(stores.users.find(&name("anna")).await.unwrap(), Some(anna.clone()));
    assert_eq!(stores.users.find(&name("bert")).await.unwrap(), None);
    assert_eq!(stores.users.password_hash(anna.id).await.unwrap().as_deref(), Some("h"));
    assert!(!stores.users.is_empty().await.unwrap());
}

async fn a_name_that_is_taken_leaves_the_invite_as_it_was(stores: &Stores) {
    user(stores, "anna").await;
    let purpose = Purpose::Join { role: InstanceRole::Member };
    stores.invites.create(&invite([1; 32], purpose)).await.unwrap();
    assert_conflict(stores.invites.accept(&[1; 32], Some(&name("anna")), "h", NOW).await);
    assert_conflict(stores.invites.accept(&[1; 32], None, "h", NOW).await);
    let bert = stores.invites.accept(&[1; 32], Some(&name("bert")), "h", NOW).await.unwrap();
    assert_eq!(bert.unwrap().name.as_str(), "bert");
}

async fn two_at_once_cannot_use_one_invite(stores: &Stores) {
    let purpose = Purpose::Join { role: InstanceRole::Member };
    stores.invites.create(&invite([1; 32], purpose)).await.unwrap();
    let (anna, bert) = (name("anna"), name("bert"));
    let accept = |name| stores.invites.accept(&[1; 32], Some(name), "h", NOW);
    let (first, second) = tokio::join!(accept(&anna), accept(&bert));
    assert_eq!(usize::from(first.unwrap().is_some()) + usize::from(second.unwrap().is_some()), 1);
    assert_eq!(stores.users.list(None, 9).await.unwrap().len(), 1);
}

async fn an_expired_invite_is_none(stores: &Stores) {
    let purpose = Purpose::Join { role: InstanceRole::Member };
    let made = stores.invites.create(&invite([1; 32], purpose)).await.unwrap();
    assert_eq!(stores.invites.find(&[1; 32], LATER).await.unwrap(), None);
    let accepted = stores.invites.accept(&[1; 32], Some(&name("anna")), "h", LATER).await;
    assert_eq!(accepted.unwrap(), None);
    assert!(stores.invites.list(LATER).await.unwrap().is_empty());
    stores.sessions.prune(LATER).await.unwrap();
    assert!(!stores.invites.delete(made.id).await.unwrap(), "it was cleared away");
}

async fn there_is_one_link_for_setup_and_none_once_there_is_a_user(stores: &Stores) {
    stores.invites.create(&invite([1; 32], Purpose::Setup)).await.unwrap();
    stores.invites.create(&invite([2; 32], Purpose::Setup)).await.unwrap();
    assert_eq!(stores.invites.find(&[1; 32], NOW).await.unwrap(), None);
    let found = stores.invites.find(&[2; 32], NOW).await.unwrap().unwrap();
    assert_eq!(found.purpose, Purpose::Setup);
    user(stores, "anna").await;
    assert_eq!(stores.invites.find(&[2; 32], NOW).await.unwrap(), None);
    assert_conflict(stores.invites.create(&invite([3; 32], Purpose::Setup)).await);
}

async fn a_reset_sets_the_password_and_ends_every_session(stores: &Stores) {
    let (anna, bert) = (user(stores, "anna").await, user(stores, "bert").await);
    for (user, digest) in [(anna.id, [1; 32]), (bert.id, [2; 32])] {
        stores.sessions.create(&session(user, digest), 9).await.unwrap();
    }
    let reset = || Purpose::Reset { user: name("anna") };
    stores.invites.create(&invite([3; 32], reset())).await.unwrap();
    let made = stores.invites.create(&invite([4; 32], reset())).await.unwrap();
    assert_eq!(stores.invites.find(&[3; 32], NOW).await.unwrap(), None, "it was replaced");
    assert_eq!(stores.invites.find(&[4; 32], NOW).await.unwrap(), Some(made));
    let unknown = Purpose::Reset { user: name("nobody") };
    assert_conflict(stores.invites.create(&invite([5; 32], unknown)).await);

    let accepted = stores.invites.accept(&[4; 32], None, "new", NOW).await.unwrap();
    assert_eq!(accepted, Some(anna.clone()));
    assert_eq!(stores.users.password_hash(anna.id).await.unwrap().as_deref(), Some("new"));
    assert_eq!(stores.users.password_hash(bert.id).await.unwrap().as_deref(), Some("hash"));
    assert!(stores.sessions.find(&[1; 32], NOW).await.unwrap().is_none());
    assert!(stores.sessions.find(&[2; 32], NOW).await.unwrap().is_some());
}

async fn a_changed_password_ends_the_other_sessions(stores: &Stores) {
    let anna = user(stores, "anna").await;
    for digest in [[1; 32], [2; 32]] {
        stores.sessions.create(&session(anna.id, digest), 9).await.unwrap();
    }
    stores.users.set_password(anna.id, "new", Some(&[2; 32])).await.unwrap();
    assert!(stores.sessions.find(&[1; 32], NOW).await.unwrap().is_none());
    assert!(stores.sessions.find(&[2; 32], NOW).await.unwrap().is_some());
    stores.users.delete(anna.id).await.unwrap();
    assert_conflict(stores.users.set_password(anna.id, "late", None).await);
    assert_conflict(stores.users.set_role(anna.id, InstanceRole::Admin).await);
}

async fn a_session_is_found_until_it_expires(stores: &Stores) {
    let anna = user(stores, "anna").await;
    stores.sessions.create(&session(anna.id, [1; 32]), 9).await.unwrap();
    let (found, whose) = stores.sessions.find(&[1; 32], NOW).await.unwrap().unwrap();
    assert_eq!((whose, found.last_used_at_ms), (anna.clone(), NOW));
    assert_eq!(found.user_agent, "a\u{FFFD}b");
    stores.sessions.touch(found.id, NOW + 7).await.unwrap();
    let listed = stores.sessions.list(anna.id, NOW).await.unwrap();
    assert_eq!(listed.iter().map(|found| found.last_used_at_ms).collect::<Vec<_>>(), [NOW + 7]);
    assert!(stores.sessions.find(&[1; 32], LATER).await.unwrap().is_none());
    assert!(stores.sessions.find(&[2; 32], NOW).await.unwrap().is_none());
    assert!(stores.sessions.delete(anna.id, found.id).await.unwrap());
    assert!(!stores.sessions.delete(anna.id, found.id).await.unwrap());
    assert!(stores.sessions.find(&[1; 32], NOW).await.unwrap().is_none());

    // Roles are looked up each time: a change is felt at once.
    stores.sessions.create(&session(anna.id, [3; 32]), 9).await.unwrap();
    stores.users.set_role(anna.id, InstanceRole::Admin).await.unwrap();
    let (_, anna) = stores.sessions.find(&[3; 32], NOW).await.unwrap().unwrap();
    assert_eq!(anna.role, InstanceRole::Admin);
}

async fn of_many_sessions_the_oldest_go(stores: &Stores) {
    let (anna, bert) = (user(stores, "anna").await, user(stores, "bert").await);
    stores.sessions.create(&session(bert.id, [9; 32]), 2).await.unwrap();
    for number in 1..=3 {
        stores.sessions.create(&session(anna.id, [number; 32]), 2).await.unwrap();
    }
    let mut left = Vec::new();
    for number in [1, 2, 3, 9] {
        left.push(stores.sessions.find(&[number; 32], NOW).await.unwrap().is_some());
    }
    assert_eq!(left, [false, true, true, true]);
}

async fn a_token_is_found_until_it_expires_or_is_revoked(stores: &Stores) {
    let anna = user(stores, "anna").await;
    let id = stores.tokens.create(&token(anna.id, [1; 32], None), 9).await.unwrap();
    let (found, whose) = stores.tokens.find(&[1; 32], NOW).await.unwrap().unwrap();
    assert_eq!((whose, found.id, found.scope), (anna.clone(), id, Scope::Deploy));
    assert_eq!((found.app, found.last_used_at_ms), (None, None));
    stores.tokens.touch(id, NOW + 7).await.unwrap();
    assert_eq!(stores.tokens.list(anna.id).await.unwrap()[0].last_used_at_ms, Some(NOW + 7));
    assert!(stores.tokens.find(&[1; 32], LATER).await.unwrap().is_none());

    let endless = NewToken { expires_at_ms: None, ..token(anna.id, [2; 32], None) };
    let id = stores.tokens.create(&endless, 9).await.unwrap();
    assert!(stores.tokens.find(&[2; 32], u64::MAX).await.unwrap().is_some());
    assert!(stores.tokens.delete(anna.id, id).await.unwrap());
    assert!(stores.tokens.find(&[2; 32], NOW).await.unwrap().is_none());
}

async fn a_token_for_an_app_goes_with_it(stores: &Stores) {
    let anna = user(stores, "anna").await;
    let (alice, bob) = two_apps(stores).await;
    stores.tokens.create(&token(anna.id, [1; 32], Some(alice)), 9).await.unwrap();
    stores.tokens.create(&token(anna.id, [2; 32], Some(bob)), 9).await.unwrap();
    let (found, _) = stores.tokens.find(&[1; 32], NOW).await.unwrap().unwrap();
    assert_eq!(found.app, Some("alice".parse().unwrap()));
    stores.apps.delete(alice).await.unwrap();
    assert!(stores.tokens.find(&[1; 32], NOW).await.unwrap().is_none());
    assert!(stores.tokens.find(&[2; 32], NOW).await.unwrap().is_some());
    assert_conflict(stores.tokens.create(&token(anna.id, [3; 32], Some(alice)), 9).await);
}

async fn there_are_so_many_tokens_and_no_more(stores: &Stores) {
    let (anna, bert) = (user(stores, "anna").await, user(stores, "bert").await);
    stores.tokens.create(&token(anna.id, [1; 32], None), 1).await.unwrap();
    let more = stores.tokens.create(&token(anna.id, [2; 32], None), 1).await;
    assert!(matches!(more, Err(StoreError::QuotaExceeded(_))), "{more:?}");
    stores.tokens.create(&token(bert.id, [3; 32], None), 1).await.unwrap();
}

async fn nobody_ends_what_is_anothers(stores: &Stores) {
    let (anna, bert) = (user(stores, "anna").await, user(stores, "bert").await);
    stores.sessions.create(&session(anna.id, [1; 32]), 9).await.unwrap();
    let (found, _) = stores.sessions.find(&[1; 32], NOW).await.unwrap().unwrap();
    let id = stores.tokens.create(&token(anna.id, [2; 32], None), 9).await.unwrap();
    assert!(!stores.sessions.delete(bert.id, found.id).await.unwrap());
    assert!(!stores.tokens.delete(bert.id, id).await.unwrap());
    assert!(stores.sessions.list(bert.id, NOW).await.unwrap().is_empty());
    assert!(stores.tokens.list(bert.id).await.unwrap().is_empty());
}

async fn an_app_is_its_makers(stores: &Stores) {
    let (anna, bert) = (user(stores, "anna").await, user(stores, "bert").await);
    let blog = stores.apps.create(&"blog".parse().unwrap(), Some(anna.id), NOW).await.unwrap();
    assert_eq!(stores.members.role(blog.id, anna.id).await.unwrap(), Some(AppRole::Owner));
    assert_eq!(stores.members.role(blog.id, bert.id).await.unwrap(), None);
    let gone = stores.apps.create(&"shop".parse().unwrap(), Some(UserId(999)), NOW).await;
    assert_conflict(gone);
    assert_eq!(stores.apps.find(&"shop".parse().unwrap()).await.unwrap(), None);
}

async fn an_app_keeps_an_owner(stores: &Stores) {
    let (anna, bert) = (user(stores, "anna").await, user(stores, "bert").await);
    let blog = stores.apps.create(&"blog".parse().unwrap(), Some(anna.id), NOW).await.unwrap();
    let other = app(stores, "other").await;
    stores.members.set(blog.id, bert.id, AppRole::Viewer).await.unwrap();
    assert_conflict(stores.members.set(blog.id, anna.id, AppRole::Developer).await);
    assert_conflict(stores.members.remove(blog.id, anna.id).await);
    stores.members.set(blog.id, anna.id, AppRole::Owner).await.unwrap();
    stores.members.set(blog.id, bert.id, AppRole::Owner).await.unwrap();
    stores.members.set(blog.id, anna.id, AppRole::Developer).await.unwrap();
    assert!(stores.members.remove(blog.id, anna.id).await.unwrap());
    assert!(!stores.members.remove(blog.id, anna.id).await.unwrap());
    assert!(!stores.members.remove(other.id, bert.id).await.unwrap());
    let members = stores.members.list(blog.id).await.unwrap();
    assert_eq!(members.len(), 1);
    assert_eq!((members[0].name.as_str(), members[0].role), ("bert", AppRole::Owner));
    // An app that the operator made has no owner, and may get other members.
    stores.members.set(other.id, anna.id, AppRole::Viewer).await.unwrap();
    assert!(stores.members.remove(other.id, anna.id).await.unwrap());
    assert_conflict(stores.members.set(AppId(999), anna.id, AppRole::Viewer).await);
    assert_conflict(stores.members.set(other.id, UserId(999), AppRole::Viewer).await);
}

async fn two_owners_who_leave_at_once_leave_one(stores: &Stores) {
    let (anna, bert) = (user(stores, "anna").await, user(stores, "bert").await);
    for round in 0..20 {
        let slug = format!("blog{round}").parse().unwrap();
        let blog = stores.apps.create(&slug, Some(anna.id), NOW).await.unwrap();
        stores.members.set(blog.id, bert.id, AppRole::Owner).await.unwrap();
        let (one, two) = tokio::join!(
            stores.members.remove(blog.id, anna.id),
            stores.members.set(blog.id, bert.id, AppRole::Viewer),
        );
        assert_eq!(u8::from(one.is_ok()) + u8::from(two.is_ok()), 1, "{one:?} {two:?}");
    }
}

async fn a_user_who_owns_an_app_alone_stays(stores: &Stores) {
    let (anna, bert) = (user(stores, "anna").await, user(stores, "bert").await);
    let blog = stores.apps.create(&"blog".parse().unwrap(), Some(anna.id), NOW).await.unwrap();
    assert_conflict(stores.users.delete(anna.id).await);
    stores.members.set(blog.id, bert.id, AppRole::Owner).await.unwrap();
    assert!(stores.users.delete(anna.id).await.unwrap());
    assert!(!stores.users.delete(anna.id).await.unwrap());
    assert_conflict(stores.users.delete(bert.id).await);
    stores.apps.delete(blog.id).await.unwrap();
    assert!(stores.users.delete(bert.id).await.unwrap());
}

async fn a_deleted_user_takes_everything_along(stores: &Stores) {
    let (anna, bert) = (user(stores, "anna").await, user(stores, "bert").await);
    let blog = stores.apps.create(&"blog".parse().unwrap(), Some(bert.id), NOW).await.unwrap();
    stores.members.set(blog.id, anna.id, AppRole::Developer).await.unwrap();
    stores.sessions.create(&session(anna.id, [1; 32]), 9).await.unwrap();
    stores.tokens.create(&token(anna.id, [2; 32], None), 9).await.unwrap();
    let reset = Purpose::Reset { user: name("anna") };
    stores.invites.create(&invite([3; 32], reset)).await.unwrap();
    assert!(stores.users.delete(anna.id).await.unwrap());
    assert!(stores.sessions.find(&[1; 32], NOW).await.unwrap().is_none());
    assert!(stores.tokens.find(&[2; 32], NOW).await.unwrap().is_none());
    assert_eq!(stores.invites.find(&[3; 32], NOW).await.unwrap(), None);
    assert_eq!(stores.members.list(blog.id).await.unwrap().len(), 1);
    // Somebody new under the old name inherits nothing.
    let again = user(stores, "anna").await;
    assert!(again.id > anna.id);
    assert_eq!(stores.members.role(blog.id, again.id).await.unwrap(), None);
    assert_conflict(stores.sessions.create(&session(anna.id, [4; 32]), 9).await);
    assert_conflict(stores.tokens.create(&token(anna.id, [5; 32], None), 9).await);
}

async fn users_and_their_apps_are_listed_in_pages(stores: &Stores) {
    let mut ids = Vec::new();
    for text in ["carl", "anna", "bert"] {
        ids.push(user(stores, text).await.id);
    }
    let users = async |after: Option<&str>| {
        let after = after.map(name);
        let users = stores.users.list(after.as_ref(), 2).await.unwrap();
        users.into_iter().map(|user| user.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(users(None).await, ["anna", "bert"]);
    assert_eq!(users(Some("bert")).await, ["carl"]);

    for slug in ["cc", "aa", "bb"] {
        stores.apps.create(&slug.parse().unwrap(), Some(ids[0]), NOW).await.unwrap();
    }
    stores.apps.create(&"ab".parse().unwrap(), Some(ids[1]), NOW).await.unwrap();
    let apps = async |after: Option<&str>| {
        let after = after.map(|slug| slug.parse().unwrap());
        let apps = stores.members.apps(ids[0], after.as_ref(), 2).await.unwrap();
        assert!(apps.iter().all(|(_, role)| *role == AppRole::Owner));
        apps.into_iter().map(|(app, _)| app.slug.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(apps(None).await, ["aa", "bb"]);
    assert_eq!(apps(Some("bb")).await, ["cc"]);
}

async fn the_audit_log_outlives_what_it_is_about(stores: &Stores) {
    let (alice, bob) = two_apps(stores).await;
    let change = |at_ms, app| Change {
        at_ms,
        actor: "anna".to_owned(),
        token: Some("laptop".to_owned()),
        action: "app_delete".to_owned(),
        target: "/apps/\0".to_owned(),
        app,
        ip: "2001:db8::1".parse().unwrap(),
    };
    let first = stores.audit.begin(&change(NOW, Some(alice))).await.unwrap();
    let second = stores.audit.begin(&change(NOW + 1, Some(bob))).await.unwrap();
    let third = stores.audit.begin(&change(NOW + 2, None)).await.unwrap();
    stores.audit.end(first, 204).await.unwrap();
    stores.apps.delete(alice).await.unwrap();

    let ids = async |app, before, limit| {
        let entries = stores.audit.list(app, before, limit).await.unwrap();
        entries.into_iter().map(|entry| entry.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(None, None, 9).await, [third, second, first]);
    assert_eq!(ids(None, Some(third), 1).await, [second]);
    assert_eq!(ids(Some(alice), None, 9).await, [first]);
    assert_eq!(ids(Some(bob), Some(second), 9).await, [0_i64; 0]);
    let entries = stores.audit.list(Some(alice), None, 1).await.unwrap();
    let expected = Change { target: "/apps/\u{FFFD}".to_owned(), ..change(NOW, Some(alice)) };
    assert_eq!((&entries[0].change, entries[0].status), (&expected, Some(204)));
    assert_eq!(stores.audit.list(None, None, 1).await.unwrap()[0].status, None);

    assert_eq!(stores.audit.prune(NOW + 2, 1).await.unwrap(), 1);
    assert_eq!(ids(None, None, 9).await, [third, second]);
}
