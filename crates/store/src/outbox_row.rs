//! Rows of events and deliveries, alike on both databases.

use std::collections::HashMap;

use picloud_shared::outbox::{
    Cause, Claimed, Delivery, DeliveryId, Depth, Emitted, Event, EventId, Lease, MAX_DEPTH,
    MAX_PER_ROOT, QueueState, Recorded, Status, Then,
};
use picloud_shared::schedule::{Due, Planned, ScheduleState};
use picloud_shared::{AppId, ExecutionId, ScriptError, StoreError};
use serde::Serialize;
use uuid::Uuid;

use crate::convert::{corrupt, signed, to_json, unsigned};

/// Id, name, fields, time, root, parent, depth, execution.
pub(crate) type EventRow = (Uuid, String, String, i64, Uuid, Option<Uuid>, i64, Option<Uuid>);

/// Id, event, handler, queue, status, due, attempts, their maximum, error, fields.
pub(crate) type DeliveryRow =
    (Uuid, Uuid, String, String, i64, Option<i64>, i64, i64, Option<String>, Option<String>);

pub(crate) fn event(row: EventRow) -> Result<Event, StoreError> {
    let (id, name, fields, at_ms, root, parent, depth, execution) = row;
    Ok(Event {
        id: EventId(id),
        on: name.parse().map_err(|_| corrupt("an event's name", &name))?,
        fields,
        at_ms: unsigned("a time", at_ms)?,
        cause: Cause {
            root,
            parent: parent.map(EventId),
            depth: unsigned("an event's depth", depth)?,
        },
        execution: execution.map(ExecutionId),
    })
}

pub(crate) fn delivery(row: DeliveryRow) -> Result<Delivery, StoreError> {
    let (id, event, handler, queue, status, due, attempts, max_attempts, error, fields) = row;
    let error = error.map(|text| {
        serde_json::from_str::<ScriptError>(&text).map_err(|_| corrupt("a delivery's error", text))
    });
    Ok(Delivery {
        id: DeliveryId(id),
        event: EventId(event),
        handler,
        queue,
        status: self::status(status)?,
        due_at_ms: due.map(|due| unsigned("a time", due)).transpose()?,
        attempts: unsigned("a number of attempts", attempts)?,
        max_attempts: unsigned("a number of attempts", max_attempts)?,
        error: error.transpose()?,
        fields,
    })
}

fn status(number: i64) -> Result<Status, StoreError> {
    match number {
        0 => Ok(Status::Waiting),
        1 => Ok(Status::Running),
        2 => Ok(Status::Done),
        3 => Ok(Status::Dead),
        _ => Err(corrupt("a delivery's status", number)),
    }
}

/// Events with their deliveries, in the events' order.
pub(crate) fn recorded(
    events: Vec<EventRow>,
    deliveries: Vec<DeliveryRow>,
) -> Result<Vec<Recorded>, StoreError> {
    let mut by_event: HashMap<EventId, Vec<Delivery>> = HashMap::new();
    for row in deliveries {
        let delivery = delivery(row)?;
        by_event.entry(delivery.event).or_default().push(delivery);
    }
    events
        .into_iter()
        .map(|row| {
            let event = event(row)?;
            let deliveries = by_event.remove(&event.id).unwrap_or_default();
            Ok(Recorded { event, deliveries })
        })
        .collect()
}

/// Deliveries with their events, in the deliveries' order.
pub(crate) fn with_events(
    deliveries: Vec<DeliveryRow>,
    events: Vec<EventRow>,
) -> Result<Vec<(Event, Delivery)>, StoreError> {
    let events = events
        .into_iter()
        .map(|row| event(row).map(|event| (event.id, event)))
        .collect::<Result<HashMap<_, _>, _>>()?;
    deliveries
        .into_iter()
        .map(|row| {
            let delivery = delivery(row)?;
            let event = events.get(&delivery.event).cloned();
            let event = event.ok_or_else(|| corrupt("a delivery's event", delivery.event))?;
            Ok((event, delivery))
        })
        .collect()
}

/// An event as both databases take it, in JSON; ids are hexadecimal digits.
#[derive(Serialize)]
pub(crate) struct NewEvent<'a> {
    id: String,
    name: &'static str,
    fields: &'a str,
    at_ms: i64,
    root: String,
    parent: Option<String>,
    depth: u32,
    execution: Option<String>,
}

impl<'a> NewEvent<'a> {
    pub(crate) fn of(emitted: &'a Emitted) -> Self {
        let Event { id, on, fields, at_ms, cause, execution } = &emitted.event;
        Self {
            id: hex(id.0),
            name: on.as_str(),
            fields,
            at_ms: signed(*at_ms),
            root: hex(cause.root),
            parent: cause.parent.map(|id| hex(id.0)),
            depth: cause.depth,
            execution: execution.map(|id| hex(id.0)),
        }
    }
}

/// A delivery as both databases take it, in JSON.
#[derive(Serialize)]
pub(crate) struct NewDelivery<'a> {
    id: String,
    pub(crate) event: String,
    handler: &'a str,
    queue: &'a str,
    pub(crate) key: Option<&'a str>,
    /// `None` for a dead letter.
    due_at_ms: Option<i64>,
    max_attempts: u32,
    error: Option<String>,
}

