//! What a committed change makes known to the triggers of its app.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use picloud_shared::files;
use picloud_shared::outbox::{Cause, DeliveryId, Emitted, Event, EventId, NewDelivery};
use picloud_shared::trigger::DEFAULT_ATTEMPTS;
use picloud_shared::{EventType, ExecutionId, Handler, ReleaseNumber, Trigger};
use serde::Serialize;
use serde_json::value::RawValue;

/// Something that happens in an app. Values and payloads are JSON.
#[derive(Clone, Copy, Debug)]
pub enum ServiceEvent<'a> {
    KvSet {
        collection: &'a str,
        key: &'a str,
        value: &'a str,
        /// What the entry was before.
        old: Option<&'a str>,
    },
    KvDelete {
        collection: &'a str,
        key: &'a str,
        old: &'a str,
    },
    FilesPut {
        bucket: &'a str,
        path: &'a str,
        info: &'a files::Info,
    },
    FilesDelete {
        bucket: &'a str,
        path: &'a str,
    },
    EventsPublish {
        topic: &'a str,
        payload: &'a str,
    },
    QueueMessage {
        queue: &'a str,
        payload: &'a str,
        /// Seconds until it may be handled.
        delay_s: u64,
        key: Option<&'a str>,
    },
    /// A tick goes to the schedule's handler, whatever triggers there are.
    ScheduleFire {
        schedule: &'a str,
        /// Unix time in milliseconds.
        scheduled_at: u64,
        handler: &'a Handler,
    },
    ExecutionFailed {
        execution: Option<ExecutionId>,
        release: ReleaseNumber,
        handler: &'a str,
        /// What had called it, as its record says.
        cause: &'a str,
        outcome: &'a str,
        message: &'a str,
    },
}

impl ServiceEvent<'_> {
    fn on(&self) -> EventType {
        match self {
            Self::KvSet { .. } => EventType::KvSet,
            Self::KvDelete { .. } => EventType::KvDelete,
            Self::FilesPut { .. } => EventType::FilesPut,
            Self::FilesDelete { .. } => EventType::FilesDelete,
            Self::EventsPublish { .. } => EventType::EventsPublish,
            Self::QueueMessage { .. } => EventType::QueueMessage,
            Self::ScheduleFire { .. } => EventType::ScheduleFire,
            Self::ExecutionFailed { .. } => EventType::ExecutionFailed,
        }
    }

    /// The fields that triggers filter by.
    fn filters(&self) -> Vec<(&'static str, &str)> {
        match *self {
            Self::KvSet { collection, key, .. } | Self::KvDelete { collection, key, .. } => {
                vec![("collection", collection), ("key", key)]
            }
            Self::FilesPut { bucket, path, info } => {
                vec![("bucket", bucket), ("path", path), ("content_type", &info.content_type)]
            }
            Self::FilesDelete { bucket, path } => vec![("bucket", bucket), ("path", path)],
            Self::EventsPublish { topic, .. } => vec![("topic", topic)],
            Self::QueueMessage { queue, .. } => vec![("queue", queue)],
            Self::ScheduleFire { schedule, .. } => vec![("schedule", schedule)],
            Self::ExecutionFailed { handler, outcome, .. } => {
                vec![("handler", handler), ("outcome", outcome)]
            }
        }
    }

    /// What handlers are told, as a JSON object.
    fn fields(&self) -> serde_json::Result<String> {
        let raw = |text| serde_json::from_str::<&RawValue>(text);
        match *self {
            Self::KvSet { collection, key, value, old } => {
                let (value, old) = (Some(raw(value)?), old.map(raw).transpose()?);
                serde_json::to_string(&KvFields { collection, key, value, old })
            }
            Self::KvDelete { collection, key, old } => {
                let (value, old) = (None, Some(raw(old)?));
                serde_json::to_string(&KvFields { collection, key, value, old })
            }
            Self::FilesPut { bucket, path, info } => serde_json::to_string(&serde_json::json!({
                "bucket": bucket,
                "path": path,
                "bytes": info.bytes,
                "content_type": info.content_type,
                "etag": info.etag(),
                "modified": info.modified_ms,
            })),
            Self::FilesDelete { bucket, path } => {
                serde_json::to_string(&serde_json::json!({ "bucket": bucket, "path": path }))
            }
            Self::EventsPublish { topic, payload } => {
                serde_json::to_string(&TopicFields { topic, payload: raw(payload)? })
            }
            Self::QueueMessage { queue, payload, .. } => {
                serde_json::to_string(&QueueFields { queue, payload: raw(payload)? })
            }
            Self::ScheduleFire { schedule, scheduled_at, .. } => serde_json::to_string(
                &serde_json::json!({ "schedule": schedule, "scheduled_at": scheduled_at }),
            ),
            Self::ExecutionFailed { execution, release, handler, cause, outcome, message } => {
                serde_json::to_string(&serde_json::json!({
                    "execution": execution.map(|id| id.to_string()),
                    "release": release.0,
                    "handler": handler,
                    "cause": cause,
                    "outcome": outcome,
                    "message": message,
                }))
            }
        }
    }
}

