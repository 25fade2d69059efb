//! Running a handler from the control plane, with everything there is to see.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, State};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use opentelemetry::trace::SpanContext;
use picloud_executor_core::executor::status_of;
use picloud_manager_core::Error;
use picloud_orchestrator_core::Match;
use picloud_shared::{Outcome, ReleaseNumber, Request};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::executions::{self, ExecutionDetail};
use crate::http::auth::{OfApp, Peer};
use crate::http::problem::Problem;
use crate::http::{body, ingress};
use crate::node::Node;

/// Bytes of the whole JSON, base64 and all.
const MAX_BODY_BYTES: u64 = 4 << 20;

pub(super) fn router() -> OpenApiRouter<Arc<Node>> {
    OpenApiRouter::new().routes(routes!(invoke))
}

/// The request to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct InvokeRequest {
    #[serde(default = "get")]
    method: String,
    /// With its query.
    path: String,
    #[serde(default)]
    headers: Vec<(String, String)>,
    body: Option<String>,
    body_base64: Option<String>,
    /// A release other than the active one, such as a draft.
    #[schema(value_type = Option<i64>)]
    release: Option<ReleaseNumber>,
}

fn get() -> String {
    "GET".to_owned()
}

/// What the script answered, and its record.
#[derive(Serialize, ToSchema)]
struct InvokeResponse {
    status: u16,
    headers: Vec<(String, String)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    /// For a body that is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
    execution: Option<ExecutionDetail>,
}

/// Sends a request to the app's active release, or to another one.
///
/// Whichever it is, it runs on the app's data: what it writes is written.
///
/// Whatever came of the handler, the answer's own status is 200, and its
/// `status` is what a client would have got.
#[utoipa::path(
    post,
    path = "/apps/{app}/invoke",
    operation_id = "invoke",
    tag = "invoke",
    request_body = InvokeRequest,
    responses((status = 200, body = InvokeResponse)),
    security(("token" = ["deploy"])),
)]
async fn invoke(
    State(node): State<Arc<Node>>,
    Extension(Peer(peer)): Extension<Peer>,
    OfApp(asked_about): OfApp,
    request_body: Body,
) -> Result<Json<InvokeResponse>, Problem> {
    let slug = &asked_about.slug;
    let json = body::read(request_body, MAX_BODY_BYTES).await?;
    let invalid = |detail: String| Problem::bad_request("invalid_body", detail);
    let asked: InvokeRequest =
        serde_json::from_slice(&json).map_err(|error| invalid(error.to_string()))?;

    let app = ingress::find(&node, slug, asked.release).await?;
    if app.app.id != asked_about.id {
        return Err(Error::AppNotFound(slug.clone()).into());
    }
    let host = match asked.release {
        Some(release) => node.hosts.of_preview(slug, release),
        None => node.hosts.of_app(slug),
    };
    let request = request(asked, &host, peer).map_err(invalid)?;
    if request.body.len() as u64 > app.limits.request_body_bytes {
        let detail = format!("the body may have {} bytes", app.limits.request_body_bytes);
        return Err(Problem::new(413, "body_too_large", detail));
    }
    let (handler, params) = match app.release.routes.find(&request.method, &request.path) {
        Match::Script { handler, params } => (handler, params),
        refused => return Err(ingress::refuse(refused)),
    };
    let request = Request { params, ..request };
    let span = node.traces.as_ref().map(|_| SpanContext::NONE);
    let executed = ingress::execute(&node, &app, handler, request, span).await?;
    let status = status_of(&executed.outcome);
    let (headers, body) = match executed.outcome {
        Outcome::Ok(response) => (response.headers, response.body),
        _ => (Vec::new(), Bytes::new()),
    };
    let (body, body_base64) = match String::from_utf8(body.to_vec()) {
        Ok(text) => (Some(text), None),
        Err(_) => (None, Some(BASE64_STANDARD.encode(&body))),
    };
    let execution = executions::detail(&node, app.app.id, executed.id).await?;
    Ok(Json(InvokeResponse { status, headers, body, body_base64, execution }))
}

fn request(asked: InvokeRequest, host: &str, peer: SocketAddr) -> Result<Request, String> {
    let InvokeRequest { method, path, headers, body, body_base64, release: _ } = asked;
    if !path.starts_with('/') {
        return Err("`path` must start with a slash".to_owned());
    }
    let method = http::Method::from_bytes(method.to_ascii_uppercase().as_bytes())
        .map_err(|_| "`method` is not an HTTP method".to_owned())?;
    let body = match (body, body_base64) {
        (Some(_), Some(_)) => return Err("give `body` or `body_base64`, not both".to_owned()),
        (Some(text), None) => text.into_bytes(),
        (None, Some(encoded)) => BASE64_STANDARD
            .decode(encoded)
            .map_err(|error| format!("`body_base64` is not base64: {error}"))?,
        (None, None) => Vec::new(),
    };
    let (path_only, query) = path.split_once('?').unwrap_or((&path, ""));
    Ok(Request {
        method: method.as_str().to_owned(),
        url: format!("http://{host}{path}"),
        path: path_only.to_owned(),
        query: query.to_owned(),
        params: Vec::new(),
        headers: headers
            .into_iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), value))
            .collect(),
        host: host.to_owned(),
        ip: peer.ip().to_string(),
        body: body.into(),
    })
}
