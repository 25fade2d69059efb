//! What the control plane answers. Fields that this version does not know are
//! passed over, so that a newer server can be asked too.

use picloud_shared::{AppSlug, Execution, ExecutionId, Level, ReleaseNumber};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One page of a list.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct List<T> {
    pub items: Vec<T>,
    /// What to pass as `after` for the next page; `None` on the last.
    #[serde(default, deserialize_with = "cursor")]
    pub next: Option<String>,
}

/// A cursor is a text or a number, which callers need not tell apart.
fn cursor<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(match Option::<Value>::deserialize(from)? {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text),
        Some(other) => Some(other.to_string()),
    })
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct App {
    pub slug: AppSlug,
    pub created_at_ms: u64,
    pub active_release: Option<ReleaseNumber>,
    /// Departures from the default limits.
    #[serde(default)]
    pub limits: Value,
    pub url: String,
}

/// What was made of a bundle.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ImportedApp {
    pub app: AppSlug,
    pub url: String,
    /// What its secrets are called; they have no values yet.
    pub secrets: Vec<String>,
}

/// A release that answers requests from now on.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Deployed {
    pub app: AppSlug,
    pub release: ReleaseNumber,
    pub url: String,
    #[serde(default)]
    pub routes: Vec<Route>,
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// A secret without its value.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Secret {
    pub name: String,
    pub updated_at_ms: u64,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Route {
    /// Empty for every method.
    pub methods: Vec<String>,
    pub path: String,
    pub handler: String,
}

impl From<picloud_manager_core::RouteSummary> for Route {
    fn from(route: picloud_manager_core::RouteSummary) -> Self {
        let picloud_manager_core::RouteSummary { methods, path, handler } = route;
        let methods = methods.into_iter().map(|method| method.as_str().to_owned()).collect();
        Self { methods, path, handler }
    }
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Release {
    pub number: ReleaseNumber,
    pub created_at_ms: u64,
    pub note: String,
    pub files: u64,
    pub bytes: u64,
    pub active: bool,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ReleaseDetail {
    #[serde(flatten)]
    pub release: Release,
    pub paths: Vec<ReleaseFile>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ReleaseFile {
    pub path: String,
    pub bytes: u64,
    pub hash: String,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ExecutionDetail {
    #[serde(flatten)]
    pub execution: Execution,
    #[serde(default)]
    pub logs: Vec<LogLine>,
}

/// A line of a log, or of the server about the log.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct LogLine {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution: Option<ExecutionId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<u64>,
    pub level: Level,
    pub message: String,
    /// A JSON object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fields: Option<String>,
}

impl From<picloud_shared::LogLine> for LogLine {
    fn from(line: picloud_shared::LogLine) -> Self {
        let picloud_shared::LogLine { execution, at_ms, level, message, fields, .. } = line;
        Self { execution: Some(execution), at_ms: Some(at_ms), level, message, fields }
    }
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Collection {
    pub collection: String,
    pub entries: u64,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Entry {
    pub key: String,
    pub value: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at_ms: Option<u64>,
}

/// What an invocation answered, and how it went.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Invoked {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Instead of `body`, for what is not text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_base64: Option<String>,
    /// `None` for what is answered without running a script.
    #[serde(default)]
    pub execution: Option<ExecutionDetail>,
}
