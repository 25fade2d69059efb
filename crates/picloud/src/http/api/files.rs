//! An app's files, from outside. A write goes through the same unit of work as a
//! script's, so the same rules hold, but for its size: it passes in pieces, as
//! large as there is room for.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt as _, TryStreamExt as _};
use http::{HeaderMap, StatusCode, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use picloud_executor_core::unit_of_work::{FileUnit, Quota};
use picloud_shared::files::{self, Bucket, Files as _, Info, Pieces};
use picloud_shared::kv::Range;
use picloud_shared::{App, Limits, StoreError};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::conditions::IfNoneMatchHeader;
use super::{List, Page, Path, Query, outside, page_of};
use crate::http::auth::OfApp;
use crate::http::body::UPLOAD_TIMEOUT;
use crate::http::problem::Problem;
use crate::http::static_files::conditions::is_cached;
use crate::node::Node;

/// What stays as it is in a file's name in a header (RFC 8187).
const IN_NAME: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');

type BucketList = List<BucketView>;
type FileList = List<FileInfo>;

pub(super) fn router() -> OpenApiRouter<Arc<Node>> {
    OpenApiRouter::new()
        .routes(routes!(buckets))
        .routes(routes!(list))
        .routes(routes!(download, put, delete))
}

/// A bucket, and how many files it has.
#[derive(Serialize, ToSchema)]
struct BucketView {
    bucket: String,
    files: u64,
}

/// The app's buckets, by name.
#[utoipa::path(
    get,
    path = "/apps/{app}/files",
    operation_id = "list_buckets",
    tag = "files",
    params(Page),
    responses((status = 200, body = BucketList)),
    security(("token" = ["read"])),
)]
async fn buckets(
    State(node): State<Arc<Node>>,
    OfApp(app): OfApp,
    Query(page): Query<Page>,
) -> Result<Json<BucketList>, Problem> {
    let buckets = node.stores.files.buckets(app.id).await?;
    let view = |(bucket, files): (Bucket, u64)| BucketView { bucket: bucket.to_string(), files };
    let buckets = buckets.into_iter().map(view).collect();
    let (items, next) = page_of(buckets, &page, |one: &BucketView| &one.bucket);
    Ok(Json(List { items, next }))
}

/// What is known of a file.
#[derive(Serialize, ToSchema)]
struct FileInfo {
    path: String,
    bytes: u64,
    /// SHA-256 of its contents, in hexadecimal.
    hash: String,
    content_type: String,
    /// Unix time, milliseconds.
    modified_ms: u64,
}

impl FileInfo {
    fn new(path: &str, info: Info) -> Self {
        let Info { bytes, hash, content_type, modified_ms } = info;
        Self { path: path.to_owned(), bytes, hash: hash.to_string(), content_type, modified_ms }
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    /// Only paths that begin with this.
    #[serde(default)]
    prefix: String,
    /// The `next` of the page before.
    after: Option<String>,
    /// Items of a page, by default 100.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// A bucket's files, in the order of their paths.
#[utoipa::path(
    get,
    path = "/apps/{app}/files/{bucket}",
    operation_id = "list_files",
    tag = "files",
    params(ListQuery),
    responses((status = 200, body = FileList)),
    security(("token" = ["read"])),
)]
async fn list(
    State(node): State<Arc<Node>>,
    OfApp(app): OfApp,
    Path((_app, bucket)): Path<(String, String)>,
    Query(query): Query<ListQuery>,
) -> Result<Json<FileList>, Problem> {
    let bucket: Bucket = bucket.parse().map_err(problem)?;
    let limit = query.limit.unwrap_or(super::DEFAULT_PAGE).clamp(1, files::MAX_PAGE);
    let range = Range { prefix: &query.prefix, after: query.after.as_deref(), limit };
    let listed = node.stores.files.list(app.id, &bucket, range).await?;
    let next = listed.files.last().filter(|_| listed.more).map(|(path, _)| path.to_string());
    let files = listed.files.into_iter();
    let items = files.map(|(path, entry)| FileInfo::new(path.as_str(), entry.info)).collect();
    Ok(Json(List { items, next }))
}

