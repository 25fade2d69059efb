//! The process's metrics: what each of them is, and where they are collected.

use std::sync::OnceLock;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

/// Seconds that the buckets of histograms end at.
const BUCKETS: [f64; 11] = [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];

/// Each with what it is. The names of labels and all their values are bounded;
/// nothing that a client sends is among them.
const COUNTERS: &[(&str, &str)] = &[
    ("picloud_app_executions_total", "invocations that ended, by app and result"),
    ("picloud_app_fuel_total", "fuel burnt, by app"),
    ("picloud_dead_letters_total", "deliveries that were given up"),
    ("picloud_deliveries_total", "runs of deliveries that ended, by outcome"),
    ("picloud_delivery_retries_total", "deliveries that will be tried again"),
    ("picloud_execution_retries_total", "runs after a conflict"),
    ("picloud_executions_refused_total", "invocations that found no place, by who was busy"),
    ("picloud_executions_total", "invocations that ended, by outcome"),
    ("picloud_fuel_total", "fuel burnt"),
    ("picloud_http_requests_total", "requests of scripts to other servers, by outcome"),
    ("picloud_log_lines_dropped_total", "log lines that could not wait to be stored"),
    ("picloud_quota_warnings_total", "apps found to have used 80 % of a quota, by limit"),
    ("picloud_records_dropped_total", "executions that could not be recorded"),
    ("picloud_schedule_ticks_total", "ticks of schedules that fired"),
    ("picloud_traces_dropped_total", "invocations that were too many at once to be traced"),
];
const GAUGES: &[(&str, &str)] = &[
    ("picloud_deliveries_dead", "dead letters"),
    ("picloud_deliveries_oldest_age_seconds", "how long the first that waits has been due"),
    ("picloud_deliveries_waiting", "deliveries that wait or run"),
    ("picloud_executions_running", "invocations that run"),
    ("picloud_executions_waiting", "invocations that wait to be admitted"),
    ("picloud_sandbox_images", "images of scripts that are held"),
    ("picloud_sandbox_instances", "sandboxes alive"),
    ("picloud_sandbox_memories", "linear memories in use"),
    ("picloud_sandbox_stacks", "stacks in use"),
];
const HISTOGRAMS: &[(&str, &str)] = &[
    ("picloud_commit_seconds", "how long commits of invocations took"),
    ("picloud_delivery_lag_seconds", "how long the first of a lane had been due at its claim"),
    ("picloud_execution_seconds", "invocations, from admission to the end of the commit"),
];

/// The process has one recorder of metrics, however many servers it starts.
pub(super) fn handle() -> anyhow::Result<PrometheusHandle> {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    if let Some(handle) = HANDLE.get() {
        return Ok(handle.clone());
    }
    let handle = PrometheusBuilder::new().set_buckets(&BUCKETS)?.install_recorder()?;
    for (name, help) in COUNTERS {
        metrics::describe_counter!(*name, *help);
    }
    for (name, help) in GAUGES {
        metrics::describe_gauge!(*name, *help);
    }
    for (name, help) in HISTOGRAMS {
        metrics::describe_histogram!(*name, *help);
    }
    Ok(HANDLE.get_or_init(|| handle).clone())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const PAGE: &str = include_str!("../../../../docs/operations/observability.md");

    #[test]
    fn every_metric_that_the_code_names_is_described_and_on_its_page() {
        let described: Vec<&str> =
            [COUNTERS, GAUGES, HISTOGRAMS].concat().iter().map(|(name, _)| *name).collect();
        for name in &described {
            assert!(PAGE.contains(&format!("`{name}")), "{name} is not in observability.md");
        }
        let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut named = 0;
        for folder in ["picloud/src", "executor-core/src"] {
            named += check(&crates.join(folder), &described);
        }
        assert!(named >= described.len(), "only {named} uses were found");
    }

    /// Checks the names in a folder's files. How many there are.
    fn check(folder: &Path, described: &[&str]) -> usize {
        let mut named = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                named += check(&path, described);
                continue;
            }
            if path.ends_with("server/metrics.rs") {
                // It names them all.
                continue;
            }
            for after in std::fs::read_to_string(&path).unwrap().split("\"picloud_").skip(1) {
                let name = format!("picloud_{}", after.split('"').next().unwrap());
                assert!(
                    described.contains(&&*name),
                    "{name} in {} is not described",
                    path.display()
                );
                named += 1;
            }
        }
        named
    }
}
