//! What the control plane answers when it refuses.

use std::fmt;

use picloud_shared::idempotency::IdempotencyKey;
use picloud_shared::{
    AppSlug, Quota, ReleaseNumber, ScriptError, StoreError, UserName, crypto, secrets,
};
use serde::Serialize;

use crate::{MAX_TOKEN_NAME_BYTES, MIN_PASSWORD_BYTES};

/// Why the control plane did not do as it was asked. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no app {0}")]
    AppNotFound(AppSlug),
    #[error("there is no release {0}")]
    ReleaseNotFound(ReleaseNumber),
    #[error("release {0} is the active one, or the newest; it cannot be deleted")]
    ReleaseInUse(ReleaseNumber),
    #[error("the active release has no file {0}")]
    FileNotFound(String),
    #[error("the app has no secret {0}")]
    SecretNotFound(secrets::Name),
    #[error("a secret has 1 to {} bytes of text", secrets::MAX_VALUE_BYTES)]
    InvalidSecret,
    #[error("an app has at most {max} secrets; delete one first")]
    TooManySecrets { max: usize },
    #[error("{path:?} is no path of a file: it {reason}")]
    InvalidPath { path: String, reason: &'static str },
    #[error("the archive cannot be read: {0}")]
    InvalidArchive(String),
    #[error("a release may have {max_bytes} bytes")]
    ReleaseTooLarge { max_bytes: u64 },
    #[error("a release may have {max_files} files")]
    TooManyFiles { max_files: u64 },
    /// The files contradict the rules; at least one issue.
    #[error("{}", .0.first().map_or_else(String::new, ToString::to_string))]
    Rejected(Vec<Issue>),
    #[error("there is no user {0}")]
    UserNotFound(UserName),
    #[error("there is no such {0}")]
    NoSuch(&'static str),
    #[error("this link was used, has expired, or never was one; ask for another")]
    InviteNotFound,
    #[error("the name or the password is wrong")]
    WrongCredentials,
    #[error("too many tries; try again in {retry_after_s} s")]
    Throttled { retry_after_s: u64 },
    #[error(
        "a password has {MIN_PASSWORD_BYTES} to {} bytes and does not hold your name",
        crypto::MAX_PASSWORD_BYTES
    )]
    WeakPassword,
    #[error("choose a name to log in with")]
    NameMissing,
    #[error("the name {0} is taken; choose another")]
    NameTaken(String),
    #[error("a token's name has 1 to {MAX_TOKEN_NAME_BYTES} bytes, on one line")]
    InvalidTokenName,
    #[error("you have {max} tokens; revoke one first")]
    TooManyTokens { max: u32 },
    #[error("an app keeps an owner: make somebody else one first")]
    LastOwner,
    #[error("{0} is the only owner of an app: delete it, or make somebody else its owner first")]
    OwnsApps(UserName),
    #[error("your own account is another admin's to change")]
    Oneself,
    #[error("{}", not_expected(*.0))]
    PreconditionFailed(Option<ReleaseNumber>),
    #[error("something else has been deployed under the idempotency key {0}")]
    IdempotencyKeyReused(IdempotencyKey),
    #[error("others keep deploying to this app; try again")]
    Conflict,
    #[error("{0}")]
    QuotaExceeded(Quota),
    #[error("the database is unavailable")]
    Unavailable(#[source] StoreError),
    /// The sandbox failed, not the script. The text is for the operator's log.
    #[error("the sandbox failed")]
    HostFault(String),
}

impl Error {
    /// The stable code under which it is reported.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::AppNotFound(_)
            | Self::ReleaseNotFound(_)
            | Self::FileNotFound(_)
            | Self::SecretNotFound(_)
            | Self::UserNotFound(_)
            | Self::NoSuch(_) => "not_found",
            Self::InviteNotFound => "invite_not_found",
            Self::WrongCredentials => "wrong_credentials",
            Self::Throttled { .. } => "too_many_tries",
            Self::WeakPassword => "weak_password",
            Self::NameMissing | Self::InvalidTokenName => "invalid_name",
            Self::NameTaken(_) => "name_taken",
            Self::TooManyTokens { .. } => "too_many_tokens",
            Self::LastOwner => "last_owner",
            Self::OwnsApps(_) => "owns_apps",
            Self::Oneself => "oneself",
            Self::ReleaseInUse(_) => "release_in_use",
            Self::InvalidSecret => "invalid_secret",
            Self::TooManySecrets { .. } => "too_many_secrets",
            Self::InvalidPath { .. } => "invalid_path",
            Self::InvalidArchive(_) => "invalid_archive",
            Self::ReleaseTooLarge { .. } => "release_too_large",
            Self::TooManyFiles { .. } => "too_many_files",
            Self::Rejected(issues) => {
                issues.first().map_or("syntax_error", |issue| issue.code.as_str())
            }
            Self::PreconditionFailed(_) => "precondition_failed",
            Self::IdempotencyKeyReused(_) => "idempotency_key_reused",
            Self::Conflict => "conflict",
            Self::QuotaExceeded(_) => "quota_exceeded",
            Self::Unavailable(_) => "unavailable",
            Self::HostFault(_) => "host_fault",
        }
    }
}

fn not_expected(active: Option<ReleaseNumber>) -> String {
    match active {
        Some(active) => {
            format!("the active release is {active}, and not the one that was expected")
        }
        None => "no release is active, and one was expected".to_owned(),
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            // No delivery is acknowledged here.
            StoreError::Conflict | StoreError::Superseded => Self::Conflict,
            StoreError::QuotaExceeded(quota) => Self::QuotaExceeded(quota),
            StoreError::Unavailable(_) => Self::Unavailable(error),
        }
    }
}

/// One thing that is wrong with a release's files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Issue {
    /// `syntax_error`, `invalid_manifest`, `route_conflict`, …
    pub code: String,
    pub message: String,
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
}

impl Issue {
    /// An issue out of a script's error; `source` gives the text of a file.
    pub(crate) fn new<'a>(
        error: ScriptError,
        source: impl FnOnce(&str) -> Option<std::borrow::Cow<'a, str>>,
    ) -> Self {
        let position = error.position;
        let excerpt = position
            .as_ref()
            .and_then(|position| picloud_shared::excerpt(&source(&position.file)?, position));
        Self {
            code: error.code.unwrap_or_else(|| "syntax_error".to_owned()),
            message: error.message,
            line: position.as_ref().map(|position| position.line),
            column: position.as_ref().map(|position| position.column),
            file: position.map(|position| position.file),
            excerpt,
        }
    }
}

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{file}:")?;
        }
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, "{line}:{column}:")?;
        }
        write!(f, "{}{}", if self.file.is_some() { " " } else { "" }, self.message)
    }
}
