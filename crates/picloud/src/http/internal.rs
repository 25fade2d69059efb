//! What the reverse proxy in front asks for itself.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Query, State};
use axum::routing::get;
use http::HeaderMap;
use ipnet::IpNet;
use picloud_orchestrator_core::Target;
use picloud_shared::{AppSlug, ReleaseNumber, StoreError};
use serde::Deserialize;
use tokio::time::Instant;

use super::auth::Peer;
use super::ingress::is_within;
use super::problem::Problem;
use crate::node::Node;

/// Questions a second for which the database is asked. Whoever begins a TLS
/// handshake with an invented name has the proxy ask one.
const LOOKUPS_PER_SECOND: u32 = 50;

pub(super) fn router() -> Router<Arc<Node>> {
    let lookups = Arc::new(Rate::default());
    Router::new().route(
        "/internal/tls-allow",
        get(async move |state, peer, headers, query| {
            tls_allow(state, peer, headers, query, &lookups).await
        }),
    )
}

#[derive(Deserialize)]
struct Asked {
    domain: String,
}

/// 200 if there is something to get a certificate for: what Caddy's
/// `on_demand_tls` asks. Without it anybody could have certificates issued
/// without end, for names that they point here.
async fn tls_allow(
    State(node): State<Arc<Node>>,
    Extension(Peer(peer)): Extension<Peer>,
    headers: HeaderMap,
    asked: Result<Query<Asked>, QueryRejection>,
    lookups: &Rate,
) -> Result<&'static str, Problem> {
    if !is_proxys_own(peer.ip(), &node.trusted_proxies, &headers) {
        return Err(Problem::not_found("there is nothing here"));
    }
    let Query(Asked { domain }) = asked
        .map_err(|_| Problem::bad_request("invalid_query", "ask with `?domain=` and a name"))?;
    let allowed = match node.hosts.target([domain.as_bytes()], None) {
        // A certificate is for a name, not for one of its ports.
        _ if domain.contains(':') => false,
        Target::Control => true,
        Target::Domain(domain) => node.domain_directory.app(&domain).await?.is_some(),
        Target::App(_) | Target::Preview { .. } if !lookups.allows() => {
            return Err(Problem::instance_busy("too many names are asked for; try again"));
        }
        Target::App(app) => exists(&node, &app, None).await?,
        Target::Preview { app, release } => exists(&node, &app, Some(release)).await?,
        Target::Misdirected => false,
    };
    if allowed { Ok("allowed\n") } else { Err(Problem::not_found("no app answers at this name")) }
}

/// Whether the proxy asks by itself, and does not pass on what a client asks.
fn is_proxys_own(peer: IpAddr, proxies: &[IpNet], headers: &HeaderMap) -> bool {
    let is_near = peer.to_canonical().is_loopback() || is_within(proxies, peer);
    is_near && !headers.contains_key("x-forwarded-for") && !headers.contains_key("forwarded")
}

async fn exists(
    node: &Node,
    app: &AppSlug,
    release: Option<ReleaseNumber>,
) -> Result<bool, StoreError> {
    match (node.stores.apps.find(app).await?, release) {
        (None, _) => Ok(false),
        (Some(_), None) => Ok(true),
        (Some(app), Some(release)) => {
            Ok(node.stores.releases.find(app.id, release).await?.is_some())
        }
    }
}

/// Lets so many through in a second.
#[derive(Default)]
struct Rate(Mutex<Option<Second>>);

struct Second {
    began: Instant,
    left: u32,
}

impl Rate {
    fn allows(&self) -> bool {
        let mut second = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let current = second.take().filter(|s| now - s.began < Duration::from_secs(1));
        let Second { began, left } =
            current.unwrap_or(Second { began: now, left: LOOKUPS_PER_SECOND });
        *second = Some(Second { began, left: left.saturating_sub(1) });
        left > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_the_proxys_own_if_it_is_near_and_passes_nothing_on() {
        let proxies = ["10.0.0.0/8".parse().unwrap()];
        let check = |peer: &str, header: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            if let Some(name) = header {
                headers.insert(name, http::HeaderValue::from_static("203.0.113.9"));
            }
            is_proxys_own(peer.parse().unwrap(), &proxies, &headers)
        };
        for near in ["127.0.0.1", "::1", "::ffff:127.0.0.1", "10.1.2.3", "::ffff:10.1.2.3"] {
            assert!(check(near, None), "{near}");
            assert!(!check(near, Some("x-forwarded-for")), "{near}");
            assert!(!check(near, Some("forwarded")), "{near}");
        }
        for far in ["192.0.2.1", "2001:db8::1", "11.0.0.1"] {
            assert!(!check(far, None), "{far}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_are_let_through_in_a_second() {
        let rate = Rate::default();
        let allowed = || (0..1_000).filter(|_| rate.allows()).count();
        assert_eq!(allowed(), LOOKUPS_PER_SECOND as usize);
        tokio::time::advance(Duration::from_millis(999)).await;
        assert_eq!(allowed(), 0);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(allowed(), LOOKUPS_PER_SECOND as usize);
    }
}
