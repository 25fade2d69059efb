//! Who may use the control plane, and the record of what they change.
//!
//! Every request to the API passes [`authorize`] once. What its operation needs
//! stands in the API's document ([`Policy`]), who asks is found out here, and
//! `picloud-manager-core` decides. Handlers get their app from here and look none
//! up by a name, so none can act on an app that was not asked about.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequestParts, MatchedPath, RawPathParams, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use cookie::Cookie;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, header};
use picloud_manager_core::{Caller, Credential, Error, Need, Origin, Subject, Verdict};
use picloud_shared::audit::Change;
use picloud_shared::{App, AppId, AppSlug};
use sha2::{Digest, Sha256};

use super::api::{Policy, Rule};
use super::ingress::Client;
use super::problem::Problem;
use crate::node::Node;

/// The session's cookie. Its prefix has browsers take it from this very host
/// alone, and over HTTPS or on this machine: no app can plant one.
pub(super) const COOKIE: &str = "__Host-picloud";

/// Who a change is by that was asked for with the admin's token.
const OPERATOR: &str = "operator";
/// Operations that change nothing, though by POST: what they are asked about
/// is too large for an address.
const LOOKS: &[&str] = &["check"];
/// How often it is asked whether an answer that goes on may do so.
const STANDING: Duration = Duration::from_secs(15);
/// Bytes of a path that the audit log keeps.
const MAX_TARGET_BYTES: usize = 300;

/// The client's end of the connection.
#[derive(Clone, Copy)]
pub(super) struct Peer(pub(super) SocketAddr);

/// What the middleware goes by.
pub(super) struct Gatekeeper {
    pub(super) node: Arc<Node>,
    pub(super) policy: Policy,
}

/// What the middleware has found out, for the handler.
#[derive(Clone)]
struct Grant {
    gatekeeper: Arc<Gatekeeper>,
    caller: Caller,
    /// The app of the path, if it exists.
    app: Option<App>,
}

/// Lets a request through whose caller may make it.
///
/// A request that a browser sends for another site's page is refused whoever
/// asks, for `picloud dev` on a loopback address asks for no token.
pub(super) async fn authorize(
    State(gatekeeper): State<Arc<Gatekeeper>>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    let Some((rule, grant)) = examine(&gatekeeper, &mut parts).await? else {
        return Ok(next.run(Request::from_parts(parts, body)).await);
    };
    let node = &gatekeeper.node;
    let entry = begin_entry(node, &grant.caller, rule, grant.app.as_ref(), &parts).await?;
    parts.extensions.insert(grant);
    let response = next.run(Request::from_parts(parts, body)).await;
    if let Some(entry) = entry
        && let Err(error) = node.stores.audit.end(entry, response.status().as_u16()).await
    {
        // The change is made, and its entry says so without its answer.
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, "an answer is missing in the audit log");
    }
    Ok(response)
}

/// Who asks, and that they may; `None` where anybody may.
async fn examine<'a>(
    gatekeeper: &'a Arc<Gatekeeper>,
    parts: &mut Parts,
) -> Result<Option<(&'a Rule, Grant)>, Problem> {
    let node = &gatekeeper.node;
    if is_cross_origin(&parts.headers) {
        let detail = "requests from other sites' pages are not answered";
        return Err(Problem::new(403, "cross_origin", detail));
    }
    let path = parts.extensions.get::<MatchedPath>();
    let rule = path.and_then(|path| gatekeeper.policy.of(&parts.method, path.as_str()));
    if rule.is_some_and(|rule| rule.need == Need::Public) {
        return Ok(None);
    }
    let caller = identify(node, parts).await?.ok_or_else(unauthorized)?;
    // That there is no such operation is only for callers to know.
    let Some(rule) = rule else { return Ok(None) };
    let app = admit(node, &caller, rule, parts).await?;
    Ok(Some((rule, Grant { gatekeeper: Arc::clone(gatekeeper), caller, app })))
}

/// Who asks. A token that is none is an error; nothing at all is nobody.
async fn identify(node: &Node, parts: &Parts) -> Result<Option<Caller>, Problem> {
    let headers = &parts.headers;
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let Some(token) = bearer(value) else { return Err(unauthorized()) };
        // Digests are compared, so that time tells nothing about the token.
        let digest = <[u8; 32]>::from(Sha256::digest(token));
        if node.admin_token == Some(digest) {
            return Ok(Some(Caller::Operator));
        }
        let caller = node.accounts.by_token(token).await?;
        return caller.map(Some).ok_or_else(|| refused("this token is not valid"));
    }
    if let Some(secret) = session(headers) {
        // A browser adds the cookie to what any page of this site sends; only
        // pages of this origin may change things with it.
        if !parts.method.is_safe() && !is_same_origin(headers) {
            let detail = "a change with a session's cookie needs an Origin header of this host";
            return Err(Problem::new(403, "cross_origin", detail));
        }
        if let Some(caller) = node.accounts.by_session(&secret).await? {
            return Ok(Some(caller));
        }
    }
    Ok(node.admin_token.is_none().then_some(Caller::Operator))
}

