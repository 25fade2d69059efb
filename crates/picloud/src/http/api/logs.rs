//! Log lines, stored and live.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::header;
use picloud_executor_core::Record;
use picloud_shared::execution::LogQuery;
use picloud_shared::{AppId, ExecutionId, Level, LogLine};
use serde::Deserialize;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::watch;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{DEFAULT_PAGE, List, MAX_PAGE, Query};
use crate::http::auth::OfApp;
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
/// With `follow` also those to come, one JSON object a line, until the client
/// goes away or the server stops.
#[utoipa::path(
    get,
    path = "/apps/{app}/logs",
    operation_id = "list_logs",
    tag = "executions",
    params(LogsQuery),
    responses((
        status = 200,
        content((LogList = "application/json"), (LogLine = "application/x-ndjson")),
    )),
    security(("token" = ["read"])),
)]
async fn list(
    State(node): State<Arc<Node>>,
    OfApp(app): OfApp,
    Query(query): Query<LogsQuery>,
) -> Result<Response, Problem> {
    let filter = LogQuery {
        after: query.after,
        min_level: query.level,
        execution: query.execution,
        limit: query.limit.unwrap_or(DEFAULT_PAGE).clamp(u32::from(!query.follow), MAX_PAGE),
    };
    // Whoever subscribes before the stored lines are read misses none.
    let live = query.follow.then(|| node.recorder.follow());
    node.recorder.flush().await;
    let lines = node.stores.executions.logs(app.id, &filter).await?;
    let Some(live) = live else {
        let next = lines.last().map(|line| line.seq);
        return Ok(Json(List { items: lines, next }).into_response());
    };
    let tail = Tail {
        app: app.id,
        filter,
        shown: lines.iter().map(|line| line.execution).collect(),
        pending: lines.iter().map(json_line).collect(),
        live,
        stopping: node.stopping.subscribe(),
    };
    let body = Body::from_stream(stream::unfold(tail, Tail::next));
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}

/// A client that follows.
struct Tail {
    app: AppId,
    filter: LogQuery,
    /// The executions of the stored lines: what was recorded between
    /// subscribing and reading comes by once more.
    shown: BTreeSet<ExecutionId>,
    pending: VecDeque<Bytes>,
    live: broadcast::Receiver<Arc<Record>>,
    stopping: watch::Receiver<bool>,
}

impl Tail {
    async fn next(mut self) -> Option<(Result<Bytes, std::convert::Infallible>, Self)> {
        loop {
            if let Some(line) = self.pending.pop_front() {
                return Some((Ok(line), self));
            }
            let received = tokio::select! {
                received = self.live.recv() => received,
                _ = self.stopping.wait_for(|stopping| *stopping) => return None,
            };
            match received {
                Ok(record) => self.take(&record),
                Err(RecvError::Lagged(missed)) => {
                    let notice = format!("{missed} executions went by too fast to be shown");
                    let line = serde_json::json!({ "level": "warn", "message": notice });
                    self.pending.push_back(Bytes::from(format!("{line}\n")));
                }
                Err(RecvError::Closed) => return None,
            }
        }
    }

    fn take(&mut self, record: &Record) {
        let execution = &record.execution;
        let is_wanted = execution.app == self.app
            && self.filter.execution.is_none_or(|id| id == execution.id)
            && !self.shown.contains(&execution.id);
        if !is_wanted {
            return;
        }
        let min_level = self.filter.min_level.unwrap_or(Level::Debug);
        let lines = record.lines.iter().filter(|line| line.level >= min_level);
        self.pending.extend(lines.map(json_line));
        if let Some(error) = &execution.error {
            let line = LogLine {
                seq: 0,
                app: execution.app,
                execution: execution.id,
                at_ms: execution.started_at_ms,
                level: Level::Error,
                message: error.to_string(),
                fields: None,
            };
            self.pending.push_back(json_line(&line));
        }
    }
}

fn json_line(line: &LogLine) -> Bytes {
    // A struct of strings and numbers always serializes.
    let mut json = serde_json::to_vec(line).unwrap_or_default();
    json.push(b'\n');
    Bytes::from(json)
}
