//! Events, deliveries, queues and schedules, as the control plane tells of them.

use picloud_shared::outbox::{self, Cause, DeliveryId, EventId, QueueState, Recorded, Status};
use picloud_shared::schedule::{Schedule, ScheduleState};
use picloud_shared::{EventType, ExecutionId, ScriptError};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

/// Runs of a schedule that are told in advance.
pub const UPCOMING: usize = 5;

/// Something that happened, and what became of it.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Event {
    pub id: EventId,
    /// `kv.set`, …
    #[schema(value_type = String)]
    pub on: EventType,
    pub fields: Value,
    pub at_ms: u64,
    /// What began it all: an execution or an event.
    pub root: Uuid,
    /// The event whose handler did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<EventId>,
    pub depth: u32,
    /// The execution that did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution: Option<ExecutionId>,
    pub deliveries: Vec<Delivery>,
}

/// One event for one handler.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Delivery {
    pub id: DeliveryId,
    pub handler: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    pub status: Status,
    /// When it is due, or its lease ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at_ms: Option<u64>,
    pub attempts: u32,
    pub max_attempts: u32,
    /// Why the last run failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ScriptError>,
    /// In place of the event's, where somebody has changed them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fields: Option<Value>,
}

/// An event with all that began with the same cause, itself included, a cause
/// before its effects.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct EventDetail {
    #[serde(flatten)]
    pub event: Event,
    pub tree: Vec<Event>,
}

/// A delivery that has failed for good, with its event.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct DeadLetter {
    #[serde(flatten)]
    pub delivery: Delivery,
    pub event: Event,
}

/// What was sent.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
pub struct Sent {
    /// The event; `None` if no trigger asks for it, or a message with the same
    /// key waits already.
    pub event: Option<EventId>,
    /// How many handlers will be called.
    pub deliveries: usize,
}

/// How many dead letters are delivered once more.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
pub struct Replayed {
    pub replayed: u64,
}

/// How a queue stands.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Queue {
    pub queue: String,
    pub waiting: u64,
    pub running: u64,
    pub dead: u64,
    /// When the first that waits was due, or will be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_due_ms: Option<u64>,
}

/// How a schedule of the active release stands.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct ScheduleInfo {
    pub name: String,
    pub cron: String,
    pub timezone: String,
    pub handler: String,
    pub paused: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_fire_ms: Option<u64>,
    /// The next runs; none while it is paused.
    pub upcoming_ms: Vec<u64>,
}

impl From<Recorded> for Event {
    fn from(Recorded { event, deliveries }: Recorded) -> Self {
        let outbox::Event { id, on, fields, at_ms, cause, execution } = event;
        let Cause { root, parent, depth } = cause;
        let deliveries = deliveries.into_iter().map(Delivery::from).collect();
        Self { id, on, fields: json(&fields), at_ms, root, parent, depth, execution, deliveries }
    }
}

impl From<outbox::Delivery> for Delivery {
    fn from(delivery: outbox::Delivery) -> Self {
        Self {
            id: delivery.id,
            handler: delivery.handler,
            queue: Some(delivery.queue).filter(|queue| !queue.is_empty()),
            status: delivery.status,
            due_at_ms: delivery.due_at_ms,
            attempts: delivery.attempts,
            max_attempts: delivery.max_attempts,
            error: delivery.error,
            fields: delivery.fields.as_deref().map(json),
        }
    }
}

impl From<(outbox::Event, outbox::Delivery)> for DeadLetter {
    fn from((event, delivery): (outbox::Event, outbox::Delivery)) -> Self {
        Self { delivery: delivery.into(), event: Recorded { event, deliveries: vec![] }.into() }
    }
}

impl From<QueueState> for Queue {
    fn from(state: QueueState) -> Self {
        let QueueState { queue, waiting, running, dead, oldest_due_ms } = state;
        Self { queue, waiting, running, dead, oldest_due_ms }
    }
}

impl ScheduleInfo {
    /// The manifest's schedule with what is remembered of it.
    pub fn new(schedule: &Schedule, state: Option<&ScheduleState>, now_ms: u64) -> Self {
        let paused = state.is_some_and(|state| state.is_paused);
        let upcoming = schedule.cron.upcoming(now_ms, UPCOMING).collect();
        Self {
            name: schedule.name.clone(),
            cron: schedule.cron.as_str().to_owned(),
            timezone: schedule.cron.timezone().to_owned(),
            handler: schedule.handler.handler.to_string(),
            paused,
            last_fire_ms: state.and_then(|state| state.last_fire_ms),
            upcoming_ms: if paused { Vec::new() } else { upcoming },
        }
    }
}

/// What the store has is JSON; if not, it is shown as the text that it is.
fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}
