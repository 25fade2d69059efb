//! Executions: what ran, and how it ended.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use picloud_shared::execution::{ExecutionQuery, LogQuery};
use picloud_shared::{AppId, Execution, ExecutionId, LogLine, ReleaseNumber, StoreError};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::Instant;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::follow::{self, Format, Item, Source};
use super::{DEFAULT_PAGE, List, MAX_PAGE, Page, Path, Query};
use crate::client::Event;
use crate::http::auth::{OfApp, Standing};
use crate::http::problem::Problem;
use crate::node::Node;

/// Log lines that an execution is shown with.
const MAX_LINES: u32 = 10_000;
/// Executions that a request looks at to find those that match; fewer if it
/// has to read their logs.
const MAX_SCAN: u32 = 20_000;
const MAX_TEXT_SCAN: u32 = 1_000;
/// Bytes of a text that is looked for.
const MAX_TEXT: usize = 1_024;
/// Ids of shown executions that a client who follows is remembered by.
const MAX_SHOWN: usize = 4_096;
/// An execution is shown to who follows if it began at most so long before its
/// end was recorded.
const MAX_AGE_MS: u64 = 10 * 60 * 1_000;
/// How often it is looked, at most, for what is new to who follows.
const LOOKS: Duration = Duration::from_secs(1);

type ExecutionList = List<Execution, ExecutionId>;

pub(super) fn router() -> OpenApiRouter<Arc<Node>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct ExecutionsQuery {
    /// The `next` of the page before.
    after: Option<String>,
    /// Items of a page, by default 100.
    #[param(maximum = 1000)]
    limit: Option<u32>,
    /// Whether to go on with the executions to come.
    #[serde(default)]
    follow: bool,
    /// Only those that ended so: the code of an outcome, or `failed` for any
    /// but `ok`.
    outcome: Option<String>,
    /// Only those of this handler.
    handler: Option<String>,
    /// Only those of this release.
    release: Option<ReleaseNumber>,
    /// Only those that were answered with this HTTP status.
    status: Option<u16>,
    /// Only those that began then or later, Unix time in milliseconds.
    from_ms: Option<u64>,
    /// Only those that began before then, Unix time in milliseconds.
    until_ms: Option<u64>,
    /// Only those with this text in their log or in their error's message.
    text: Option<String>,
    /// Only those whose id begins like this.
    id: Option<String>,
}

impl ExecutionsQuery {
    fn query(self) -> Result<ExecutionQuery, Problem> {
        let page = Page { after: self.after, limit: self.limit };
        if self.text.as_ref().is_some_and(|text| text.len() > MAX_TEXT) {
            let detail = format!("`text` may have {MAX_TEXT} bytes");
            return Err(Problem::bad_request("invalid_query", detail));
        }
        Ok(ExecutionQuery {
            before: page.after()?,
            id: parsed("id", self.id.as_deref())?,
            from_ms: self.from_ms,
            until_ms: self.until_ms,
            outcome: parsed("outcome", self.outcome.as_deref())?,
            handler: self.handler,
            release: self.release,
            status: self.status,
            scan: if self.text.is_some() { MAX_TEXT_SCAN } else { MAX_SCAN },
            text: self.text,
            limit: page.limit(),
        })
    }
}

/// A parameter of the query that is more than a text.
fn parsed<T: FromStr<Err: Display>>(name: &str, text: Option<&str>) -> Result<Option<T>, Problem> {
    text.map(str::parse).transpose().map_err(|error: T::Err| {
        Problem::bad_request("invalid_query", format!("`{name}`: {error}"))
    })
}

/// The app's executions, newest first.
///
/// With filters a page can hold fewer than `limit` and have a `next` all the
/// same: it has looked at as many executions as one request may.
///
/// With `follow` the oldest of them first and then those to come, as they end,
/// one JSON object a line, until the client goes away, may see them no more, or
/// the server stops. To a client that accepts `text/event-stream` they are
/// server-sent events; `Last-Event-ID` goes on after one.
#[utoipa::path(
    get,
    path = "/apps/{app}/executions",
    operation_id = "list_executions",
    tag = "executions",
    params(ExecutionsQuery),
    responses((
        status = 200,
        content(
            (ExecutionList = "application/json"),
            (Execution = "application/x-ndjson"),
            (Execution = "text/event-stream"),
        ),
    )),
    security(("token" = ["read"])),
)]
async fn list(
    State(node): State<Arc<Node>>,
    OfApp(app): OfApp,
    Query(query): Query<ExecutionsQuery>,
    headers: HeaderMap,
    standing: Standing,
) -> Result<Response, Problem> {
    let (follow, limit) = (query.follow, query.limit);
    let query = query.query()?;
    let stored = node.recorder.stored();
    // What has answered already is to be found.
    node.recorder.flush().await;
    if follow {
        let limit = limit.unwrap_or(DEFAULT_PAGE).min(MAX_PAGE);
        let fresh = Fresh::new(app.id, query, limit, follow::last_event_id(&headers));
        let tail = Tail { node, fresh, stored, looked: Instant::now() };
        return Ok(follow::response(tail, Format::of(&headers), standing.end()));
    }
    let page = node.stores.executions.executions(app.id, &query).await?;
    let list: ExecutionList = List { items: page.executions, next: page.next };
    Ok(Json(list).into_response())
}

