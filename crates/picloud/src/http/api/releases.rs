//! Releases: deployed, listed, compared, brought back.

mod diff;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::{StatusCode, header};
use picloud_manager_core::{Deployed, RouteSummary, Upload, archive};
use picloud_shared::{AppSlug, Release, ReleaseNumber};
use serde::{Deserialize, Serialize};

use super::{List, Page, Path, Query, change, slug};
use crate::http::body;
use crate::http::problem::Problem;
use crate::node::Node;

/// Bytes of a note.
const MAX_NOTE_BYTES: usize = 200;

pub(super) fn router() -> Router<Arc<Node>> {
    Router::new()
        .route("/apps/{app}/releases", get(list).post(upload))
        .route("/apps/{app}/releases/{number}", get(show))
        .route("/apps/{app}/releases/{number}/diff", get(diff::diff))
        .route("/apps/{app}/releases/{number}/activate", post(activate))
}

/// A deploy's answer: where the app is live now.
#[derive(Serialize)]
pub(super) struct DeployedView {
    app: AppSlug,
    release: ReleaseNumber,
    url: String,
    routes: Vec<RouteSummary>,
    warnings: Vec<String>,
    #[serde(skip)]
    status: StatusCode,
}

impl DeployedView {
    fn new(node: &Node, app: &AppSlug, deployed: Deployed, status: StatusCode) -> Self {
        let Deployed { release, routes, warnings } = deployed;
        let url = node.app_url(app);
        Self { app: app.clone(), release: release.number, url, routes, warnings, status }
    }
}

impl IntoResponse for DeployedView {
    fn into_response(self) -> Response {
        (self.status, [(header::LOCATION, self.url.clone())], Json(self)).into_response()
    }
}

/// Makes the app if need be, deploys, and has the next request see it.
pub(super) async fn deploy(
    node: &Arc<Node>,
    app: &AppSlug,
    upload: Upload,
    note: String,
) -> Result<DeployedView, Problem> {
    let deployed = change(node, app, async move |node, app| {
        node.manager.ensure_app(&app).await?;
        node.manager.deploy(&app, upload, &note).await
    });
    Ok(DeployedView::new(node, app, deployed.await?, StatusCode::CREATED))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UploadQuery {
    note: Option<String>,
}

async fn upload(
    State(node): State<Arc<Node>>,
    Path(app): Path<String>,
    Query(query): Query<UploadQuery>,
    request_body: Body,
) -> Result<DeployedView, Problem> {
    let slug = slug(&app)?;
    let note = query.note.unwrap_or_else(|| "upload".to_owned());
    if note.len() > MAX_NOTE_BYTES || note.contains(char::is_control) {
        let detail = format!("a note has at most {MAX_NOTE_BYTES} bytes, on one line");
        return Err(Problem::bad_request("invalid_note", detail));
    }
    let caps = *node.manager.caps();
    // Headers of a tar take half a kilobyte each; compressed it is smaller.
    let max_bytes = caps.bytes + caps.files * 2048;
    let bytes = body::read_within(request_body, max_bytes, body::UPLOAD_TIMEOUT).await?;
    let unpacked = tokio::task::spawn_blocking(move || archive::unpack(&bytes, &caps)).await;
    let files = unpacked.map_err(|_panic| Problem::host_fault())??;
    deploy(&node, &slug, Upload::Files(files), note).await
}

/// A release as a list shows it.
#[derive(Serialize)]
struct ReleaseView {
    #[serde(flatten)]
    release: Release,
    active: bool,
}

async fn list(
    State(node): State<Arc<Node>>,
    Path(app): Path<String>,
    Query(page): Query<Page>,
) -> Result<Json<List<ReleaseView, ReleaseNumber>>, Problem> {
    let slug = slug(&app)?;
    let app = node.manager.app(&slug).await?;
    let before = page.after::<i64>()?.map(ReleaseNumber);
    let mut releases = node.manager.releases(&slug, before, page.limit() + 1).await?;
    let more = releases.len() > page.limit() as usize;
    releases.truncate(page.limit() as usize);
    let next = releases.last().filter(|_| more).map(|release| release.number);
    let view = |release: Release| ReleaseView {
        active: app.active_release == Some(release.number),
        release,
    };
    Ok(Json(List { items: releases.into_iter().map(view).collect(), next }))
}

/// A release with its files.
#[derive(Serialize)]
struct ReleaseDetail {
    #[serde(flatten)]
    release: ReleaseView,
    paths: Vec<FileView>,
}

#[derive(Serialize)]
struct FileView {
    path: String,
    bytes: u64,
    hash: String,
}

async fn show(
    State(node): State<Arc<Node>>,
    Path((app, number)): Path<(String, i64)>,
) -> Result<Json<ReleaseDetail>, Problem> {
    let app = node.manager.app(&slug(&app)?).await?;
    let number = ReleaseNumber(number);
    let release = node.stores.releases.find(app.id, number).await?;
    let release =
        release.ok_or_else(|| Problem::not_found(format!("there is no release {number}")))?;
    let files = node.stores.releases.files(app.id, number).await?;
    let paths = files.into_iter().map(|file| FileView {
        path: file.path,
        bytes: file.bytes,
        hash: file.hash.to_string(),
    });
    Ok(Json(ReleaseDetail {
        release: ReleaseView { active: app.active_release == Some(number), release },
        paths: paths.collect(),
    }))
}

async fn activate(
    State(node): State<Arc<Node>>,
    Path((app, number)): Path<(String, i64)>,
) -> Result<DeployedView, Problem> {
    let slug = slug(&app)?;
    let deployed = change(&node, &slug, async move |node, app| {
        node.manager.rollback(&app, ReleaseNumber(number)).await
    });
    Ok(DeployedView::new(&node, &slug, deployed.await?, StatusCode::OK))
}
