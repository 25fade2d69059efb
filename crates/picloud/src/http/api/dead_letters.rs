//! Dead letters: deliveries that have failed for good, to be looked at,
//! replayed, or dropped.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use http::StatusCode;
use picloud_shared::outbox::{DeliveryId, Status};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{List, Page, Path, Query};
use crate::client::{DeadLetter, Replayed};
use crate::http::auth::OfApp;
use crate::http::body;
use crate::http::problem::Problem;
use crate::node::Node;

/// Bytes of fields that replace an event's: a value, and what it was before.
const MAX_FIELDS_BYTES: u64 = 256 * 1024;

type DeadLetterList = List<DeadLetter, DeliveryId>;

pub(super) fn router() -> OpenApiRouter<Arc<Node>> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(replay_all))
        .routes(routes!(show, discard))
        .routes(routes!(replay))
}

/// The app's dead letters, newest first.
#[utoipa::path(
    get,
    path = "/apps/{app}/dead-letters",
    operation_id = "list_dead_letters",
    tag = "dead-letters",
    params(Page),
    responses((status = 200, body = DeadLetterList)),
    security(("token" = ["read"])),
)]
async fn list(
    State(node): State<Arc<Node>>,
    OfApp(app): OfApp,
    Query(page): Query<Page>,
) -> Result<Json<DeadLetterList>, Problem> {
    let before = page.after::<DeliveryId>()?;
    let mut dead = node.stores.outbox.dead(app.id, before, page.limit() + 1).await?;
    let more = dead.len() > page.limit() as usize;
    dead.truncate(page.limit() as usize);
    let next = dead.last().filter(|_| more).map(|(_, delivery)| delivery.id);
    Ok(Json(List { items: dead.into_iter().map(DeadLetter::from).collect(), next }))
}

/// A dead letter with its event.
#[utoipa::path(
    get,
    path = "/apps/{app}/dead-letters/{id}",
    operation_id = "show_dead_letter",
    tag = "dead-letters",
    responses((status = 200, body = DeadLetter)),
    security(("token" = ["read"])),
)]
async fn show(
    State(node): State<Arc<Node>>,
    OfApp(app): OfApp,
    Path((_app, id)): Path<(String, String)>,
) -> Result<Json<DeadLetter>, Problem> {
    let id = parse(&id)?;
    let found = node.stores.outbox.delivery(app.id, id).await?;
    let dead = found.filter(|(_, delivery)| delivery.status == Status::Dead);
    Ok(Json(dead.ok_or_else(|| not_found(&id.to_string()))?.into()))
}

/// How to replay.
#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields)]
struct Replay {
    /// In place of the event's.
    #[schema(value_type = Option<Object>)]
    fields: Option<Map<String, Value>>,
}

/// Has a dead letter delivered once more, with all its attempts before it.
#[utoipa::path(
    post,
    path = "/apps/{app}/dead-letters/{id}/replay",
    operation_id = "replay_dead_letter",
    tag = "dead-letters",
    request_body = Option<Replay>,
    responses((status = 202)),
    security(("token" = ["deploy"])),
)]
async fn replay(
    State(node): State<Arc<Node>>,
    OfApp(app): OfApp,
    Path((_app, id)): Path<(String, String)>,
    request_body: Body,
) -> Result<StatusCode, Problem> {
    let id = parse(&id)?;
    let json = body::read(request_body, MAX_FIELDS_BYTES).await?;
    let invalid =
        |error: serde_json::Error| Problem::bad_request("invalid_body", error.to_string());
    let Replay { fields } = if json.is_empty() {
        Replay::default()
    } else {
        serde_json::from_slice(&json).map_err(invalid)?
    };
    let fields = fields.as_ref().map(serde_json::to_string).transpose().map_err(invalid)?;
    let now_ms = node.clock.now_ms();
    if !node.stores.outbox.replay(app.id, id, fields.as_deref(), now_ms).await? {
        return Err(not_found(&id.to_string()));
    }
    node.deliver.notify_one();
    Ok(StatusCode::ACCEPTED)
}

/// Has every dead letter delivered once more.
#[utoipa::path(
    post,
    path = "/apps/{app}/dead-letters/replay",
    operation_id = "replay_all_dead_letters",
    tag = "dead-letters",
    responses((status = 202, body = Replayed)),
    security(("token" = ["deploy"])),
)]
async fn replay_all(
    State(node): State<Arc<Node>>,
    OfApp(app): OfApp,
) -> Result<(StatusCode, Json<Replayed>), Problem> {
    let replayed = node.stores.outbox.replay_all(app.id, node.clock.now_ms()).await?;
    node.deliver.notify_one();
    Ok((StatusCode::ACCEPTED, Json(Replayed { replayed })))
}

/// Drops a dead letter.
#[utoipa::path(
    delete,
    path = "/apps/{app}/dead-letters/{id}",
    operation_id = "discard_dead_letter",
    tag = "dead-letters",
    responses((status = 204)),
    security(("token" = ["deploy"])),
)]
async fn discard(
    State(node): State<Arc<Node>>,
    OfApp(app): OfApp,
    Path((_app, id)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let id = parse(&id)?;
    if !node.stores.outbox.discard(app.id, id).await? {
        return Err(not_found(&id.to_string()));
    }
    Ok(StatusCode::NO_CONTENT)
}

fn parse(id: &str) -> Result<DeliveryId, Problem> {
    id.parse().map_err(|_| not_found(id))
}

fn not_found(id: &str) -> Problem {
    Problem::not_found(format!("there is no dead letter {id}"))
}
