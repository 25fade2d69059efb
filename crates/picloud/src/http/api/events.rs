//! Events: what happened, what it led to, and publishing from outside.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use picloud_executor_core::unit_of_work::OutboxUnit;
use picloud_shared::events::{self, Events as _};
use picloud_shared::outbox::{EventId, MAX_PAYLOAD_BYTES};
use picloud_shared::{App, AppId};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::watch;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::follow::{self, Format, Item, Source};
use super::{DEFAULT_PAGE, List, MAX_PAGE, Path, Query, outside};
use crate::client::{Event, EventDetail, Sent};
use crate::http::auth::{OfApp, Standing};
use crate::http::body;
use crate::http::problem::Problem;
use crate::node::Node;

/// Bytes of a request that sends something: the payload, and what is around it.
const MAX_SEND_BYTES: u64 = MAX_PAYLOAD_BYTES as u64 + 16 * 1024;
/// Ids of shown events that a client who follows is remembered by.
const MAX_SHOWN: usize = 4_096;

type EventList = List<Event, EventId>;

pub(super) fn router() -> OpenApiRouter<Arc<Node>> {
    OpenApiRouter::new().routes(routes!(list, publish)).routes(routes!(show))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct EventsQuery {
    /// The `next` of the page before.
    after: Option<String>,
    /// Items of a page, by default 100.
    #[param(maximum = 1000)]
    limit: Option<u32>,
    /// Whether to go on with the events to come.
    #[serde(default)]
    follow: bool,
}

/// The newest events, newest first.
///
/// With `follow` the oldest of them first and then those to come, one JSON
/// object a line, until the client goes away or the server stops. To a client
/// that accepts `text/event-stream` they are server-sent events; `Last-Event-ID`
/// goes on after one.
#[utoipa::path(
    get,
    path = "/apps/{app}/events",
    operation_id = "list_events",
    tag = "events",
    params(EventsQuery),
    responses((
        status = 200,
        content(
            (EventList = "application/json"),
            (Event = "application/x-ndjson"),
            (Event = "text/event-stream"),
        ),
    )),
    security(("token" = ["read"])),
)]
async fn list(
    State(node): State<Arc<Node>>,
    OfApp(app): OfApp,
    Query(query): Query<EventsQuery>,
    headers: HeaderMap,
    standing: Standing,
) -> Result<Response, Problem> {
    let limit = query.limit.unwrap_or(DEFAULT_PAGE).clamp(u32::from(!query.follow), MAX_PAGE);
    if query.follow {
        let (after, changes) = (follow::last_event_id(&headers), node.outbox_changes.subscribe());
        let tail = Tail { node, app: app.id, limit, after, shown: None, changes };
        return Ok(follow::response(tail, Format::of(&headers), standing.end()));
    }
    let page = super::Page { after: query.after, limit: query.limit };
    let before = page.after::<EventId>()?;
    let mut events = node.stores.outbox.list(app.id, before, limit + 1).await?;
    let more = events.len() > limit as usize;
    events.truncate(limit as usize);
    let next = events.last().filter(|_| more).map(|recorded| recorded.event.id);
    let items: Vec<_> = events.into_iter().map(Event::from).collect();
    Ok(Json(List { items, next }).into_response())
}

/// A client that follows.
struct Tail {
    node: Arc<Node>,
    app: AppId,
    /// Events to begin with: so many of the newest, or those after this one.
    limit: u32,
    after: Option<EventId>,
    /// `None` before the first look.
    shown: Option<BTreeSet<EventId>>,
    changes: watch::Receiver<()>,
}

impl Source for Tail {
    async fn changed(&mut self) -> Option<()> {
        self.changes.changed().await.ok()
    }

    /// What has not been shown. An event that is committed late, with an id
    /// before others', is among it.
    async fn take(&mut self) -> Vec<Item> {
        let newest = match self.node.stores.outbox.list(self.app, None, MAX_PAGE).await {
            Ok(newest) => newest,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "events cannot be followed now");
                return Vec::new();
            }
        };
        let is_first = self.shown.is_none();
        let shown = self.shown.get_or_insert_default();
        let skipped = match (is_first, self.after) {
            (false, _) => 0,
            (true, None) => newest.len().saturating_sub(self.limit as usize),
            (true, Some(after)) => newest.iter().filter(|one| one.event.id <= after).count(),
        };
        let mut items = Vec::new();
        for (index, recorded) in newest.into_iter().rev().enumerate() {
            let id = recorded.event.id;
            if shown.insert(id) && index >= skipped {
                items.push(Item::new(Some(id.to_string()), &Event::from(recorded)));
            }
        }
        while shown.len() > MAX_SHOWN {
            shown.pop_first();
        }
        items
    }
}

