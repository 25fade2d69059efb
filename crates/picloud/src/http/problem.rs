//! Errors as clients see them: `application/problem+json` (RFC 9457) with a
//! stable code.

use std::borrow::Cow;

use axum::body::Body;
use axum::response::IntoResponse;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use picloud_manager_core::{Error, Issue};
use picloud_orchestrator_core::DirectoryError;
use picloud_shared::StoreError;
use picloud_shared::allowance::Exceeded;
use serde::Serialize;
use utoipa::ToSchema;

use super::error_pages;

/// An answer that says what went wrong and what to do about it. It never holds
/// an internal cause: that goes to the log.
#[derive(Debug)]
pub(super) struct Problem {
    status: u16,
    code: Cow<'static, str>,
    pub(super) detail: String,
    pub(super) errors: Vec<Issue>,
    /// The execution that failed.
    pub(super) execution: Option<Box<str>>,
    header: Option<Box<(HeaderName, HeaderValue)>>,
}

impl Problem {
    pub(super) fn new(
        status: u16,
        code: impl Into<Cow<'static, str>>,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            status,
            code: code.into(),
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

    /// As much is under way for the app, or for who asks, as may be at one time.
    pub(super) fn app_busy(detail: impl Into<String>) -> Self {
        Self::new(429, "app_busy", detail)
            .with_header(header::RETRY_AFTER, HeaderValue::from_static("1"))
    }

    /// The server does as much as it can.
    pub(super) fn instance_busy(detail: impl Into<String>) -> Self {
        Self::new(503, "instance_busy", detail)
            .with_header(header::RETRY_AFTER, HeaderValue::from_static("1"))
    }

    /// Too many requests; the next one can come after this time.
    pub(super) fn rate_limited(Exceeded { wait_ms }: Exceeded) -> Self {
        let seconds = wait_ms.div_ceil(1_000).max(1);
        Self::new(429, "rate_limited", format!("too many requests; try again in {seconds} s"))
            .with_header(header::RETRY_AFTER, seconds.into())
    }

    pub(super) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.header = Some(Box::new((name, value)));
        self
    }
}

/// A problem as it is sent.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct Sent {
    /// Where the code's page is, on the host that answers.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    page: Option<String>,
    status: u16,
    /// Stable, for programs.
    code: Cow<'static, str>,
    title: &'static str,
    /// For people.
    detail: String,
    /// What is wrong with files.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Issue>,
    /// The execution that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    execution: Option<Box<str>>,
}

impl From<Problem> for Response<Body> {
    fn from(problem: Problem) -> Self {
        let Problem { status, code, detail, errors, execution, header } = problem;
        let http_status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let title = http_status.canonical_reason().unwrap_or("Error");
        let page = error_pages::path(&code);
        let sent = Sent { page, status, code, title, detail, errors, execution };
        // A struct of strings and numbers always serializes.
        let body = serde_json::to_vec(&sent).unwrap_or_default();
        let mut response = Self::new(Body::from(body));
        *response.status_mut() = http_status;
        let json = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        if let Some((name, value)) = header.map(|header| *header) {
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
            Error::AppNotFound(_)
            | Error::ReleaseNotFound(_)
            | Error::FileNotFound(_)
            | Error::SecretNotFound(_)
            | Error::UserNotFound(_)
            | Error::NoSuch(_)
            | Error::InviteNotFound => 404,
            Error::InvalidPath { .. }
            | Error::InvalidArchive(_)
            | Error::InvalidSecret
            | Error::WeakPassword
            | Error::NameMissing
            | Error::InvalidTokenName => 400,
            Error::WrongCredentials => 401,
            Error::Throttled { .. } => 429,
            Error::ReleaseTooLarge { .. } | Error::TooManyFiles { .. } => 413,
            Error::Rejected(_) | Error::IdempotencyKeyReused(_) => 422,
            Error::PreconditionFailed(_) => 412,
            Error::Conflict
            | Error::ReleaseInUse(_)
            | Error::TooManySecrets { .. }
            | Error::NameTaken(_)
            | Error::TooManyTokens { .. }
            | Error::LastOwner
            | Error::OwnsApps(_)
            | Error::Oneself => 409,
            Error::QuotaExceeded(_) => 507,
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
        if let Error::Throttled { retry_after_s } = error {
            problem = problem.with_header(header::RETRY_AFTER, retry_after_s.into());
        }
        if let Error::Rejected(issues) = error {
            problem.errors = issues;
        }
        problem
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict => {
                Self::new(409, "conflict", "others changed this at the same time; try again")
                    .with_header(header::RETRY_AFTER, HeaderValue::from_static("1"))
            }
            error => Error::from(error).into(),
        }
    }
}

impl From<DirectoryError> for Problem {
    fn from(error: DirectoryError) -> Self {
        match error {
            DirectoryError::Store(error) => error.into(),
            DirectoryError::Broken { release, reason } => {
                tracing::error!(%release, reason, "a release can no longer be run");
                let detail = "this release can no longer be run; deploy the app again";
                Self::new(500, "release_broken", detail)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use picloud_shared::ReleaseNumber;

    use super::*;

    #[test]
    fn a_release_that_cannot_be_run_is_not_taken_for_a_failing_database() {
        let reason = "index.rhai: secret".to_owned();
        let problem = Problem::from(DirectoryError::Broken { release: ReleaseNumber(3), reason });
        assert_eq!((problem.status, &*problem.code), (500, "release_broken"));
        assert!(!problem.detail.contains("secret"));
        let store = StoreError::unavailable("disk full");
        let problem = Problem::from(DirectoryError::Store(store));
        assert_eq!((problem.status, &*problem.code), (503, "unavailable"));
    }

    #[test]
    fn a_conflict_speaks_of_deploys_where_there_was_one() {
        assert!(!Problem::from(StoreError::Conflict).detail.contains("deploy"));
        assert!(Problem::from(Error::Conflict).detail.contains("deploy"));
    }
}
