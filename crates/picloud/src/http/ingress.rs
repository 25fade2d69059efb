//! Requests for apps: admit, route, run, answer.

mod access;
mod cors;
mod files;
mod headers;
mod request;
mod response;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use http::request::Parts;
use http::{HeaderValue, Request, Response, header};
use hyper::body::{Body as _, Incoming};
use opentelemetry::trace::SpanContext;
use picloud_executor_core::executor::status_of;
use picloud_executor_core::{Executed, Refused, Task};
use picloud_manager_core::Issue;
use picloud_orchestrator_core::{Demands, Match, RunnableApp};
use picloud_shared::usage::Counters;
use picloud_shared::{AppSlug, Event, Handler, Outcome, ReleaseNumber};

use super::problem::Problem;
use super::{body, static_files};
use crate::node::Node;
use crate::traces::RequestSpan;

pub use access::KnownPasswords;
pub(super) use request::{Client, is_within};

/// Codes of a script's error that clients may know.
const CODES_OF_SCRIPTS: &[&str] = &["invalid_body", "invalid_header", "quota_exceeded"];

/// Answers a request for an app: its active release, or the one of a preview.
pub(super) async fn answer(
    node: &Node,
    slug: &AppSlug,
    preview: Option<ReleaseNumber>,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Response<Body> {
    let app = match find(node, slug, preview).await {
        Ok(app) => app,
        Err(problem) => return problem.into(),
    };
    let client = Client::of(node, peer, request.headers());
    let span = node.traces.as_ref().map(|traces| {
        let headers = is_within(&node.trusted_proxies, peer.ip()).then(|| request.headers());
        traces.request(slug, request.method(), headers)
    });
    let within = span.as_ref().map(RequestSpan::context);
    let origin = request.headers().get(header::ORIGIN).cloned();
    let answered = serve(node, &app, &client, within, request).await;
    let mut response = answered.unwrap_or_else(Response::from);
    // Whatever the answer is: a page cannot read an error either without them.
    let ingress = &app.release.manifest.ingress;
    if let Some(cors) = &ingress.cors {
        cors::allow(cors, origin.as_ref(), response.headers_mut());
    }
    headers::add(&ingress.headers, client.scheme, response.headers_mut());
    let bytes_out = response.body().size_hint().exact().unwrap_or_default();
    node.usage.add(app.app.id, Counters { requests: 1, bytes_out, ..Counters::default() });
    if let Some(span) = span {
        span.end(response.status());
    }
    response
}

async fn serve(
    node: &Node,
    app: &RunnableApp,
    client: &Client,
    span: Option<SpanContext>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Problem> {
    let (parts, incoming) = request.into_parts();
    let (handler, params, demands) = match route(node, app, client, &parts).await {
        Ok(Routed::Script(handler, params, demands)) => (handler, params, demands),
        Ok(Routed::Answered(response)) => return Ok(response),
        Err(problem) => {
            // Whoever is still sending when the connection closes does not see why.
            body::skip(incoming).await;
            return Err(problem);
        }
    };
    let max_bytes = app.limits.request_body_bytes;
    let max_bytes = demands.body_bytes.map_or(max_bytes, |bytes| bytes.min(max_bytes));
    // Held to the end: a body that waits for its turn takes memory, too.
    let _memory = body::reserve(&node.bodies, &incoming, max_bytes).await?;
    let body = body::read(incoming, max_bytes).await?;
    let bytes_in = body.len() as u64;
    node.usage.add(app.app.id, Counters { bytes_in, ..Counters::default() });
    let request = request::for_script(&parts, params, body, client);
    let response = respond(node, app, execute(node, app, handler, request, span).await?);
    Ok(guarded(response, &demands))
}

/// What is known of a request before its body is read.
enum Routed<'a> {
    Script(&'a Handler, Vec<(String, String)>, Demands<'a>),
    Answered(Response<Body>),
}

/// Admits a request, and finds what answers it.
async fn route<'a>(
    node: &Node,
    app: &'a RunnableApp,
    client: &Client,
    parts: &Parts,
) -> Result<Routed<'a>, Problem> {
    let counted = node.rates.request(app.app.id, &app.limits, node.clock.now_ms());
    counted.map_err(Problem::rate_limited)?;
    let cors = app.release.manifest.ingress.cors.as_ref();
    if let Some(answer) = cors.and_then(|cors| cors::preflight(cors, parts)) {
        return Ok(Routed::Answered(answer));
    }
    if let Some(file) = parts.uri.path().strip_prefix(files::PREFIX) {
        // The link is what lets its bearer in.
        return Ok(Routed::Answered(files::answer(node, app.app.id, file, parts).await));
    }
    let (method, path) = (parts.method.as_str(), parts.uri.path());
    let demands = app.demands(method, path).ok_or_else(|| refuse(Match::BadRequest))?;
    access::admit(node, app, client.ip, &parts.headers, &demands).await?;
    match app.release.routes.find(method, path) {
        Match::Script { handler, params } => Ok(Routed::Script(handler, params, demands)),
        Match::Static(file) => {
            let response = static_files::answer(node, app.app.id, file, parts).await;
            Ok(Routed::Answered(guarded(response, &demands)))
        }
        refused => Err(refuse(refused)),
    }
}

/// The answer to a request that had to meet demands.
fn guarded(mut response: Response<Body>, demands: &Demands<'_>) -> Response<Body> {
    if !demands.auth.is_empty() {
        headers::keep_private(response.headers_mut());
    }
    response
}

