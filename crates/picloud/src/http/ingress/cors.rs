//! What browsers are told about pages of other origins (Fetch, "CORS protocol").

use axum::body::Body;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use picloud_shared::ingress::{Cors, Origins};

/// The answer to a browser that asks before it sends the request itself.
pub(super) fn preflight(cors: &Cors, request: &Parts) -> Option<Response<Body>> {
    let is_preflight = request.method == Method::OPTIONS
        && request.headers.contains_key(header::ORIGIN)
        && request.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    if !is_preflight {
        return None;
    }
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    if is_allowed(cors, request.headers.get(header::ORIGIN)) {
        let methods: Vec<_> = cors.methods.iter().map(|method| method.as_str()).collect();
        let headers = response.headers_mut();
        list(headers, header::ACCESS_CONTROL_ALLOW_METHODS, &methods);
        list(headers, header::ACCESS_CONTROL_ALLOW_HEADERS, &cors.headers);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, cors.max_age_s.into());
    }
    Some(response)
}

/// Says whether a page of this origin may read the answer, whatever a script
/// has said about it.
pub(super) fn allow(cors: &Cors, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
    headers.remove(header::ACCESS_CONTROL_ALLOW_ORIGIN);
    headers.remove(header::ACCESS_CONTROL_ALLOW_CREDENTIALS);
    headers.remove(header::ACCESS_CONTROL_EXPOSE_HEADERS);
    if let Origins::These(_) = cors.origins {
        // Also of what says nothing: a cache is not to keep that for the others.
        headers.append(header::VARY, HeaderValue::from_static("origin"));
    }
    if !is_allowed(cors, origin) {
        return;
    }
    let allowed = match (&cors.origins, origin) {
        (Origins::These(_), Some(origin)) => origin.clone(),
        _ => HeaderValue::from_static("*"),
    };
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
    list(headers, header::ACCESS_CONTROL_EXPOSE_HEADERS, &cors.expose);
    if cors.credentials {
        let yes = HeaderValue::from_static("true");
        headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
    }
}

fn is_allowed(cors: &Cors, origin: Option<&HeaderValue>) -> bool {
    match (&cors.origins, origin) {
        (Origins::Any, _) => true,
        (Origins::These(origins), Some(origin)) => {
            origins.iter().any(|known| origin.as_bytes() == known.as_bytes())
        }
        (Origins::These(_), None) => false,
    }
}

fn list<S: AsRef<str>>(headers: &mut HeaderMap, name: header::HeaderName, names: &[S]) {
    let names: Vec<_> = names.iter().map(AsRef::as_ref).collect();
    // The manifest has names that a header can have, so this never fails.
    if let (false, Ok(value)) = (names.is_empty(), HeaderValue::from_str(&names.join(", "))) {
        headers.insert(name, value);
    }
}
