//! The audit log: who changed what, when, from where.

use std::net::IpAddr;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{AppId, StoreError};

/// A change that somebody asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Change {
    /// Unix time, milliseconds.
    pub at_ms: u64,
    /// The user's name, as it was; `operator` for whoever has the admin's token.
    pub actor: String,
    /// The API token that was presented, by its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// What was asked for: the operation's name in the API's document.
    pub action: String,
    /// What it was asked of: the path in the API.
    pub target: String,
    #[serde(skip)]
    pub app: Option<AppId>,
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub ip: IpAddr,
}

/// A change as the log has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Entry {
    pub id: i64,
    #[serde(flatten)]
    pub change: Change,
    /// The answer's HTTP status; `None` if the server died before there was one.
    pub status: Option<u16>,
}

/// Where the audit log is kept. An entry is written before the change, so no
/// change that is committed lacks its entry.
#[async_trait]
pub trait AuditStore: Send + Sync {
    /// Writes an entry; its number.
    async fn begin(&self, change: &Change) -> Result<i64, StoreError>;

    /// Adds the answer to it.
    async fn end(&self, id: i64, status: u16) -> Result<(), StoreError>;

    /// Up to `limit` entries, of one app or of all, the newest first, from the
    /// first before `before`.
    async fn list(
        &self,
        app: Option<AppId>,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<Entry>, StoreError>;

    /// Removes what is from before `before_ms`, at most `limit` entries.
    async fn prune(&self, before_ms: u64, limit: u32) -> Result<u64, StoreError>;
}
