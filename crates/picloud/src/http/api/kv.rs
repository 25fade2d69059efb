//! An app's KV, from outside. A write goes through the same unit of work as a
//! script's, so the same rules hold.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use http::StatusCode;
use picloud_executor_core::unit_of_work::{KvUnit, Quota};
use picloud_shared::kv::{self, Collection, Key, Kv, Range};
use picloud_shared::{App, Limits, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{List, Page, Path, Query, outside, page_of};
use crate::http::auth::OfApp;
use crate::http::body;
use crate::http::problem::Problem;
use crate::node::Node;

type CollectionList = List<CollectionView>;
type EntryList = List<EntryView>;

pub(super) fn router() -> OpenApiRouter<Arc<Node>> {
    OpenApiRouter::new()
        .routes(routes!(collections))
        .routes(routes!(list))
        .routes(routes!(show, set, delete))
}

/// A collection, and how many entries it has.
#[derive(Serialize, ToSchema)]
struct CollectionView {
    collection: String,
    entries: u64,
}

/// The app's collections, by name.
#[utoipa::path(
    get,
    path = "/apps/{app}/kv",
    operation_id = "list_collections",
    tag = "kv",
    params(Page),
    responses((status = 200, body = CollectionList)),
    security(("token" = ["read"])),
)]
async fn collections(
    State(node): State<Arc<Node>>,
    OfApp(app): OfApp,
    Query(page): Query<Page>,
) -> Result<Json<CollectionList>, Problem> {
    let collections = node.stores.kv.collections(app.id, node.clock.now_ms()).await?;
    let view = |(collection, entries): (Collection, u64)| CollectionView {
        collection: collection.to_string(),
        entries,
    };
    let collections = collections.into_iter().map(view).collect();
    let (items, next) = page_of(collections, &page, |one: &CollectionView| &one.collection);
    Ok(Json(List { items, next }))
}

/// An entry of a collection.
#[derive(Serialize, ToSchema)]
struct EntryView {
    key: String,
    #[schema(value_type = Value)]
    value: Box<RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    /// When it ceases to exist: Unix time, milliseconds.
    expires_at_ms: Option<u64>,
}

impl EntryView {
    fn new(key: &Key, entry: kv::Entry) -> Result<Self, Problem> {
        let value = RawValue::from_string(entry.value).map_err(|error| {
            tracing::error!(%error, "a stored value is not JSON");
            Problem::host_fault()
        })?;
        Ok(Self { key: key.to_string(), value, expires_at_ms: entry.expires_at_ms })
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    /// Only keys that begin with this.
    #[serde(default)]
    prefix: String,
    /// The `next` of the page before.
    after: Option<String>,
    /// Items of a page, by default 100.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// A collection's entries, in the order of their keys.
///
/// A page of large values ends before `limit`: go by `next`.
#[utoipa::path(
    get,
    path = "/apps/{app}/kv/{collection}",
    operation_id = "list_entries",
    tag = "kv",
    params(ListQuery),
    responses((status = 200, body = EntryList)),
    security(("token" = ["read"])),
)]
async fn list(
    State(node): State<Arc<Node>>,
    OfApp(app): OfApp,
    Path((_app, collection)): Path<(String, String)>,
    Query(query): Query<ListQuery>,
) -> Result<Json<EntryList>, Problem> {
    let collection: Collection = collection.parse().map_err(problem)?;
    let limit = query.limit.unwrap_or(super::DEFAULT_PAGE).clamp(1, kv::MAX_PAGE);
    let range = Range { prefix: &query.prefix, after: query.after.as_deref(), limit };
    let listed = node.stores.kv.list(app.id, &collection, range, node.clock.now_ms()).await?;
    let next = listed.entries.last().filter(|_| listed.more).map(|(key, _)| key.to_string());
    let items = listed.entries.into_iter().map(|(key, entry)| EntryView::new(&key, entry));
    Ok(Json(List { items: items.collect::<Result<_, _>>()?, next }))
}

