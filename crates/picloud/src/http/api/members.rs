//! Who may use an app.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use http::StatusCode;
use picloud_shared::AppRole;
use picloud_shared::access::Member;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{List, Path, user_name};
use crate::http::auth::OfApp;
use crate::http::body;
use crate::http::problem::Problem;
use crate::node::Node;

const MAX_BODY_BYTES: u64 = 8 * 1024;

type MemberList = List<Member>;

pub(super) fn router() -> OpenApiRouter<Arc<Node>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(set, remove))
}

/// The app's users, by name.
#[utoipa::path(
    get,
    path = "/apps/{app}/members",
    operation_id = "list_members",
    tag = "members",
    responses((status = 200, body = MemberList)),
    security(("token" = ["read"])),
)]
async fn list(
    State(node): State<Arc<Node>>,
    OfApp(app): OfApp,
) -> Result<Json<MemberList>, Problem> {
    Ok(Json(List { items: node.accounts.members(&app).await?, next: None }))
}

/// What a user is to be to an app.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewMember {
    role: AppRole,
}

/// Gives a user a role in the app.
#[utoipa::path(
    put,
    path = "/apps/{app}/members/{user}",
    operation_id = "set_member",
    tag = "members",
    request_body = NewMember,
    responses((status = 204)),
    security(("token" = ["admin"])),
)]
async fn set(
    State(node): State<Arc<Node>>,
    OfApp(app): OfApp,
    Path((_app, user)): Path<(String, String)>,
    request_body: Body,
) -> Result<StatusCode, Problem> {
    let NewMember { role } = body::json(request_body, MAX_BODY_BYTES).await?;
    node.accounts.set_member(&app, &user_name(&user)?, role).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes a user's role in the app.
#[utoipa::path(
    delete,
    path = "/apps/{app}/members/{user}",
    operation_id = "remove_member",
    tag = "members",
    responses((status = 204)),
    security(("token" = ["admin"])),
)]
async fn remove(
    State(node): State<Arc<Node>>,
    OfApp(app): OfApp,
    Path((_app, user)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    node.accounts.remove_member(&app, &user_name(&user)?).await?;
    Ok(StatusCode::NO_CONTENT)
}
