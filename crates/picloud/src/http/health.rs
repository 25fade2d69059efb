//! Whether the server lives, whether it should get requests, and its metrics.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::get;
use http::{StatusCode, header};

use crate::node::Node;

pub(super) fn router() -> Router<Arc<Node>> {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
}

/// 200 while the database answers and the server has not been told to stop.
async fn readyz(State(node): State<Arc<Node>>) -> (StatusCode, &'static str) {
    if node.is_stopping() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n");
    }
    match node.stores.ping().await {
        Ok(()) => (StatusCode::OK, "ready\n"),
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "the database is unavailable");
            (StatusCode::SERVICE_UNAVAILABLE, "the database is unavailable\n")
        }
    }
}

/// Prometheus' text format.
async fn metrics(State(node): State<Arc<Node>>) -> impl IntoResponse {
    let stats = node.sandbox.stats();
    #[expect(clippy::cast_precision_loss, reason = "a gauge of small counts")]
    let set = |name, value: u64| metrics::gauge!(name).set(value as f64);
    set("picloud_sandbox_instances", stats.instances);
    set("picloud_sandbox_memories", stats.memories);
    set("picloud_sandbox_stacks", stats.stacks);
    set("picloud_sandbox_images", stats.images);
    set("picloud_executions_running", node.executor.running() as u64);
    let content_type = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, content_type)], node.metrics.render())
}
