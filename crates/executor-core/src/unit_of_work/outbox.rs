//! What one invocation sends: events and messages, once it is committed.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use picloud_shared::Budget;
use picloud_shared::events::{self, Events};
use picloud_shared::outbox::{
    Emitted, MAX_DELAY_S, MAX_NAME_BYTES, MAX_PAYLOAD_BYTES, MAX_SENT, MAX_SENT_BYTES,
};
use picloud_shared::queue::{self, Queue, QueueName, SendOptions};

use super::value::{self, Invalid};
use crate::emitter::{ServiceEvent, ServiceEventEmitter};

/// One attempt of one invocation.
pub struct OutboxUnit {
    emitter: Arc<ServiceEventEmitter>,
    sent: Mutex<Sent>,
}

#[derive(Default)]
struct Sent {
    events: Vec<Emitted>,
    /// Calls, whether or not anybody wants what they send.
    calls: usize,
    bytes: usize,
}

impl OutboxUnit {
    #[must_use]
    pub fn new(emitter: Arc<ServiceEventEmitter>) -> Self {
        Self { emitter, sent: Mutex::default() }
    }

    /// What was sent, in its order.
    #[must_use]
    pub fn events(&self) -> Vec<Emitted> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).events.clone()
    }

    fn send(&self, event: &ServiceEvent<'_>, bytes: usize) -> Result<(), Budget> {
        let emitted = self.emitter.emit(event);
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.calls += 1;
        sent.bytes += bytes;
        if sent.calls > MAX_SENT || sent.bytes > MAX_SENT_BYTES {
            return Err(Budget::Events);
        }
        sent.events.extend(emitted);
        Ok(())
    }
}

#[async_trait]
impl Events for OutboxUnit {
    async fn publish(&self, topic: &str, payload: String) -> Result<(), events::Error> {
        if !is_name(topic) {
            return Err(events::Error::InvalidTopic);
        }
        value::check("the payload", &payload, MAX_PAYLOAD_BYTES).map_err(
            |invalid| match invalid {
                Invalid::TooLarge(bytes) => events::Error::ValueTooLarge(bytes),
                Invalid::NotJson(reason) => events::Error::InvalidValue(reason),
            },
        )?;
        let event = ServiceEvent::EventsPublish { topic, payload: &payload };
        self.send(&event, payload.len()).map_err(events::Error::BudgetExceeded)
    }
}

#[async_trait]
impl Queue for OutboxUnit {
    async fn send(
        &self,
        queue: &str,
        payload: String,
        options: SendOptions,
    ) -> Result<(), queue::Error> {
        let SendOptions { delay_s, key } = options;
        let name: QueueName = queue.parse()?;
        if !key.as_deref().is_none_or(is_name) {
            return Err(queue::Error::InvalidKey);
        }
        if delay_s > MAX_DELAY_S {
            return Err(queue::Error::InvalidDelay(delay_s));
        }
        value::check("the payload", &payload, MAX_PAYLOAD_BYTES).map_err(
            |invalid| match invalid {
                Invalid::TooLarge(bytes) => queue::Error::ValueTooLarge(bytes),
                Invalid::NotJson(reason) => queue::Error::InvalidValue(reason),
            },
        )?;
        if !self.emitter.wants_message(queue) {
            return Err(queue::Error::NoConsumer(name));
        }
        let event =
            ServiceEvent::QueueMessage { queue, payload: &payload, delay_s, key: key.as_deref() };
        OutboxUnit::send(self, &event, payload.len()).map_err(queue::Error::BudgetExceeded)
    }
}

fn is_name(text: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&text.len()) && !text.chars().any(char::is_control)
}
