//! What the apps of one owner may use together.
//!
//! It is known as it was a while ago, and from [`WARN_PERCENT`] of any limit on
//! as it was a second ago: what an app itself keeps is checked as it is, in the
//! transaction that changes it, so only what the owner's other apps have written
//! since can be missed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use picloud_shared::owner::{Account, OwnerQuotas, OwnerStore};
use picloud_shared::usage::{Counters, Day, Storage, UsageStore, WARN_PERCENT};
use picloud_shared::{AppId, Clock, Limits, StoreError, UserId};

/// Milliseconds for which it is taken to be as it was.
const FRESH_MS: u64 = 30_000;
/// The same where little is left.
const FRESH_WHEN_SCARCE_MS: u64 = 1_000;

/// Knows what is left to apps of what their owners may use.
#[derive(Clone)]
pub struct Owners(Arc<Book>);

struct Book {
    owners: Arc<dyn OwnerStore>,
    usage: Arc<dyn UsageStore>,
    clock: Arc<dyn Clock>,
    apps: Mutex<HashMap<AppId, Arc<Page>>>,
}

/// One app's share. Whoever finds it stale asks anew, and the others wait.
type Page = tokio::sync::Mutex<Option<Share>>;

/// What is left to one app.
#[derive(Clone, Copy, Debug)]
struct Share {
    until_ms: u64,
    /// What the app may keep, as far as its owners are concerned.
    most: Storage,
    /// The day whose budget is used up.
    spent: Option<Day>,
}

impl Share {
    const ALL: Storage = Storage {
        kv_bytes: u64::MAX,
        file_bytes: u64::MAX,
        release_bytes: u64::MAX,
        outbox_rows: u64::MAX,
        outbox_bytes: u64::MAX,
    };
}

impl Owners {
    #[must_use]
    pub fn new(
        owners: Arc<dyn OwnerStore>,
        usage: Arc<dyn UsageStore>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self(Arc::new(Book { owners, usage, clock, apps: Mutex::default() }))
    }

    /// Whether an owner's budget of today is used up: in how many milliseconds
    /// there is another one.
    pub async fn spent(&self, app: AppId) -> Option<u64> {
        let share = self.share(app).await;
        let now_ms = self.0.clock.now_ms();
        (share.spent == Some(Day::of(now_ms))).then(|| Day::left_ms(now_ms))
    }

    /// Asks anew when next it is needed: an owner, or limits, have changed.
    pub fn forget(&self) {
        self.0.apps.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    async fn share(&self, app: AppId) -> Share {
        let page = {
            let mut apps = self.0.apps.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(apps.entry(app).or_default())
        };
        let mut share = page.lock().await;
        let now_ms = self.0.clock.now_ms();
        match *share {
            Some(known) if now_ms < known.until_ms => known,
            before => {
                let asked = self.0.ask(app, now_ms).await.unwrap_or_else(|error| {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "what an app's owners have left is not known");
                    // Nobody is held up by that; whoever writes meets the error.
                    let until_ms = now_ms + FRESH_WHEN_SCARCE_MS;
                    let unknown = Share { until_ms, most: Share::ALL, spent: None };
                    before.map_or(unknown, |before| Share { until_ms, ..before })
                });
                *share = Some(asked);
                asked
            }
        }
    }
}

impl Owners {
    /// The limits of one more app, lowered to what its owner has left.
    pub async fn lower_for_new_app(
        &self,
        owner: UserId,
        limits: &Limits,
    ) -> Result<Limits, StoreError> {
        let Some(account) = self.0.owners.account(owner).await? else { return Ok(limits.clone()) };
        let mut used = Storage::default();
        for (_, storage) in self.0.usage.storage(&account.apps).await? {
            used += storage;
        }
        let left = |limit: u64, owners: u64, used: u64| limit.min(owners.saturating_sub(used));
        let of = account.limits;
        Ok(Limits {
            kv_bytes: left(limits.kv_bytes, of.kv_bytes, used.kv_bytes),
            file_bytes: left(limits.file_bytes, of.file_bytes, used.file_bytes),
            release_bytes: left(limits.release_bytes, of.release_bytes, used.release_bytes),
            outbox_bytes: left(limits.outbox_bytes, of.outbox_bytes, used.outbox_bytes),
            ..limits.clone()
        })
    }
}

#[async_trait]
impl OwnerQuotas for Owners {
    async fn lower(&self, app: AppId, limits: &Limits) -> Limits {
        let most = self.share(app).await.most;
        Limits {
            kv_bytes: limits.kv_bytes.min(most.kv_bytes),
            file_bytes: limits.file_bytes.min(most.file_bytes),
            release_bytes: limits.release_bytes.min(most.release_bytes),
            outbox_bytes: limits.outbox_bytes.min(most.outbox_bytes),
            ..limits.clone()
        }
    }

    async fn has_room_for_app(&self, user: UserId) -> Result<bool, StoreError> {
        let account = self.0.owners.account(user).await?;
        Ok(account.is_none_or(|account| (account.apps.len() as u64) < account.limits.apps))
    }
}

impl Book {
    async fn ask(&self, app: AppId, now_ms: u64) -> Result<Share, StoreError> {
        let today = Day::of(now_ms);
        let mut share = Share { until_ms: now_ms + FRESH_MS, most: Share::ALL, spent: None };
        for Account { limits, apps, .. } in self.owners.of_app(app).await? {
            let (mut all, mut others, mut used) =
                (Storage::default(), Storage::default(), Counters::default());
            for (of, storage) in self.usage.storage(&apps).await? {
                all += storage;
                if of != app {
                    others += storage;
                }
            }
            for one in self.usage.days(&apps, today).await? {
                used += one.counters;
            }
            let most = &mut share.most;
            let left = |limit: u64, others: u64| limit.saturating_sub(others);
            most.kv_bytes = most.kv_bytes.min(left(limits.kv_bytes, others.kv_bytes));
            most.file_bytes = most.file_bytes.min(left(limits.file_bytes, others.file_bytes));
            most.release_bytes =
                most.release_bytes.min(left(limits.release_bytes, others.release_bytes));
            most.outbox_bytes =
                most.outbox_bytes.min(left(limits.outbox_bytes, others.outbox_bytes));
            if used.requests >= limits.requests_per_day || used.fuel >= limits.fuel_per_day {
                share.spent = Some(today);
            }
            // The number of apps is no matter here.
            if limits.bounded(0, &all, &used).iter().any(|one| one.percent >= WARN_PERCENT) {
                share.until_ms = now_ms + FRESH_WHEN_SCARCE_MS;
            }
        }
        Ok(share)
    }
}
