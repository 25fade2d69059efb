//! Warnings for the operator of quotas that are nearly used up.

use std::borrow::Cow;
use std::collections::HashSet;

use picloud_shared::usage::{Bounded, Day, Storage};
use picloud_shared::{App, AppId, Limits, StoreError};

use crate::node::Node;

/// Apps whose storage is asked for at one time.
const BATCH: usize = 100;

/// What was warned of today.
#[derive(Default)]
pub(super) struct Warnings {
    day: Day,
    given: HashSet<(AppId, Cow<'static, str>)>,
}

impl Warnings {
    /// Logs and counts each of these apps' quotas that is nearly used up, once
    /// a day.
    pub(super) async fn give(&mut self, node: &Node, apps: &[App]) -> Result<(), StoreError> {
        let today = Day::of(node.clock.now_ms());
        for apps in apps.chunks(BATCH) {
            let ids: Vec<_> = apps.iter().map(|app| app.id).collect();
            let storage = node.stores.usage.storage(&ids).await?;
            for (app, storage) in storage {
                let Some(app) = apps.iter().find(|one| one.id == app) else { continue };
                for bounded in self.new_today(app, &storage, today) {
                    let Bounded { limit, used, max, percent } = &bounded;
                    tracing::warn!(app = %app.slug, %limit, used, max, percent, "nearly used up");
                    let limit = limit.clone().into_owned();
                    metrics::counter!("picloud_quota_warnings_total", "limit" => limit)
                        .increment(1);
                }
            }
        }
        Ok(())
    }

    fn new_today(&mut self, app: &App, storage: &Storage, today: Day) -> Vec<Bounded> {
        if self.day != today {
            self.day = today;
            self.given.clear();
        }
        let limits = Limits::default().with(&app.limits);
        let mut bounded = storage.bounded(&limits);
        bounded.retain(|one| {
            one.warning().is_some() && self.given.insert((app.id, one.limit.clone()))
        });
        bounded
    }
}

#[cfg(test)]
mod tests {
    use picloud_shared::LimitOverrides;

    use super::*;

    #[test]
    fn there_is_one_warning_a_day_for_each_app_and_limit() {
        let app = |id, kv_bytes| App {
            id: AppId(id),
            slug: "app".parse().unwrap(),
            created_at_ms: 0,
            active_release: None,
            limits: LimitOverrides { kv_bytes: Some(kv_bytes), ..LimitOverrides::default() },
        };
        let mut warnings = Warnings::default();
        let mut warned = |app: &App, kv_bytes, day| {
            let storage = Storage { kv_bytes, ..Storage::default() };
            let warned = warnings.new_today(app, &storage, Day(day));
            warned.into_iter().map(|one| (one.limit.into_owned(), one.percent)).collect::<Vec<_>>()
        };
        let (alice, bob) = (app(1, 10), app(2, 100));
        assert_eq!(warned(&alice, 7, 1), []);
        assert_eq!(warned(&alice, 8, 1), [("kv_bytes".to_owned(), 80)]);
        assert_eq!(warned(&alice, 9, 1), []);
        assert_eq!(warned(&bob, 90, 1), [("kv_bytes".to_owned(), 90)]);
        assert_eq!(warned(&alice, 9, 2), [("kv_bytes".to_owned(), 90)]);
    }
}