impl<'a> NewDelivery<'a> {
    /// An event's deliveries: dead letters if the event is not to go further.
    pub(crate) fn all_of(
        emitted: &'a Emitted,
        stopped: Option<&ScriptError>,
    ) -> Result<Vec<Self>, StoreError> {
        let error = stopped.map(crate::convert::to_json).transpose()?;
        let of = |delivery: &'a picloud_shared::outbox::NewDelivery| Self {
            id: hex(delivery.id.0),
            event: hex(emitted.event.id.0),
            handler: &delivery.handler,
            queue: &delivery.queue,
            key: delivery.key.as_deref(),
            due_at_ms: error.is_none().then(|| signed(delivery.due_at_ms)),
            max_attempts: delivery.max_attempts,
            error: error.clone(),
        };
        Ok(emitted.deliveries.iter().map(of).collect())
    }
}

/// Why an event is not to go further, if `of_root` others have its root.
pub(crate) fn stopped(event: &Event, of_root: u64) -> Option<ScriptError> {
    if event.cause.depth > MAX_DEPTH {
        let code = Some("too_deep".to_owned());
        let message = format!(
            "more than {MAX_DEPTH} events have each caused the next; do triggers form a circle?"
        );
        return Some(ScriptError { code, ..ScriptError::new(message) });
    }
    (event.cause.depth > 0 && of_root >= MAX_PER_ROOT).then(too_many)
}

pub(crate) fn too_many() -> ScriptError {
    let code = Some("too_many_events".to_owned());
    let message = format!(
        "what began with one cause has led to {MAX_PER_ROOT} events; do triggers multiply them?"
    );
    ScriptError { code, ..ScriptError::new(message) }
}

/// The status, the due time, and how many attempts that has been.
pub(crate) fn put_off(then: Then) -> (i64, Option<i64>, i64) {
    match then {
        Then::Retry(at) => (0, Some(signed(at)), 1),
        Then::HandBack(at) => (0, Some(signed(at)), 0),
        Then::Bury => (3, None, 1),
    }
}

pub(crate) fn hex(id: Uuid) -> String {
    id.as_simple().to_string()
}

/// What was leased, each with its token, in the order in which it is due.
pub(crate) fn claimed(
    app: AppId,
    leased: &[(Uuid, i64, i64)],
    deliveries: Vec<DeliveryRow>,
    events: Vec<EventRow>,
) -> Result<Vec<Claimed>, StoreError> {
    let leased: HashMap<Uuid, (i64, i64)> =
        leased.iter().map(|(id, token, lost)| (*id, (*token, *lost))).collect();
    let of = |(mut event, delivery): (Event, Delivery)| {
        let lease = leased.get(&delivery.id.0).copied();
        let (token, lost) = lease.ok_or_else(|| corrupt("a lease", delivery.id))?;
        if let Some(fields) = delivery.fields {
            event.fields = fields;
        }
        Ok(Claimed {
            lease: Lease { delivery: delivery.id, token },
            app,
            event,
            handler: delivery.handler,
            queue: delivery.queue,
            attempt: delivery.attempts.saturating_add(1),
            lost: unsigned("a count", lost)?,
            max_attempts: delivery.max_attempts,
        })
    };
    with_events(deliveries, events)?.into_iter().map(of).collect()
}

pub(crate) fn queue_state(
    (queue, waiting, running, dead, oldest): (String, i64, i64, i64, Option<i64>),
) -> Result<QueueState, StoreError> {
    Ok(QueueState {
        queue,
        waiting: unsigned("a count", waiting)?,
        running: unsigned("a count", running)?,
        dead: unsigned("a count", dead)?,
        oldest_due_ms: oldest.map(|ms| unsigned("a time", ms)).transpose()?,
    })
}

/// How many wait, how many are dead, when the first is due.
pub(crate) type DepthRow = (i64, i64, Option<i64>);

pub(crate) fn depth((waiting, dead, oldest): DepthRow) -> Result<Depth, StoreError> {
    Ok(Depth {
        waiting: unsigned("a count", waiting)?,
        dead: unsigned("a count", dead)?,
        oldest_due_ms: oldest.map(|ms| unsigned("a time", ms)).transpose()?,
    })
}

/// A row of `schedules`, as it is listed.
pub(crate) type ScheduleRow = (String, bool, Option<i64>, Option<i64>);

pub(crate) fn schedule_state(
    (name, is_paused, last, due): ScheduleRow,
) -> Result<ScheduleState, StoreError> {
    let time = |ms: Option<i64>| ms.map(|ms| unsigned("a time", ms)).transpose();
    Ok(ScheduleState { name, is_paused, last_fire_ms: time(last)?, due_ms: time(due)? })
}

/// A schedule's app, the app's name, its own name, and when it is due.
pub(crate) type DueRow = (i64, String, String, i64);

pub(crate) fn due((app, slug, name, due_ms): DueRow) -> Result<Due, StoreError> {
    Ok(Due {
        app: AppId(app),
        slug: slug.parse().map_err(|_| corrupt("an app's name", slug))?,
        name,
        due_ms: unsigned("a time", due_ms)?,
    })
}

/// A schedule as SQL reads it out of JSON.
#[derive(Serialize)]
pub(crate) struct PlannedRow<'a> {
    name: &'a str,
    cron: &'a str,
    due_ms: Option<i64>,
}

pub(crate) fn planned(schedules: &[Planned]) -> Result<String, StoreError> {
    let rows = schedules.iter().map(|one| PlannedRow {
        name: &one.name,
        cron: &one.cron,
        due_ms: one.due_ms.map(signed),
    });
    to_json(&rows.collect::<Vec<_>>())
}