/// Lets a request through that may see all of the instance.
pub(super) async fn require_instance(node: &Node, parts: &Parts) -> Result<(), Problem> {
    let caller = identify(node, parts).await?.ok_or_else(unauthorized)?;
    match caller.may(Need::Instance, !parts.method.is_safe(), Subject::None) {
        Verdict::Allowed => Ok(()),
        Verdict::Forbidden(reason) => Err(Problem::new(403, "forbidden", reason)),
        // A token that is for one app alone.
        Verdict::Hidden => Err(Problem::new(403, "forbidden", "this token is for one app alone")),
    }
}

/// Whether the caller may do this, and with which app.
async fn admit(
    node: &Node,
    caller: &Caller,
    rule: &Rule,
    parts: &mut Parts,
) -> Result<Option<App>, Problem> {
    let changes = !parts.method.is_safe();
    let Some(slug) = slug_of_path(parts).await? else {
        decide(caller.may(rule.need, changes, Subject::None), None, rule)?;
        return Ok(None);
    };
    let Some(app) = node.manager.find_app(&slug).await? else {
        let subject = if rule.creates { Subject::NewApp } else { Subject::App(&slug, None) };
        decide(caller.may(rule.need, changes, subject), Some(&slug), rule)?;
        // Whoever sees everything learns that it is not there.
        return if rule.creates { Ok(None) } else { Err(Error::AppNotFound(slug).into()) };
    };
    let role = node.accounts.role(caller, &app).await?;
    let verdict = caller.may(rule.need, changes, Subject::App(&slug, role));
    if verdict == Verdict::Hidden && rule.creates {
        return Err(Error::NameTaken(slug.to_string()).into());
    }
    decide(verdict, Some(&slug), rule)?;
    Ok(Some(app))
}

fn decide(verdict: Verdict, app: Option<&AppSlug>, rule: &Rule) -> Result<(), Problem> {
    match (verdict, app) {
        (Verdict::Allowed, _) => Ok(()),
        (Verdict::Forbidden(reason), _) => Err(Problem::new(403, "forbidden", reason)),
        (Verdict::Hidden, Some(app)) => Err(Error::AppNotFound(app.clone()).into()),
        (Verdict::Hidden, None) => {
            tracing::error!(operation = &*rule.operation, "it is about an app and names none");
            Err(Problem::host_fault())
        }
    }
}

/// The path's `{app}`, if it has one.
async fn slug_of_path(parts: &mut Parts) -> Result<Option<AppSlug>, Problem> {
    let params = RawPathParams::from_request_parts(parts, &()).await;
    let params = params.map_err(|error| Problem::bad_request("invalid_path", error.body_text()))?;
    let app = params.iter().find(|(name, _)| *name == "app");
    app.map(|(_, text)| super::api::slug(text)).transpose()
}

/// Writes down who is about to change what.
async fn begin_entry(
    node: &Node,
    caller: &Caller,
    rule: &Rule,
    app: Option<&App>,
    parts: &Parts,
) -> Result<Option<i64>, Problem> {
    if parts.method.is_safe() || LOOKS.contains(&&*rule.operation) {
        return Ok(None);
    }
    let path = percent_encoding::percent_decode_str(parts.uri.path()).decode_utf8_lossy();
    let mut target = path.strip_prefix(super::api::PREFIX).unwrap_or(&path).to_owned();
    target.truncate(target.floor_char_boundary(MAX_TARGET_BYTES));
    let (actor, token) = match caller {
        Caller::Operator => (OPERATOR.to_owned(), None),
        Caller::User { user, by: Credential::Session(..) } => (user.name.to_string(), None),
        Caller::User { user, by: Credential::Token(token) } => {
            (user.name.to_string(), Some(token.name.clone()))
        }
    };
    let change = Change {
        at_ms: node.clock.now_ms(),
        actor,
        token,
        action: rule.operation.to_string(),
        target,
        app: app.map(|app| app.id),
        ip: origin(node, &parts.extensions, &parts.headers).ip,
    };
    Ok(Some(node.stores.audit.begin(&change).await?))
}

/// Where a request comes from.
fn origin(node: &Node, extensions: &http::Extensions, headers: &HeaderMap) -> Origin {
    let peer = extensions.get::<Peer>().map_or(([0, 0, 0, 0], 0).into(), |Peer(peer)| *peer);
    let agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    let user_agent = agent.unwrap_or_default().to_owned();
    Origin { ip: Client::of(node, peer, headers).ip, user_agent }
}

fn unauthorized() -> Problem {
    refused("log in, or send a token: Authorization: Bearer …")
}

fn refused(detail: &str) -> Problem {
    Problem::new(401, "unauthorized", detail)
        .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
}

fn bearer(value: &HeaderValue) -> Option<&str> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// The session's secret, if there is one cookie of its name and no more.
fn session(headers: &HeaderMap) -> Option<String> {
    let headers = headers.get_all(header::COOKIE).iter();
    let cookies = headers.filter_map(|value| value.to_str().ok()).flat_map(Cookie::split_parse);
    let mut ours = cookies.flatten().filter(|cookie| cookie.name() == COOKIE);
    let first = ours.next()?;
    ours.next().is_none().then(|| first.value().to_owned())
}

