//! Files under `public/`, answered without a sandbox.

use axum::body::Body;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use picloud_orchestrator_core::StaticFile;
use picloud_shared::AppId;

use super::problem::Problem;
use crate::node::Node;

/// Answers a GET or HEAD for a file, with `ETag`, `If-None-Match` and a single
/// range.
pub(super) async fn answer(
    node: &Node,
    app: AppId,
    file: &StaticFile,
    request: &Parts,
) -> Response<Body> {
    let headers = &request.headers;
    let etag = format!("\"{}\"", file.hash);
    let mut response = if matches(headers, header::IF_NONE_MATCH, &etag) {
        status(StatusCode::NOT_MODIFIED, Body::empty())
    } else if request.method == Method::HEAD {
        let mut response = status(StatusCode::OK, Body::empty());
        response.headers_mut().insert(header::CONTENT_LENGTH, file.bytes.into());
        response
    } else {
        let load = node.stores.releases.blob(app, file.hash);
        match node.blobs.get(app, file.hash, load).await {
            Ok(Some(contents)) => with_range(contents, headers, &etag),
            Ok(None) => {
                tracing::error!(path = file.path, hash = %file.hash, "a release's file is missing");
                return Problem::host_fault().into();
            }
            Err(error) => return Problem::from(error).into(),
        }
    };
    let mut set = |name, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(name, value);
        }
    };
    set(header::ETAG, &etag);
    set(header::CONTENT_TYPE, &file.content_type);
    set(header::ACCEPT_RANGES, "bytes");
    // A deploy may change the file under the same name: caches must ask.
    set(header::CACHE_CONTROL, "public, max-age=0, must-revalidate");
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    response
}

fn status(status: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}

pub(super) fn matches(headers: &HeaderMap, name: header::HeaderName, etag: &str) -> bool {
    headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).any(|value| {
        value
            .split(',')
            .map(str::trim)
            .any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag)
    })
}

fn with_range(contents: Bytes, headers: &HeaderMap, etag: &str) -> Response<Body> {
    let whole = contents.len() as u64;
    let range = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    let range = range.and_then(|value| value.strip_prefix("bytes="));
    let is_current =
        !headers.contains_key(header::IF_RANGE) || matches(headers, header::IF_RANGE, etag);
    // Several ranges at once are answered with the whole, as RFC 9110 allows.
    let Some(range) = range.filter(|range| is_current && !range.contains(',')) else {
        return status(StatusCode::OK, Body::from(contents));
    };
    let (status_code, body, content_range) = match parse_range(range, whole) {
        Some(Ok((start, end))) => {
            // Within the contents, so within a `usize`.
            let bounds = usize::try_from(start).unwrap_or(0)..=usize::try_from(end).unwrap_or(0);
            let part = Body::from(contents.slice(bounds));
            (StatusCode::PARTIAL_CONTENT, part, format!("bytes {start}-{end}/{whole}"))
        }
        Some(Err(())) => {
            (StatusCode::RANGE_NOT_SATISFIABLE, Body::empty(), format!("bytes */{whole}"))
        }
        None => return status(StatusCode::OK, Body::from(contents)),
    };
    let mut response = status(status_code, body);
    if let Ok(value) = HeaderValue::from_str(&content_range) {
        response.headers_mut().insert(header::CONTENT_RANGE, value);
    }
    response
}

/// First and last byte of `0-9`, `5-` or `-3`; `Err` where there is no such
/// part, `None` where it is not a range at all.
pub(super) fn parse_range(range: &str, whole: u64) -> Option<Result<(u64, u64), ()>> {
    let (start, end) = range.trim().split_once('-')?;
    let number = |text: &str| text.parse::<u64>().ok();
    let (start, end) = match (start, end) {
        ("", suffix) => (whole.saturating_sub(number(suffix)?), whole.checked_sub(1)),
        (start, "") => (number(start)?, whole.checked_sub(1)),
        (start, end) => {
            let (start, end) = (number(start)?, number(end)?);
            if start > end {
                return None;
            }
            (start, Some(end.min(whole.checked_sub(1)?)))
        }
    };
    Some(match end {
        Some(end) if start <= end => Ok((start, end)),
        _ => Err(()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_rfc_9110_has_them() {
        assert_eq!(parse_range("0-4", 10), Some(Ok((0, 4))));
        assert_eq!(parse_range("5-", 10), Some(Ok((5, 9))));
        assert_eq!(parse_range("-3", 10), Some(Ok((7, 9))));
        assert_eq!(parse_range("-30", 10), Some(Ok((0, 9))));
        assert_eq!(parse_range("0-99", 10), Some(Ok((0, 9))));
        assert_eq!(parse_range("10-", 10), Some(Err(())));
        assert_eq!(parse_range("-0", 10), Some(Err(())));
        for none in ["", "a-b", "5-4", "5"] {
            assert_eq!(parse_range(none, 10), None, "{none}");
        }
    }
}
