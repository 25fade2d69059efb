//! What can go wrong in any store. "Not found" is not among it: that is `Ok(None)`.

use crate::Quota;

/// A store's failure, without a trace of the technology behind it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else changed the same thing first; read it again and retry.
    #[error("somebody else changed this at the same time")]
    Conflict,
    /// Somebody else has been given the delivery since: its lease had run out.
    #[error("the delivery was handed to somebody else meanwhile")]
    Superseded,
    /// The app has used up what it may keep of something.
    #[error("{0}")]
    QuotaExceeded(Quota),
    /// The store cannot answer now: disk full, connection lost, database busy.
    #[error("the database is unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl StoreError {
    /// Wraps a technology's own error.
    pub fn unavailable(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unavailable(source.into())
    }
}