/// An entry.
#[utoipa::path(
    get,
    path = "/apps/{app}/kv/{collection}/{*key}",
    operation_id = "show_entry",
    tag = "kv",
    responses((status = 200, body = EntryView)),
    security(("token" = ["read"])),
)]
async fn show(
    State(node): State<Arc<Node>>,
    OfApp(app): OfApp,
    Path((_app, collection, key)): Path<(String, String, String)>,
) -> Result<Json<EntryView>, Problem> {
    let collection = collection.parse().map_err(problem)?;
    let key: Key = key.parse().map_err(problem)?;
    let entry = node.stores.kv.get(app.id, &collection, &key, node.clock.now_ms()).await?;
    let entry = entry.ok_or_else(|| Problem::not_found("there is no such entry"))?;
    Ok(Json(EntryView::new(&key, entry)?))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct SetQuery {
    /// Seconds after which the entry ceases to exist.
    ttl: Option<u64>,
}

/// Writes an entry; the body is its value.
#[utoipa::path(
    put,
    path = "/apps/{app}/kv/{collection}/{*key}",
    operation_id = "set_entry",
    tag = "kv",
    params(SetQuery),
    request_body = Value,
    responses((status = 204)),
    security(("token" = ["deploy"])),
)]
async fn set(
    State(node): State<Arc<Node>>,
    OfApp(app): OfApp,
    Path((_app, collection, key)): Path<(String, String, String)>,
    Query(query): Query<SetQuery>,
    request_body: Body,
) -> Result<StatusCode, Problem> {
    let value = body::read(request_body, kv::MAX_VALUE_BYTES as u64).await?;
    let value = String::from_utf8(value.into())
        .map_err(|_| Problem::bad_request("invalid_value", "the value is not UTF-8"))?;
    for _ in 0..outside::ATTEMPTS {
        let unit = kv_unit(&node, &app);
        unit.set(&collection, &key, value.clone(), query.ttl).await.map_err(problem)?;
        if outside::commit_units(&node, &app, Some(&unit), None).await? {
            return Ok(StatusCode::NO_CONTENT);
        }
    }
    Err(StoreError::Conflict.into())
}

/// Deletes an entry.
#[utoipa::path(
    delete,
    path = "/apps/{app}/kv/{collection}/{*key}",
    operation_id = "delete_entry",
    tag = "kv",
    responses((status = 204)),
    security(("token" = ["deploy"])),
)]
async fn delete(
    State(node): State<Arc<Node>>,
    OfApp(app): OfApp,
    Path((_app, collection, key)): Path<(String, String, String)>,
) -> Result<StatusCode, Problem> {
    for _ in 0..outside::ATTEMPTS {
        let unit = kv_unit(&node, &app);
        if !unit.delete(&collection, &key).await.map_err(problem)? {
            return Err(Problem::not_found("there is no such entry"));
        }
        if outside::commit_units(&node, &app, Some(&unit), None).await? {
            return Ok(StatusCode::NO_CONTENT);
        }
    }
    Err(StoreError::Conflict.into())
}

fn kv_unit(node: &Node, app: &App) -> KvUnit {
    let limits = Limits::default().with(&app.limits);
    let quota = Quota { max_bytes: limits.kv_bytes, used_bytes: None };
    let store = Arc::clone(&node.stores.kv);
    KvUnit::new(app.id, store, node.clock.now_ms(), &limits, quota)
}

/// Consumed, so that it can be passed to `map_err`.
#[expect(clippy::needless_pass_by_value, reason = "the shape that `map_err` wants")]
fn problem(error: kv::Error) -> Problem {
    let (status, code) = match &error {
        kv::Error::InvalidCollection => (400, "invalid_collection"),
        kv::Error::InvalidKey => (400, "invalid_key"),
        kv::Error::InvalidValue(_) => (400, "invalid_value"),
        kv::Error::ValueTooLarge(_) => (413, "value_too_large"),
        kv::Error::QuotaExceeded => (507, "quota_exceeded"),
        kv::Error::BudgetExceeded(_) => (413, "budget_exceeded"),
        kv::Error::Unavailable(source) => {
            let source = source as &dyn std::error::Error;
            tracing::error!(error = source, "the database failed");
            return Problem::unavailable();
        }
    };
    Problem::new(status, code, error.to_string())
}
