//! The instance as a whole, for its admins.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use picloud_shared::outbox::Depth;
use picloud_store::Counts;
use rustix::fs::statvfs;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::problem::Problem;
use crate::node::Node;

pub(super) fn router() -> OpenApiRouter<Arc<Node>> {
    OpenApiRouter::new().routes(routes!(show))
}

/// How the instance is.
#[derive(Serialize, ToSchema)]
struct InstanceView {
    version: &'static str,
    /// Unix time, milliseconds.
    started_at_ms: u64,
    uptime_s: u64,
    /// `sqlite` or `postgresql`.
    database: &'static str,
    apps: u64,
    users: u64,
    executions: ExecutionCounts,
    deliveries: DeliveryCounts,
    /// Where the data directory is; without it if the system does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    disk: Option<Disk>,
}

/// Invocations now.
#[derive(Serialize, ToSchema)]
struct ExecutionCounts {
    running: u64,
    /// For one that runs to end.
    waiting: u64,
    /// As many as may run at one time.
    max_running: u64,
}

/// Events on their way.
#[derive(Serialize, ToSchema)]
struct DeliveryCounts {
    waiting: u64,
    dead: u64,
}

/// The file system of the data directory.
#[derive(Serialize, ToSchema)]
struct Disk {
    /// Bytes that the server may still write.
    free_bytes: u64,
    total_bytes: u64,
}

/// How the instance is: version, load, and room for data.
#[utoipa::path(
    get,
    path = "/instance",
    operation_id = "show_instance",
    tag = "instance",
    responses((status = 200, body = InstanceView)),
    security(("token" = ["instance"])),
)]
async fn show(State(node): State<Arc<Node>>) -> Result<Json<InstanceView>, Problem> {
    let Counts { apps, users } = node.stores.counts().await?;
    let Depth { waiting, dead, .. } = node.stores.outbox.depth().await?;
    let started_at_ms = node.started_at_ms;
    let data_dir = node.data_dir.clone();
    // A file system that is far away may take its time.
    let disk = tokio::task::spawn_blocking(move || statvfs(&data_dir).ok()).await;
    let disk = disk.ok().flatten().map(|found| Disk {
        free_bytes: found.f_bavail.saturating_mul(found.f_frsize),
        total_bytes: found.f_blocks.saturating_mul(found.f_frsize),
    });
    Ok(Json(InstanceView {
        version: env!("CARGO_PKG_VERSION"),
        started_at_ms,
        uptime_s: node.clock.now_ms().saturating_sub(started_at_ms) / 1000,
        database: node.stores.kind(),
        apps,
        users,
        executions: ExecutionCounts {
            running: node.executor.running() as u64,
            waiting: node.executor.waiting() as u64,
            max_running: node.max_concurrent_executions as u64,
        },
        deliveries: DeliveryCounts { waiting, dead },
        disk,
    }))
}