/// An event with all that began with the same cause.
#[utoipa::path(
    get,
    path = "/apps/{app}/events/{id}",
    operation_id = "show_event",
    tag = "events",
    responses((status = 200, body = EventDetail)),
    security(("token" = ["read"])),
)]
async fn show(
    State(node): State<Arc<Node>>,
    OfApp(app): OfApp,
    Path((_app, id)): Path<(String, String)>,
) -> Result<Json<EventDetail>, Problem> {
    let not_found = || Problem::not_found(format!("there is no event {id}, or no more"));
    let id: EventId = id.parse().map_err(|_| not_found())?;
    let found = node.stores.outbox.find(app.id, id).await?.ok_or_else(not_found)?;
    let tree = node.stores.outbox.tree(app.id, found.event.cause.root).await?;
    let tree = tree.into_iter().map(Event::from).collect();
    Ok(Json(EventDetail { event: found.into(), tree }))
}

/// What to publish.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Publish {
    topic: String,
    #[serde(default = "null")]
    #[schema(value_type = Value)]
    payload: Box<RawValue>,
}

fn null() -> Box<RawValue> {
    RawValue::NULL.to_owned()
}

/// Publishes as `events::publish` does; handlers are called later.
#[utoipa::path(
    post,
    path = "/apps/{app}/events",
    operation_id = "publish_event",
    tag = "events",
    request_body = Publish,
    responses((status = 202, body = Sent)),
    security(("token" = ["deploy"])),
)]
async fn publish(
    State(node): State<Arc<Node>>,
    OfApp(app): OfApp,
    request_body: Body,
) -> Result<(StatusCode, Json<Sent>), Problem> {
    let Publish { topic, payload } = read(request_body).await?;
    send(&node, &app, async |unit| {
        unit.publish(&topic, payload.get().to_owned()).await.map_err(|error| {
            let (status, code) = match &error {
                events::Error::InvalidTopic => (400, "invalid_topic"),
                events::Error::InvalidValue(_) => (400, "invalid_value"),
                events::Error::ValueTooLarge(_) => (413, "value_too_large"),
                events::Error::BudgetExceeded(_) => (413, "budget_exceeded"),
                events::Error::Unavailable(_) => return Problem::unavailable(),
            };
            Problem::new(status, code, error.to_string())
        })
    })
    .await
}

/// The JSON of a request that sends something.
pub(super) async fn read<T: serde::de::DeserializeOwned>(body: Body) -> Result<T, Problem> {
    let json = body::read(body, MAX_SEND_BYTES).await?;
    serde_json::from_slice(&json)
        .map_err(|error| Problem::bad_request("invalid_body", error.to_string()))
}

/// Sends something as a script would, and commits it.
pub(super) async fn send(
    node: &Node,
    app: &App,
    send: impl AsyncFnOnce(&OutboxUnit) -> Result<(), Problem>,
) -> Result<(StatusCode, Json<Sent>), Problem> {
    let emitter = Arc::new(outside::emitter(node, app).await?);
    let unit = OutboxUnit::new(Arc::clone(&emitter));
    send(&unit).await?;
    let sent = unit.events();
    let first = sent.first();
    let answer = Sent {
        event: first.map(|emitted| emitted.event.id),
        deliveries: first.map_or(0, |emitted| emitted.deliveries.len()),
    };
    let is_keyed = sent.iter().flat_map(|one| &one.deliveries).any(|one| one.key.is_some());
    outside::commit(node, app, &emitter, sent).await?;
    let answer = match answer.event {
        // A message with this key waits already, unless there is this one.
        Some(event) if is_keyed => {
            let found = node.stores.outbox.find(app.id, event).await?;
            if found.is_some() { answer } else { Sent { event: None, deliveries: 0 } }
        }
        _ => answer,
    };
    Ok((StatusCode::ACCEPTED, Json(answer)))
}
