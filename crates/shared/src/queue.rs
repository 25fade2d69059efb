//! Messages that scripts send to queues of their app.

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;

use crate::Budget;
use crate::StoreError;
use crate::outbox::{MAX_DELAY_S, MAX_NAME_BYTES, MAX_PAYLOAD_BYTES};

/// A queue's name: `[A-Za-z0-9_.-]{1,64}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueueName(String);

impl QueueName {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for QueueName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let ok = (1..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
        if ok { Ok(Self(text.to_owned())) } else { Err(Error::InvalidName) }
    }
}

impl fmt::Display for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a message was not sent, from the script's point of view.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("a queue's name has 1 to 64 characters of A-Z a-z 0-9 _ . -")]
    InvalidName,
    #[error("a message's key has 1 to {MAX_NAME_BYTES} bytes of UTF-8 and no control characters")]
    InvalidKey,
    /// Not JSON, or JSON holding a NUL character, which PostgreSQL cannot store.
    #[error("{0}")]
    InvalidValue(String),
    #[error("a payload has at most {MAX_PAYLOAD_BYTES} bytes of JSON, this one has {0}")]
    ValueTooLarge(usize),
    #[error("a message can be delayed by {MAX_DELAY_S} seconds at most, not by {0}")]
    InvalidDelay(u64),
    #[error(
        "nothing handles messages of the queue {0}; add a trigger to picloud.toml: \
         [[triggers]] on = \"queue.message\", queue = \"{0}\", handler = \"…\""
    )]
    NoConsumer(QueueName),
    /// The invocation is over: a script may not catch this.
    #[error("the invocation used up its budget of {0}")]
    BudgetExceeded(Budget),
    /// The store failed: the host's fault, never the script's.
    #[error("the store is unavailable")]
    Unavailable(#[source] StoreError),
}

/// What a message can be given beside its payload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SendOptions {
    /// Seconds until it may be handled.
    pub delay_s: u64,
    /// While a message with this key waits or is handled, another one is not
    /// sent.
    pub key: Option<String>,
}

/// What a script can send. Each instance is bound to one app and one
/// invocation by whoever makes it; texts come from the script and are hostile.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Sends JSON to a queue, when the invocation succeeds.
    async fn send(&self, queue: &str, payload: String, options: SendOptions) -> Result<(), Error>;
}
