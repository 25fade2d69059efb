//! The files of a release, active or not.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use picloud_manager_core::diff;
use picloud_shared::{BlobHash, ReleaseNumber};
use serde::Serialize;
use utoipa::ToSchema;

use super::super::conditions::IfNoneMatchHeader;
use super::super::{List, Page, Path, Query, page_of};
use super::FileView;
use crate::http::auth::OfApp;
use crate::http::problem::Problem;
use crate::http::static_files::conditions::is_cached;
use crate::node::Node;

type ReleaseFileList = List<ReleaseFileView>;

/// A file of a release, as a list shows it.
#[derive(Serialize, ToSchema)]
pub(super) struct ReleaseFileView {
    #[serde(flatten)]
    file: FileView,
    /// Whether it can be shown as text: UTF-8 without a NUL.
    text: bool,
}

/// The files of a release, by path.
#[utoipa::path(
    get,
    path = "/apps/{app}/releases/{number}/files",
    operation_id = "list_release_files",
    tag = "releases",
    params(Page),
    responses((status = 200, body = ReleaseFileList)),
    security(("token" = ["read"])),
)]
pub(super) async fn list(
    State(node): State<Arc<Node>>,
    OfApp(app): OfApp,
    Path((_app, number)): Path<(String, i64)>,
    Query(page): Query<Page>,
) -> Result<Json<ReleaseFileList>, Problem> {
    let contents = node.stores.releases.contents(app.id, ReleaseNumber(number)).await?;
    if contents.is_empty() {
        return Err(Problem::not_found(format!("there is no release {number}")));
    }
    let (files, next) = page_of(contents.into_iter().collect(), &page, |(path, _)| path);
    let view = |(path, contents): (String, Bytes)| ReleaseFileView {
        text: diff::text(&contents).is_some(),
        file: FileView {
            path,
            bytes: contents.len() as u64,
            hash: BlobHash::of(&contents).to_string(),
        },
    };
    Ok(Json(List { items: files.into_iter().map(view).collect(), next }))
}

/// A file of a release, as it is. It is never shown as a page, whatever it holds.
#[utoipa::path(
    get,
    path = "/apps/{app}/releases/{number}/files/{*path}",
    operation_id = "show_release_file",
    tag = "releases",
    params(IfNoneMatchHeader),
    responses(
        (status = 200, body = String, content_type = "text/plain"),
        (status = 304),
    ),
    security(("token" = ["read"])),
)]
pub(super) async fn show(
    State(node): State<Arc<Node>>,
    OfApp(app): OfApp,
    Path((_app, number, path)): Path<(String, i64, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let releases = &node.stores.releases;
    let not_found = || Problem::not_found(format!("the release {number} has no file {path}"));
    let files = releases.files(app.id, ReleaseNumber(number)).await?;
    let file = files.into_iter().find(|file| file.path == path).ok_or_else(not_found)?;
    let etag = format!("\"{}\"", file.hash);
    let is_cached = is_cached(&headers, &etag);
    let described = [
        (header::ETAG, &*etag),
        (header::CACHE_CONTROL, "private, no-cache"),
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    if is_cached {
        return Ok((StatusCode::NOT_MODIFIED, described).into_response());
    }
    let contents = releases.blob(app.id, file.hash).await?.ok_or_else(not_found)?;
    Ok((described, contents).into_response())
}
