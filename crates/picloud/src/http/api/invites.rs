//! Links that work once: to a first account, to an account, to a new password.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use picloud_shared::access::{Invite, Purpose};
use picloud_shared::{InstanceRole, UserName};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::session::{begun, record};
use super::{List, Path, user_name};
use crate::http::auth::Whence;
use crate::http::body;
use crate::http::problem::Problem;
use crate::node::Node;

const MAX_BODY_BYTES: u64 = 8 * 1024;

type InviteList = List<Invite>;

pub(super) fn router() -> OpenApiRouter<Arc<Node>> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(withdraw))
        .routes(routes!(reset))
        .routes(routes!(find))
        .routes(routes!(accept))
}

/// A link with its secret, which is shown this once.
#[derive(Serialize, ToSchema)]
struct InviteLink {
    #[serde(flatten)]
    invite: Invite,
    /// The secret, for who calls the API.
    secret: String,
    /// The address to give to whom it is for.
    link: String,
}

impl InviteLink {
    fn new(node: &Node, (invite, secret): (Invite, String)) -> Self {
        Self { invite, link: node.invite_url(&secret), secret }
    }
}

/// The links that have neither expired nor been used.
#[utoipa::path(
    get,
    path = "/invites",
    operation_id = "list_invites",
    tag = "users",
    responses((status = 200, body = InviteList)),
    security(("token" = ["instance"])),
)]
async fn list(State(node): State<Arc<Node>>) -> Result<Json<InviteList>, Problem> {
    Ok(Json(List { items: node.accounts.invites().await?, next: None }))
}

/// Who is invited.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewInvite {
    /// `member` unless it says otherwise.
    #[serde(default = "member")]
    role: InstanceRole,
}

fn member() -> InstanceRole {
    InstanceRole::Member
}

/// Makes a link with which somebody new can make themselves an account, within
/// a week.
#[utoipa::path(
    post,
    path = "/invites",
    operation_id = "create_invite",
    tag = "users",
    request_body = NewInvite,
    responses((status = 201, body = InviteLink)),
    security(("token" = ["instance"])),
)]
async fn create(
    State(node): State<Arc<Node>>,
    request_body: Body,
) -> Result<(StatusCode, Json<InviteLink>), Problem> {
    let NewInvite { role } = body::json(request_body, MAX_BODY_BYTES).await?;
    let made = node.accounts.invite(Purpose::Join { role }).await?;
    Ok((StatusCode::CREATED, Json(InviteLink::new(&node, made))))
}

/// Takes a link back.
#[utoipa::path(
    delete,
    path = "/invites/{id}",
    operation_id = "withdraw_invite",
    tag = "users",
    responses((status = 204)),
    security(("token" = ["instance"])),
)]
async fn withdraw(
    State(node): State<Arc<Node>>,
    Path(id): Path<i64>,
) -> Result<StatusCode, Problem> {
    node.accounts.withdraw_invite(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes a link with which a user can set a new password, within a day.
#[utoipa::path(
    post,
    path = "/users/{user}/reset",
    operation_id = "reset_password",
    tag = "users",
    responses((status = 201, body = InviteLink)),
    security(("token" = ["instance"])),
)]
async fn reset(
    State(node): State<Arc<Node>>,
    Path(user): Path<String>,
) -> Result<(StatusCode, Json<InviteLink>), Problem> {
    let made = node.accounts.invite(Purpose::Reset { user: user_name(&user)? }).await?;
    Ok((StatusCode::CREATED, Json(InviteLink::new(&node, made))))
}

/// What one knows who has a link.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Secret {
    secret: String,
}

/// What a link is for.
#[utoipa::path(
    post,
    path = "/invites/find",
    operation_id = "find_invite",
    tag = "users",
    request_body = Secret,
    responses((status = 200, body = Invite)),
    security(()),
)]
async fn find(State(node): State<Arc<Node>>, request_body: Body) -> Result<Json<Invite>, Problem> {
    let Secret { secret } = body::json(request_body, MAX_BODY_BYTES).await?;
    Ok(Json(node.accounts.find_invite(&secret).await?))
}

/// What makes an account, or gives one its new password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Acceptance {
    secret: String,
    /// The name to log in with, of somebody new.
    name: Option<String>,
    /// Of 10 bytes at least.
    password: String,
}

/// Uses a link up and logs in: the answer sets the session's cookie.
#[utoipa::path(
    post,
    path = "/invites/accept",
    operation_id = "accept_invite",
    tag = "users",
    request_body = Acceptance,
    responses((status = 200, body = super::session::Whoami)),
    security(()),
)]
async fn accept(
    State(node): State<Arc<Node>>,
    Whence(origin): Whence,
    request_body: Body,
) -> Result<Response, Problem> {
    let Acceptance { secret, name, password } = body::json(request_body, MAX_BODY_BYTES).await?;
    let name: Option<UserName> = name.as_deref().map(user_name).transpose()?;
    let login = node.accounts.accept(&secret, name.as_ref(), password, origin.clone()).await?;
    record(&node, &login.user.name, "accept_invite", &origin, 200).await?;
    Ok(begun(login))
}
