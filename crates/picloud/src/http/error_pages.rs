//! A page for every error code, in the binary: what `type` of a problem leads to.
//!
//! To add a code: write it where it occurs, write `docs/errors/<code>.md` as the
//! others are, add its name to [`PAGES`] and its line to `docs/errors/README.md`.
//! `tests/it/error_pages.rs` finds codes in the sources and says what is missing.

use axum::body::Body;
use http::{HeaderValue, Method, Request, Response, header};

use super::problem::Problem;

/// Where the pages are, on every host. PiCloud does not know under which names
/// and ports it is reached, and the control plane's are not for an app's
/// clients; a path is right for whoever has the answer that names it.
const FOLDER: &str = "/.picloud/errors/";

const INDEX: &str = include_str!("../../../../docs/errors/README.md");

/// Codes and their pages.
macro_rules! pages {
    ($($code:literal,)*) => {
        &[$(($code, include_str!(concat!("../../../../docs/errors/", $code, ".md")))),*]
    };
}

/// In the codes' order.
const PAGES: &[(&str, &str)] = pages![
    "app_busy",
    "assertion_failed",
    "body_too_large",
    "budget_exceeded",
    "conflict",
    "cross_origin",
    "denied",
    "dns_unavailable",
    "domain_reserved",
    "domain_taken",
    "domain_unproved",
    "empty",
    "failed",
    "forbidden",
    "handler_not_found",
    "host_fault",
    "idempotency_key_reused",
    "import_cycle",
    "instance_busy",
    "interrupted",
    "invalid_answer",
    "invalid_archive",
    "invalid_argument",
    "invalid_base64",
    "invalid_body",
    "invalid_bucket",
    "invalid_bundle",
    "invalid_collection",
    "invalid_content_type",
    "invalid_cookie",
    "invalid_csv",
    "invalid_cursor",
    "invalid_data",
    "invalid_delay",
    "invalid_domain",
    "invalid_encoding",
    "invalid_event",
    "invalid_hash",
    "invalid_header",
    "invalid_hex",
    "invalid_idempotency_key",
    "invalid_json",
    "invalid_key",
    "invalid_length",
    "invalid_manifest",
    "invalid_name",
    "invalid_note",
    "invalid_option",
    "invalid_password",
    "invalid_path",
    "invalid_pattern",
    "invalid_query",
    "invalid_range",
    "invalid_request",
    "invalid_route",
    "invalid_secret",
    "invalid_signature",
    "invalid_status",
    "invalid_time",
    "invalid_token",
    "invalid_topic",
    "invalid_url",
    "invalid_value",
    "invite_not_found",
    "last_owner",
    "link_expired",
    "method_not_allowed",
    "misdirected",
    "name_taken",
    "no_consumer",
    "not_acceptable",
    "not_an_integer",
    "not_available",
    "not_found",
    "not_utf8",
    "oneself",
    "out_of_fuel",
    "out_of_memory",
    "overflow",
    "owns_apps",
    "precondition_failed",
    "quota_exceeded",
    "rate_limited",
    "release_broken",
    "release_in_use",
    "release_too_large",
    "render_error",
    "route_conflict",
    "script_error",
    "script_too_large",
    "superseded",
    "syntax_error",
    "template_not_found",
    "timed_out",
    "token_expired",
    "token_not_yet_valid",
    "too_deep",
    "too_large",
    "too_many_domains",
    "too_many_events",
    "too_many_files",
    "too_many_requests",
    "too_many_secrets",
    "too_many_tokens",
    "too_many_tries",
    "unauthorized",
    "unavailable",
    "unknown_function",
    "unknown_option",
    "unknown_timezone",
    "unreachable",
    "usage",
    "value_too_large",
    "weak_password",
    "wrong_audience",
    "wrong_credentials",
    "wrong_issuer",
];

/// Where the page of a code is. There is none for those that scripts make up.
pub(super) fn path(code: &str) -> Option<String> {
    find(code).map(|_| format!("{FOLDER}{code}"))
}

/// Answers a request for a page; `None` if it is for something else.
pub(super) fn answer<B>(request: &Request<B>) -> Option<Response<Body>> {
    let code = request.uri().path().strip_prefix(FOLDER)?;
    let page = if code.is_empty() { Some(INDEX) } else { find(code) };
    Some(match page {
        Some(page) if matches!(*request.method(), Method::GET | Method::HEAD) => text(page),
        Some(_) => Problem::new(405, "method_not_allowed", "this path answers GET, HEAD")
            .with_header(header::ALLOW, HeaderValue::from_static("GET, HEAD"))
            .into(),
        None => Problem::not_found("there is no such error code").into(),
    })
}

fn find(code: &str) -> Option<&'static str> {
    let index = PAGES.binary_search_by_key(&code, |(code, _)| code).ok()?;
    PAGES.get(index).map(|(_, page)| *page)
}

/// Markdown that is meant to be read as it is: browsers offer to save what is
/// called Markdown.
fn text(page: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(page));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_is_found() {
        for (code, page) in PAGES {
            assert_eq!(find(code), Some(*page), "{code}: the list is not in order");
            assert_eq!(path(code), Some(format!("/.picloud/errors/{code}")));
        }
        for none in ["", "README", "teapot", "../api"] {
            assert_eq!(path(none), None, "{none}");
        }
    }
}
