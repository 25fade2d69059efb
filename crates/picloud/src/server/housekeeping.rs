//! What nobody waits for: removing what has expired.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use picloud_shared::usage::{Day, MAX_DAYS};
use picloud_shared::{App, AppId, StoreError};

use super::warnings::Warnings;
use crate::node::Node;

/// Time between two rounds. Expired entries are invisible at once; only their
/// rows wait for this.
const INTERVAL: Duration = Duration::from_hours(1);
/// Executions and their logs are kept for this long.
const HISTORY_MS: u64 = 7 * 24 * 3600 * 1000;
/// Events are kept for this long once all their deliveries are done. Dead
/// letters are kept until somebody replays or drops them.
const EVENTS_MS: u64 = 24 * 3600 * 1000;
/// The audit log is kept for this long.
const AUDIT_MS: u64 = 400 * 24 * 3600 * 1000;
/// Contents that nothing refers to are removed when they are this old: younger
/// ones may be about to be committed.
const LEFTOVER_MS: u64 = 3600 * 1000;
/// Rows removed in one transaction, so that nobody waits long behind it.
const BATCH: u32 = 1_000;

/// Cleans up once an hour, for ever.
pub(super) async fn run(node: Arc<Node>) {
    let mut warnings = Warnings::default();
    loop {
        if let Err(error) = round(&node, &mut warnings).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "housekeeping failed");
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

async fn round(node: &Node, warnings: &mut Warnings) -> Result<(), StoreError> {
    let now_ms = node.clock.now_ms();
    node.rates.forget_idle(now_ms);
    while node.stores.kv.purge_expired(now_ms, BATCH).await?.is_some_and(|next| next <= now_ms) {}
    let before_ms = now_ms.saturating_sub(HISTORY_MS);
    while node.stores.executions.prune(before_ms, BATCH).await? > 0 {}
    let before_ms = now_ms.saturating_sub(EVENTS_MS);
    while node.stores.outbox.prune(before_ms, BATCH).await? > 0 {}
    let before_ms = now_ms.saturating_sub(AUDIT_MS);
    while node.stores.audit.prune(before_ms, BATCH).await? > 0 {}
    node.stores.sessions.prune(now_ms).await?;
    let before = Day::of(now_ms).before(MAX_DAYS);
    while node.stores.usage.prune(before, BATCH).await? > 0 {}
    let apps = apps(node).await?;
    warnings.give(node, &apps).await?;
    remove_unreferenced_contents(node, &apps, now_ms.saturating_sub(LEFTOVER_MS)).await
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
