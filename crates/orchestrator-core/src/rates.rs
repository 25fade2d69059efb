//! How often requests may come: for each app buckets that empty with every
//! request and fill up again evenly.
//!
//! Each app has its own buckets and as many as it may have at most: to make another
//! client's be forgotten takes requests from a thousand addresses, each of
//! which would have been answered anyway; another app's are out of reach.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use lru::LruCache;
use picloud_shared::allowance::{Allowance, Bucket, Exceeded, network};
use picloud_shared::ingress::{By, RateOf};
use picloud_shared::{AppId, Limits};

/// Buckets that are kept for one app; the least recently used give way.
const MAX_BUCKETS: usize = 4_096;
/// Wrong credentials that a client may send before it has to wait.
const ATTEMPTS: Allowance = Allowance { count: 10, per_ns: 60 * SECOND_NS };

const SECOND_NS: u64 = 1_000_000_000;

/// Every app's buckets.
#[derive(Default)]
pub struct Rates {
    apps: RwLock<HashMap<AppId, Arc<Mutex<Buckets>>>>,
}

/// What is counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Counted {
    /// Requests under a rule, of a client or of all.
    Rule(u64, Option<IpAddr>),
    /// Wrong credentials.
    Attempts(IpAddr),
}

/// An app's buckets.
struct Buckets {
    all: Bucket,
    others: LruCache<Counted, Bucket>,
}

impl Rates {
    /// Counts one more request to the app.
    ///
    /// # Errors
    /// [`Exceeded`], and then it does not count.
    pub fn request(&self, app: AppId, limits: &Limits, now_ms: u64) -> Result<(), Exceeded> {
        let count = limits.requests_burst.max(1);
        let per_ns =
            u128::from(count) * u128::from(SECOND_NS) / u128::from(limits.requests_per_s.max(1));
        let allowance = Allowance { count, per_ns: u64::try_from(per_ns).unwrap_or(u64::MAX) };
        lock(&self.app(app)).all.take(allowance, now_ms)
    }

    /// Counts one more request under a rule.
    ///
    /// # Errors
    /// [`Exceeded`], and then it does not count.
    pub fn under_rule(
        &self,
        app: AppId,
        RateOf { rate, rule }: RateOf,
        client: IpAddr,
        now_ms: u64,
    ) -> Result<(), Exceeded> {
        let client = match rate.by {
            By::Ip => Some(network(client)),
            By::App => None,
        };
        let per_ns = u64::from(rate.per_s) * SECOND_NS;
        let allowance = Allowance { count: rate.requests.into(), per_ns };
        let counted = Counted::Rule(rule, client);
        lock(&self.app(app)).with(counted, |bucket| bucket.take(allowance, now_ms))
    }

    /// Whether the client may try credentials, which counts only once they
    /// have turned out to be wrong.
    ///
    /// # Errors
    /// [`Exceeded`].
    pub fn may_attempt(&self, app: AppId, client: IpAddr, now_ms: u64) -> Result<(), Exceeded> {
        let app = self.app(app);
        let mut buckets = lock(&app);
        let bucket = buckets.others.get(&Counted::Attempts(network(client))).copied();
        // Taken from a copy: whether there is one, and no more.
        bucket.map_or(Ok(()), |mut bucket| bucket.take(ATTEMPTS, now_ms))
    }

    /// Counts credentials that are wrong, or may be.
    ///
    /// # Errors
    /// [`Exceeded`], and then they are not to be looked at.
    pub fn attempt(&self, app: AppId, client: IpAddr, now_ms: u64) -> Result<(), Exceeded> {
        let counted = Counted::Attempts(network(client));
        lock(&self.app(app)).with(counted, |bucket| bucket.take(ATTEMPTS, now_ms))
    }

    /// Takes an [`Rates::attempt`] back that was not wrong.
    pub fn give_back(&self, app: AppId, client: IpAddr) {
        let counted = Counted::Attempts(network(client));
        lock(&self.app(app)).with(counted, |bucket| bucket.give_back(ATTEMPTS));
    }

    /// Forgets an app that was deleted.
    pub fn forget(&self, app: AppId) {
        self.apps.write().unwrap_or_else(PoisonError::into_inner).remove(&app);
    }

    /// Forgets all buckets that are full, which says nothing about them.
    pub fn forget_idle(&self, now_ms: u64) {
        self.apps.write().unwrap_or_else(PoisonError::into_inner).retain(|_, app| {
            let mut buckets = lock(app);
            let idle =
                |(counted, bucket): (&Counted, &Bucket)| bucket.is_full(now_ms).then_some(*counted);
            for counted in buckets.others.iter().filter_map(idle).collect::<Vec<_>>() {
                buckets.others.pop(&counted);
            }
            !buckets.all.is_full(now_ms) || !buckets.others.is_empty()
        });
    }

    fn app(&self, app: AppId) -> Arc<Mutex<Buckets>> {
        if let Some(known) = self.apps.read().unwrap_or_else(PoisonError::into_inner).get(&app) {
            return Arc::clone(known);
        }
        let mut apps = self.apps.write().unwrap_or_else(PoisonError::into_inner);
        let new = || {
            let others = LruCache::unbounded();
            Arc::new(Mutex::new(Buckets { all: Bucket::default(), others }))
        };
        Arc::clone(apps.entry(app).or_insert_with(new))
    }
}

