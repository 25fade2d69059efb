//! A single range of bytes (RFC 9110, 14).

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

/// The contents, or the part of them that `Range` asks for. Several ranges at
/// once are answered with the whole, as is what is no range.
pub(super) fn answer(contents: Bytes, headers: &HeaderMap) -> Response<Body> {
    let whole = contents.len() as u64;
    let range = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    let range = range.and_then(|value| value.split_once('='));
    let range = range.filter(|(unit, _)| unit.eq_ignore_ascii_case("bytes"));
    let (status, body, content_range) = match range.and_then(|(_, range)| parse(range, whole)) {
        Some(Ok((start, end))) => {
            // Within the contents, so within a `usize`.
            let bounds = usize::try_from(start).unwrap_or(0)..=usize::try_from(end).unwrap_or(0);
            let part = Body::from(contents.slice(bounds));
            (StatusCode::PARTIAL_CONTENT, part, format!("bytes {start}-{end}/{whole}"))
        }
        Some(Err(())) => {
            (StatusCode::RANGE_NOT_SATISFIABLE, Body::empty(), format!("bytes */{whole}"))
        }
        None => return Response::new(Body::from(contents)),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    if let Ok(value) = HeaderValue::from_str(&content_range) {
        response.headers_mut().insert(header::CONTENT_RANGE, value);
    }
    response
}

/// First and last byte of `0-9`, `5-` or `-3`; `Err` where there is no such
/// part, `None` where it is not a single range.
pub(in crate::http) fn parse(range: &str, whole: u64) -> Option<Result<(u64, u64), ()>> {
    let (start, end) = range.trim().split_once('-')?;
    let number = |text: &str| {
        // The parser would take a sign, too.
        let is_number = text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<u64>().ok().filter(|_| is_number)
    };
    let (start, end) = match (start, end) {
        ("", suffix) => (whole.saturating_sub(number(suffix)?), whole.checked_sub(1)),
        (start, "") => (number(start)?, whole.checked_sub(1)),
        (start, end) => {
            let (start, end) = (number(start)?, number(end)?);
            if start > end {
                return None;
            }
            (start, whole.checked_sub(1).map(|last| end.min(last)))
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
        assert_eq!(parse("0-4", 10), Some(Ok((0, 4))));
        assert_eq!(parse("5-", 10), Some(Ok((5, 9))));
        assert_eq!(parse("-3", 10), Some(Ok((7, 9))));
        assert_eq!(parse("-30", 10), Some(Ok((0, 9))));
        assert_eq!(parse("0-99", 10), Some(Ok((0, 9))));
        assert_eq!(parse("10-", 10), Some(Err(())));
        assert_eq!(parse("-0", 10), Some(Err(())));
        assert_eq!(parse("0-0", 0), Some(Err(())));
        for none in ["", "a-b", "5-4", "5", "+5-9", "0-1,3-4"] {
            assert_eq!(parse(none, 10), None, "{none}");
        }
    }

    #[test]
    fn what_is_no_range_is_answered_with_the_whole() {
        let status = |range: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RANGE, HeaderValue::from_static(range));
            answer(Bytes::from_static(b"0123456789"), &headers).status().as_u16()
        };
        assert_eq!(["bytes=2-4", "Bytes=2-"].map(status), [206, 206]);
        assert_eq!(["bytes=0-1,3-4", "lines=2-4", "bytes", "2-4"].map(status), [200; 4]);
        assert_eq!(status("bytes=10-"), 416);
    }
}
