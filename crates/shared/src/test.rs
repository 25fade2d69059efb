//! What tests of an app can do beyond what its handlers can.

use async_trait::async_trait;
use bytes::Bytes;

use crate::{Response, http};

/// A client's request, as a test has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    /// Path and query, or a whole URL of the app.
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

/// How other servers are to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stub {
    /// `None` for any.
    pub method: Option<String>,
    /// `*` in it stands for any text.
    pub url: String,
    pub response: Response,
}

/// A delivery that has failed for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// `kv.set`, …
    pub event: String,
    /// The event's fields, a JSON object.
    pub fields: String,
    pub handler: String,
    pub attempts: u32,
    /// Why the last one failed.
    pub message: String,
}

/// Why it was not done, from the test's point of view.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("this works in tests only, which `picloud test` runs")]
    NotAvailable,
    #[error("{0}")]
    InvalidRequest(String),
    #[error("{0}")]
    Failed(String),
}

/// Lent to one test, bound to the app that it tests.
#[async_trait]
pub trait Test: Send + Sync {
    /// Makes a request to the app as a client would, and waits for
    /// [`Test::settle`].
    async fn send(&self, request: Request) -> Result<Response, Error>;

    /// Sets the app's clock, Unix time in milliseconds. On its way forward it
    /// stops wherever something is due, and waits for [`Test::settle`].
    async fn set_time(&self, now_ms: u64) -> Result<(), Error>;

    /// Waits until every event that is due has been delivered.
    async fn settle(&self);

    /// The deliveries that have failed for good, the first one first.
    async fn dead_letters(&self) -> Result<Vec<DeadLetter>, Error>;

    /// Has requests of the app to other servers answered.
    fn add_stub(&self, stub: Stub) -> Result<(), Error>;

    /// What the app has sent to other servers since the test began.
    fn outbound_requests(&self) -> Vec<http::Request>;

    /// Gives the app a secret.
    async fn set_secret(&self, name: &str, value: &str) -> Result<(), Error>;
}
