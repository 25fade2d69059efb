//! Queues: how full they are, and sending from outside.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use picloud_shared::queue::{self, SendOptions};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::events::{read, send};
use super::{List, Path, slug};
use crate::client::{Queue, Sent};
use crate::http::problem::Problem;
use crate::node::Node;

pub(super) fn router() -> Router<Arc<Node>> {
    Router::new()
        .route("/apps/{app}/queues", get(list))
        .route("/apps/{app}/queues/{queue}", post(send_message))
}

async fn list(
    State(node): State<Arc<Node>>,
    Path(app): Path<String>,
) -> Result<Json<List<Queue>>, Problem> {
    let app = node.manager.app(&slug(&app)?).await?;
    let queues = node.stores.outbox.queues(app.id).await?;
    Ok(Json(List { items: queues.into_iter().map(Queue::from).collect(), next: None }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Message {
    payload: Box<RawValue>,
    /// Seconds.
    #[serde(default)]
    delay: u64,
    key: Option<String>,
}

/// Sends as `queue::named(…).send` does. Answers 202: it is handled later.
async fn send_message(
    State(node): State<Arc<Node>>,
    Path((app, name)): Path<(String, String)>,
    request_body: Body,
) -> Result<(StatusCode, Json<Sent>), Problem> {
    let app = node.manager.app(&slug(&app)?).await?;
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