/// A client that follows.
struct Tail {
    node: Arc<Node>,
    fresh: Fresh,
    /// Changes whenever records were stored.
    stored: watch::Receiver<()>,
    looked: Instant,
}

impl Source for Tail {
    async fn changed(&mut self) -> Option<()> {
        self.stored.changed().await.ok()?;
        // A look can be a search, and records are stored many times a second.
        // Who gives up waiting here has another look anyway.
        tokio::time::sleep_until(self.looked + LOOKS).await;
        Some(())
    }

    async fn take(&mut self) -> Vec<Item> {
        self.looked = Instant::now();
        // What is stored from here on is for the next look.
        self.stored.mark_unchanged();
        let fresh = self.fresh.take(&self.node).await.unwrap_or_else(|error| {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "executions cannot be followed now");
            Vec::new()
        });
        fresh.iter().map(|one| Item::new(Some(one.id.to_string()), one)).collect()
    }
}

/// The executions that one who follows has not been shown.
pub(super) struct Fresh {
    app: AppId,
    query: ExecutionQuery,
    /// Executions to begin with: so many of the newest, or those after this one.
    limit: u32,
    after: Option<ExecutionId>,
    /// `None` before the first look.
    shown: Option<BTreeSet<ExecutionId>>,
}

impl Fresh {
    /// Of those that match.
    pub(super) fn new(
        app: AppId,
        query: ExecutionQuery,
        limit: u32,
        after: Option<ExecutionId>,
    ) -> Self {
        let query = ExecutionQuery { limit: MAX_PAGE, before: None, ..query };
        Self { app, query, limit, after, shown: None }
    }

    /// What has not been shown, the oldest first. One that took long, with an id
    /// before others', is among it.
    pub(super) async fn take(&mut self, node: &Node) -> Result<Vec<Execution>, StoreError> {
        let mut query = self.query.clone();
        if self.shown.is_some() {
            let oldest_ms = node.clock.now_ms().saturating_sub(MAX_AGE_MS);
            query.from_ms = query.from_ms.max(Some(oldest_ms));
        }
        let mut newest = node.stores.executions.executions(self.app, &query).await?.executions;
        newest.reverse();
        let skipped = match (&self.shown, self.after) {
            (Some(_), _) => 0,
            (None, None) => newest.len().saturating_sub(self.limit as usize),
            (None, Some(after)) => newest.iter().filter(|one| one.id <= after).count(),
        };
        let shown = self.shown.get_or_insert_default();
        let is_fresh: Vec<_> = newest.iter().map(|one| shown.insert(one.id)).collect();
        while shown.len() > MAX_SHOWN {
            shown.pop_first();
        }
        let newest = newest.into_iter().zip(is_fresh).skip(skipped);
        Ok(newest.filter_map(|(one, is_fresh)| is_fresh.then_some(one)).collect())
    }
}

/// An execution with its log, and the events that began with the same cause, a
/// cause before its effects.
#[derive(Serialize, ToSchema)]
pub(super) struct ExecutionDetail {
    #[serde(flatten)]
    pub(super) execution: Execution,
    pub(super) logs: Vec<LogLine>,
    pub(super) tree: Vec<Event>,
}

/// An execution with its log, and what it has to do with which events.
#[utoipa::path(
    get,
    path = "/apps/{app}/executions/{id}",
    operation_id = "show_execution",
    tag = "executions",
    responses((status = 200, body = ExecutionDetail)),
    security(("token" = ["read"])),
)]
async fn show(
    State(node): State<Arc<Node>>,
    OfApp(app): OfApp,
    Path((_app, id)): Path<(String, String)>,
) -> Result<Json<ExecutionDetail>, Problem> {
    let not_found = || Problem::not_found(format!("there is no execution {id}"));
    let id = id.parse().map_err(|_| not_found())?;
    detail(&node, app.id, id).await?.map(Json).ok_or_else(not_found)
}

/// The execution with its log, once it is stored.
pub(super) async fn detail(
    node: &Node,
    app: picloud_shared::AppId,
    id: ExecutionId,
) -> Result<Option<ExecutionDetail>, Problem> {
    node.recorder.flush().await;
    let store = &node.stores.executions;
    let Some(execution) = store.execution(app, id).await? else { return Ok(None) };
    let query = LogQuery { execution: Some(id), limit: MAX_LINES, ..LogQuery::default() };
    let logs = store.logs(app, &query).await?;
    let outbox = &node.stores.outbox;
    let root = match execution.event {
        Some(event) => outbox.find(app, event).await?.map(|found| found.event.cause.root),
        None => Some(id.0),
    };
    let tree = match root {
        Some(root) => outbox.tree(app, root).await?,
        // The event is no longer kept.
        None => Vec::new(),
    };
    let tree = tree.into_iter().map(Event::from).collect();
    Ok(Some(ExecutionDetail { execution, logs, tree }))
}
