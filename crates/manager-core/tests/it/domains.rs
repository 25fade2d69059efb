//! Who gets a domain, with a domain name system that says what it is told.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use picloud_manager_core::DomainKeeper;
use picloud_manager_core::domains::Error;
use picloud_shared::domain::{Claim, Resolver, ResolverError, Token};
use picloud_shared::{
    App, AppId, AppSlug, Clock, Domain, DomainStore, LimitOverrides, Quota, StoreError,
};

const NOW: u64 = 1_000;

struct Fixed;

impl Clock for Fixed {
    fn now_ms(&self) -> u64 {
        NOW
    }
}

/// TXT records by name; `None` does not answer.
#[derive(Default)]
struct Records(Mutex<HashMap<String, Option<Vec<String>>>>);

#[async_trait]
impl Resolver for Records {
    async fn texts(&self, name: &str) -> Result<Vec<String>, ResolverError> {
        match self.0.lock().unwrap().get(name) {
            Some(Some(texts)) => Ok(texts.clone()),
            Some(None) => Err(ResolverError("SERVFAIL".into())),
            None => Ok(vec![]),
        }
    }
}

/// Claims in memory, with the rules of the port.
#[derive(Default)]
struct Claims(Mutex<Vec<(AppId, Claim)>>);

#[async_trait]
impl DomainStore for Claims {
    async fn claim(
        &self,
        app: AppId,
        domain: &Domain,
        token: &Token,
        now_ms: u64,
    ) -> Result<Claim, StoreError> {
        if let Some(claim) = self.find(app, domain).await? {
            return Ok(claim);
        }
        let claim = Claim {
            domain: domain.clone(),
            token: token.clone(),
            created_at_ms: now_ms,
            verified_at_ms: None,
        };
        let mut claims = self.0.lock().unwrap();
        if claims.iter().filter(|(of, _)| *of == app).count() >= 3 {
            return Err(StoreError::QuotaExceeded(Quota::Domains));
        }
        claims.push((app, claim.clone()));
        Ok(claim)
    }

    async fn find(&self, app: AppId, domain: &Domain) -> Result<Option<Claim>, StoreError> {
        let claims = self.0.lock().unwrap();
        let claim = claims.iter().find(|(of, claim)| *of == app && claim.domain == *domain);
        Ok(claim.map(|(_, claim)| claim.clone()))
    }

    async fn list(&self, app: AppId) -> Result<Vec<Claim>, StoreError> {
        let claims = self.0.lock().unwrap();
        Ok(claims.iter().filter(|(of, _)| *of == app).map(|(_, claim)| claim.clone()).collect())
    }

    async fn verify(
        &self,
        app: AppId,
        domain: &Domain,
        now_ms: u64,
    ) -> Result<Option<Claim>, StoreError> {
        let mut claims = self.0.lock().unwrap();
        let is_anothers = |(of, claim): &(AppId, Claim)| {
            *of != app && claim.domain == *domain && claim.verified_at_ms.is_some()
        };
        if claims.iter().any(is_anothers) {
            return Err(StoreError::Conflict);
        }
        let claim = claims.iter_mut().find(|(of, claim)| *of == app && claim.domain == *domain);
        Ok(claim.map(|(_, claim)| {
            claim.verified_at_ms.get_or_insert(now_ms);
            claim.clone()
        }))
    }

    async fn remove(&self, app: AppId, domain: &Domain) -> Result<bool, StoreError> {
        let mut claims = self.0.lock().unwrap();
        let before = claims.len();
        claims.retain(|(of, claim)| *of != app || claim.domain != *domain);
        Ok(claims.len() < before)
    }

    async fn verified(&self) -> Result<Vec<(Domain, AppSlug)>, StoreError> {
        unimplemented!("the manager asks for no app's domains but the one's")
    }
}

struct World {
    keeper: DomainKeeper,
    records: Arc<Records>,
    alice: App,
    bob: App,
}

fn world() -> World {
    let records = Arc::new(Records::default());
    let reserved = ["localhost", "picloud.example", "apps.example"].map(str::to_owned);
    let keeper = DomainKeeper::new(
        Arc::new(Claims::default()),
        records.clone(),
        Arc::new(Fixed),
        reserved.to_vec(),
    );
    let app = |id, slug: &str| App {
        id: AppId(id),
        slug: slug.parse().unwrap(),
        created_at_ms: 0,
        active_release: None,
        limits: LimitOverrides::default(),
    };
    World { keeper, records, alice: app(1, "alice"), bob: app(2, "bob") }
}

impl World {
    async fn claim(&self, app: &App, domain: &str) -> Result<Claim, Error> {
        self.keeper.claim(app, &domain.parse().unwrap()).await
    }

    async fn verify(&self, app: &App, domain: &str) -> Result<Claim, Error> {
        self.keeper.verify(app, &domain.parse().unwrap()).await
    }

    fn publish(&self, name: &str, texts: &[&str]) {
        let texts = texts.iter().map(|text| (*text).to_owned()).collect();
        self.records.0.lock().unwrap().insert(name.to_owned(), Some(texts));
    }
}

