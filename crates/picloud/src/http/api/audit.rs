//! The audit log: who changed what, when, from where.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use picloud_shared::AppId;
use picloud_shared::audit::Entry;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{List, Page, Query};
use crate::http::auth::OfApp;
use crate::http::problem::Problem;
use crate::node::Node;

type AuditList = List<Entry, i64>;

pub(super) fn router() -> OpenApiRouter<Arc<Node>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(list_of_app))
}

/// Every change, the newest first.
#[utoipa::path(
    get,
    path = "/audit",
    operation_id = "list_audit",
    tag = "audit",
    params(Page),
    responses((status = 200, body = AuditList)),
    security(("token" = ["instance"])),
)]
async fn list(
    State(node): State<Arc<Node>>,
    Query(page): Query<Page>,
) -> Result<Json<AuditList>, Problem> {
    entries(&node, None, &page).await
}

/// Every change of an app, the newest first.
#[utoipa::path(
    get,
    path = "/apps/{app}/audit",
    operation_id = "list_audit_of_app",
    tag = "audit",
    params(Page),
    responses((status = 200, body = AuditList)),
    security(("token" = ["admin"])),
)]
async fn list_of_app(
    State(node): State<Arc<Node>>,
    OfApp(app): OfApp,
    Query(page): Query<Page>,
) -> Result<Json<AuditList>, Problem> {
    entries(&node, Some(app.id), &page).await
}

async fn entries(node: &Node, app: Option<AppId>, page: &Page) -> Result<Json<AuditList>, Problem> {
    let before = page.after::<i64>()?;
    let mut entries = node.stores.audit.list(app, before, page.limit() + 1).await?;
    let more = entries.len() > page.limit() as usize;
    entries.truncate(page.limit() as usize);
    let next = entries.last().filter(|_| more).map(|entry| entry.id);
    Ok(Json(List { items: entries, next }))
}
