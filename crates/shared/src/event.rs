//! What calls a handler, and what the handler answers.

use bytes::Bytes;

use crate::{AppSlug, ExecutionId, ReleaseNumber};

/// Everything about an invocation that does not come from the script: the
/// guest has no clock and no randomness but these, so the same program,
/// invocation, event and host answers give the same output and the same fuel.
#[derive(Clone, Debug)]
pub struct Invocation {
    pub id: ExecutionId,
    pub app: AppSlug,
    pub release: ReleaseNumber,
    /// Unix time in milliseconds, frozen for the invocation.
    pub now_ms: u64,
    /// Seeds the script's random numbers.
    pub seed: [u64; 4],
    /// The function that the handler names after `#`; `None` leaves the choice
    /// to the handler contract.
    pub function: Option<String>,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    Http(Request),
    /// Something other than a request: a service's event, a schedule's tick,
    /// a queue's message.
    Named(NamedEvent),
}

/// An event under its `service.name`, with its fields as a JSON object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedEvent {
    pub service: String,
    pub name: String,
    pub fields: String,
}

/// An HTTP request as a script sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Upper case.
    pub method: String,
    /// Scheme, host, path and query as the client asked.
    pub url: String,
    /// The path alone, still percent-encoded.
    pub path: String,
    /// The query without its `?`, still percent-encoded.
    pub query: String,
    /// The route's parameters, percent-decoded.
    pub params: Vec<(String, String)>,
    /// In the order received, names in lower case.
    pub headers: Vec<(String, String)>,
    pub host: String,
    /// The client's address.
    pub ip: String,
    pub body: Bytes,
}

/// What a handler answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    /// Names and values are checked by the ingress before they are sent.
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}
