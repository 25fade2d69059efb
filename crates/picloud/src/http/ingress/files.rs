//! Files of an app at the URLs that its scripts have signed, `files::url`.
//! They are answered without a sandbox and pass in pieces, however large.

use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, future};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use percent_encoding::percent_decode_str;
use picloud_shared::AppId;
use picloud_shared::files::{Bucket, Info, Path, Pieces};
use serde::Deserialize;

use super::super::problem::Problem;
use super::super::static_files::conditions::{is_cached, may_be_continued};
use super::super::static_files::range;
use crate::node::Node;

/// Paths of an app that begin with this are not the app's to answer.
pub(super) const PREFIX: &str = "/.picloud/files/";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Signed {
    /// Unix time in seconds.
    expires: u64,
    signature: String,
}

/// Answers a GET or HEAD for `bucket/path`, still percent-encoded.
pub(super) async fn answer(node: &Node, app: AppId, file: &str, request: &Parts) -> Response<Body> {
    if !matches!(request.method, Method::GET | Method::HEAD) {
        let problem = Problem::new(405, "method_not_allowed", "this path answers GET, HEAD");
        return problem.with_header(header::ALLOW, HeaderValue::from_static("GET, HEAD")).into();
    }
    match find(node, app, file, request).await {
        Ok((info, contents)) => respond(&info, contents, &request.headers),
        Err(problem) => problem.into(),
    }
}

/// The file, and its contents from the first byte that is asked for on.
async fn find(
    node: &Node,
    app: AppId,
    file: &str,
    request: &Parts,
) -> Result<(Info, Option<Pieces>), Problem> {
    let (bucket, path) = check(node, app, file, request.uri.query().unwrap_or_default())?;
    let not_found = || Problem::not_found("there is no such file");
    let entry = node.stores.files.get(app, &bucket, &path).await?;
    let info = entry.ok_or_else(not_found)?.info;
    if request.method == Method::HEAD || is_known(&request.headers, &info) {
        return Ok((info, None));
    }
    let start = part(&request.headers, &info).and_then(Result::ok).map_or(0, |(start, _)| start);
    let contents = node.contents.open(app, info.hash, start).await?;
    // Replaced between the two looks.
    Ok((info, Some(contents.ok_or_else(not_found)?)))
}

/// What the URL names, if it is signed and its time has not come.
fn check(node: &Node, app: AppId, file: &str, query: &str) -> Result<(Bucket, Path), Problem> {
    let refused = |detail: &str| Problem::new(403, "invalid_signature", detail);
    let not_signed = "this link is not complete; ask where it comes from for a new one";
    let decoded = percent_decode_str(file).decode_utf8();
    let decoded = decoded.map_err(|_| refused(not_signed))?;
    let (bucket, path) = decoded.split_once('/').ok_or_else(|| refused(not_signed))?;
    let (Ok(bucket), Ok(path)) = (bucket.parse(), path.parse()) else {
        return Err(refused(not_signed));
    };
    let uri: Result<http::Uri, _> = format!("/?{query}").parse();
    let signed = uri.ok().and_then(|uri| {
        let query = axum::extract::Query::<Signed>::try_from_uri(&uri);
        query.ok().map(|axum::extract::Query(signed)| signed)
    });
    let Signed { expires, signature } = signed.ok_or_else(|| refused(not_signed))?;
    if !node.vault.url_is_signed(app, &bucket, &path, expires, &signature) {
        return Err(refused(not_signed));
    }
    if expires <= node.clock.now_ms() / 1000 {
        return Err(Problem::new(403, "link_expired", "this link has expired"));
    }
    Ok((bucket, path))
}

fn is_known(headers: &HeaderMap, info: &Info) -> bool {
    is_cached(headers, &info.etag())
}

/// The single range that is asked for; `Err` if there is no such part.
fn part(headers: &HeaderMap, info: &Info) -> Option<Result<(u64, u64), ()>> {
    let range = headers.get(header::RANGE)?.to_str().ok()?.strip_prefix("bytes=")?;
    let is_current = may_be_continued(headers, &info.etag());
    if is_current { range::parse(range, info.bytes) } else { None }
}

fn respond(info: &Info, contents: Option<Pieces>, headers: &HeaderMap) -> Response<Body> {
    let mut response = match contents {
        None if is_known(headers, info) => with_status(StatusCode::NOT_MODIFIED, Body::empty()),
        None => with_length(StatusCode::OK, Body::empty(), info.bytes),
        Some(contents) => match part(headers, info) {
            None => with_length(StatusCode::OK, Body::from_stream(contents), info.bytes),
            Some(Ok((start, end))) => {
                let length = end - start + 1;
                let part = Body::from_stream(first(contents, length));
                let mut response = with_length(StatusCode::PARTIAL_CONTENT, part, length);
                content_range(&mut response, &format!("bytes {start}-{end}/{}", info.bytes));
                response
            }
            Some(Err(())) => {
                let mut response = with_status(StatusCode::RANGE_NOT_SATISFIABLE, Body::empty());
                content_range(&mut response, &format!("bytes */{}", info.bytes));
                response
            }
        },
    };
    let mut set = |name, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(name, value);
        }
    };
    set(header::ETAG, &info.etag());
    set(header::CONTENT_TYPE, &info.content_type);
    set(header::ACCEPT_RANGES, "bytes");
    set(header::CACHE_CONTROL, "private, max-age=0, must-revalidate");
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    // What users have uploaded may be a page with scripts: it is shown, but
    // can do nothing in the app's name.
    set(
        header::CONTENT_SECURITY_POLICY,
        "sandbox; default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'",
    );
    response
}

fn with_status(status: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}

fn with_length(status: StatusCode, body: Body, length: u64) -> Response<Body> {
    let mut response = with_status(status, body);
    response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    response
}

fn content_range(response: &mut Response<Body>, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(header::CONTENT_RANGE, value);
    }
}

/// The first `length` bytes of a stream.
fn first(contents: Pieces, length: u64) -> Pieces {
    let part = contents.scan(length, |left, piece| {
        let piece = piece.map(|mut piece: Bytes| {
            piece.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
            *left -= piece.len() as u64;
            piece
        });
        future::ready(Some(piece))
    });
    part.try_take_while(|piece| future::ok(!piece.is_empty())).boxed()
}
