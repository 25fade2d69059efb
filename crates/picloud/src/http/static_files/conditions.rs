//! Conditional requests (RFC 9110, 13): does the client have it already?

use http::{HeaderMap, header};

/// Whether `If-None-Match` names this entity tag, which it does as well where
/// only one of the two is weak.
pub(in crate::http) fn is_cached(headers: &HeaderMap, etag: &str) -> bool {
    let opaque = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag).to_owned();
    let etag = opaque(etag);
    let lines = headers.get_all(header::IF_NONE_MATCH);
    lines.iter().filter_map(|value| value.to_str().ok()).any(|line| {
        // None of ours has a comma in it, so a tag that is cut at one is another's.
        line.split(',').map(str::trim).any(|tag| tag == "*" || opaque(tag) == etag)
    })
}

/// Whether a range may be answered: without `If-Range`, or if that names this
/// very tag. A weak tag does not say that the bytes are the same, and we give
/// no dates.
pub(in crate::http) fn may_be_continued(headers: &HeaderMap, etag: &str) -> bool {
    match headers.get(header::IF_RANGE) {
        None => true,
        Some(tag) => !etag.starts_with("W/") && tag.as_bytes() == etag.as_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(name: &HeaderName, lines: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(name, HeaderValue::from_static(line));
        }
        headers
    }

    #[test]
    fn any_of_the_tags_will_do_weak_or_not() {
        let cached =
            |lines: &[&'static str], etag| is_cached(&headers(&header::IF_NONE_MATCH, lines), etag);
        for lines in
            [&["\"a\""][..], &["W/\"a\""], &["*"], &["\"b\", \"a\""], &["\"b\"", "W/\"b\",\"a\""]]
        {
            assert!(cached(lines, "\"a\"") && cached(lines, "W/\"a\""), "{lines:?}");
        }
        for lines in [&[][..], &["\"a-gzip\""], &["a"], &["\"\""], &["w/\"a\""], &["W/W/\"a\""]] {
            assert!(!cached(lines, "\"a\""), "{lines:?}");
        }
    }

    #[test]
    fn a_range_is_continued_only_with_the_same_bytes() {
        let may = |lines: &[&'static str], etag| {
            may_be_continued(&headers(&header::IF_RANGE, lines), etag)
        };
        assert!(may(&[], "\"a\"") && may(&["\"a\""], "\"a\""));
        for line in ["\"b\"", "W/\"a\"", "*", "Tue, 01 Jan 2030 00:00:00 GMT", ""] {
            assert!(!may(&[line], "\"a\""), "{line}");
        }
        assert!(!may(&["W/\"a\""], "W/\"a\""));
    }
}
