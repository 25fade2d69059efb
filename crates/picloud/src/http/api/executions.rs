//! Executions: what ran, and how it ended.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use picloud_shared::execution::LogQuery;
use picloud_shared::{Execution, ExecutionId, LogLine};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{List, Page, Path, Query};
use crate::http::auth::OfApp;
use crate::http::problem::Problem;
use crate::node::Node;

/// Log lines that an execution is shown with.
const MAX_LINES: u32 = 10_000;

type ExecutionList = List<Execution, ExecutionId>;

pub(super) fn router() -> OpenApiRouter<Arc<Node>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show))
}

/// The app's executions, newest first.
#[utoipa::path(
    get,
    path = "/apps/{app}/executions",
    operation_id = "list_executions",
    tag = "executions",
    params(Page),
    responses((status = 200, body = ExecutionList)),
    security(("token" = ["read"])),
)]
async fn list(
    State(node): State<Arc<Node>>,
    OfApp(app): OfApp,
    Query(page): Query<Page>,
) -> Result<Json<ExecutionList>, Problem> {
    let before = page.after::<ExecutionId>()?;
    // What has answered already is to be found.
    node.recorder.flush().await;
    let store = &node.stores.executions;
    let mut executions = store.executions(app.id, before, page.limit() + 1).await?;
    let more = executions.len() > page.limit() as usize;
    executions.truncate(page.limit() as usize);
    let next = executions.last().filter(|_| more).map(|execution| execution.id);
    Ok(Json(List { items: executions, next }))
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
