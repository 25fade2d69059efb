//! What nobody waits for: removing what has expired.

use std::sync::Arc;
use std::time::Duration;

use crate::node::Node;

/// Time between two rounds. Expired entries are invisible at once; only their
/// rows wait for this.
const INTERVAL: Duration = Duration::from_hours(1);
/// Executions and their logs are kept for this long.
const HISTORY_MS: u64 = 7 * 24 * 3600 * 1000;
/// Rows removed in one transaction, so that nobody waits long behind it.
const BATCH: u32 = 1_000;

/// Cleans up once an hour, for ever.
pub(super) async fn run(node: Arc<Node>) {
    loop {
        if let Err(error) = round(&node).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "housekeeping failed");
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

async fn round(node: &Node) -> Result<(), picloud_shared::StoreError> {
    let now_ms = node.clock.now_ms();
    while node.stores.kv.purge_expired(now_ms, BATCH).await?.is_some_and(|next| next <= now_ms) {}
    let before_ms = now_ms.saturating_sub(HISTORY_MS);
    while node.stores.executions.prune(before_ms, BATCH).await? > 0 {}
    Ok(())
}
