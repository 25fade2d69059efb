//! An app's KV, from outside. A write goes through the same unit of work as a
//! script's, so the same rules hold.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use picloud_executor_core::OutsideChange;
use picloud_executor_core::unit_of_work::{KvUnit, Quota};
use picloud_shared::kv::{self, Collection, Key, Kv, Range};
use picloud_shared::{App, Limits, Outcome, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{List, Path, Query, outside, slug};
use crate::http::body;
use crate::http::problem::Problem;
use crate::node::Node;

/// How often a write is tried that others keep changing.
const ATTEMPTS: u32 = 8;

pub(super) fn router() -> Router<Arc<Node>> {
    Router::new()
        .route("/apps/{app}/kv", get(collections))
        .route("/apps/{app}/kv/{collection}", get(list))
        .route("/apps/{app}/kv/{collection}/{*key}", get(show).put(set).delete(delete))
}

#[derive(Serialize)]
struct CollectionView {
    collection: String,
    entries: u64,
}

async fn collections(
    State(node): State<Arc<Node>>,
    Path(app): Path<String>,
) -> Result<Json<List<CollectionView>>, Problem> {
    let app = node.manager.app(&slug(&app)?).await?;
    let collections = node.stores.kv.collections(app.id, node.clock.now_ms()).await?;
    let view = |(collection, entries): (Collection, u64)| CollectionView {
        collection: collection.to_string(),
        entries,
    };
    Ok(Json(List { items: collections.into_iter().map(view).collect(), next: None }))
}

#[derive(Serialize)]
struct EntryView {
    key: String,
    value: Box<RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    #[serde(default)]
    prefix: String,
    after: Option<String>,
    limit: Option<u32>,
}

async fn list(
    State(node): State<Arc<Node>>,
    Path((app, collection)): Path<(String, String)>,
    Query(query): Query<ListQuery>,
) -> Result<Json<List<EntryView>>, Problem> {
    let app = node.manager.app(&slug(&app)?).await?;
    let collection: Collection = collection.parse().map_err(problem)?;
    let limit = query.limit.unwrap_or(super::DEFAULT_PAGE).clamp(1, kv::MAX_PAGE);
    let range = Range { prefix: &query.prefix, after: query.after.as_deref(), limit };
    let listed = node.stores.kv.list(app.id, &collection, range, node.clock.now_ms()).await?;
    let next = listed.entries.last().filter(|_| listed.more).map(|(key, _)| key.to_string());
    let items = listed.entries.into_iter().map(|(key, entry)| EntryView::new(&key, entry));
    Ok(Json(List { items: items.collect::<Result<_, _>>()?, next }))
}

async fn show(
    State(node): State<Arc<Node>>,
    Path((app, collection, key)): Path<(String, String, String)>,
) -> Result<Json<EntryView>, Problem> {
    let app = node.manager.app(&slug(&app)?).await?;
    let collection = collection.parse().map_err(problem)?;
    let key: Key = key.parse().map_err(problem)?;
    let entry = node.stores.kv.get(app.id, &collection, &key, node.clock.now_ms()).await?;
    let entry = entry.ok_or_else(|| Problem::not_found("there is no such entry"))?;
    Ok(Json(EntryView::new(&key, entry)?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetQuery {
    /// Seconds.
    ttl: Option<u64>,
}

async fn set(
    State(node): State<Arc<Node>>,
    Path((app, collection, key)): Path<(String, String, String)>,
    Query(query): Query<SetQuery>,
    request_body: Body,
) -> Result<StatusCode, Problem> {
    let app = node.manager.app(&slug(&app)?).await?;
    let value = body::read(request_body, kv::MAX_VALUE_BYTES as u64).await?;
    let value = String::from_utf8(value.into())
        .map_err(|_| Problem::bad_request("invalid_value", "the value is not UTF-8"))?;
    for _ in 0..ATTEMPTS {
        let unit = kv_unit(&node, &app);
        unit.set(&collection, &key, value.clone(), query.ttl).await.map_err(problem)?;
        if commit(&node, &app, &unit).await? {
            return Ok(StatusCode::NO_CONTENT);
        }
    }
    Err(StoreError::Conflict.into())
}

async fn delete(
    State(node): State<Arc<Node>>,
    Path((app, collection, key)): Path<(String, String, String)>,
) -> Result<StatusCode, Problem> {
    let app = node.manager.app(&slug(&app)?).await?;
    for _ in 0..ATTEMPTS {
        let unit = kv_unit(&node, &app);
        if !unit.delete(&collection, &key).await.map_err(problem)? {
            return Err(Problem::not_found("there is no such entry"));
        }
        if commit(&node, &app, &unit).await? {
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

/// Whether it is committed; not if others changed the same things meanwhile.
async fn commit(node: &Node, app: &App, unit: &KvUnit) -> Result<bool, Problem> {
    let limits = Limits::default().with(&app.limits);
    let emitter = outside::emitter(node, &app.slug).await?;
    let change = OutsideChange {
        app: app.id,
        limits: &limits,
        emitter: &emitter,
        kv: Some(unit),
        sent: vec![],
    };
    match node.executor.commit_outside(change).await {
        Ok(()) => Ok(true),
        Err(Outcome::Conflict) => Ok(false),
        Err(outcome) => Err(outside::problem(&outcome)),
    }
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
