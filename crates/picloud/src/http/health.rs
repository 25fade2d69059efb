//! Whether the server lives, whether it should get requests, and its metrics.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::IntoResponse;
use axum::routing::get;
use http::request::Parts;
use http::{StatusCode, header};
use picloud_shared::outbox::Depth;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::auth;
use super::problem::Problem;
use crate::node::Node;

/// The database is asked this often at most, however many ask us: it writes to
/// the disk for its answer, and nobody needs a token to ask.
const MAX_AGE: Duration = Duration::from_secs(1);

pub(super) fn router() -> Router<Arc<Node>> {
    let database = Arc::new(Remembered::default());
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(async move |node| readyz(node, &database).await))
        .route("/metrics", get(metrics))
}

/// 200 while the database answers and the server has not been told to stop.
async fn readyz(
    State(node): State<Arc<Node>>,
    database: &Remembered,
) -> (StatusCode, &'static str) {
    if node.is_stopping() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n");
    }
    let ping = async || {
        let result = node.stores.ping().await;
        if let Err(error) = &result {
            tracing::warn!(error = error as &dyn std::error::Error, "the database is unavailable");
        }
        result.is_ok()
    };
    if database.answers(ping).await {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the database is unavailable\n")
    }
}

/// Whether the database answered when it was last asked.
#[derive(Default)]
struct Remembered(Mutex<Option<(Instant, bool)>>);

impl Remembered {
    /// What is remembered, or else what `ping` says. Who asks meanwhile waits
    /// for the same answer.
    async fn answers(&self, ping: impl AsyncFnOnce() -> bool) -> bool {
        let mut last = self.0.lock().await;
        if let Some((at, answers)) = *last
            && at.elapsed() < MAX_AGE
        {
            return answers;
        }
        let answers = ping().await;
        *last = Some((Instant::now(), answers));
        answers
    }
}

/// Headers by which a proxy says for whom it asks.
const FORWARDED: [&str; 4] = ["forwarded", "via", "x-forwarded-for", "x-real-ip"];

/// Prometheus' text format, for programs on this machine and for whoever may
/// see all of the instance.
async fn metrics(
    State(node): State<Arc<Node>>,
    request: Request,
) -> Result<impl IntoResponse, Problem> {
    let (parts, _body) = request.into_parts();
    if !is_of_this_machine(&parts) {
        auth::require_instance(&node, &parts).await?;
    }
    let stats = node.sandbox.stats();
    #[expect(clippy::cast_precision_loss, reason = "a gauge of small counts")]
    let set = |name, value: u64| metrics::gauge!(name).set(value as f64);
    set("picloud_sandbox_instances", stats.instances);
    set("picloud_sandbox_memories", stats.memories);
    set("picloud_sandbox_stacks", stats.stacks);
    set("picloud_sandbox_images", stats.images);
    set("picloud_executions_running", node.executor.running() as u64);
    set("picloud_executions_waiting", node.executor.waiting() as u64);
    match node.stores.outbox.depth().await {
        Ok(Depth { waiting, dead, oldest_due_ms }) => {
            let now_ms = node.clock.now_ms();
            let age_ms = oldest_due_ms.map_or(0, |due_ms| now_ms.saturating_sub(due_ms));
            set("picloud_deliveries_waiting", waiting);
            set("picloud_deliveries_dead", dead);
            set("picloud_deliveries_oldest_age_seconds", age_ms / 1000);
        }
        // What the database does not say is said without it.
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "the outbox could not be asked");
        }
    }
    let content_type = "text/plain; version=0.0.4; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, content_type)], node.metrics.render()))
}

/// Whether a program on this machine asks for itself: a proxy here speaks for
/// clients elsewhere.
fn is_of_this_machine(parts: &Parts) -> bool {
    let peer = parts.extensions.get::<auth::Peer>();
    peer.is_some_and(|auth::Peer(peer)| peer.ip().to_canonical().is_loopback())
        && !FORWARDED.iter().any(|name| parts.headers.contains_key(*name))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use futures_util::future::join_all;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn however_many_ask_the_database_is_asked_once_a_second() {
        let (database, pings) = (Remembered::default(), Cell::new(0));
        let ask = || {
            database.answers(async || {
                tokio::task::yield_now().await;
                pings.set(pings.get() + 1);
                pings.get() > 1
            })
        };
        assert_eq!(join_all([ask(), ask(), ask()]).await, [false; 3]);
        assert_eq!(pings.get(), 1);
        tokio::time::advance(MAX_AGE).await;
        assert_eq!(join_all([ask(), ask()]).await, [true; 2]);
        assert_eq!(pings.get(), 2);
    }
}
