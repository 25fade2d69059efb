//! Single files of an app: upload a script, get an endpoint.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::IntoResponse;
use http::header;
use picloud_manager_core::Upload;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Path;
use super::conditions::{Given, IdempotencyKeyHeader, IfMatchHeader};
use super::releases::{DeployedView, Destination, deploy};
use crate::http::auth::{By, MaybeApp, OfApp};
use crate::http::body;
use crate::http::problem::Problem;
use crate::node::Node;

pub(super) fn router() -> OpenApiRouter<Arc<Node>> {
    OpenApiRouter::new().routes(routes!(show, upload, remove))
}

/// Deploys a release with this one file changed, making the app if there is none.
#[utoipa::path(
    put,
    path = "/apps/{app}/scripts/{*path}",
    operation_id = "put_script",
    tag = "releases",
    params(IfMatchHeader, IdempotencyKeyHeader),
    request_body(content_type = "application/octet-stream"),
    responses((status = 201, body = DeployedView)),
    security(("token" = ["deploy", "create"])),
)]
async fn upload(
    State(node): State<Arc<Node>>,
    By(caller): By,
    MaybeApp(app): MaybeApp,
    Path((slug, path)): Path<(String, String)>,
    Given(conditions): Given,
    request_body: Body,
) -> Result<DeployedView, Problem> {
    let destination = Destination::new(app, &slug, &caller)?;
    let max_bytes = node.manager.caps().bytes;
    let contents = body::read_within(request_body, max_bytes, body::UPLOAD_TIMEOUT).await?;
    let note = format!("upload of {path}");
    let upload = Upload::Patch { path, contents: Some(contents) };
    deploy(&node, destination, upload, note, conditions).await
}

/// The file as the active release has it.
#[utoipa::path(
    get,
    path = "/apps/{app}/scripts/{*path}",
    operation_id = "show_script",
    tag = "releases",
    responses((status = 200, body = String, content_type = "text/plain")),
    security(("token" = ["read"])),
)]
async fn show(
    State(node): State<Arc<Node>>,
    OfApp(app): OfApp,
    Path((_app, path)): Path<(String, String)>,
) -> Result<impl IntoResponse, Problem> {
    let not_found = || Problem::not_found(format!("the active release has no file {path}"));
    let release = app.active_release.ok_or_else(not_found)?;
    let releases = &node.stores.releases;
    let files = releases.files(app.id, release).await?;
    let file = files.into_iter().find(|file| file.path == path).ok_or_else(not_found)?;
    let contents = releases.blob(app.id, file.hash).await?.ok_or_else(not_found)?;
    let described = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    Ok((described, contents))
}

/// Deploys a release without this file.
#[utoipa::path(
    delete,
    path = "/apps/{app}/scripts/{*path}",
    operation_id = "delete_script",
    tag = "releases",
    params(IfMatchHeader, IdempotencyKeyHeader),
    responses((status = 201, body = DeployedView)),
    security(("token" = ["deploy"])),
)]
async fn remove(
    State(node): State<Arc<Node>>,
    OfApp(app): OfApp,
    Path((_app, path)): Path<(String, String)>,
    Given(conditions): Given,
) -> Result<DeployedView, Problem> {
    let note = format!("removal of {path}");
    let upload = Upload::Patch { path, contents: None };
    deploy(&node, Destination::App(Box::new(app)), upload, note, conditions).await
}
