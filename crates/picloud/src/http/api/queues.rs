//! Queues: how full they are, and sending from outside.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use http::StatusCode;
use picloud_shared::queue::{self, SendOptions};
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::events::{read, send};
use super::{List, Page, Path, Query, page_of};
use crate::client::{Queue, Sent};
use crate::http::auth::OfApp;
use crate::http::problem::Problem;
use crate::node::Node;

type QueueList = List<Queue>;

pub(super) fn router() -> OpenApiRouter<Arc<Node>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(send_message))
}

/// The queues that hold anything, by name.
#[utoipa::path(
    get,
    path = "/apps/{app}/queues",
    operation_id = "list_queues",
    tag = "queues",
    params(Page),
    responses((status = 200, body = QueueList)),
    security(("token" = ["read"])),
)]
async fn list(
    State(node): State<Arc<Node>>,
    OfApp(app): OfApp,
    Query(page): Query<Page>,
) -> Result<Json<QueueList>, Problem> {
    let queues = node.stores.outbox.queues(app.id).await?;
    let queues = queues.into_iter().map(Queue::from).collect();
    let (items, next) = page_of(queues, &page, |one: &Queue| &one.queue);
    Ok(Json(List { items, next }))
}

/// A message to send.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Message {
    #[schema(value_type = Value)]
    payload: Box<RawValue>,
    /// Seconds until it may be handled.
    #[serde(default)]
    delay: u64,
    /// While a message with this key waits or runs, another one is not sent.
    key: Option<String>,
}

/// Sends as `queue::named(…).send` does; the message is handled later.
#[utoipa::path(
    post,
    path = "/apps/{app}/queues/{queue}",
    operation_id = "send_message",
    tag = "queues",
    request_body = Message,
    responses((status = 202, body = Sent)),
    security(("token" = ["deploy"])),
)]
async fn send_message(
    State(node): State<Arc<Node>>,
    OfApp(app): OfApp,
    Path((_app, name)): Path<(String, String)>,
    request_body: Body,
) -> Result<(StatusCode, Json<Sent>), Problem> {
    let Message { payload, delay, key } = read(request_body).await?;
    let options = SendOptions { delay_s: delay, key };
    send(&node, &app, async |unit| {
        let sent = queue::Queue::send(unit, &name, payload.get().to_owned(), options).await;
        sent.map_err(|error| {
            let (status, code) = match &error {
                queue::Error::InvalidName => (400, "invalid_name"),
                queue::Error::InvalidKey => (400, "invalid_key"),
                queue::Error::InvalidValue(_) => (400, "invalid_value"),
                queue::Error::InvalidDelay(_) => (400, "invalid_delay"),
                queue::Error::ValueTooLarge(_) => (413, "value_too_large"),
                queue::Error::BudgetExceeded(_) => (413, "budget_exceeded"),
                queue::Error::NoConsumer(_) => (409, "no_consumer"),
                queue::Error::Unavailable(_) => return Problem::unavailable(),
            };
            Problem::new(status, code, error.to_string())
        })
    })
    .await
}
