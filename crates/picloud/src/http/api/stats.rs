//! How an app has done, for charts.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use picloud_shared::execution::{Bucket, StatsQuery};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Query;
use crate::http::auth::OfApp;
use crate::http::problem::Problem;
use crate::node::Node;

const DEFAULT_LENGTH_MS: u64 = 24 * 3600 * 1000;
/// Buckets when the request does not say how long one is.
const DEFAULT_BUCKETS: u64 = 96;

pub(super) fn router() -> OpenApiRouter<Arc<Node>> {
    OpenApiRouter::new().routes(routes!(show))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct StatsParams {
    /// Where to begin, Unix time in milliseconds; a day before `until_ms`
    /// unless it says so.
    from_ms: Option<u64>,
    /// Where to end, Unix time in milliseconds; now unless it says so.
    until_ms: Option<u64>,
    /// Milliseconds of a bucket; 96 buckets in all unless it says so, 500 at
    /// most.
    #[param(minimum = 1)]
    step_ms: Option<u64>,
}

impl StatsParams {
    fn query(&self, now_ms: u64) -> Result<StatsQuery, Problem> {
        // What begins now belongs to it.
        let until_ms = self.until_ms.unwrap_or(now_ms.saturating_add(1));
        let from_ms = self.from_ms.unwrap_or(until_ms.saturating_sub(DEFAULT_LENGTH_MS));
        let step_ms = self
            .step_ms
            .unwrap_or_else(|| until_ms.saturating_sub(from_ms).div_ceil(DEFAULT_BUCKETS).max(1));
        StatsQuery::new(from_ms, until_ms, step_ms)
            .map_err(|error| Problem::bad_request("invalid_query", error.to_string()))
    }
}

/// What an app has done, by time.
#[derive(Serialize, ToSchema)]
struct Stats {
    /// Milliseconds of a bucket.
    step_ms: u64,
    /// Oldest first, without a gap.
    buckets: Vec<Bucket>,
}

/// The app's requests, errors, durations and fuel in equal stretches of time.
///
/// They are made of the executions on record, so they reach back as far as
/// those do.
#[utoipa::path(
    get,
    path = "/apps/{app}/stats",
    operation_id = "show_stats",
    tag = "executions",
    params(StatsParams),
    responses((status = 200, body = Stats)),
    security(("token" = ["read"])),
)]
async fn show(
    State(node): State<Arc<Node>>,
    OfApp(app): OfApp,
    Query(params): Query<StatsParams>,
) -> Result<Json<Stats>, Problem> {
    let query = params.query(node.clock.now_ms())?;
    // What has answered already is to be counted.
    node.recorder.flush().await;
    let found = node.stores.executions.stats(app.id, &query).await?;
    Ok(Json(Stats { step_ms: query.step_ms, buckets: query.fill(found) }))
}
