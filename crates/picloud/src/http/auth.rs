//! Who may use the control plane: whoever has the admin's token.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderValue, header};
use sha2::{Digest, Sha256};

use super::problem::Problem;
use crate::node::Node;

/// The client's end of the connection.
#[derive(Clone, Copy)]
pub(super) struct Peer(pub(super) SocketAddr);

/// Lets a request through that carries the admin's token. `picloud dev` on a
/// loopback address asks for none, which is why a request that a browser sends
/// for another site's page is refused there and everywhere.
pub(super) async fn require_admin(
    State(node): State<Arc<Node>>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if is_cross_origin(&request) {
        let detail = "requests from other sites' pages are not answered";
        return Err(Problem::new(403, "cross_origin", detail));
    }
    let Some(expected) = &node.admin_token else { return Ok(next.run(request).await) };
    let given = request.headers().get(header::AUTHORIZATION).and_then(bearer);
    // Digests are compared, so that time tells nothing about the token.
    match given.map(|token| <[u8; 32]>::from(Sha256::digest(token))) {
        Some(given) if given == *expected => Ok(next.run(request).await),
        given => {
            let detail = match given {
                Some(_) => "this token is not valid",
                None => "send the admin's token: Authorization: Bearer …",
            };
            Err(Problem::new(401, "unauthorized", detail)
                .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")))
        }
    }
}

fn bearer(value: &HeaderValue) -> Option<&str> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// Whether a browser says that the request comes from another origin's page.
fn is_cross_origin(request: &Request) -> bool {
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = header("sec-fetch-site") {
        return !matches!(site, "same-origin" | "none");
    }
    let Some(origin) = request.headers().get(header::ORIGIN) else { return false };
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    origin.map(|(_, host)| host) != header("host")
}
