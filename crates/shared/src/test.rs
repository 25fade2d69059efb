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
    /// Makes a request to the app as a client would.
    async fn send(&self, request: Request) -> Result<Response, Error>;

    /// Sets the app's clock, Unix time in milliseconds.
    fn set_time(&self, now_ms: u64);

    /// Has requests of the app to other servers answered.
    fn add_stub(&self, stub: Stub) -> Result<(), Error>;

    /// What the app has sent to other servers since the test began.
    fn outbound_requests(&self) -> Vec<http::Request>;

    /// Gives the app a secret.
    async fn set_secret(&self, name: &str, value: &str) -> Result<(), Error>;
}
