//! What the control plane says is different between two releases.

use picloud_shared::ReleaseNumber;
use serde::{Deserialize, Serialize};

use super::Route;

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Diff {
    pub from: ReleaseNumber,
    pub to: ReleaseNumber,
    pub files: Vec<FileDiff>,
    /// `None` if one of the releases does not follow the server's rules any more.
    pub manifest: Option<ManifestDiff>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct FileDiff {
    pub path: String,
    /// `added`, `removed` or `changed`.
    pub change: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub added_lines: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed_lines: Option<u64>,
    /// A unified diff, of a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff: Option<String>,
    /// Why there is none: `binary`, `too_large`, `no_room`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub omitted: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct ManifestDiff {
    pub routes: SetDiff<Route>,
    /// Hosts that scripts may call.
    pub egress: SetDiff<String>,
    /// What is asked of requests and added to answers.
    #[serde(default)]
    pub ingress: SetDiff<String>,
    pub limits: Vec<LimitDiff>,
    pub config: ConfigDiff,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct SetDiff<T> {
    pub added: Vec<T>,
    pub removed: Vec<T>,
}

impl<T> Default for SetDiff<T> {
    fn default() -> Self {
        Self { added: Vec::new(), removed: Vec::new() }
    }
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct LimitDiff {
    pub name: String,
    /// `None` where the app's own limit holds.
    pub from: Option<u64>,
    pub to: Option<u64>,
}

/// Settings, by name.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct ConfigDiff {
    pub added: Vec<String>,
    pub removed: Vec<String>,
    pub changed: Vec<String>,
}
