//! What is different between two releases.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use picloud_manager_core::Diff;
use picloud_shared::ReleaseNumber;
use serde::Deserialize;
use tokio::sync::Semaphore;
use utoipa::IntoParams;

use crate::http::api::{Path, Query};
use crate::http::auth::OfApp;
use crate::http::problem::Problem;
use crate::node::Node;

/// Comparing takes two releases' memory and up to a second: one at a time.
static TURN: Semaphore = Semaphore::const_new(1);

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct DiffQuery {
    /// The release to start from; without it, the active one.
    from: Option<i64>,
}

/// What is different from another release.
#[utoipa::path(
    get,
    path = "/apps/{app}/releases/{number}/diff",
    operation_id = "diff_release",
    tag = "releases",
    params(DiffQuery),
    responses((status = 200, body = Diff)),
    security(("token" = ["read"])),
)]
pub(super) async fn diff(
    State(node): State<Arc<Node>>,
    OfApp(app): OfApp,
    Path((_app, number)): Path<(String, i64)>,
    Query(query): Query<DiffQuery>,
) -> Result<Json<Diff>, Problem> {
    let turn = TURN.acquire().await.map_err(|_closed| Problem::host_fault())?;
    let from = query.from.map(ReleaseNumber);
    let (from, to) = node.manager.snapshots(&app, from, ReleaseNumber(number)).await?;
    let compared = tokio::task::spawn_blocking(move || {
        // Until it is done, though the client may have hung up.
        let _turn = turn;
        Diff::of(&from, &to)
    });
    Ok(Json(compared.await.map_err(|_panic| Problem::host_fault())?))
}