impl Buckets {
    fn with<T>(&mut self, counted: Counted, change: impl FnOnce(&mut Bucket) -> T) -> T {
        let changed = change(self.others.get_or_insert_mut(counted, Bucket::default));
        if self.others.len() > MAX_BUCKETS {
            self.others.pop_lru();
        }
        changed
    }
}

fn lock(buckets: &Mutex<Buckets>) -> MutexGuard<'_, Buckets> {
    buckets.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use picloud_shared::allowance::Exceeded;
    use picloud_shared::ingress::Rate;

    use super::*;

    const NOW: u64 = 1_800_000_000_000;

    fn app() -> AppId {
        AppId(1)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn rate(requests: u32, per_s: u32, by: By) -> RateOf {
        RateOf { rate: Rate { requests, per_s, by }, rule: 7 }
    }

    #[test]
    fn an_app_answers_a_burst_and_then_so_many_a_second() {
        let rates = Rates::default();
        let limits = Limits { requests_per_s: 10, requests_burst: 3, ..Limits::default() };
        let request = |now_ms| rates.request(app(), &limits, now_ms);
        assert!((0..3).all(|_| request(NOW).is_ok()));
        assert_eq!(request(NOW), Err(Exceeded { wait_ms: 100 }));
        // What was refused has not made it any later.
        assert_eq!(request(NOW + 99), Err(Exceeded { wait_ms: 1 }));
        assert_eq!(request(NOW + 100), Ok(()));
        assert!(request(NOW + 100).is_err());
        let later = NOW + 3_600_000;
        assert_eq!((0..10).filter(|_| request(later).is_ok()).count(), 3);
        let other = AppId(2);
        assert_eq!(rates.request(other, &limits, later), Ok(()));
    }

    #[test]
    fn limits_of_nothing_and_of_everything_are_no_failure() {
        for (requests_per_s, requests_burst) in [(0, 0), (u64::MAX, u64::MAX), (0, u64::MAX)] {
            let limits = Limits { requests_per_s, requests_burst, ..Limits::default() };
            assert_eq!(Rates::default().request(app(), &limits, NOW), Ok(()));
        }
    }

    #[test]
    fn clients_are_counted_by_their_address_or_together() {
        let rates = Rates::default();
        let by_ip = |client| rates.under_rule(app(), rate(1, 60, By::Ip), ip(client), NOW);
        assert_eq!(by_ip("10.0.0.1"), Ok(()));
        assert_eq!(by_ip("10.0.0.1"), Err(Exceeded { wait_ms: 60_000 }));
        assert_eq!(by_ip("10.0.0.2"), Ok(()));
        assert_eq!(by_ip("2001:db8:0:1::1"), Ok(()));
        assert!(by_ip("2001:db8:0:1:ffff::2").is_err());
        assert_eq!(by_ip("2001:db8:0:2::1"), Ok(()));
        let together = |client| rates.under_rule(app(), rate(2, 60, By::App), ip(client), NOW);
        assert!(together("10.0.0.1").is_ok() && together("10.0.0.2").is_ok());
        assert!(together("10.0.0.3").is_err());
    }

    #[test]
    fn a_clock_that_is_set_back_costs_nobody_anything() {
        let rates = Rates::default();
        let request = |now_ms| rates.under_rule(app(), rate(2, 60, By::App), ip("::1"), now_ms);
        assert!(request(NOW).is_ok() && request(NOW).is_ok());
        let before = NOW - 86_400_000;
        assert!(request(before).is_ok() && request(before).is_ok());
        assert_eq!(request(before), Err(Exceeded { wait_ms: 30_000 }));
        assert_eq!(request(before + 30_000), Ok(()));
    }

    #[test]
    fn wrong_credentials_are_counted_and_right_ones_are_not() {
        let rates = Rates::default();
        for _ in 0..1_000 {
            rates.attempt(app(), ip("::1"), NOW).unwrap();
            rates.give_back(app(), ip("::1"));
        }
        for _ in 0..10 {
            assert_eq!(rates.may_attempt(app(), ip("::1"), NOW), Ok(()));
            assert_eq!(rates.attempt(app(), ip("::1"), NOW), Ok(()));
        }
        assert_eq!(rates.may_attempt(app(), ip("::1"), NOW), Err(Exceeded { wait_ms: 6_000 }));
        assert!(rates.attempt(app(), ip("::1"), NOW).is_err());
        assert_eq!(rates.may_attempt(app(), ip("::2:0:0:0:1"), NOW), Ok(()));
        assert_eq!(rates.may_attempt(app(), ip("::1"), NOW + 6_000), Ok(()));
    }

    #[test]
    fn memory_is_bounded_and_what_says_nothing_is_forgotten() {
        let rates = Rates::default();
        let limits = Limits::default();
        rates.request(app(), &limits, NOW).unwrap();
        for client in 0..10_000_u32 {
            let client = IpAddr::V4(client.into());
            rates.under_rule(app(), rate(1, 60, By::Ip), client, NOW).unwrap();
        }
        assert_eq!(lock(&rates.app(app())).others.len(), MAX_BUCKETS);
        rates.forget_idle(NOW + 59_999);
        assert_eq!(lock(&rates.app(app())).others.len(), MAX_BUCKETS);
        rates.forget_idle(NOW + 60_000);
        assert!(rates.apps.read().unwrap().is_empty());
        rates.request(app(), &limits, NOW).unwrap();
        rates.forget(app());
        assert!(rates.apps.read().unwrap().is_empty());
    }
}
