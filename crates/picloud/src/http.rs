//! One listener: the host of a request decides who answers it.

mod api;
mod auth;
mod body;
mod dashboard;
mod error_pages;
mod health;
mod ingress;
mod internal;
mod problem;
mod reference;
mod static_files;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use futures_util::FutureExt;
use http::{HeaderValue, Request, Response, header};
use hyper::body::Incoming;
use ipnet::IpNet;
use picloud_orchestrator_core::Target;
use tower_service::Service as _;

use crate::node::Node;
pub use api::Checks;
pub use ingress::KnownPasswords;
use problem::Problem;

/// Answers the requests of every connection.
#[derive(Clone)]
pub struct Front {
    node: Arc<Node>,
    control: Router,
}

impl Front {
    pub fn new(node: Arc<Node>) -> Self {
        let control = health::router()
            .merge(internal::router())
            .merge(api::router(Arc::clone(&node)))
            .merge(reference::router())
            .fallback(async |State(node): State<Arc<Node>>, request: Request<Body>| {
                dashboard::answer(&node.dashboard, &request.into_parts().0)
            })
            .with_state(Arc::clone(&node));
        Self { node, control }
    }

    /// Those in front of us that speak for many clients.
    pub fn trusted_proxies(&self) -> &[IpNet] {
        &self.node.trusted_proxies
    }

    /// Answers one request from `peer`. A panic on the way is this request's
    /// 500 and nobody else's.
    pub async fn answer(
        &self,
        peer: SocketAddr,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Infallible> {
        let dispatched = AssertUnwindSafe(self.dispatch(peer, request)).catch_unwind().await;
        let mut response = dispatched.unwrap_or_else(|_panic| {
            tracing::error!("a request's handler panicked");
            Problem::host_fault().into()
        });
        // Kept connections come to an end while new ones are still accepted,
        // so that no client writes to one at the moment in which it is closed.
        if self.node.is_stopping() {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response)
    }

    async fn dispatch(&self, peer: SocketAddr, request: Request<Incoming>) -> Response<Body> {
        // Before the host is looked at: the page about a wrong host is one of them.
        if let Some(page) = error_pages::answer(&request) {
            return page;
        }
        let hosts = request.headers().get_all(header::HOST);
        let hosts = hosts.iter().map(http::HeaderValue::as_bytes);
        let authority = request.uri().authority().map(http::uri::Authority::as_str);
        match self.node.hosts.target(hosts, authority) {
            Target::App(app) => ingress::answer(&self.node, &app, None, peer, request).await,
            Target::Preview { app, release } => {
                ingress::answer(&self.node, &app, Some(release), peer, request).await
            }
            Target::Control => {
                let mut request = request.map(Body::new);
                request.extensions_mut().insert(auth::Peer(peer));
                match self.control.clone().call(request).await {
                    Ok(response) => response,
                    Err(impossible) => match impossible {},
                }
            }
            Target::Domain(domain) => match self.node.domain_directory.app(&domain).await {
                Ok(Some(app)) => ingress::answer(&self.node, &app, None, peer, request).await,
                Ok(None) => misdirected().into(),
                Err(error) => Problem::from(error).into(),
            },
            Target::Misdirected => misdirected().into(),
        }
    }
}

fn misdirected() -> Problem {
    Problem::new(421, "misdirected", "this server does not answer for this host")
}
