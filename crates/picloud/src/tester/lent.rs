//! What a test can do: make requests over HTTP to the app as it is deployed,
//! move the clock, answer for other servers, set secrets.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use http::{HeaderValue, Method, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use picloud_egress::Stubs;
use picloud_shared::http::Request as OutboundRequest;
use picloud_shared::outbox::Delivery;
use picloud_shared::secrets::InvalidName;
use picloud_shared::test::{DeadLetter, Error, Request, Stub, Test};
use picloud_shared::{App, Response};
use tokio::net::TcpStream;

use super::clock::TestClock;
use crate::node::Node;

/// Bytes of an answer that a test can look at: more would not fit its memory.
const MAX_ANSWER_BYTES: usize = 16 << 20;

/// Moments at which the clock stops on its way.
const MAX_STOPS: usize = 10_000;
/// Dead letters that a test can look at.
const MAX_LETTERS: u32 = 1_000;

/// Lent to one test.
pub(super) struct Lent {
    pub(super) node: Arc<Node>,
    pub(super) addr: SocketAddr,
    /// Where the app believes to be.
    pub(super) origin: String,
    pub(super) app: App,
    pub(super) clock: Arc<TestClock>,
    pub(super) network: Arc<Stubs>,
}

#[async_trait]
impl Test for Lent {
    async fn send(&self, request: Request) -> Result<Response, Error> {
        let request = self.prepare(request)?;
        let stream = TcpStream::connect(self.addr).await.map_err(failed)?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
        // It ends with the sender.
        tokio::spawn(connection);
        let (parts, body) = sender.send_request(request).await.map_err(failed)?.into_parts();
        let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await.map_err(failed)?;
        self.settle().await;
        let header = |(name, value): (&header::HeaderName, &HeaderValue)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        Ok(Response {
            status: parts.status.as_u16(),
            headers: parts.headers.iter().map(header).collect(),
            body: body.to_bytes(),
        })
    }

    async fn set_time(&self, now_ms: u64) -> Result<(), Error> {
        for _ in 0..MAX_STOPS {
            match self.node.settle().await {
                // Before what is now, if the clock is set back.
                Some(due_ms) if due_ms <= now_ms => self.clock.set(due_ms),
                _ => {
                    self.clock.set(now_ms);
                    self.settle().await;
                    return Ok(());
                }
            }
        }
        let message =
            format!("more than {MAX_STOPS} things fall due on the way; go in smaller steps");
        Err(Error::Failed(message))
    }

    async fn settle(&self) {
        self.node.settle().await;
    }

    async fn dead_letters(&self) -> Result<Vec<DeadLetter>, Error> {
        let dead = self.node.stores.outbox.dead(self.app.id, None, MAX_LETTERS).await;
        let letter = |(event, delivery): (picloud_shared::outbox::Event, Delivery)| DeadLetter {
            event: event.on.to_string(),
            fields: delivery.fields.unwrap_or(event.fields),
            handler: delivery.handler,
            attempts: delivery.attempts,
            message: delivery.error.map_or_else(String::new, |error| error.message),
        };
        Ok(dead.map_err(failed)?.into_iter().rev().map(letter).collect())
    }

    fn add_stub(&self, stub: Stub) -> Result<(), Error> {
        self.network.add(stub)
    }

    fn outbound_requests(&self) -> Vec<OutboundRequest> {
        self.network.sent()
    }

    async fn set_secret(&self, name: &str, value: &str) -> Result<(), Error> {
        let name = name.parse().map_err(|error: InvalidName| invalid(error.to_string()))?;
        let set = self.node.secrets.set(&self.app, &name, value).await;
        set.map_err(|error| invalid(error.to_string()))
    }
}

impl Lent {
    /// The request as it is sent.
    fn prepare(&self, request: Request) -> Result<http::Request<Full<bytes::Bytes>>, Error> {
        let Request { method, path, headers, body } = request;
        let within = path.strip_prefix(self.origin.as_str()).unwrap_or(&path);
        let within = if within.is_empty() { "/" } else { within };
        let uri = within.parse::<Uri>().ok().filter(|_| within.starts_with('/'));
        let uri = uri.ok_or_else(|| {
            invalid(format!("{path:?} is no path: one begins with a slash, and is percent-encoded"))
        })?;
        let method = match Method::from_bytes(method.as_bytes()) {
            Ok(Method::CONNECT) | Err(_) => {
                return Err(invalid(format!("{method:?} is not a method that can be used")));
            }
            Ok(method) => method,
        };
        let mut sent = http::Request::new(Full::new(body));
        *sent.method_mut() = method;
        *sent.uri_mut() = uri;
        for (name, value) in headers {
            let header = header::HeaderName::from_bytes(name.as_bytes())
                .ok()
                .filter(|name| !OF_THE_CONNECTION.contains(name))
                .zip(HeaderValue::from_str(&value).ok());
            let (name, value) =
                header.ok_or_else(|| invalid(format!("the header {name:?} cannot be sent so")))?;
            sent.headers_mut().append(name, value);
        }
        let host = self.node.hosts.of_app(&self.app.slug);
        let host = HeaderValue::from_str(&host).map_err(|error| invalid(error.to_string()))?;
        sent.headers_mut().insert(header::HOST, host);
        Ok(sent)
    }
}

/// Headers that say where the request goes and how it is framed.
const OF_THE_CONNECTION: &[header::HeaderName] = &[
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::HOST,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

fn invalid(message: String) -> Error {
    Error::InvalidRequest(message)
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Failed(format!("there is no answer: {error}"))
}
