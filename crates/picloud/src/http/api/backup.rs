//! A backup of the instance.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::problem::Problem;
use crate::node::Node;

pub(super) fn router() -> OpenApiRouter<Arc<Node>> {
    OpenApiRouter::new().routes(routes!(create))
}

/// Everything that the instance has, as it is at this moment.
///
/// It is not GET, so that it cannot be fetched by a link and stands in the
/// audit log. An answer that breaks off is no backup.
#[utoipa::path(
    post,
    path = "/backup",
    operation_id = "create_backup",
    tag = "backup",
    responses((status = 200, body = [u8], content_type = "application/gzip")),
    security(("token" = ["instance"])),
)]
async fn create(State(node): State<Arc<Node>>) -> Result<Response, Problem> {
    // What has ended by now is in it.
    node.recorder.flush().await;
    let now_ms = node.clock.now_ms();
    let backup = node.backups.begin(now_ms, node.vault.fingerprint());
    let backup = backup.ok_or_else(|| Problem::instance_busy("another backup is being made"))?;
    let headers = [
        (header::CONTENT_TYPE, "application/gzip".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"picloud-{now_ms}.backup\"")),
    ];
    Ok((headers, Body::from_stream(backup)).into_response())
}