/// A file's contents, to be saved and never to be shown as a page. By HEAD, what
/// is known of it.
#[utoipa::path(
    get,
    path = "/apps/{app}/files/{bucket}/{*path}",
    operation_id = "show_file",
    tag = "files",
    params(IfNoneMatchHeader),
    responses(
        (status = 200, content_type = "application/octet-stream"),
        (status = 304),
    ),
    security(("token" = ["read"])),
)]
async fn download(
    State(node): State<Arc<Node>>,
    OfApp(app): OfApp,
    Path((_app, bucket, path)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (bucket, path) = (bucket.parse().map_err(problem)?, path.parse().map_err(problem)?);
    let not_found = || Problem::not_found("there is no such file");
    let entry = node.stores.files.get(app.id, &bucket, &path).await?;
    let info = entry.ok_or_else(not_found)?.info;
    let name = path.as_str().rsplit('/').next().unwrap_or_default();
    let name = utf8_percent_encode(name, IN_NAME);
    let described = [
        (header::CONTENT_TYPE, info.content_type.clone()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename*=UTF-8''{name}")),
        (header::ETAG, info.etag()),
        (header::CACHE_CONTROL, "private, no-cache".to_owned()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (header::CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'".to_owned()),
    ];
    if is_cached(&headers, &info.etag()) {
        return Ok((StatusCode::NOT_MODIFIED, described).into_response());
    }
    let contents = node.contents.open(app.id, info.hash, 0).await?;
    // Replaced between the two looks.
    let contents = contents.ok_or_else(not_found)?;
    let length = [(header::CONTENT_LENGTH, info.bytes.to_string())];
    Ok((described, length, Body::from_stream(contents)).into_response())
}

/// Writes a file; the body is its contents. Its `Content-Type` is the file's, or
/// else what its path's extension stands for.
#[utoipa::path(
    put,
    path = "/apps/{app}/files/{bucket}/{*path}",
    operation_id = "put_file",
    tag = "files",
    request_body(content_type = "application/octet-stream"),
    responses((status = 200, body = FileInfo)),
    security(("token" = ["deploy"])),
)]
async fn put(
    State(node): State<Arc<Node>>,
    OfApp(app): OfApp,
    Path((_app, bucket, path)): Path<(String, String, String)>,
    headers: HeaderMap,
    request_body: Body,
) -> Result<Json<FileInfo>, Problem> {
    let content_type = headers.get(header::CONTENT_TYPE).map(|value| {
        // What is no text is no content type either.
        value.to_str().unwrap_or_default().to_owned()
    });
    let pieces: Pieces = request_body.into_data_stream().map_err(std::io::Error::other).boxed();
    let unit = unit(&node, &app);
    let put = unit.put_pieces(&bucket, &path, pieces, content_type);
    let info = tokio::time::timeout(UPLOAD_TIMEOUT, put).await.map_err(|_elapsed| {
        let detail = format!("the body was not complete after {} s", UPLOAD_TIMEOUT.as_secs());
        Problem::new(408, "timed_out", detail)
    })?;
    let info = info.map_err(problem)?;
    if !outside::commit_units(&node, &app, None, Some(&unit)).await? {
        return Err(StoreError::Conflict.into());
    }
    Ok(Json(FileInfo::new(&path, info)))
}

/// Deletes a file.
#[utoipa::path(
    delete,
    path = "/apps/{app}/files/{bucket}/{*path}",
    operation_id = "delete_file",
    tag = "files",
    responses((status = 204)),
    security(("token" = ["deploy"])),
)]
async fn delete(
    State(node): State<Arc<Node>>,
    OfApp(app): OfApp,
    Path((_app, bucket, path)): Path<(String, String, String)>,
) -> Result<StatusCode, Problem> {
    for _ in 0..outside::ATTEMPTS {
        let unit = unit(&node, &app);
        if !unit.delete(&bucket, &path).await.map_err(problem)? {
            return Err(Problem::not_found("there is no such file"));
        }
        if outside::commit_units(&node, &app, None, Some(&unit)).await? {
            return Ok(StatusCode::NO_CONTENT);
        }
    }
    Err(StoreError::Conflict.into())
}

fn unit(node: &Node, app: &App) -> FileUnit {
    let limits = Limits::default().with(&app.limits);
    let quota = Quota { max_bytes: limits.file_bytes, used_bytes: None };
    let origin = node.app_url(&app.slug);
    FileUnit::new(
        app.id,
        Arc::clone(&node.stores.files),
        Arc::clone(&node.contents),
        Arc::clone(&node.vault),
        origin.trim_end_matches('/').into(),
        node.clock.now_ms(),
        quota,
    )
}

/// Consumed, so that it can be passed to `map_err`.
#[expect(clippy::needless_pass_by_value, reason = "the shape that `map_err` wants")]
fn problem(error: files::Error) -> Problem {
    let (status, code) = match &error {
        files::Error::InvalidBucket => (400, "invalid_bucket"),
        files::Error::InvalidPath => (400, "invalid_path"),
        files::Error::InvalidContentType => (400, "invalid_content_type"),
        files::Error::TooLarge(_) => (413, "too_large"),
        files::Error::QuotaExceeded => (507, "quota_exceeded"),
        files::Error::BudgetExceeded(_) => (413, "budget_exceeded"),
        files::Error::Unavailable(source) => {
            let source = source as &dyn std::error::Error;
            tracing::error!(error = source, "a file could not be stored");
            return Problem::unavailable();
        }
    };
    Problem::new(status, code, error.to_string())
}
