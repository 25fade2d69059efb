//! Releases: deployed, listed, compared, brought back.

mod diff;

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use picloud_manager_core::{Caller, Deployed, RouteSummary, Upload, archive};
use picloud_shared::{App, AppSlug, Release, ReleaseNumber, UserId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{List, Page, Path, Query, change};
use crate::http::auth::{By, MaybeApp, OfApp};
use crate::http::body;
use crate::http::problem::Problem;
use crate::node::Node;

/// Bytes of a note.
const MAX_NOTE_BYTES: usize = 200;

type ReleaseList = List<ReleaseView, ReleaseNumber>;

pub(super) fn router() -> OpenApiRouter<Arc<Node>> {
    OpenApiRouter::new()
        .routes(routes!(list, upload))
        .routes(routes!(show))
        .routes(routes!(diff::diff))
        .routes(routes!(activate))
}

/// A deploy's answer: where the app is live now.
#[derive(Serialize, ToSchema)]
pub(super) struct DeployedView {
    app: AppSlug,
    release: ReleaseNumber,
    /// Where the app answers.
    url: String,
    routes: Vec<RouteSummary>,
    /// What is not wrong and yet perhaps not meant.
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

/// Where a deploy goes: to an app, or to one that is yet to be made.
pub(super) enum Destination {
    App(Box<App>),
    New(AppSlug, Option<UserId>),
}

impl Destination {
    pub(super) fn new(app: Option<App>, slug: &str, caller: &Caller) -> Result<Self, Problem> {
        match app {
            Some(app) => Ok(Self::App(Box::new(app))),
            None => Ok(Self::New(super::slug(slug)?, caller.owner())),
        }
    }
}

/// Makes the app if need be, deploys, and has the next request see it.
pub(super) async fn deploy(
    node: &Arc<Node>,
    destination: Destination,
    upload: Upload,
    note: String,
) -> Result<DeployedView, Problem> {
    let slug = match &destination {
        Destination::App(app) => app.slug.clone(),
        Destination::New(slug, _) => slug.clone(),
    };
    let deployed = change(node, &slug, async move |node| {
        let app = match destination {
            Destination::App(app) => *app,
            Destination::New(slug, owner) => node.manager.create_app(&slug, owner).await?,
        };
        node.manager.deploy(&app, upload, &note).await
    });
    Ok(DeployedView::new(node, &slug, deployed.await?, StatusCode::CREATED))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct UploadQuery {
    /// Where the release comes from, for people: one line.
    note: Option<String>,
}

/// Deploys a release, making the app if there is none.
///
/// If anything in it is wrong nothing changes, and the answer is 422 with every
/// mistake.
#[utoipa::path(
    post,
    path = "/apps/{app}/releases",
    operation_id = "create_release",
    tag = "releases",
    params(UploadQuery),
    request_body(
        description = "A tar, gzipped or not, of all the release's files.",
        content_type = "application/gzip",
    ),
    responses((status = 201, body = DeployedView)),
    security(("token" = ["deploy", "create"])),
)]
async fn upload(
    State(node): State<Arc<Node>>,
    By(caller): By,
    MaybeApp(app): MaybeApp,
    Path(slug): Path<String>,
    Query(query): Query<UploadQuery>,
    request_body: Body,
) -> Result<DeployedView, Problem> {
    let destination = Destination::new(app, &slug, &caller)?;
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
    deploy(&node, destination, Upload::Files(files), note).await
}

/// A release as a list shows it.
#[derive(Serialize, ToSchema)]
struct ReleaseView {
    #[serde(flatten)]
    release: Release,
    /// Whether it answers requests.
    active: bool,
}

/// The app's releases, newest first.
#[utoipa::path(
    get,
    path = "/apps/{app}/releases",
    operation_id = "list_releases",
    tag = "releases",
    params(Page),
    responses((status = 200, body = ReleaseList)),
    security(("token" = ["read"])),
)]
async fn list(
    State(node): State<Arc<Node>>,
    OfApp(app): OfApp,
    Query(page): Query<Page>,
) -> Result<Json<ReleaseList>, Problem> {
    let before = page.after::<i64>()?.map(ReleaseNumber);
    let mut releases = node.manager.releases(&app, before, page.limit() + 1).await?;
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
#[derive(Serialize, ToSchema)]
struct ReleaseDetail {
    #[serde(flatten)]
    release: ReleaseView,
    paths: Vec<FileView>,
}

/// A file of a release.
#[derive(Serialize, ToSchema)]
struct FileView {
    path: String,
    bytes: u64,
    /// SHA-256 of its contents, in hexadecimal.
    hash: String,
}

/// A release with its files.
#[utoipa::path(
    get,
    path = "/apps/{app}/releases/{number}",
    operation_id = "show_release",
    tag = "releases",
    responses((status = 200, body = ReleaseDetail)),
    security(("token" = ["read"])),
)]
async fn show(
    State(node): State<Arc<Node>>,
    OfApp(app): OfApp,
    Path((_app, number)): Path<(String, i64)>,
) -> Result<Json<ReleaseDetail>, Problem> {
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

/// Makes a release the active one.
#[utoipa::path(
    post,
    path = "/apps/{app}/releases/{number}/activate",
    operation_id = "activate_release",
    tag = "releases",
    responses((status = 200, body = DeployedView)),
    security(("token" = ["deploy"])),
)]
async fn activate(
    State(node): State<Arc<Node>>,
    OfApp(app): OfApp,
    Path((_app, number)): Path<(String, i64)>,
) -> Result<DeployedView, Problem> {
    let slug = app.slug.clone();
    let deployed = change(&node, &slug, async move |node| {
        node.manager.rollback(&app, ReleaseNumber(number)).await
    });
    Ok(DeployedView::new(&node, &slug, deployed.await?, StatusCode::OK))
}
