//! Executions: what ran, and how it ended.

use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use picloud_shared::execution::{ExecutionQuery, LogQuery};
use picloud_shared::{Execution, ExecutionId, LogLine, ReleaseNumber};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{List, Page, Path, Query};
use crate::http::auth::OfApp;
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
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
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
#[utoipa::path(
    get,
    path = "/apps/{app}/executions",
    operation_id = "list_executions",
    tag = "executions",
    params(ExecutionsQuery),
    responses((status = 200, body = ExecutionList)),
    security(("token" = ["read"])),
)]
async fn list(
    State(node): State<Arc<Node>>,
    OfApp(app): OfApp,
    Query(query): Query<ExecutionsQuery>,
) -> Result<Json<ExecutionList>, Problem> {
    let query = query.query()?;
    // What has answered already is to be found.
    node.recorder.flush().await;
    let page = node.stores.executions.executions(app.id, &query).await?;
    Ok(Json(List { items: page.executions, next: page.next }))
}

/// An execution with its log.
#[derive(Serialize, ToSchema)]
pub(super) struct ExecutionDetail {
    #[serde(flatten)]
    pub(super) execution: Execution,
    pub(super) logs: Vec<LogLine>,
}

/// An execution with its log.
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
    Ok(Some(ExecutionDetail { execution, logs: store.logs(app, &query).await? }))
}
