//! Why a request to the control plane came to nothing.

use std::error::Error as _;
use std::fmt::Write as _;

use picloud_shared::{Frame, ScriptError, excerpt};
use reqwest::Url;
use serde::{Deserialize, Serialize};

/// Why a request came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot reach {server}: is `picloud serve` or `picloud dev` running? ({reason})")]
    Unreachable { server: String, reason: String },
    /// The connection broke, or took too long.
    #[error("no answer from {server}: {reason}")]
    Broken { server: String, reason: String },
    /// The control plane refused, and said why.
    #[error("{}", .0.summary())]
    Problem(Problem),
    /// Something refused that is not the control plane.
    #[error("{server} answered with status {status} and no reason; is it a PiCloud server?")]
    Status { server: String, status: u16 },
    #[error("the server's answer is not understood ({0}); is it a PiCloud server of this version?")]
    Unexpected(String),
}

/// The control plane's `application/problem+json`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Problem {
    /// Where the code's page is, on the server.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub page: Option<String>,
    pub status: u16,
    /// Stable, for programs.
    pub code: String,
    pub title: String,
    #[serde(default)]
    pub detail: Option<String>,
    /// What is wrong with the files, where it is about files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Issue>,
}

/// One thing that is wrong with a file, or what a script threw.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Issue {
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Counted from 1, as is `column`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// The line with a caret under the column.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub excerpt: Option<String>,
    /// Innermost call first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stack: Vec<Frame>,
}

impl Issue {
    /// A script's error with its line of `source`, if that is at hand.
    #[must_use]
    pub fn new(error: ScriptError, source: Option<&str>) -> Self {
        let ScriptError { message, code, position, stack } = error;
        let at = position.as_ref();
        Self {
            message,
            code,
            line: at.map(|at| at.line),
            column: at.map(|at| at.column),
            excerpt: at.zip(source).and_then(|(at, source)| excerpt(source, at)),
            file: position.map(|position| position.file),
            stack,
        }
    }
}

impl From<picloud_manager_core::Issue> for Issue {
    fn from(issue: picloud_manager_core::Issue) -> Self {
        let picloud_manager_core::Issue { code, message, file, line, column, excerpt } = issue;
        Self { message, code: Some(code), file, line, column, excerpt, stack: Vec::new() }
    }
}

impl Problem {
    /// What the control plane would say of files with these mistakes.
    pub(crate) fn of_files(title: &str, errors: Vec<Issue>) -> Self {
        let code = errors.first().and_then(|issue| issue.code.clone());
        let code = code.unwrap_or_else(|| "syntax_error".to_owned());
        Self { status: 422, code, title: title.to_owned(), errors, ..Self::default() }
    }

    /// The problem in one sentence.
    fn summary(&self) -> &str {
        self.detail.as_deref().unwrap_or(&self.title)
    }
}

impl Error {
    /// The status of the server's refusal, if it did refuse.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Problem(problem) => Some(problem.status),
            Self::Status { status, .. } => Some(*status),
            Self::Unreachable { .. } | Self::Broken { .. } | Self::Unexpected(_) => None,
        }
    }

    pub(super) fn transport(server: &Url, error: reqwest::Error) -> Self {
        // The URL's query is nobody's business, and its path is noise.
        let error = error.without_url();
        let server = server.as_str().trim_end_matches('/').to_owned();
        let reason = innermost(&error);
        if error.is_connect() {
            Self::Unreachable { server, reason }
        } else {
            Self::Broken { server, reason }
        }
    }

    #[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
    pub(super) fn unexpected(error: serde_json::Error) -> Self {
        Self::Unexpected(error.to_string())
    }
}

/// The error at the bottom, which says what happened, or that time ran out.
fn innermost(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it took too long".to_owned();
    }
    let mut reason = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        reason.clear();
        // Writing to a String does not fail.
        let _ = write!(reason, "{inner}");
        source = inner.source();
    }
    reason
}
