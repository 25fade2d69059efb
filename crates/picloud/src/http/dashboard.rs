//! The dashboard, on the control host: whatever nothing else answers there.
//!
//! It is one document, and which page it shows is for its own script to decide
//! by the address. So a browser that goes to an address gets the document, and
//! whoever asks for a file that there is not gets 404.

use std::borrow::Cow;

use axum::body::Body;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};

use super::problem::Problem;
use super::static_files::conditions::is_cached;
use super::static_files::encoding::{Accepted, Coding};
use crate::dashboard::{Dashboard, File, INDEX};

/// Nothing but its own scripts and styles, none of them within the document:
/// what a tenant has written is never run.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
                      img-src 'self' data:; font-src 'self'; connect-src 'self'; \
                      manifest-src 'self'; base-uri 'none'; form-action 'self'; \
                      frame-ancestors 'none'";

/// On every answer.
const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
];

/// Files whose names hold a hash of their contents.
const IMMUTABLE: &str = "_app/immutable/";
/// First segments of paths that are never a page's.
const NOT_PAGES: &[&str] = &["_app", "api", "internal", ".picloud"];

/// What a server without a dashboard says in its place.
const MISSING: &str = include_str!("dashboard/missing.html");

/// Answers a request that nothing else on the control host does.
pub(super) fn answer(dashboard: &Dashboard, request: &Parts) -> Response<Body> {
    if !matches!(request.method, Method::GET | Method::HEAD) {
        return nothing_here();
    }
    let path = request.uri.path().trim_start_matches('/');
    if let Some(file) = dashboard.find(path) {
        return send(file, path, &request.headers);
    }
    let is_page = path.is_empty() || (is_page(path) && wants_page(&request.headers));
    match dashboard.find(INDEX) {
        _ if !is_page => nothing_here(),
        Some(index) => send(index, INDEX, &request.headers),
        None => {
            let mut response = described("text/html; charset=utf-8", Body::from(MISSING));
            set(&mut response, header::CACHE_CONTROL, "no-cache");
            response
        }
    }
}

fn nothing_here() -> Response<Body> {
    Problem::not_found("there is nothing here").into()
}

/// Whether the dashboard may have a page there. A dot in a file's name is no
/// hindrance further down, where paths are made of what tenants have.
fn is_page(path: &str) -> bool {
    match path.split_once('/') {
        Some((first, _)) => !NOT_PAGES.contains(&first),
        None => !NOT_PAGES.contains(&path) && !path.contains('.'),
    }
}

/// Whether it is a browser that goes there; programs get a problem that they
/// can read.
fn wants_page(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::ACCEPT).iter().filter_map(|line| line.to_str().ok());
    let mut media = lines.flat_map(|line| line.split(',')).filter_map(|one| one.split(';').next());
    media.any(|media| media.trim().eq_ignore_ascii_case("text/html"))
}

fn send(file: &File, path: &str, headers: &HeaderMap) -> Response<Body> {
    let accepted = Accepted::of(headers);
    let gzip = accepted.weight(Coding::Gzip);
    let is_gzip = gzip > 0 && gzip >= accepted.weight(Coding::Identity);
    let etag = file.etag(is_gzip);
    let mut response = if is_cached(headers, &etag) {
        let mut response = described(&file.content_type, Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else if is_gzip {
        let mut response = described(&file.content_type, Body::from(file.gzip()));
        set(&mut response, header::CONTENT_ENCODING, "gzip");
        response
    } else {
        match file.plain() {
            Ok(plain) => described(&file.content_type, Body::from(plain)),
            Err(error) => {
                tracing::error!(%error, path, "a file of the dashboard is damaged");
                return Problem::host_fault().into();
            }
        }
    };
    let is_immutable = path.starts_with(IMMUTABLE);
    let cache = if is_immutable { "public, max-age=31536000, immutable" } else { "no-cache" };
    set(&mut response, header::CACHE_CONTROL, cache);
    set(&mut response, header::ETAG, etag);
    set(&mut response, header::VARY, "accept-encoding");
    response
}

fn described(content_type: &str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    set(&mut response, header::CONTENT_TYPE, content_type.to_owned());
    for (name, value) in HEADERS {
        set(&mut response, name, value);
    }
    response
}

fn set(response: &mut Response<Body>, name: HeaderName, value: impl Into<Cow<'static, str>>) {
    if let Ok(value) = HeaderValue::from_str(&value.into()) {
        response.headers_mut().insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_where_no_file_and_no_program_looks() {
        for page in ["apps", "login", "apps/shop/editor/lib/a.rhai", "apps/shop/kv/a.b/c.json"] {
            assert!(is_page(page), "{page}");
        }
        let others = ["robots.txt", "favicon.ico", "_app/immutable/gone.js", "_app", "api/v2/apps"];
        for other in others.into_iter().chain(["api", "internal/tls", ".picloud/x"]) {
            assert!(!is_page(other), "{other}");
        }
    }

    #[tokio::test]
    async fn without_a_dashboard_every_page_says_how_to_get_it() {
        for path in ["/", "/join"] {
            let request = http::Request::get(path).header("accept", "text/html").body(());
            let parts = request.unwrap().into_parts().0;
            let response = answer(&Dashboard::default(), &parts);
            assert_eq!(response.status(), 200);
            let headers = response.headers();
            assert_eq!(headers["content-type"], "text/html; charset=utf-8");
            assert_eq!(headers["content-security-policy"], POLICY);
            let body = axum::body::to_bytes(response.into_body(), 1 << 16).await.unwrap();
            let page = String::from_utf8(body.into()).unwrap();
            assert!(page.contains("PICLOUD_DASHBOARD=require"), "{page}");
            // Nothing that the policy forbids.
            assert!(!page.contains("<script") && !page.contains("style="), "{page}");
        }
    }

    #[test]
    fn browsers_ask_for_pages_and_programs_do_not() {
        let wants = |accept: Option<&'static str>| {
            let accept = accept.map(|accept| (header::ACCEPT, HeaderValue::from_static(accept)));
            wants_page(&accept.into_iter().collect())
        };
        assert!(wants(Some("text/html,application/xhtml+xml,*/*;q=0.8")));
        assert!(wants(Some("application/json, TEXT/HTML;q=0.1")));
        for program in [None, Some("*/*"), Some("application/json"), Some("image/avif,*/*;q=0.8")] {
            assert!(!wants(program), "{program:?}");
        }
    }
}
