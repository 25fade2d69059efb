//! Log lines, stored and live.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use picloud_executor_core::Record;
use picloud_shared::execution::{ExecutionQuery, LogQuery, OutcomeFilter};
use picloud_shared::{AppId, Execution, ExecutionId, Level, LogLine, StoreError};
use serde::Deserialize;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::watch;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::executions::Fresh;
use super::follow::{self, Format, Item, Source};
use super::{DEFAULT_PAGE, List, MAX_PAGE, Query};
use crate::http::auth::{OfApp, Standing};
use crate::http::problem::Problem;
use crate::node::Node;

type LogList = List<LogLine, i64>;

pub(super) fn router() -> OpenApiRouter<Arc<Node>> {
    OpenApiRouter::new().routes(routes!(list))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct LogsQuery {
    /// Only lines stored after this one.
    after: Option<i64>,
    /// The least important level to show.
    level: Option<Level>,
    /// Only lines of this execution.
    execution: Option<ExecutionId>,
    /// Items of a page, by default 100.
    #[param(maximum = 1000)]
    limit: Option<u32>,
    /// Whether to go on with the lines to come.
    #[serde(default)]
    follow: bool,
}

/// The newest log lines, oldest first.
///
/// With `follow` also those to come, and one for each execution that fails, one
/// JSON object a line, until the client goes away, may see them no more, or the
/// server stops. To a client that accepts `text/event-stream` they are
/// server-sent events as they are stored, each with its `seq` as its id;
/// `Last-Event-ID` goes on after one, like `after`.
#[utoipa::path(
    get,
    path = "/apps/{app}/logs",
    operation_id = "list_logs",
    tag = "executions",
    params(LogsQuery),
    responses((
        status = 200,
        content(
            (LogList = "application/json"),
            (LogLine = "application/x-ndjson"),
            (LogLine = "text/event-stream"),
        ),
    )),
    security(("token" = ["read"])),
)]
async fn list(
    State(node): State<Arc<Node>>,
    OfApp(app): OfApp,
    Query(query): Query<LogsQuery>,
    headers: HeaderMap,
    standing: Standing,
) -> Result<Response, Problem> {
    let mut filter = LogQuery {
        after: query.after,
        min_level: query.level,
        execution: query.execution,
        limit: query.limit.unwrap_or(DEFAULT_PAGE).clamp(u32::from(!query.follow), MAX_PAGE),
    };
    let format = Format::of(&headers);
    if query.follow && format == Format::Events {
        filter.after = follow::last_event_id(&headers).or(filter.after);
        if filter.after.is_some() {
            // Everything after that one, however much it is.
            filter.limit = MAX_PAGE;
        }
        let failed = ExecutionQuery {
            outcome: Some(OutcomeFilter::Failed),
            scan: MAX_PAGE,
            ..ExecutionQuery::default()
        };
        // The stored lines are shown as they are.
        let failures = Fresh::new(app.id, failed, 0, None);
        let stored = node.recorder.stored();
        node.recorder.flush().await;
        let tail = StoredTail { node, app: app.id, filter, failures, stored };
        return Ok(follow::response(tail, format, standing.end()));
    }
    // Whoever subscribes before the stored lines are read misses none.
    let live = query.follow.then(|| node.recorder.follow());
    node.recorder.flush().await;
    let lines = node.stores.executions.logs(app.id, &filter).await?;
    let Some(live) = live else {
        let next = lines.last().map(|line| line.seq);
        return Ok(Json(List { items: lines, next }).into_response());
    };
    let tail = LiveTail {
        app: app.id,
        filter,
        shown: lines.iter().map(|line| line.execution).collect(),
        new: lines.iter().map(item).collect(),
        live,
    };
    Ok(follow::response(tail, format, standing.end()))
}

fn item(line: &LogLine) -> Item {
    Item::new((line.seq > 0).then(|| line.seq.to_string()), line)
}

/// The line that a failed execution adds.
fn failure(execution: &Execution) -> Option<LogLine> {
    let error = execution.error.as_ref()?;
    Some(LogLine {
        seq: 0,
        app: execution.app,
        execution: execution.id,
        at_ms: execution.started_at_ms,
        level: Level::Error,
        message: error.to_string(),
        fields: None,
    })
}

/// Lines as they are stored: each of them once, and where to go on from it is
/// known.
struct StoredTail {
    node: Arc<Node>,
    app: AppId,
    filter: LogQuery,
    /// Executions whose lines are not among the stored ones.
    failures: Fresh,
    stored: watch::Receiver<()>,
}

impl Source for StoredTail {
    async fn changed(&mut self) -> Option<()> {
        self.stored.changed().await.ok()
    }

    async fn take(&mut self) -> Vec<Item> {
        self.look().await.unwrap_or_else(|error| {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "logs cannot be followed now");
            Vec::new()
        })
    }
}

impl StoredTail {
    async fn look(&mut self) -> Result<Vec<Item>, StoreError> {
        // What has failed by now has its lines stored.
        let failed = self.failures.take(&self.node).await?;
        let only = self.filter.execution;
        let failed = failed
            .iter()
            .filter(|execution| only.is_none_or(|id| id == execution.id))
            .filter_map(failure);
        let wanted = self.filter.limit as usize;
        // Who begins with none has to know all the same after which to go on.
        self.filter.limit = self.filter.limit.max(1);
        let lines = self.node.stores.executions.logs(self.app, &self.filter).await?;
        if self.filter.after.is_some() && lines.len() >= wanted {
            // There may be more already.
            self.stored.mark_changed();
        }
        let last = lines.last().map(|line| line.seq);
        self.filter.after = last.or(self.filter.after).or(Some(0));
        self.filter.limit = MAX_PAGE;
        let skipped = lines.len().saturating_sub(wanted);
        let lines = lines.into_iter().skip(skipped);
        Ok(lines.chain(failed).map(|line| item(&line)).collect())
    }
}

/// Lines as their executions end, with what went wrong.
struct LiveTail {
    app: AppId,
    filter: LogQuery,
    /// The executions of the stored lines: what was recorded between
    /// subscribing and reading comes by once more.
    shown: BTreeSet<ExecutionId>,
    new: Vec<Item>,
    live: broadcast::Receiver<Arc<Record>>,
}

impl Source for LiveTail {
    async fn changed(&mut self) -> Option<()> {
        match self.live.recv().await {
            Ok(record) => self.add(&record),
            Err(RecvError::Lagged(missed)) => {
                let notice = format!("{missed} executions went by too fast to be shown");
                let line = serde_json::json!({ "level": "warn", "message": notice });
                self.new.push(Item::new(None, &line));
            }
            Err(RecvError::Closed) => return None,
        }
        Some(())
    }

    async fn take(&mut self) -> Vec<Item> {
        std::mem::take(&mut self.new)
    }
}

impl LiveTail {
    fn add(&mut self, record: &Record) {
        let execution = &record.execution;
        let is_wanted = execution.app == self.app
            && self.filter.execution.is_none_or(|id| id == execution.id)
            && !self.shown.contains(&execution.id);
        if !is_wanted {
            return;
        }
        let min_level = self.filter.min_level.unwrap_or(Level::Debug);
        let lines = record.lines.iter().filter(|line| line.level >= min_level);
        self.new.extend(lines.map(item));
        self.new.extend(failure(execution).map(|line| item(&line)));
    }
}