/// Whether a browser says that the request comes from another origin's page.
fn is_cross_origin(headers: &HeaderMap) -> bool {
    if let Some(site) = text(headers, "sec-fetch-site") {
        return !matches!(site, "same-origin" | "none");
    }
    headers.contains_key(header::ORIGIN) && !is_same_origin(headers)
}

/// Whether a browser says that the request comes from a page of this host.
fn is_same_origin(headers: &HeaderMap) -> bool {
    let origin = text(headers, "origin").and_then(|origin| origin.split_once("://"));
    origin.is_some_and(|(_, host)| Some(host) == text(headers, "host"))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Who asks: what an operation that is not public needs.
pub(super) struct By(pub(super) Caller);

/// The app of the path.
pub(super) struct OfApp(pub(super) App);

/// The app of the path, or `None` where an operation is about to make it.
pub(super) struct MaybeApp(pub(super) Option<App>);

/// Where the request comes from.
pub(super) struct Whence(pub(super) Origin);

/// A caller's right to an answer that goes on.
pub(super) struct Standing {
    gatekeeper: Arc<Gatekeeper>,
    app: Option<AppId>,
    /// Of the request, to be examined as it was at first.
    parts: Parts,
}

impl Standing {
    /// Resolves when the answer has to end: the server stops, or the request
    /// would be refused by now, or would be about another app of the same name.
    pub(super) async fn end(mut self) {
        let mut stopping = self.gatekeeper.node.stopping.subscribe();
        let lost = async {
            loop {
                tokio::time::sleep(STANDING).await;
                if !self.holds().await {
                    break;
                }
            }
        };
        tokio::select! {
            // An error means that the node is gone.
            _ = stopping.wait_for(|stopping| *stopping) => {}
            () = lost => {}
        }
    }

    async fn holds(&mut self) -> bool {
        let examined = examine(&self.gatekeeper, &mut self.parts).await;
        let granted = examined.ok().flatten().map(|(_, grant)| grant.app.map(|app| app.id));
        granted == Some(self.app)
    }
}

fn grant(parts: &Parts) -> Result<&Grant, Problem> {
    parts.extensions.get::<Grant>().ok_or_else(|| {
        tracing::error!("a handler was reached past the gatekeeper");
        Problem::host_fault()
    })
}

impl<S: Send + Sync> FromRequestParts<S> for By {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(Self(grant(parts)?.caller.clone()))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for MaybeApp {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(Self(grant(parts)?.app.clone()))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for OfApp {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        grant(parts)?.app.clone().map(Self).ok_or_else(|| {
            tracing::error!("a handler of an app was reached without one");
            Problem::host_fault()
        })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Standing {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let grant = grant(parts)?;
        let (gatekeeper, app) = (Arc::clone(&grant.gatekeeper), grant.app.as_ref());
        Ok(Self { gatekeeper, app: app.map(|app| app.id), parts: parts.clone() })
    }
}

impl FromRequestParts<Arc<Node>> for Whence {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, node: &Arc<Node>) -> Result<Self, Problem> {
        Ok(Self(origin(node, &parts.extensions, &parts.headers)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in list {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn a_page_of_another_origin_is_told_from_one_of_ours() {
        // The headers, whether they are another origin's, whether they are ours.
        for (list, is_cross, is_same) in [
            (&[][..], false, false),
            (&[("origin", "https://a.b")], true, false),
            (&[("origin", "https://a.b"), ("host", "a.b")], false, true),
            (&[("origin", "https://a.b:1"), ("host", "a.b")], true, false),
            (&[("origin", "null"), ("host", "null")], true, false),
            (&[("origin", "https://app.a.b"), ("host", "a.b")], true, false),
            (&[("sec-fetch-site", "same-site"), ("host", "a.b")], true, false),
            (&[("sec-fetch-site", "cross-site"), ("host", "a.b")], true, false),
            (&[("sec-fetch-site", "none"), ("host", "a.b")], false, false),
        ] {
            let headers = headers(list);
            assert_eq!(is_cross_origin(&headers), is_cross, "{list:?}");
            assert_eq!(is_same_origin(&headers), is_same, "{list:?}");
        }
    }

    #[test]
    fn a_session_is_one_cookie_of_its_very_name() {
        let of = |list: &[&str]| {
            let list: Vec<_> = list.iter().map(|cookie| ("cookie", *cookie)).collect();
            session(&headers(&list))
        };
        assert_eq!(of(&["a=b; __Host-picloud=s; c=d"]).as_deref(), Some("s"));
        assert_eq!(of(&["a=b", "__Host-picloud=s"]).as_deref(), Some("s"));
        for none in [&["__host-picloud=s"][..], &["picloud=s"], &["a=__Host-picloud"], &[]] {
            assert_eq!(of(none), None, "{none:?}");
        }
        // Two of them can only be somebody's trick.
        assert_eq!(of(&["__Host-picloud=s; __Host-picloud=t"]), None);
        assert_eq!(of(&["__Host-picloud=s", "__Host-picloud=s"]), None);
    }
}
