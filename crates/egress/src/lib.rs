//! Requests of scripts to other servers. This crate alone connects to what a
//! script names, and decides whether it may.
//!
//! A request passes these, in this order, and so does each redirect:
//!
//! 1. [`request`]: URL, method and headers are well-formed and a script's to set.
//! 2. the host is among those that the app's manifest and the operator allow.
//! 3. [`connector`]: the host's name is resolved, and **each address is checked
//!    before it is connected to** by [`address`]: the address that was checked
//!    is the one that is used, so a name that resolves differently the second
//!    time gains nothing.
//! 4. the answer is read up to its limits, in the time there is.
//!
//! [`Stubs`] stands in for all other servers where an app is tested.
//!
//! No proxy is used, whatever the environment says: it would resolve names
//! itself. Connections are kept per app, for 30 s of idleness at most.

mod address;
mod connector;
mod request;
mod stubs;

use std::error::Error as _;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header;
use http_body::Body;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use ipnet::IpNet;
use lru::LruCache;
use picloud_shared::http::{Caps, Error, HttpClient, Request, Response};
use picloud_shared::{AppId, HostPattern};
use rustls::ClientConfig;
use rustls_platform_verifier::BuilderVerifierExt as _;
use url::Url;

use connector::{Connector, Refused};
use request::Prepared;

pub use stubs::Stubs;

/// Apps whose connections are kept.
const APPS: NonZeroUsize = NonZeroUsize::new(256).expect("not zero");
/// Idle connections that are kept per app and host, and for how long.
const IDLE_PER_HOST: usize = 4;
const IDLE: Duration = Duration::from_secs(30);
/// Bytes that the head of an answer may have.
const MAX_HEAD_BYTES: usize = 64 << 10;

/// What the operator allows, for all apps.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// Hosts that apps may call; empty for any.
    pub allow: Vec<HostPattern>,
    /// Networks that may be reached though they are not public.
    pub private: Vec<IpNet>,
    /// The port that this server listens on: at addresses of this machine it
    /// is never called, or an app could call itself without end.
    pub own_port: Option<u16>,
}

/// Makes requests on behalf of apps.
pub struct Egress {
    allow: Vec<HostPattern>,
    connector: HttpsConnector<Connector>,
    clients: Mutex<LruCache<AppId, HttpsClient>>,
}

type HttpsClient = Client<HttpsConnector<Connector>, Full<Bytes>>;

/// TLS cannot be set up on this machine.
#[derive(Debug, thiserror::Error)]
#[error("the certificates that this machine trusts cannot be used")]
pub struct TlsError(#[from] rustls::Error);

impl Egress {
    /// # Errors
    /// [`TlsError`] if the machine has no certificates to trust.
    pub fn new(policy: Policy) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_platform_verifier()?
            .with_no_client_auth();
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(Connector::new(policy.private, policy.own_port));
        let clients = Mutex::new(LruCache::new(APPS));
        Ok(Self { allow: policy.allow, connector, clients })
    }

    /// The app's own client: no two apps share a connection.
    fn client(&self, app: AppId) -> HttpsClient {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let client = clients.get_or_insert(app, || {
            Client::builder(TokioExecutor::new())
                .pool_max_idle_per_host(IDLE_PER_HOST)
                .pool_idle_timeout(IDLE)
                .pool_timer(TokioTimer::new())
                .http1_max_buf_size(MAX_HEAD_BYTES)
                .build(self.connector.clone())
        });
        client.clone()
    }

    async fn follow(
        &self,
        app: AppId,
        caps: &Caps,
        mut request: Prepared,
    ) -> Result<Response, Error> {
        let client = self.client(app);
        loop {
            check_host(&request.url, caps, &self.allow)?;
            let sent = client.request(request.to_http()?).await;
            let answer = sent.map_err(|error| failure(&request.url, &error))?;
            let location = answer.headers().get(header::LOCATION);
            match location.filter(|_| answer.status().is_redirection()).cloned() {
                Some(location) if request.follows_redirects() => {
                    request = request.redirected(answer.status(), &location)?;
                }
                _ => return read(answer, request.url, caps).await,
            }
        }
    }
}

#[async_trait]
impl HttpClient for Egress {
    async fn send(&self, app: AppId, caps: &Caps, request: Request) -> Result<Response, Error> {
        let asked = request.timeout_ms.map_or(caps.timeout, Duration::from_millis);
        let timeout = asked.min(caps.timeout);
        let request = Prepared::new(request)?;
        match tokio::time::timeout(timeout, self.follow(app, caps, request)).await {
            Ok(result) => result,
            Err(_elapsed) => {
                Err(Error::TimedOut(u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX)))
            }
        }
    }
}

/// Whether the manifest and the operator allow the host of this URL.
fn check_host(url: &Url, caps: &Caps, operators: &[HostPattern]) -> Result<(), Error> {
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or_default();
    let is_default = url.port().is_none();
    let allows = |pattern: &HostPattern| pattern.allows(host, port, is_default);
    let shown = if is_default { host.to_owned() } else { format!("{host}:{port}") };
    if !caps.allow.iter().any(allows) {
        let message = format!("{shown} is not in [egress] allow of picloud.toml");
        return Err(Error::Denied(message));
    }
    if !operators.is_empty() && !operators.iter().any(allows) {
        let message = format!("this server's operator does not allow calls of {shown}");
        return Err(Error::Denied(message));
    }
    Ok(())
}

/// Reads the whole answer.
async fn read<B>(answer: http::Response<B>, url: Url, caps: &Caps) -> Result<Response, Error>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
{
    let (parts, body) = answer.into_parts();
    let max_bytes = usize::try_from(caps.response_bytes).unwrap_or(usize::MAX);
    let body = Limited::new(body, max_bytes).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() {
            Error::TooLarge(caps.response_bytes)
        } else {
            Error::Failed(format!("{} broke off its answer", host_of(&url)))
        }
    })?;
    Ok(Response {
        status: parts.status.as_u16(),
        headers: lines(&parts.headers),
        body: body.to_bytes(),
        url: url.into(),
    })
}

/// Headers as scripts have them.
fn lines(headers: &http::HeaderMap) -> Vec<(String, String)> {
    let line = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    headers.iter().map(line).collect()
}

/// Why there is no answer, in words that say nothing of our own network.
fn failure(url: &Url, error: &hyper_util::client::legacy::Error) -> Error {
    let host = host_of(url);
    let mut no_connection = None;
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(refused) = error.downcast_ref::<Refused>() {
            return Error::Denied(format!("{host} {refused}"));
        }
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return Error::Failed(format!("no secure connection to {host}: {tls}"));
        }
        cause = match error.downcast_ref::<std::io::Error>() {
            // What it wraps is not its source, but what it stands for.
            Some(io) => {
                no_connection = Some(io.kind());
                io.get_ref().map(|inner| inner as &dyn std::error::Error)
            }
            None => error.source(),
        };
    }
    tracing::debug!(%error, host, "a request of a script failed");
    Error::Failed(match no_connection {
        Some(kind) => format!("no connection to {host}: {kind}"),
        None => format!("{host} did not answer as HTTP wants it"),
    })
}

fn host_of(url: &Url) -> &str {
    url.host_str().unwrap_or_default()
}
