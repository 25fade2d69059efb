//! The control plane, `/api/v1`.

mod apps;
mod audit;
mod backup;
mod bundles;
mod change;
mod check;
mod conditions;
mod dead_letters;
mod document;
mod domains;
mod events;
mod executions;
mod files;
mod follow;
mod instance;
mod invites;
mod invoke;
mod kv;
mod logs;
mod manifest;
mod members;
mod outside;
mod policy;
mod queues;
mod releases;
mod schedules;
mod scripts;
mod sdk;
mod secrets;
mod session;
mod stats;
mod tokens;
mod usage;
mod users;

use std::sync::Arc;

use axum::Router;
use axum::extract::FromRequestParts;
use axum::middleware::from_fn_with_state;
use http::request::Parts;
use picloud_shared::{AppSlug, UserName};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;

use self::change::change;
pub use self::check::Checks;
pub(super) use self::document::document;
pub(super) use self::policy::{Policy, Rule};
use super::auth::{self, Gatekeeper};
use super::problem::Problem;
use crate::node::Node;

/// Items of one page when the request does not say.
const DEFAULT_PAGE: u32 = 100;
const MAX_PAGE: u32 = 1_000;

/// Where the API is on the control host.
pub(super) const PREFIX: &str = "/api/v1";

pub(super) fn router(node: Arc<Node>) -> Router<Arc<Node>> {
    let gatekeeper = Arc::new(Gatekeeper { node, policy: Policy::new() });
    let api = Router::from(routes())
        .fallback(async || Problem::not_found("the API has no such path"))
        .method_not_allowed_fallback(async || {
            Problem::new(405, "method_not_allowed", "the API has this path, but not this method")
        })
        // The bodies' limits are each endpoint's own.
        .layer(axum::extract::DefaultBodyLimit::disable())
        .layer(from_fn_with_state(gatekeeper, auth::authorize));
    Router::new().nest(PREFIX, api)
}

/// Every operation, with what it says of itself.
fn routes() -> OpenApiRouter<Arc<Node>> {
    OpenApiRouter::new()
        .merge(apps::router())
        .merge(scripts::router())
        .merge(releases::router())
        .merge(check::router())
        .merge(executions::router())
        .merge(files::router())
        .merge(manifest::router())
        .merge(instance::router())
        .merge(logs::router())
        .merge(kv::router())
        .merge(secrets::router())
        .merge(domains::router())
        .merge(events::router())
        .merge(queues::router())
        .merge(dead_letters::router())
        .merge(schedules::router())
        .merge(invoke::router())
        .merge(members::router())
        .merge(session::router())
        .merge(tokens::router())
        .merge(users::router())
        .merge(invites::router())
        .merge(audit::router())
        .merge(stats::router())
        .merge(usage::router())
        .merge(backup::router())
        .merge(bundles::router())
        .merge(sdk::router())
        .merge(document::router())
}

/// A list's answer. Handlers name it by an alias, whose schema is one of the
/// document's own; generic arguments would be written out in it.
#[derive(serde::Serialize)]
struct List<T, C = String> {
    items: Vec<T>,
    /// To be passed as `after`; `null` on the last page.
    next: Option<C>,
}

/// `?after=…&limit=…`
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Page {
    /// The `next` of the page before.
    after: Option<String>,
    /// Items of a page, by default 100.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

impl Page {
    fn limit(&self) -> u32 {
        self.limit.unwrap_or(DEFAULT_PAGE).clamp(1, MAX_PAGE)
    }

    /// The cursor, parsed as what it is a cursor of.
    fn after<T: std::str::FromStr>(&self) -> Result<Option<T>, Problem> {
        let parsed = self.after.as_deref().map(str::parse).transpose();
        parsed.map_err(|_| {
            Problem::bad_request("invalid_cursor", "`after` is not a cursor of this list")
        })
    }
}

/// The page of items that are all at hand, in the order of their names, and
/// the `next` of it.
fn page_of<T>(
    mut items: Vec<T>,
    page: &Page,
    name: impl Fn(&T) -> &String,
) -> (Vec<T>, Option<String>) {
    items.sort_by(|a, b| name(a).cmp(name(b)));
    if let Some(after) = &page.after {
        items.retain(|item| name(item) > after);
    }
    let more = items.len() > page.limit() as usize;
    items.truncate(page.limit() as usize);
    let next = items.last().filter(|_| more).map(|item| name(item).clone());
    (items, next)
}

/// The path's parameters, with our own errors.
struct Path<T>(T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = axum::extract::Path::<T>::from_request_parts(parts, state).await;
        path.map(|axum::extract::Path(value)| Self(value))
            .map_err(|error| Problem::bad_request("invalid_path", error.body_text()))
    }
}

/// The query's parameters, with our own errors.
struct Query<T>(T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = axum::extract::Query::<T>::from_request_parts(parts, state).await;
        query
            .map(|axum::extract::Query(value)| Self(value))
            .map_err(|error| Problem::bad_request("invalid_query", error.body_text()))
    }
}

/// A user's name, as it comes in a path.
fn user_name(text: &str) -> Result<UserName, Problem> {
    text.parse().map_err(|error: picloud_shared::user::InvalidUserName| {
        Problem::bad_request("invalid_name", error.to_string())
    })
}

/// An app's name, as it comes in a path.
pub(super) fn slug(text: &str) -> Result<AppSlug, Problem> {
    text.parse().map_err(|error: picloud_shared::id::InvalidSlug| {
        Problem::bad_request("invalid_name", error.to_string())
    })
}
