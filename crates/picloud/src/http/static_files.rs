//! Files under `public/`, answered without a sandbox.
//!
//! A file has several forms where the app ships it compressed, or where to
//! compress it here pays. `Accept-Encoding` chooses between them, and from then
//! on everything is about the chosen one: entity tag, length, ranges.

mod caching;
pub(super) mod conditions;
pub(super) mod encoding;
pub(super) mod range;
mod representation;

use axum::body::Body;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Response, StatusCode, header};
use picloud_orchestrator_core::StaticFile;
use picloud_shared::{AppId, BlobHash};

use self::encoding::Accepted;
use self::representation::{Offer, Representation, Source};
use super::problem::Problem;
use crate::blobs::Gzipped;
use crate::node::Node;

/// Answers a GET or HEAD for a file.
pub(super) async fn answer(
    node: &Node,
    app: AppId,
    file: &StaticFile,
    request: &Parts,
) -> Response<Body> {
    let answered = negotiate(node, app, file, request).await;
    let mut response = answered.unwrap_or_else(Response::from);
    if representation::is_negotiated(file) {
        set(&mut response, header::VARY, "accept-encoding");
    }
    response
}

async fn negotiate(
    node: &Node,
    app: AppId,
    file: &StaticFile,
    request: &Parts,
) -> Result<Response<Body>, Problem> {
    let accepted = Accepted::of(&request.headers);
    let choose = |offer| Representation::choose(file, accepted, offer);
    let wants_part = request.method == Method::GET && request.headers.contains_key(header::RANGE);
    let form = if wants_part { choose(Offer::Stored) } else { None };
    let Some(form) = form.or_else(|| choose(Offer::All)) else {
        let detail = "the file cannot be sent in any way that Accept-Encoding allows";
        return Err(Problem::new(406, "not_acceptable", detail));
    };
    if let Some(response) = send(node, app, file, request, &form).await? {
        return Ok(response);
    }
    // Larger, but at once.
    let busy = || Problem::instance_busy("too many files are being compressed; try again");
    let form = choose(Offer::Stored).ok_or_else(busy)?;
    send(node, app, file, request, &form).await?.ok_or_else(busy)
}

/// Answers with the file in this form; `None` if it cannot be had soon.
async fn send(
    node: &Node,
    app: AppId,
    file: &StaticFile,
    request: &Parts,
    form: &Representation,
) -> Result<Option<Response<Body>>, Problem> {
    let headers = &request.headers;
    let is_head = request.method == Method::HEAD;
    let load = |hash| node.stores.releases.blob(app, hash);
    let mut response = if conditions::is_cached(headers, &form.etag) {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        match form.source {
            Source::Stored { bytes, .. } if is_head => length_only(bytes),
            Source::Stored { hash, .. } => {
                let contents = node.blobs.get(app, hash, load(hash)).await?;
                let contents = contents.ok_or_else(|| missing(file, hash))?;
                if conditions::may_be_continued(headers, &form.etag) {
                    range::answer(contents, headers)
                } else {
                    Response::new(Body::from(contents))
                }
            }
            Source::Compressed => match node.blobs.gzip(app, file.hash, load(file.hash)).await? {
                Gzipped::Contents(contents) if is_head => length_only(contents.len() as u64),
                Gzipped::Contents(contents) => Response::new(Body::from(contents)),
                Gzipped::Missing => return Err(missing(file, file.hash)),
                Gzipped::Busy => return Ok(None),
            },
        }
    };
    describe(&mut response, file, form);
    Ok(Some(response))
}

/// What HEAD gets: everything but the contents.
fn length_only(bytes: u64) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    response.headers_mut().insert(header::CONTENT_LENGTH, bytes.into());
    response
}

fn missing(file: &StaticFile, hash: BlobHash) -> Problem {
    tracing::error!(path = file.path, %hash, "a release's file is missing");
    Problem::host_fault()
}

fn describe(response: &mut Response<Body>, file: &StaticFile, form: &Representation) {
    set(response, header::ETAG, &form.etag);
    let cache_control = caching::cache_control(&file.path, &file.content_type);
    set(response, header::CACHE_CONTROL, cache_control);
    let is_stored = form.source != Source::Compressed;
    set(response, header::ACCEPT_RANGES, if is_stored { "bytes" } else { "none" });
    // Not of what has no contents: 304 and 416.
    if response.status().is_success() {
        set(response, header::CONTENT_TYPE, &file.content_type);
        if let Some(coding) = form.coding.name() {
            set(response, header::CONTENT_ENCODING, coding);
        }
    }
}

fn set(response: &mut Response<Body>, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}