/// The app to answer with.
pub(super) async fn find(
    node: &Node,
    slug: &AppSlug,
    preview: Option<ReleaseNumber>,
) -> Result<Arc<RunnableApp>, Problem> {
    let found = match preview {
        None => node.directory.active(slug).await,
        Some(release) => node.directory.preview(slug, release).await,
    };
    match found {
        Ok(Some(app)) => Ok(app),
        Ok(None) => Err(Problem::not_found("there is no such app, or nothing is deployed to it")),
        Err(error) => {
            tracing::error!(%slug, "an app cannot be run");
            Err(error.into())
        }
    }
}

/// The answer for a request that no handler gets.
pub(super) fn refuse(refused: Match<'_>) -> Problem {
    match refused {
        Match::MethodNotAllowed { allow } => {
            let detail = format!("this path answers {allow}");
            let problem = Problem::new(405, "method_not_allowed", detail);
            match HeaderValue::from_str(&allow) {
                Ok(allow) => problem.with_header(header::ALLOW, allow),
                Err(_) => problem,
            }
        }
        Match::BadRequest => {
            Problem::bad_request("invalid_path", "the path is not validly encoded")
        }
        Match::NotFound | Match::Script { .. } | Match::Static(_) => {
            Problem::not_found("the app has no such path")
        }
    }
}

/// Runs a handler on a request, within its span if it is traced.
pub(super) async fn execute(
    node: &Node,
    app: &RunnableApp,
    handler: &Handler,
    request: picloud_shared::Request,
    span: Option<SpanContext>,
) -> Result<Executed, Problem> {
    let Some(program) = app.release.program(&handler.script) else {
        tracing::error!(script = handler.script, "a route's script is missing from its release");
        return Err(Problem::host_fault());
    };
    let task = Task {
        app: app.app.id,
        slug: app.app.slug.clone(),
        release: app.release.number,
        program: Arc::clone(program),
        handler: handler.clone(),
        settings: Arc::clone(&app.release.settings),
        egress: Arc::clone(&app.release.egress),
        origin: origin(&request.url).into(),
        cause: format!("{} {}", request.method, truncated(&request.path)),
        event: Event::Http(request),
        limits: Arc::clone(&app.limits),
        triggers: Arc::clone(&app.triggers),
        delivery: None,
        span,
    };
    node.executor.execute(task).await.map_err(|refused| {
        let (status, code, after_s) = match refused {
            Refused::AppBusy => (429, "app_busy", 1),
            Refused::InstanceBusy => (503, "instance_busy", 1),
            Refused::Spent { left_ms } => (429, "quota_exceeded", left_ms.div_ceil(1_000)),
        };
        Problem::new(status, code, refused.to_string())
            .with_header(header::RETRY_AFTER, HeaderValue::from(after_s))
    })
}

/// The scheme, host and port of a URL.
fn origin(url: &str) -> &str {
    let host = url.find("://").map_or(0, |scheme| scheme + 3);
    let end = url.get(host..).and_then(|rest| rest.find(['/', '?'])).map(|end| host + end);
    url.get(..end.unwrap_or(url.len())).unwrap_or(url)
}

/// A path as the record has it.
fn truncated(path: &str) -> &str {
    const MAX: usize = 512;
    path.get(..path.floor_char_boundary(MAX)).unwrap_or(path)
}

fn respond(node: &Node, app: &RunnableApp, executed: Executed) -> Response<Body> {
    let id = executed.id.to_string();
    let mut response = match executed.outcome {
        Outcome::Ok(response) => response::of_script(response).unwrap_or_else(|error| {
            tracing::error!(%error, execution = id, "a response was checked and cannot be sent");
            Problem::host_fault().into()
        }),
        outcome => failure(node, app, &id, &outcome),
    };
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert("x-picloud-execution", id);
    }
    response
}

/// The answer for a handler that did not answer. Clients get the execution's id
/// and nothing of the script; in dev mode they are its author.
fn failure(node: &Node, app: &RunnableApp, id: &str, outcome: &Outcome) -> Response<Body> {
    let status = status_of(outcome);
    let (code, detail, position) = match outcome {
        Outcome::ScriptError(error) => {
            let code = error.code.as_deref().filter(|code| CODES_OF_SCRIPTS.contains(code));
            (code.unwrap_or("script_error"), error.to_string(), error.position.as_ref())
        }
        other => (other.code(), other.to_string(), None),
    };
    let mut problem = Problem::new(status, code.to_owned(), format!("execution {id} failed"));
    problem.execution = Some(id.into());
    if matches!(status, 409 | 503 | 504) {
        problem = problem.with_header(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    match outcome {
        _ if node.dev => problem.detail = detail,
        // What is wrong with a request is its sender's to know; where the script
        // found out is not.
        Outcome::ScriptError(error) if status == 400 => problem.detail.clone_from(&error.message),
        _ => {}
    }
    if let Some(position) = position.filter(|_| node.dev) {
        let source = app.release.source(&position.file);
        problem.errors = vec![Issue {
            code: code.to_owned(),
            message: problem.detail.clone(),
            file: Some(position.file.clone()),
            line: Some(position.line),
            column: Some(position.column),
            excerpt: source.and_then(|source| picloud_shared::excerpt(source, position)),
        }];
    }
    problem.into()
}