#[tokio::test]
async fn a_domain_is_the_apps_once_its_record_has_the_claims_token() {
    let world = world();
    let code = async |app, domain| world.verify(app, domain).await.unwrap_err().code().to_owned();
    assert_eq!(code(&world.alice, "shop.example").await, "not_found");
    let claim = world.claim(&world.alice, "shop.example").await.unwrap();
    assert_eq!((claim.created_at_ms, claim.verified_at_ms), (NOW, None));
    let error = world.verify(&world.alice, "shop.example").await.unwrap_err();
    let value = claim.token.record_value();
    assert_eq!(
        error.to_string(),
        format!(
            "the TXT record _picloud.shop.example must have the value {value}, but there is no \
             TXT record of that name"
        )
    );
    world.publish("_picloud.shop.example", &["v=spf1 -all", "picloud-verify=00"]);
    let error = world.verify(&world.alice, "shop.example").await.unwrap_err();
    assert!(error.to_string().ends_with("are [\"v=spf1 -all\", \"picloud-verify=00\"]"), "{error}");
    // Beside it, or with more than it, is not it.
    world.publish("shop.example", &[&value]);
    world.publish("_picloud.shop.example", &[&format!("{value}0"), &format!("x{value}")]);
    assert_eq!(code(&world.alice, "shop.example").await, "domain_unproved");

    world.publish("_picloud.shop.example", &["v=spf1 -all", &value]);
    let proved = world.verify(&world.alice, "shop.example").await.unwrap();
    assert_eq!(proved.verified_at_ms, Some(NOW));
    // The record may go; the domain stays the app's.
    world.publish("_picloud.shop.example", &[]);
    assert_eq!(world.verify(&world.alice, "shop.example").await.unwrap(), proved);
}

#[tokio::test]
async fn another_apps_token_proves_nothing_and_the_first_to_prove_has_it() {
    let world = world();
    let alices = world.claim(&world.alice, "shop.example").await.unwrap();
    let bobs = world.claim(&world.bob, "shop.example").await.unwrap();
    assert_ne!(alices.token, bobs.token);
    world.publish("_picloud.shop.example", &[&alices.token.record_value()]);
    let error = world.verify(&world.bob, "shop.example").await.unwrap_err();
    assert_eq!(error.code(), "domain_unproved");
    assert!(!error.to_string().contains("another"), "nothing is told of others' claims");
    world.verify(&world.alice, "shop.example").await.unwrap();
    let (both, domain) = ([&alices, &bobs].map(|claim| claim.token.record_value()), &alices.domain);
    world.publish("_picloud.shop.example", &both.each_ref().map(String::as_str));
    assert_eq!(world.verify(&world.bob, "shop.example").await.unwrap_err().code(), "domain_taken");
    assert_eq!(world.keeper.approve(&world.bob, domain).await.unwrap_err().code(), "domain_taken");
    world.keeper.remove(&world.alice, domain).await.unwrap();
    world.verify(&world.bob, "shop.example").await.unwrap();
    assert_eq!(world.keeper.remove(&world.alice, domain).await.unwrap_err().code(), "not_found");
}

#[tokio::test]
async fn the_servers_own_names_are_nobodys() {
    let world = world();
    for domain in [
        "picloud.example",
        "a.picloud.example",
        "apps.example",
        "shop.apps.example",
        "r12--shop.apps.example",
        "a.localhost",
    ] {
        let error = world.claim(&world.alice, domain).await.unwrap_err();
        assert_eq!(error.code(), "domain_reserved", "{domain}");
    }
    for domain in ["example.org", "apps.example.org", "notapps.example"] {
        world.claim(&world.alice, domain).await.unwrap();
    }
    assert_eq!(
        world.claim(&world.alice, "d.example").await.unwrap_err().code(),
        "too_many_domains"
    );
}

#[tokio::test]
async fn an_admin_of_the_instance_gives_a_claimed_domain_without_a_record() {
    let world = world();
    let domain: Domain = "intranet.example".parse().unwrap();
    let error = world.keeper.approve(&world.alice, &domain).await.unwrap_err();
    assert_eq!(error.code(), "not_found", "it is not claimed");
    world.claim(&world.alice, "intranet.example").await.unwrap();
    let given = world.keeper.approve(&world.alice, &domain).await.unwrap();
    assert_eq!(given.verified_at_ms, Some(NOW));
    assert_eq!(world.keeper.list(&world.alice).await.unwrap(), [given]);
}

#[tokio::test]
async fn names_that_are_not_answered_are_told_from_names_without_a_record() {
    let world = world();
    world.claim(&world.alice, "shop.example").await.unwrap();
    world.records.0.lock().unwrap().insert("_picloud.shop.example".to_owned(), None);
    let error = world.verify(&world.alice, "shop.example").await.unwrap_err();
    assert_eq!(error.code(), "dns_unavailable");
    assert!(!error.to_string().contains("SERVFAIL"), "the cause is the operator's to know");
}

#[tokio::test]
async fn a_strangers_records_are_shown_in_part() {
    let world = world();
    world.claim(&world.alice, "shop.example").await.unwrap();
    let long = "é".repeat(1_000);
    world.publish("_picloud.shop.example", &[long.as_str(); 100]);
    let error = world.verify(&world.alice, "shop.example").await.unwrap_err().to_string();
    assert!(error.len() < 1_000, "{error}");
}
