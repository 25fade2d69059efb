//! The record of an invocation, and its log lines.

mod query;
mod stats;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::outbox::EventId;
use crate::receipt::Commit;
use crate::{AppId, ExecutionId, Level, ReleaseNumber, ScriptError, StoreError, Usage};

pub use query::{
    ExecutionPage, ExecutionQuery, IdPrefix, InvalidIdPrefix, OUTCOMES, OutcomeFilter,
    UnknownOutcome,
};
pub use stats::{Bucket, InvalidStats, MAX_BUCKETS, StatsQuery};

/// What is kept of an invocation that has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Execution {
    pub id: ExecutionId,
    #[serde(skip, default = "nobody")]
    pub app: AppId,
    pub release: ReleaseNumber,
    /// `file.rhai` or `file.rhai#function`.
    pub handler: String,
    /// `GET /path` of a request, `service.name` and id of another event.
    pub cause: String,
    /// The event that it was to handle; `null` for a request.
    #[serde(default)]
    pub event: Option<EventId>,
    /// Unix time, milliseconds.
    pub started_at_ms: u64,
    /// From admission to the end of the commit.
    pub duration_us: u64,
    /// `ok`, `script_error`, …: the code of its outcome.
    pub outcome: String,
    /// HTTP status that the client got, if it was a request.
    pub status: Option<u16>,
    pub error: Option<ScriptError>,
    pub usage: Usage,
    /// What it has written; `null` if nothing.
    #[serde(default)]
    pub commit: Option<Commit>,
    /// Runs that it took, more than one after conflicts.
    pub attempts: u32,
}

fn nobody() -> AppId {
    AppId(0)
}

/// One line of an invocation's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogLine {
    /// Given out by the store, growing; 0 before it is stored.
    #[serde(default)]
    pub seq: i64,
    #[serde(skip, default = "nobody")]
    pub app: AppId,
    pub execution: ExecutionId,
    /// Unix time, milliseconds.
    pub at_ms: u64,
    pub level: Level,
    pub message: String,
    /// A JSON object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fields: Option<String>,
}

/// Which log lines to list. Lines come oldest first.
#[derive(Clone, Debug, Default)]
pub struct LogQuery {
    /// Only lines stored after this one: the first of them, not the newest.
    pub after: Option<i64>,
    /// Only lines at least this important.
    pub min_level: Option<Level>,
    pub execution: Option<ExecutionId>,
    /// This many of those that match: the newest, unless `after` says where to
    /// go on from.
    pub limit: u32,
}

/// How much of an app's past is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryCap {
    /// So many executions: the newest.
    pub executions: u64,
    /// Log lines of so many bytes together: the newest.
    pub log_bytes: u64,
}

/// What a log line takes beyond its text, so that empty lines are not free.
pub const LINE_OVERHEAD_BYTES: u64 = 64;

/// Where executions and logs are kept, for a while.
#[async_trait]
pub trait ExecutionStore: Send + Sync {
    /// Stores a batch of records and lines, of any apps, in one transaction.
    async fn record(&self, executions: &[Execution], lines: &[LogLine]) -> Result<(), StoreError>;

    /// The app's executions that match, newest first.
    async fn executions(
        &self,
        app: AppId,
        query: &ExecutionQuery,
    ) -> Result<ExecutionPage, StoreError>;

    async fn execution(&self, app: AppId, id: ExecutionId)
    -> Result<Option<Execution>, StoreError>;

    /// What the app's executions come to, by when they began: the buckets that
    /// have any, oldest first.
    async fn stats(&self, app: AppId, query: &StatsQuery) -> Result<Vec<Bucket>, StoreError>;

    async fn logs(&self, app: AppId, query: &LogQuery) -> Result<Vec<LogLine>, StoreError>;

    /// Removes what began before `before_ms`, at most `limit` executions and
    /// as many lines. Returns how many rows went.
    async fn prune(&self, before_ms: u64, limit: u32) -> Result<u64, StoreError>;

    /// Removes the app's oldest executions and lines that are over its cap, in
    /// transactions of `limit` rows at most. Returns how many rows went.
    async fn trim(&self, app: AppId, cap: HistoryCap, limit: u32) -> Result<u64, StoreError>;
}
