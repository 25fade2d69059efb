//! Requests of scripts to other servers.
//!
//! [`Http`] is what a script sees, bound to one app and one invocation.
//! [`HttpClient`] is what makes the request; it alone decides what can be
//! reached.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::egress::HostPattern;
use crate::{AppId, Budget};

/// Redirects that one request may follow.
pub const MAX_REDIRECTS: u32 = 10;
/// Headers that a request may have.
pub const MAX_HEADERS: usize = 64;

/// A request as the script has it: hostile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
    pub timeout_ms: Option<u64>,
    /// Clamped to [`MAX_REDIRECTS`].
    pub redirects: u32,
}

/// A complete answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
    /// The URL that answered.
    pub url: String,
}

/// Why there is no answer, from the script's point of view.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Denied(String),
    #[error("{0}")]
    InvalidRequest(String),
    #[error("an invocation makes at most {0} requests")]
    TooManyRequests(u64),
    #[error("there was no complete answer within {0} ms")]
    TimedOut(u64),
    #[error("the answer has more than {0} bytes")]
    TooLarge(u64),
    #[error("{0}")]
    Failed(String),
    /// The invocation is over: a script may not catch this.
    #[error("the invocation used up its budget of {0}")]
    BudgetExceeded(Budget),
}

/// What a script can do with other servers.
#[async_trait]
pub trait Http: Send + Sync {
    /// Makes the request and waits for the complete answer.
    async fn send(&self, request: Request) -> Result<Response, Error>;
}

/// What one request may do and take.
#[derive(Clone, Debug)]
pub struct Caps {
    /// What the app's manifest allows.
    pub allow: Arc<[HostPattern]>,
    /// Bytes of the answer's body.
    pub response_bytes: u64,
    /// For the whole request, redirects included.
    pub timeout: Duration,
}

/// Makes requests on behalf of apps. Connections are kept per app.
#[async_trait]
pub trait HttpClient: Send + Sync {
    /// # Errors
    /// [`Error::Denied`] without having connected, if the operator, `caps` or
    /// the address that the host turns out to have forbid it.
    async fn send(&self, app: AppId, caps: &Caps, request: Request) -> Result<Response, Error>;
}
