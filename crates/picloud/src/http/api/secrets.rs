//! An app's secrets, from outside: written and listed, never read.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use http::StatusCode;
use picloud_shared::secrets::{Listed, MAX_VALUE_BYTES, Name};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{List, Path};
use crate::http::auth::OfApp;
use crate::http::body;
use crate::http::problem::Problem;
use crate::node::Node;

type SecretList = List<SecretView>;

pub(super) fn router() -> OpenApiRouter<Arc<Node>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(set, delete))
}

/// A secret without its value.
#[derive(Serialize, ToSchema)]
struct SecretView {
    name: String,
    /// Unix time, milliseconds.
    updated_at_ms: u64,
}

/// The app's secrets, without their values.
#[utoipa::path(
    get,
    path = "/apps/{app}/secrets",
    operation_id = "list_secrets",
    tag = "secrets",
    responses((status = 200, body = SecretList)),
    security(("token" = ["read"])),
)]
async fn list(
    State(node): State<Arc<Node>>,
    OfApp(app): OfApp,
) -> Result<Json<SecretList>, Problem> {
    let view =
        |Listed { name, updated_at_ms }| SecretView { name: name.to_string(), updated_at_ms };
    let items = node.secrets.list(&app).await?.into_iter().map(view).collect();
    Ok(Json(List { items, next: None }))
}

/// Sets a secret; the body is its value, as it is.
#[utoipa::path(
    put,
    path = "/apps/{app}/secrets/{name}",
    operation_id = "set_secret",
    tag = "secrets",
    request_body(content = String, content_type = "text/plain"),
    responses((status = 204)),
    security(("token" = ["deploy"])),
)]
async fn set(
    State(node): State<Arc<Node>>,
    OfApp(app): OfApp,
    Path((_app, name)): Path<(String, String)>,
    request_body: Body,
) -> Result<StatusCode, Problem> {
    let name = parse(&name)?;
    let value = body::read(request_body, MAX_VALUE_BYTES as u64).await?;
    let value = std::str::from_utf8(&value)
        .map_err(|_| Problem::bad_request("invalid_secret", "a secret is UTF-8 text"))?;
    node.secrets.set(&app, &name, value).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Deletes a secret.
#[utoipa::path(
    delete,
    path = "/apps/{app}/secrets/{name}",
    operation_id = "delete_secret",
    tag = "secrets",
    responses((status = 204)),
    security(("token" = ["deploy"])),
)]
async fn delete(
    State(node): State<Arc<Node>>,
    OfApp(app): OfApp,
    Path((_app, name)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    node.secrets.delete(&app, &parse(&name)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn parse(name: &str) -> Result<Name, Problem> {
    name.parse().map_err(|error: picloud_shared::secrets::InvalidName| {
        Problem::bad_request("invalid_name", error.to_string())
    })
}
