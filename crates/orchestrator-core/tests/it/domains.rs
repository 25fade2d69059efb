use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use picloud_orchestrator_core::DomainDirectory;
use picloud_shared::domain::{Claim, Token};
use picloud_shared::{AppId, AppSlug, Clock, Domain, DomainStore, StoreError};
use tokio::sync::Semaphore;

const MAX_AGE_MS: u64 = 5_000;

/// Domains in memory, whose readings are counted and can be held up.
struct Domains {
    verified: Mutex<Vec<(Domain, AppSlug)>>,
    /// The end of a reading waits for a permit here.
    reads: Semaphore,
    asked: AtomicUsize,
    down: Mutex<bool>,
}

struct HandClock(AtomicU64);

impl Clock for HandClock {
    fn now_ms(&self) -> u64 {
        self.0.load(SeqCst)
    }
}

#[async_trait]
impl DomainStore for Domains {
    async fn claim(&self, _: AppId, _: &Domain, _: &Token, _: u64) -> Result<Claim, StoreError> {
        unimplemented!()
    }

    async fn find(&self, _: AppId, _: &Domain) -> Result<Option<Claim>, StoreError> {
        unimplemented!()
    }

    async fn list(&self, _: AppId) -> Result<Vec<Claim>, StoreError> {
        unimplemented!()
    }

    async fn verify(&self, _: AppId, _: &Domain, _: u64) -> Result<Option<Claim>, StoreError> {
        unimplemented!()
    }

    async fn remove(&self, _: AppId, _: &Domain) -> Result<bool, StoreError> {
        unimplemented!()
    }

    async fn verified(&self) -> Result<Vec<(Domain, AppSlug)>, StoreError> {
        self.asked.fetch_add(1, SeqCst);
        let verified = self.verified.lock().unwrap().clone();
        self.reads.acquire().await.unwrap().forget();
        if *self.down.lock().unwrap() { Err(StoreError::unavailable("down")) } else { Ok(verified) }
    }
}

struct World {
    store: Arc<Domains>,
    clock: Arc<HandClock>,
    directory: Arc<DomainDirectory>,
}

impl World {
    fn new(max_age_ms: Option<u64>) -> Self {
        let store = Arc::new(Domains {
            verified: Mutex::default(),
            reads: Semaphore::new(1_000),
            asked: AtomicUsize::new(0),
            down: Mutex::new(false),
        });
        let clock = Arc::new(HandClock(AtomicU64::new(1_000_000)));
        let directory = DomainDirectory::new(store.clone(), clock.clone(), max_age_ms);
        Self { store, clock, directory: Arc::new(directory) }
    }

    fn set(&self, domains: &[(&str, &str)]) {
        let domain = |(domain, app): &(&str, &str)| (domain.parse().unwrap(), app.parse().unwrap());
        *self.store.verified.lock().unwrap() = domains.iter().map(domain).collect();
    }

    async fn app(&self, domain: &str) -> Option<String> {
        let app = self.directory.app(&domain.parse().unwrap()).await.unwrap();
        app.map(|app| app.to_string())
    }

    fn asked(&self) -> usize {
        self.store.asked.load(SeqCst)
    }
}

#[tokio::test]
async fn invented_names_cost_the_store_nothing() {
    let world = World::new(Some(MAX_AGE_MS));
    world.set(&[("shop.example", "shop")]);
    assert_eq!(world.app("shop.example").await.as_deref(), Some("shop"));
    for n in 0..1_000 {
        assert_eq!(world.app(&format!("n{n}.example")).await, None);
    }
    assert_eq!(world.app("a.shop.example").await, None);
    assert_eq!(world.asked(), 1);
}

#[tokio::test]
async fn a_change_is_seen_at_once_where_it_is_made_and_soon_elsewhere() {
    let (alone, shared) = (World::new(None), World::new(Some(MAX_AGE_MS)));
    for world in [&alone, &shared] {
        world.set(&[("a.example", "alice")]);
        assert_eq!(world.app("a.example").await.as_deref(), Some("alice"));
        world.set(&[("b.example", "bob")]);
        world.clock.0.fetch_add(MAX_AGE_MS - 1, SeqCst);
        assert_eq!(world.app("b.example").await, None);
        world.clock.0.fetch_add(1, SeqCst);
    }
    assert_eq!(shared.app("b.example").await.as_deref(), Some("bob"));
    assert_eq!(shared.app("a.example").await, None);
    assert_eq!(alone.app("b.example").await, None, "nobody else changes its store");
    alone.directory.invalidate();
    assert_eq!(alone.app("b.example").await.as_deref(), Some("bob"));
    assert_eq!(alone.app("a.example").await, None);
}

#[tokio::test]
async fn a_crowd_reads_once() {
    let world = World::new(None);
    world.set(&[("a.example", "alice")]);
    world.store.reads.forget_permits(usize::MAX);
    let ask = || {
        let directory = Arc::clone(&world.directory);
        tokio::spawn(async move { directory.app(&"a.example".parse().unwrap()).await.unwrap() })
    };
    let crowd: Vec<_> = (0..100).map(|_| ask()).collect();
    while world.asked() == 0 {
        tokio::task::yield_now().await;
    }
    world.store.reads.add_permits(1);
    for one in crowd {
        assert!(one.await.unwrap().is_some());
    }
    assert_eq!(world.asked(), 1);
}

#[tokio::test]
async fn what_was_read_before_an_invalidation_is_not_kept() {
    let world = World::new(None);
    world.set(&[("a.example", "alice")]);
    world.store.reads.forget_permits(usize::MAX);
    let directory = Arc::clone(&world.directory);
    let early = tokio::spawn(async move { directory.app(&"a.example".parse().unwrap()).await });
    while world.asked() == 0 {
        tokio::task::yield_now().await;
    }
    world.set(&[]);
    world.directory.invalidate();
    world.store.reads.add_permits(2);
    assert!(early.await.unwrap().unwrap().is_some(), "it asked before");
    assert_eq!(world.app("a.example").await, None);
    assert_eq!(world.asked(), 2);
}

#[tokio::test]
async fn while_the_store_is_away_what_was_known_is_told_and_nobody_queues_for_it() {
    let world = World::new(Some(MAX_AGE_MS));
    world.set(&[("a.example", "alice")]);
    assert!(world.app("a.example").await.is_some());
    *world.store.down.lock().unwrap() = true;
    world.clock.0.fetch_add(MAX_AGE_MS, SeqCst);
    assert!(world.app("a.example").await.is_some());
    assert!(world.app("a.example").await.is_some());
    assert_eq!(world.asked(), 2, "it is asked again when that is old, too");

    // After a change, what was known before it is no longer told.
    world.directory.invalidate();
    let domain = "a.example".parse().unwrap();
    for _ in 0..9 {
        assert!(world.directory.app(&domain).await.is_err());
    }
    assert_eq!(world.asked(), 3, "of nine, one has waited for the store");
    *world.store.down.lock().unwrap() = false;
    world.clock.0.fetch_add(1_000, SeqCst);
    assert!(world.app("a.example").await.is_some());
}
