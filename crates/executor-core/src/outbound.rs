//! An invocation's requests to other servers: counted, and remembered as
//! effects that no rollback undoes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use picloud_shared::http::{Caps, Error, Http, HttpClient, Request, Response};
use picloud_shared::{AppId, HostPattern, Limits};

/// One attempt's requests, bound to its app.
pub(crate) struct Outbound {
    app: AppId,
    client: Arc<dyn HttpClient>,
    caps: Caps,
    max_requests: u64,
    requests: AtomicU64,
}

impl Outbound {
    pub(crate) fn new(
        app: AppId,
        client: Arc<dyn HttpClient>,
        allow: Arc<[HostPattern]>,
        limits: &Limits,
    ) -> Self {
        let caps = Caps {
            allow,
            response_bytes: limits.http_response_bytes,
            timeout: Duration::from_millis(limits.http_request_ms),
        };
        let max_requests = limits.http_requests;
        Self { app, client, caps, max_requests, requests: AtomicU64::new(0) }
    }

    /// Whether a request was made. Nobody can say what it has changed
    /// elsewhere, so the handler must not be run again.
    pub(crate) fn was_used(&self) -> bool {
        self.requests.load(Ordering::Relaxed) > 0
    }
}

#[async_trait]
impl Http for Outbound {
    async fn send(&self, request: Request) -> Result<Response, Error> {
        // Counted before it is made: one that is cut off may have arrived.
        if self.requests.fetch_add(1, Ordering::Relaxed) >= self.max_requests {
            return Err(Error::TooManyRequests(self.max_requests));
        }
        let result = self.client.send(self.app, &self.caps, request).await;
        let outcome = match &result {
            Ok(_) => "answered",
            Err(Error::Denied(_)) => "denied",
            Err(Error::TimedOut(_)) => "timed_out",
            Err(_) => "failed",
        };
        metrics::counter!("picloud_http_requests_total", "outcome" => outcome).increment(1);
        result
    }
}
