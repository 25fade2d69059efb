//! Errors as clients see them: `application/problem+json` (RFC 9457) with a
//! stable code.

use std::borrow::Cow;

use axum::body::Body;
use axum::response::IntoResponse;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use picloud_manager_core::{Error, Issue};
use serde::Serialize;

/// An answer that says what went wrong and what to do about it. It never holds
/// an internal cause: that goes to the log.
#[derive(Debug, Serialize)]
pub(super) struct Problem {
    status: u16,
    code: Cow<'static, str>,
    title: &'static str,
    pub(super) detail: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) errors: Vec<Issue>,
    /// The execution that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) execution: Option<Box<str>>,
    #[serde(skip)]
    header: Option<Box<(HeaderName, HeaderValue)>>,
}

impl Problem {
    pub(super) fn new(
        status: u16,
        code: impl Into<Cow<'static, str>>,
        detail: impl Into<String>,
    ) -> Self {
        let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
        Self {
            status,
            code: code.into(),
            title: reason.unwrap_or("Error"),
            detail: detail.into(),
            errors: Vec::new(),
            execution: None,
            header: None,
        }
    }

    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(404, "not_found", detail)
    }

    pub(super) fn bad_request(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(400, code, detail)
    }

    /// The server's own fault. The cause is in its log.
    pub(super) fn host_fault() -> Self {
        Self::new(500, "host_fault", "PiCloud failed; its log says why")
    }

    pub(super) fn unavailable() -> Self {
        Self::new(503, "unavailable", "the database is unavailable; try again shortly")
            .with_header(header::RETRY_AFTER, HeaderValue::from_static("1"))
    }

    pub(super) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.header = Some(Box::new((name, value)));
        self
    }
}

impl From<Problem> for Response<Body> {
    fn from(problem: Problem) -> Self {
        // A struct of strings and numbers always serializes.
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let mut response = Self::new(Body::from(body));
        *response.status_mut() =
            StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let json = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        if let Some((name, value)) = problem.header.map(|header| *header) {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> axum::response::Response {
        self.into()
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let status = match &error {
            Error::AppNotFound(_) | Error::ReleaseNotFound(_) | Error::FileNotFound(_) => 404,
            Error::InvalidPath { .. } | Error::InvalidArchive(_) => 400,
            Error::ReleaseTooLarge { .. } | Error::TooManyFiles { .. } => 413,
            Error::Rejected(_) => 422,
            Error::Conflict => 409,
            Error::QuotaExceeded => 507,
            Error::Unavailable(source) => {
                let source = source as &dyn std::error::Error;
                tracing::error!(error = source, "the database failed");
                return Self::unavailable();
            }
            Error::HostFault(cause) => {
                tracing::error!(cause, "the sandbox failed");
                return Self::host_fault();
            }
        };
        let mut problem = Self::new(status, error.code().to_owned(), error.to_string());
        if let Error::Rejected(issues) = error {
            problem.errors = issues;
        }
        problem
    }
}

impl From<picloud_shared::StoreError> for Problem {
    fn from(error: picloud_shared::StoreError) -> Self {
        Error::from(error).into()
    }
}
