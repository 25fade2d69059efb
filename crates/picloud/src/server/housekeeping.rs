//! What nobody waits for: removing what has expired.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use picloud_shared::execution::HistoryCap;
use picloud_shared::usage::{Day, MAX_DAYS};
use picloud_shared::{App, AppId, Limits, StoreError};

use super::warnings::Warnings;
use crate::node::Node;

/// Time between two rounds. Expired entries are invisible at once; only their
/// rows wait for this.
const INTERVAL: Duration = Duration::from_hours(1);
const DAY_MS: u64 = 24 * 3600 * 1000;
/// Events are kept for this long once all their deliveries are done. Dead
/// letters are kept until somebody replays or drops them.
const EVENTS_MS: u64 = DAY_MS;
/// The audit log is kept for this long.
const AUDIT_MS: u64 = 400 * DAY_MS;
/// Contents that nothing refers to are removed when they are this old: younger
/// ones may be about to be committed.
const LEFTOVER_MS: u64 = 3600 * 1000;
/// Rows removed in one transaction, so that nobody waits long behind it.
const BATCH: u32 = 1_000;

/// Cleans up once an hour, for ever. Apps' histories are also cut back whenever
/// much was recorded, so that what a flood takes in between has a bound.
pub(super) async fn run(node: Arc<Node>) {
    let mut warnings = Warnings::default();
    loop {
        tell(round(&node, &mut warnings).await);
        let next_round = tokio::time::sleep(INTERVAL);
        tokio::pin!(next_round);
        loop {
            tokio::select! {
                () = &mut next_round => break,
                () = node.recorder.grown() => tell(trim_grown(&node).await),
            }
        }
    }
}

fn tell(result: Result<(), StoreError>) {
    if let Err(error) = result {
        tracing::warn!(error = &error as &dyn std::error::Error, "housekeeping failed");
    }
}

async fn round(node: &Node, warnings: &mut Warnings) -> Result<(), StoreError> {
    let now_ms = node.clock.now_ms();
    node.rates.forget_idle(now_ms);
    while node.stores.kv.purge_expired(now_ms, BATCH).await?.is_some_and(|next| next <= now_ms) {}
    let before_ms = now_ms.saturating_sub(node.retention_days.saturating_mul(DAY_MS));
    while node.stores.executions.prune(before_ms, BATCH).await? > 0 {}
    let before_ms = now_ms.saturating_sub(EVENTS_MS);
    while node.stores.outbox.prune(before_ms, BATCH).await? > 0 {}
    let before_ms = now_ms.saturating_sub(AUDIT_MS);
    while node.stores.audit.prune(before_ms, BATCH).await? > 0 {}
    node.stores.sessions.prune(now_ms).await?;
    let before = Day::of(now_ms).before(MAX_DAYS);
    while node.stores.usage.prune(before, BATCH).await? > 0 {}
    let apps = apps(node).await?;
    trim_histories(node, &apps).await?;
    warnings.give(node, &apps).await?;
    remove_unreferenced_contents(node, &apps, now_ms.saturating_sub(LEFTOVER_MS)).await
}

async fn trim_grown(node: &Node) -> Result<(), StoreError> {
    trim_histories(node, &apps(node).await?).await
}

/// Cuts each app's history back to its own cap: one app's flood does not push
/// out what another one has on record.
async fn trim_histories(node: &Node, apps: &[App]) -> Result<(), StoreError> {
    for app in apps {
        let limits = Limits::default().with(&app.limits);
        let cap = HistoryCap {
            executions: limits.history_executions,
            log_bytes: limits.history_log_bytes,
        };
        node.stores.executions.trim(app.id, cap, BATCH).await?;
    }
    Ok(())
}

async fn apps(node: &Node) -> Result<Vec<App>, StoreError> {
    let mut apps = Vec::new();
    loop {
        let last = apps.last().map(|app: &App| app.slug.clone());
        let page = node.stores.apps.list(last.as_ref(), BATCH).await?;
        let is_last = page.len() < BATCH as usize;
        apps.extend(page);
        if is_last {
            return Ok(apps);
        }
    }
}

/// Removes contents of files that a process which was killed has left behind.
async fn remove_unreferenced_contents(
    node: &Node,
    apps: &[App],
    before_ms: u64,
) -> Result<(), StoreError> {
    let alive: HashSet<AppId> = apps.iter().map(|app| app.id).collect();
    for app in node.contents.apps().await? {
        if !alive.contains(&app) {
            node.contents.remove_app(app).await?;
            continue;
        }
        node.executor.remove_unreferenced(app, before_ms).await?;
    }
    Ok(())
}
