//! The instance's users, for its admins.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use http::StatusCode;
use picloud_shared::{InstanceRole, User, UserName};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{List, Page, Path, Query, user_name};
use crate::http::auth::By;
use crate::http::body;
use crate::http::problem::Problem;
use crate::node::Node;

const MAX_BODY_BYTES: u64 = 8 * 1024;

type UserList = List<User, UserName>;

pub(super) fn router() -> OpenApiRouter<Arc<Node>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show, change, delete))
}

/// The users, by name.
#[utoipa::path(
    get,
    path = "/users",
    operation_id = "list_users",
    tag = "users",
    params(Page),
    responses((status = 200, body = UserList)),
    security(("token" = ["instance"])),
)]
async fn list(
    State(node): State<Arc<Node>>,
    Query(page): Query<Page>,
) -> Result<Json<UserList>, Problem> {
    let after = page.after::<UserName>()?;
    let mut users = node.accounts.users(after.as_ref(), page.limit() + 1).await?;
    let more = users.len() > page.limit() as usize;
    users.truncate(page.limit() as usize);
    let next = users.last().filter(|_| more).map(|user| user.name.clone());
    Ok(Json(List { items: users, next }))
}

/// A user.
#[utoipa::path(
    get,
    path = "/users/{user}",
    operation_id = "show_user",
    tag = "users",
    responses((status = 200, body = User)),
    security(("token" = ["instance"])),
)]
async fn show(
    State(node): State<Arc<Node>>,
    Path(user): Path<String>,
) -> Result<Json<User>, Problem> {
    Ok(Json(node.accounts.user(&user_name(&user)?).await?))
}

/// What a user is to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct UserChange {
    role: InstanceRole,
}

/// Gives a user a role on the instance.
#[utoipa::path(
    put,
    path = "/users/{user}",
    operation_id = "change_user",
    tag = "users",
    request_body = UserChange,
    responses((status = 200, body = User)),
    security(("token" = ["instance"])),
)]
async fn change(
    State(node): State<Arc<Node>>,
    By(caller): By,
    Path(user): Path<String>,
    request_body: Body,
) -> Result<Json<User>, Problem> {
    let UserChange { role } = body::json(request_body, MAX_BODY_BYTES).await?;
    Ok(Json(node.accounts.set_role(&caller, &user_name(&user)?, role).await?))
}

/// Deletes a user with their logins, tokens and memberships.
#[utoipa::path(
    delete,
    path = "/users/{user}",
    operation_id = "delete_user",
    tag = "users",
    responses((status = 204)),
    security(("token" = ["instance"])),
)]
async fn delete(
    State(node): State<Arc<Node>>,
    By(caller): By,
    Path(user): Path<String>,
) -> Result<StatusCode, Problem> {
    node.accounts.delete_user(&caller, &user_name(&user)?).await?;
    Ok(StatusCode::NO_CONTENT)
}
