//! Releases: deployed, listed, compared, brought back.

mod diff;
mod files;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use picloud_manager_core::diff::text;
use picloud_manager_core::{Caller, Conditions, Deployed, Error, RouteSummary, Upload, archive};
use picloud_shared::{App, AppSlug, Release, ReleaseNumber, UserId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::conditions::{Given, IdempotencyKeyHeader, IfMatchHeader, IfNoneMatchHeader, etag};
use super::{List, Page, Path, Query, change, usage};
use crate::http::auth::{By, MaybeApp, OfApp};
use crate::http::body;
use crate::http::problem::Problem;
use crate::http::static_files::conditions::is_cached;
use crate::node::Node;

/// Bytes of a note.
const MAX_NOTE_BYTES: usize = 200;

type ReleaseList = List<ReleaseView, ReleaseNumber>;

pub(super) fn router() -> OpenApiRouter<Arc<Node>> {
    OpenApiRouter::new()
        .routes(routes!(list, upload))
        .routes(routes!(show, delete))
        .routes(routes!(show_active))
        .routes(routes!(diff::diff))
        .routes(routes!(files::list))
        .routes(routes!(files::show))
        .routes(routes!(activate))
}

/// A deploy's answer: where the app is live now.
#[derive(Serialize, ToSchema)]
pub(super) struct DeployedView {
    app: AppSlug,
    release: ReleaseNumber,
    /// Whether it answers requests; if not, its preview does.
    active: bool,
    /// Where it answers.
    url: String,
    routes: Vec<RouteSummary>,
    /// What is not wrong and yet perhaps not meant.
    warnings: Vec<String>,
    #[serde(skip)]
    status: StatusCode,
    #[serde(skip)]
    etag: String,
}

impl DeployedView {
    fn new(node: &Node, app: &AppSlug, deployed: Deployed, is_draft: bool) -> Self {
        let Deployed { release, routes, warnings } = deployed;
        let (etag, number) = (etag(&release, !is_draft), release.number);
        let host =
            if is_draft { node.hosts.of_preview(app, number) } else { node.hosts.of_app(app) };
        Self {
            app: app.clone(),
            release: number,
            active: !is_draft,
            url: node.url_of(&host),
            routes,
            warnings,
            status: StatusCode::CREATED,
            etag,
        }
    }
}

impl IntoResponse for DeployedView {
    fn into_response(self) -> Response {
        let headers = [(header::LOCATION, self.url.clone()), (header::ETAG, self.etag.clone())];
        (self.status, headers, Json(self)).into_response()
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

/// Makes the app if need be, deploys, and has the next request see it. An app
/// of which a release is expected is not made.
pub(super) async fn deploy(
    node: &Arc<Node>,
    destination: Destination,
    upload: Upload,
    note: String,
    conditions: Conditions,
) -> Result<DeployedView, Problem> {
    let slug = match &destination {
        Destination::App(app) => app.slug.clone(),
        Destination::New(slug, _) => slug.clone(),
    };
    let is_draft = matches!(upload, Upload::Draft(_));
    let deployed = change(node, &slug, async move |node| {
        let app = match destination {
            Destination::App(app) => *app,
            Destination::New(slug, _) if conditions.expected.is_some() => {
                return Err(Error::AppNotFound(slug));
            }
            Destination::New(slug, owner) => node.manager.create_app(&slug, owner).await?,
        };
        node.manager.deploy_if(&app, upload, &note, &conditions).await
    });
    let mut deployed = deployed.await?;
    deployed.warnings.extend(usage::warnings(node, &slug).await);
    Ok(DeployedView::new(node, &slug, deployed, is_draft))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct UploadQuery {
    /// Where the release comes from, for people: one line.
    note: Option<String>,
    /// Whether it answers requests from now on, as it does by default. If not it
    /// is there to be looked at: at its preview's address, and by `invoke`.
    activate: Option<bool>,
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
    params(UploadQuery, IfMatchHeader, IdempotencyKeyHeader),
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
    Given(conditions): Given,
    request_body: Body,
) -> Result<DeployedView, Problem> {
    let destination = Destination::new(app, &slug, &caller)?;
    let note = query.note.unwrap_or_else(|| "upload".to_owned());
    if note.len() > MAX_NOTE_BYTES || note.contains(char::is_control) {
        let detail = format!("a note has at most {MAX_NOTE_BYTES} bytes, on one line");
        return Err(Problem::bad_request("invalid_note", detail));
    }
    let files = unpacked(&node, request_body).await?;
    let is_draft = query.activate == Some(false);
    let upload = if is_draft { Upload::Draft(files) } else { Upload::Files(files) };
    deploy(&node, destination, upload, note, conditions).await
}

/// The files of an archive that comes as a body.
pub(super) async fn unpacked(
    node: &Node,
    request_body: Body,
) -> Result<BTreeMap<String, Bytes>, Problem> {
    let caps = *node.manager.caps();
    // Headers of a tar take half a kilobyte each; compressed it is smaller.
    let max_bytes = caps.bytes + caps.files * 2048;
    let bytes = body::read_within(request_body, max_bytes, body::UPLOAD_TIMEOUT).await?;
    let unpacked = tokio::task::spawn_blocking(move || archive::unpack(&bytes, &caps)).await;
    Ok(unpacked.map_err(|_panic| Problem::host_fault())??)
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
    paths: Vec<FileDetail>,
}

/// A file of a release.
#[derive(Serialize, ToSchema)]
struct FileView {
    path: String,
    bytes: u64,
    /// SHA-256 of its contents, in hexadecimal.
    hash: String,
}

/// A file of a release, and what is in it.
#[derive(Serialize, ToSchema)]
struct FileDetail {
    #[serde(flatten)]
    file: FileView,
    /// Its contents, if they were asked for and are text: UTF-8 without a NUL.
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct DetailQuery {
    /// Whether files that are text come with their contents.
    content: Option<bool>,
}

/// A release with its files.
#[utoipa::path(
    get,
    path = "/apps/{app}/releases/{number}",
    operation_id = "show_release",
    tag = "releases",
    params(DetailQuery, IfNoneMatchHeader),
    responses((status = 200, body = ReleaseDetail), (status = 304)),
    security(("token" = ["read"])),
)]
async fn show(
    State(node): State<Arc<Node>>,
    OfApp(app): OfApp,
    Path((_app, number)): Path<(String, i64)>,
    Query(query): Query<DetailQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    detail(&node, &app, ReleaseNumber(number), &query, &headers).await
}

/// The release that answers requests, with its files.
#[utoipa::path(
    get,
    path = "/apps/{app}/releases/active",
    operation_id = "show_active_release",
    tag = "releases",
    params(DetailQuery, IfNoneMatchHeader),
    responses((status = 200, body = ReleaseDetail), (status = 304)),
    security(("token" = ["read"])),
)]
async fn show_active(
    State(node): State<Arc<Node>>,
    OfApp(app): OfApp,
    Query(query): Query<DetailQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let active = app.active_release;
    let active = active.ok_or_else(|| Problem::not_found("nothing is deployed to this app"))?;
    detail(&node, &app, active, &query, &headers).await
}

async fn detail(
    node: &Node,
    app: &App,
    number: ReleaseNumber,
    query: &DetailQuery,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let release = node.stores.releases.find(app.id, number).await?;
    let release =
        release.ok_or_else(|| Problem::not_found(format!("there is no release {number}")))?;
    let active = app.active_release == Some(number);
    let tag = etag(&release, active);
    let is_cached = is_cached(headers, &tag);
    let etag = (header::ETAG, tag);
    if is_cached {
        return Ok((StatusCode::NOT_MODIFIED, [etag]).into_response());
    }
    let files = node.stores.releases.files(app.id, number).await?;
    let contents = match query.content {
        Some(true) => node.stores.releases.contents(app.id, number).await?,
        _ => BTreeMap::new(),
    };
    let paths = files.into_iter().map(|file| FileDetail {
        content: contents.get(&file.path).and_then(|bytes| text(bytes)).map(str::to_owned),
        file: FileView { path: file.path, bytes: file.bytes, hash: file.hash.to_string() },
    });
    let release = ReleaseView { release, active };
    Ok(([etag], Json(ReleaseDetail { release, paths: paths.collect() })).into_response())
}

/// Deletes an earlier release with the files that no other one has. The active
/// one and the newest one stay.
#[utoipa::path(
    delete,
    path = "/apps/{app}/releases/{number}",
    operation_id = "delete_release",
    tag = "releases",
    responses((status = 204)),
    security(("token" = ["deploy"])),
)]
async fn delete(
    State(node): State<Arc<Node>>,
    OfApp(app): OfApp,
    Path((_app, number)): Path<(String, i64)>,
) -> Result<StatusCode, Problem> {
    let slug = app.slug.clone();
    let deleted = change(&node, &slug, async move |node| {
        node.manager.delete_release(&app, ReleaseNumber(number)).await
    });
    deleted.await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes a release the active one.
#[utoipa::path(
    post,
    path = "/apps/{app}/releases/{number}/activate",
    operation_id = "activate_release",
    tag = "releases",
    params(IfMatchHeader),
    responses((status = 200, body = DeployedView)),
    security(("token" = ["deploy"])),
)]
async fn activate(
    State(node): State<Arc<Node>>,
    OfApp(app): OfApp,
    Path((_app, number)): Path<(String, i64)>,
    Given(conditions): Given,
) -> Result<DeployedView, Problem> {
    let slug = app.slug.clone();
    let deployed = change(&node, &slug, async move |node| {
        let expected = conditions.expected.as_ref();
        node.manager.rollback_if(&app, ReleaseNumber(number), expected).await
    });
    let view = DeployedView::new(&node, &slug, deployed.await?, false);
    Ok(DeployedView { status: StatusCode::OK, ..view })
}
