//! Events that scripts publish.

use async_trait::async_trait;

use crate::Budget;
use crate::StoreError;
use crate::outbox::{MAX_NAME_BYTES, MAX_PAYLOAD_BYTES};

/// Why an event was not published, from the script's point of view.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("a topic has 1 to {MAX_NAME_BYTES} bytes of UTF-8 and no control characters")]
    InvalidTopic,
    /// Not JSON, or JSON holding a NUL character, which PostgreSQL cannot store.
    #[error("{0}")]
    InvalidValue(String),
    #[error("a payload has at most {MAX_PAYLOAD_BYTES} bytes of JSON, this one has {0}")]
    ValueTooLarge(usize),
    /// The invocation is over: a script may not catch this.
    #[error("the invocation used up its budget of {0}")]
    BudgetExceeded(Budget),
    /// The store failed: the host's fault, never the script's.
    #[error("the store is unavailable")]
    Unavailable(#[source] StoreError),
}

/// What a script can publish. Each instance is bound to one app and one
/// invocation by whoever makes it; texts come from the script and are hostile.
#[async_trait]
pub trait Events: Send + Sync {
    /// Publishes JSON under a topic, when the invocation succeeds.
    async fn publish(&self, topic: &str, payload: String) -> Result<(), Error>;
}
