//! An app's secrets, from outside: written and listed, never read.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::routing::{get, put};
use axum::{Json, Router};
use http::StatusCode;
use picloud_shared::secrets::{Listed, MAX_VALUE_BYTES, Name};
use serde::Serialize;

use super::{List, Path, slug};
use crate::http::body;
use crate::http::problem::Problem;
use crate::node::Node;

pub(super) fn router() -> Router<Arc<Node>> {
    Router::new()
        .route("/apps/{app}/secrets", get(list))
        .route("/apps/{app}/secrets/{name}", put(set).delete(delete))
}

#[derive(Serialize)]
struct SecretView {
    name: String,
    updated_at_ms: u64,
}

async fn list(
    State(node): State<Arc<Node>>,
    Path(app): Path<String>,
) -> Result<Json<List<SecretView>>, Problem> {
    let app = node.manager.app(&slug(&app)?).await?;
    let view =
        |Listed { name, updated_at_ms }| SecretView { name: name.to_string(), updated_at_ms };
    let items = node.secrets.list(&app).await?.into_iter().map(view).collect();
    Ok(Json(List { items, next: None }))
}

/// The body is the secret's value, as it is.
async fn set(
    State(node): State<Arc<Node>>,
    Path((app, name)): Path<(String, String)>,
    request_body: Body,
) -> Result<StatusCode, Problem> {
    let app = node.manager.app(&slug(&app)?).await?;
    let name = parse(&name)?;
    let value = body::read(request_body, MAX_VALUE_BYTES as u64).await?;
    let value = std::str::from_utf8(&value)
        .map_err(|_| Problem::bad_request("invalid_secret", "a secret is UTF-8 text"))?;
    node.secrets.set(&app, &name, value).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn delete(
    State(node): State<Arc<Node>>,
    Path((app, name)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let app = node.manager.app(&slug(&app)?).await?;
    node.secrets.delete(&app, &parse(&name)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn parse(name: &str) -> Result<Name, Problem> {
    name.parse().map_err(|error: picloud_shared::secrets::InvalidName| {
        Problem::bad_request("invalid_name", error.to_string())
    })
}
