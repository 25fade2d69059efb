//! Claims to domains.

use futures_util::future::join_all;
use picloud_shared::domain::{Claim, MAX_DOMAINS, Token};
use picloud_shared::{AppId, Domain, Quota, StoreError};
use picloud_store::Stores;

use crate::support::{NOW, app, assert_conflict, on_both, two_apps};

on_both![
    a_claim_keeps_its_token_and_its_time,
    two_apps_may_claim_and_one_can_have_a_domain,
    of_many_who_prove_a_domain_at_once_one_gets_it,
    two_apps_never_meet,
    claims_are_limited_in_number,
    a_deleted_app_gives_its_domains_back,
];

fn domain(text: &str) -> Domain {
    text.parse().unwrap()
}

fn token(n: u8) -> Token {
    Token::new([n; 16])
}

async fn claim(stores: &Stores, app: AppId, name: &str, n: u8) -> Claim {
    stores.domains.claim(app, &domain(name), &token(n), NOW).await.unwrap()
}

/// Domains that are apps', with the apps, in order.
async fn verified(stores: &Stores) -> Vec<String> {
    let verified = stores.domains.verified().await.unwrap();
    let mut verified: Vec<_> =
        verified.into_iter().map(|(domain, app)| format!("{domain} {app}")).collect();
    verified.sort();
    verified
}

async fn a_claim_keeps_its_token_and_its_time(stores: &Stores) {
    let app = app(stores, "alice").await.id;
    let name = domain("shop.example");
    assert_eq!(stores.domains.find(app, &name).await.unwrap(), None);
    assert_eq!(stores.domains.verify(app, &name, NOW).await.unwrap(), None, "it is not claimed");
    let first =
        Claim { domain: name.clone(), token: token(1), created_at_ms: NOW, verified_at_ms: None };
    assert_eq!(claim(stores, app, "shop.example", 1).await, first);
    // Claimed again, it is the same claim: its record may be published already.
    let again = stores.domains.claim(app, &name, &token(2), NOW + 1).await.unwrap();
    assert_eq!(again, first);
    assert_eq!(stores.domains.find(app, &name).await.unwrap(), Some(first.clone()));
    assert!(verified(stores).await.is_empty());

    let proved = Claim { verified_at_ms: Some(NOW + 2), ..first };
    for at in [NOW + 2, NOW + 3] {
        let verified = stores.domains.verify(app, &name, at).await.unwrap();
        assert_eq!(verified, Some(proved.clone()), "since it was first proved");
    }
    assert_eq!(stores.domains.claim(app, &name, &token(3), NOW + 4).await.unwrap(), proved);
    claim(stores, app, "a.example", 4).await;
    let listed = stores.domains.list(app).await.unwrap();
    let names: Vec<_> = listed.iter().map(|claim| claim.domain.as_str()).collect();
    assert_eq!(names, ["a.example", "shop.example"]);
    assert_eq!(verified(stores).await, ["shop.example alice"]);

    assert!(stores.domains.remove(app, &name).await.unwrap());
    assert!(!stores.domains.remove(app, &name).await.unwrap());
    assert!(verified(stores).await.is_empty());
    // Claimed anew, it is to be proved anew.
    let anew = claim(stores, app, "shop.example", 5).await;
    assert_eq!((anew.token, anew.verified_at_ms), (token(5), None));
}

async fn two_apps_may_claim_and_one_can_have_a_domain(stores: &Stores) {
    let (alice, bob) = two_apps(stores).await;
    let name = domain("shop.example");
    claim(stores, alice, "shop.example", 1).await;
    claim(stores, bob, "shop.example", 2).await;
    stores.domains.verify(bob, &name, NOW).await.unwrap().unwrap();
    assert_conflict(stores.domains.verify(alice, &name, NOW).await);
    assert_eq!(verified(stores).await, ["shop.example bob"]);
    let alices = stores.domains.find(alice, &name).await.unwrap().unwrap();
    assert_eq!((alices.token, alices.verified_at_ms), (token(1), None), "refused and unchanged");
    // Given up, it is free for the other.
    stores.domains.remove(bob, &name).await.unwrap();
    stores.domains.verify(alice, &name, NOW).await.unwrap().unwrap();
    assert_eq!(verified(stores).await, ["shop.example alice"]);
}

async fn of_many_who_prove_a_domain_at_once_one_gets_it(stores: &Stores) {
    let mut apps = Vec::new();
    for n in 0..16 {
        let app = app(stores, &format!("app-{n}")).await;
        claim(stores, app.id, "shop.example", n).await;
        apps.push(app);
    }
    let name = domain("shop.example");
    let proofs = apps.iter().map(|app| stores.domains.verify(app.id, &name, NOW));
    let mut winners = Vec::new();
    for (app, proof) in apps.iter().zip(join_all(proofs).await) {
        match proof {
            Ok(claim) => winners.push((app.slug.clone(), claim.unwrap())),
            Err(error) => assert!(matches!(error, StoreError::Conflict), "{error:?}"),
        }
    }
    let [(winner, claim)] = winners.as_slice() else { panic!("{winners:?}") };
    assert_eq!(claim.verified_at_ms, Some(NOW));
    assert_eq!(verified(stores).await, [format!("shop.example {winner}")]);
}

async fn two_apps_never_meet(stores: &Stores) {
    let (alice, bob) = two_apps(stores).await;
    let name = domain("shop.example");
    claim(stores, alice, "shop.example", 1).await;
    stores.domains.verify(alice, &name, NOW).await.unwrap();
    assert_eq!(stores.domains.find(bob, &name).await.unwrap(), None);
    assert!(stores.domains.list(bob).await.unwrap().is_empty());
    assert_eq!(stores.domains.verify(bob, &name, NOW).await.unwrap(), None);
    assert!(!stores.domains.remove(bob, &name).await.unwrap());
    assert_eq!(verified(stores).await, ["shop.example alice"]);
}

async fn claims_are_limited_in_number(stores: &Stores) {
    let (alice, bob) = two_apps(stores).await;
    for n in 0..MAX_DOMAINS {
        claim(stores, alice, &format!("d{n}.example"), 1).await;
    }
    let one_more = domain("one-more.example");
    let refused = stores.domains.claim(alice, &one_more, &token(1), NOW).await;
    assert!(matches!(refused, Err(StoreError::QuotaExceeded(Quota::Domains))), "{refused:?}");
    claim(stores, alice, "d0.example", 1).await;
    claim(stores, bob, "d0.example", 1).await;
    stores.domains.remove(alice, &domain("d1.example")).await.unwrap();
    stores.domains.claim(alice, &one_more, &token(1), NOW).await.unwrap();
}

async fn a_deleted_app_gives_its_domains_back(stores: &Stores) {
    let (alice, bob) = two_apps(stores).await;
    let name = domain("shop.example");
    for app in [alice, bob] {
        claim(stores, app, "shop.example", 1).await;
    }
    stores.domains.verify(alice, &name, NOW).await.unwrap();
    stores.apps.delete(alice).await.unwrap();
    assert!(verified(stores).await.is_empty());
    assert_conflict(stores.domains.claim(alice, &name, &token(1), NOW).await);
    stores.domains.verify(bob, &name, NOW).await.unwrap().unwrap();
}
