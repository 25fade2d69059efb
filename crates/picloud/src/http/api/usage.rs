//! What apps have used, and how much of their limits.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use picloud_shared::owner::{Account, OwnerLimitOverrides};
use picloud_shared::usage::{Bounded, Counters, Day, MAX_DAYS, Storage};
use picloud_shared::{App, AppSlug, Limits, StoreError};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Path, Query, user_name};
use crate::client::{DayUsage, Usage};
use crate::http::auth::{By, OfApp};
use crate::http::body;
use crate::http::problem::Problem;
use crate::node::Node;

/// Days that are told of when the request does not say.
const DEFAULT_DAYS: u32 = 30;

const MAX_BODY_BYTES: u64 = 8 * 1024;

pub(super) fn router() -> OpenApiRouter<Arc<Node>> {
    OpenApiRouter::new()
        .routes(routes!(show))
        .routes(routes!(show_own))
        .routes(routes!(limits, set_limits))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct UsageQuery {
    /// How many days to tell of, today included; 30 unless it says so, 400 at
    /// most.
    days: Option<u32>,
}

impl UsageQuery {
    /// The first of the days; today is the last.
    fn from(&self, now_ms: u64) -> Day {
        Day::of(now_ms).before(self.days.unwrap_or(DEFAULT_DAYS).clamp(1, MAX_DAYS) - 1)
    }
}

/// What the app has used by day, in UTC, and how much of its quotas.
#[utoipa::path(
    get,
    path = "/apps/{app}/usage",
    operation_id = "show_usage",
    tag = "usage",
    params(UsageQuery),
    responses((status = 200, body = Usage)),
    security(("token" = ["read"])),
)]
async fn show(
    State(node): State<Arc<Node>>,
    OfApp(app): OfApp,
    Query(query): Query<UsageQuery>,
) -> Result<Json<Usage>, Problem> {
    node.usage.flush().await?;
    let from = query.from(node.clock.now_ms());
    let used = node.stores.usage.days(&[app.id], from).await?;
    let days = used.into_iter().map(|used| DayUsage { day: used.day, counters: used.counters });
    Ok(Json(Usage::new(from, days.collect(), bounded(&node, &app).await?)))
}

/// What all apps of which you are an owner have used together, by day in UTC,
/// and how much of your limits. The token of the instance has no apps.
#[utoipa::path(
    get,
    path = "/usage",
    operation_id = "show_own_usage",
    tag = "usage",
    params(UsageQuery),
    responses((status = 200, body = Usage)),
    security(("token" = ["user"])),
)]
async fn show_own(
    State(node): State<Arc<Node>>,
    By(caller): By,
    Query(query): Query<UsageQuery>,
) -> Result<Json<Usage>, Problem> {
    let now_ms = node.clock.now_ms();
    let (from, today) = (query.from(now_ms), Day::of(now_ms));
    let Some(user) = caller.user() else {
        return Ok(Json(Usage::new(from, Vec::new(), Vec::new())));
    };
    let account = node.stores.owners.account(user.id).await?;
    let Account { limits, apps, .. } =
        account.ok_or_else(|| Problem::not_found("your account is gone"))?;
    node.usage.flush().await?;
    let mut days = BTreeMap::<Day, Counters>::new();
    for used in node.stores.usage.days(&apps, from).await? {
        *days.entry(used.day).or_default() += used.counters;
    }
    let mut kept = Storage::default();
    for (_, storage) in node.stores.usage.storage(&apps).await? {
        kept += storage;
    }
    let used_today = days.get(&today).copied().unwrap_or_default();
    let bounded = limits.bounded(apps.len() as u64, &kept, &used_today);
    let days = days.into_iter().map(|(day, counters)| DayUsage { day, counters });
    Ok(Json(Usage::new(from, days.collect(), bounded)))
}

/// A user's departures from the default limits of owners.
#[utoipa::path(
    get,
    path = "/users/{user}/limits",
    operation_id = "show_user_limits",
    tag = "usage",
    responses((status = 200, body = OwnerLimitOverrides)),
    security(("token" = ["instance"])),
)]
async fn limits(
    State(node): State<Arc<Node>>,
    Path(user): Path<String>,
) -> Result<Json<OwnerLimitOverrides>, Problem> {
    let user = node.accounts.user(&user_name(&user)?).await?;
    Ok(Json(node.stores.owners.limits(user.id).await?.unwrap_or_default()))
}

/// Sets what the apps of a user may use together: departures from the default
/// limits of owners, in place of all that there were.
#[utoipa::path(
    put,
    path = "/users/{user}/limits",
    operation_id = "set_user_limits",
    tag = "usage",
    request_body = OwnerLimitOverrides,
    responses((status = 200, body = OwnerLimitOverrides)),
    security(("token" = ["instance"])),
)]
async fn set_limits(
    State(node): State<Arc<Node>>,
    Path(user): Path<String>,
    request_body: Body,
) -> Result<Json<OwnerLimitOverrides>, Problem> {
    let limits: OwnerLimitOverrides = body::json(request_body, MAX_BODY_BYTES).await?;
    let user = node.accounts.user(&user_name(&user)?).await?;
    node.stores.owners.set_limits(user.id, &limits).await?;
    node.owners.forget();
    Ok(Json(limits))
}

/// What the app keeps, beside its limits.
async fn bounded(node: &Node, app: &App) -> Result<Vec<Bounded>, StoreError> {
    let limits = Limits::default().with(&app.limits);
    let storage = node.stores.usage.storage(&[app.id]).await?.pop();
    Ok(storage.map(|(_, storage)| storage.bounded(&limits)).unwrap_or_default())
}

/// What to say of the app's limits after a change. Not to know it is no failure
/// of that.
pub(super) async fn warnings(node: &Node, app: &AppSlug) -> Vec<String> {
    let bounded = async {
        let app = node.manager.app(app).await.map_err(StoreError::unavailable)?;
        bounded(node, &app).await
    };
    match bounded.await {
        Ok(bounded) => bounded.iter().filter_map(Bounded::warning).collect(),
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "what an app keeps is not known");
            Vec::new()
        }
    }
}
