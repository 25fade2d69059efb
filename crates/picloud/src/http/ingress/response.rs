//! From a script's response to an HTTP one.

use axum::body::Body;
use http::{HeaderName, HeaderValue, Response, StatusCode};

/// The HTTP response. The executor has checked it, so that it can be sent; if
/// there is a difference between its rules and HTTP's, that is our fault.
pub(super) fn of_script(response: picloud_shared::Response) -> Result<Response<Body>, http::Error> {
    let mut answer = Response::new(Body::from(response.body));
    *answer.status_mut() = StatusCode::from_u16(response.status)?;
    for (name, value) in response.headers {
        let name = HeaderName::from_bytes(name.as_bytes())?;
        answer.headers_mut().append(name, HeaderValue::from_str(&value)?);
    }
    Ok(answer)
}