#[derive(Serialize)]
struct KvFields<'a> {
    collection: &'a str,
    key: &'a str,
    value: Option<&'a RawValue>,
    old: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct TopicFields<'a> {
    topic: &'a str,
    payload: &'a RawValue,
}

#[derive(Serialize)]
struct QueueFields<'a> {
    queue: &'a str,
    payload: &'a RawValue,
}

/// Turns what happens in an app into events with one delivery per trigger that
/// matches. Where none does there is no event.
pub struct ServiceEventEmitter {
    triggers: Arc<[Trigger]>,
    cause: Cause,
    execution: Option<ExecutionId>,
    now_ms: u64,
    /// Numbers the events, so that they sort in their order.
    count: AtomicU16,
}

impl ServiceEventEmitter {
    /// `triggers` are those of the app's active release; `cause` is the events'.
    #[must_use]
    pub fn new(
        triggers: Arc<[Trigger]>,
        cause: Cause,
        execution: Option<ExecutionId>,
        now_ms: u64,
    ) -> Self {
        Self { triggers, cause, execution, now_ms, count: AtomicU16::new(0) }
    }

    /// Whether there is any trigger at all for one of these.
    #[must_use]
    pub(crate) fn may_want(&self, on: EventType) -> bool {
        self.triggers.iter().any(|trigger| trigger.on == on)
    }

    /// Whether a trigger could want a `kv.delete` in this collection.
    pub(crate) fn may_want_deletes(&self, collection: &str) -> bool {
        self.triggers.iter().any(|trigger| {
            let of_collection = trigger.filter.get("collection");
            trigger.on == EventType::KvDelete
                && of_collection.is_none_or(|glob| glob.matches(collection))
        })
    }

    /// Whether a trigger wants changes of this entry.
    pub(crate) fn wants_kv(&self, on: EventType, collection: &str, key: &str) -> bool {
        let filters = [("collection", collection), ("key", key)];
        self.triggers.iter().any(|trigger| trigger.matches(on, &filters))
    }

    /// Whether messages of this queue are handled.
    pub(crate) fn wants_message(&self, queue: &str) -> bool {
        let filters = [("queue", queue)];
        self.triggers.iter().any(|trigger| trigger.matches(EventType::QueueMessage, &filters))
    }

    /// The event, if anybody wants it.
    #[must_use]
    pub fn emit(&self, happened: &ServiceEvent<'_>) -> Option<Emitted> {
        let (on, filters) = (happened.on(), happened.filters());
        let mut matching = self.triggers.iter().filter(|trigger| trigger.matches(on, &filters));
        let of = |trigger: &Trigger| (trigger.handler.handler.to_string(), trigger.attempts);
        let mut handlers: Vec<(String, u32)> = Vec::new();
        let (mut queue, mut key, mut due_at_ms) = ("", None, self.now_ms);
        match *happened {
            ServiceEvent::QueueMessage { queue: name, delay_s, key: given, .. } => {
                // A message is for one consumer, and waits where that one's do:
                // scripts make up names of queues, and each is not to be a lane
                // that the dispatcher must look at.
                let consumer = matching.next();
                handlers.extend(consumer.map(of));
                queue = consumer.map_or("", Trigger::queue);
                key = given.map(|key| format!("{name}/{key}"));
                due_at_ms = self.now_ms.saturating_add(delay_s.saturating_mul(1000));
            }
            ServiceEvent::ScheduleFire { handler, .. } => {
                handlers.push((handler.to_string(), DEFAULT_ATTEMPTS));
                handlers.extend(matching.map(of));
            }
            _ => handlers.extend(matching.map(of)),
        }
        if handlers.is_empty() {
            return None;
        }
        let fields = happened.fields().inspect_err(|error| {
            tracing::error!(%error, %on, "a value that was checked is not JSON");
        });
        let delivery = |(handler, max_attempts)| NewDelivery {
            id: DeliveryId::new(self.now_ms, self.random()),
            handler,
            queue: queue.to_owned(),
            key: key.clone(),
            due_at_ms,
            max_attempts,
        };
        Some(Emitted {
            event: Event {
                id: EventId::new(self.now_ms, self.random()),
                on,
                fields: fields.ok()?,
                at_ms: self.now_ms,
                cause: self.cause,
                execution: self.execution,
            },
            deliveries: handlers.into_iter().map(delivery).collect(),
        })
    }

    /// Random but for the twelve bits that sort what is made at the same time.
    fn random(&self) -> [u8; 10] {
        let mut random: [u8; 10] = rand::random();
        let [high, low] = self.count.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        random[0] = high;
        random[1] = low;
        random
    }
}
