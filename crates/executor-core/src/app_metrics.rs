//! Metrics by app, for so many apps.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use metrics::{Counter, SharedString};

/// Apps that have series of their own. A series is never forgotten, and who
/// collects them pays for each; those that come later share one.
const MAX_LABELS: usize = 200;
/// The label of those.
const OTHER: &str = "other";

/// Gives out the labels, first come, first served.
#[derive(Default)]
pub(crate) struct AppLabels(Mutex<HashSet<Arc<str>>>);

impl AppLabels {
    fn of(&self, slug: &str) -> SharedString {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(label) = known.get(slug) {
            return Arc::clone(label).into();
        }
        if known.len() >= MAX_LABELS {
            return OTHER.into();
        }
        let label: Arc<str> = slug.into();
        known.insert(Arc::clone(&label));
        label.into()
    }
}

/// An app's counters.
pub(crate) struct AppMetrics {
    ok: Counter,
    failed: Counter,
    fuel: Counter,
}

impl AppMetrics {
    pub(crate) fn new(slug: &str, labels: &AppLabels) -> Self {
        let app = labels.of(slug);
        let executions = |result: &'static str| metrics::counter!("picloud_app_executions_total", "app" => app.clone(), "result" => result);
        Self {
            ok: executions("ok"),
            failed: executions("failed"),
            fuel: metrics::counter!("picloud_app_fuel_total", "app" => app.clone()),
        }
    }

    pub(crate) fn ended(&self, outcome: &str, fuel: u64) {
        let of_result = if outcome == "ok" { &self.ok } else { &self.failed };
        of_result.increment(1);
        self.fuel.increment(fuel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_thousand_apps_are_no_ten_thousand_series() {
        let labels = AppLabels::default();
        let apps: Vec<String> = (0..10_000).map(|n| format!("app-{n}")).collect();
        let given: HashSet<SharedString> = apps.iter().map(|app| labels.of(app)).collect();
        assert_eq!(given.len(), MAX_LABELS + 1);
        assert_eq!(labels.of("app-0"), "app-0".into(), "who has a label keeps it");
        assert_eq!(labels.of("app-9999"), OTHER.into());
    }
}
