//! Logging in and out, and one's own account.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use cookie::{Cookie, SameSite};
use http::{HeaderValue, StatusCode, header};
use picloud_manager_core::{Caller, Credential, Login, Origin};
use picloud_shared::access::{Session, Token};
use picloud_shared::audit::Change;
use picloud_shared::{User, UserName};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{List, Path};
use crate::http::auth::{By, COOKIE, Whence};
use crate::http::body;
use crate::http::problem::Problem;
use crate::node::Node;

const MAX_BODY_BYTES: u64 = 8 * 1024;

type SessionList = List<SessionView>;

/// A login, as a list shows it.
#[derive(Serialize, ToSchema)]
struct SessionView {
    #[serde(flatten)]
    session: Session,
    /// Whether it is the one that asks.
    current: bool,
}

pub(super) fn router() -> OpenApiRouter<Arc<Node>> {
    OpenApiRouter::new()
        .routes(routes!(show, log_in, log_out))
        .routes(routes!(list))
        .routes(routes!(end))
        .routes(routes!(change_password))
}

/// Who asks.
#[derive(Serialize, ToSchema)]
pub(super) struct Whoami {
    /// The account; there is none behind the admin's token.
    user: Option<User>,
    /// Whether this is whoever runs the server.
    operator: bool,
    /// The token that was presented, if it was one.
    token: Option<Token>,
}

impl Whoami {
    pub(super) fn logged_in(user: User) -> Self {
        Self { user: Some(user), operator: false, token: None }
    }
}

/// Who you are.
#[utoipa::path(
    get,
    path = "/session",
    operation_id = "whoami",
    tag = "session",
    responses((status = 200, body = Whoami)),
    security(("token" = ["any"])),
)]
async fn show(By(caller): By) -> Json<Whoami> {
    Json(match caller {
        Caller::Operator => Whoami { user: None, operator: true, token: None },
        Caller::User { user, by: Credential::Session(..) } => Whoami::logged_in(user),
        Caller::User { user, by: Credential::Token(token) } => {
            Whoami { user: Some(user), operator: false, token: Some(token) }
        }
    })
}

/// A name and its password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Credentials {
    name: String,
    password: String,
}

/// Logs in: the answer sets the session's cookie.
#[utoipa::path(
    post,
    path = "/session",
    operation_id = "log_in",
    tag = "session",
    request_body = Credentials,
    responses((status = 200, body = Whoami)),
    security(()),
)]
async fn log_in(
    State(node): State<Arc<Node>>,
    Whence(origin): Whence,
    request_body: Body,
) -> Result<Response, Problem> {
    let Credentials { name, password } = body::json(request_body, MAX_BODY_BYTES).await?;
    // What is no name is nobody's.
    let wrong = || Problem::from(picloud_manager_core::Error::WrongCredentials);
    let name: UserName = name.parse().map_err(|_| wrong())?;
    let login = node.accounts.log_in(&name, password, origin.clone()).await;
    if !matches!(login, Err(picloud_manager_core::Error::Throttled { .. })) {
        let status = if login.is_ok() { 200 } else { 401 };
        record(&node, &name, "log_in", &origin, status).await?;
    }
    Ok(begun(login?))
}

/// Writes a login into the audit log, which whoever is not yet anybody cannot
/// have the middleware do.
pub(super) async fn record(
    node: &Node,
    name: &UserName,
    action: &str,
    origin: &Origin,
    status: u16,
) -> Result<(), Problem> {
    let change = Change {
        at_ms: node.clock.now_ms(),
        actor: name.to_string(),
        token: None,
        action: action.to_owned(),
        target: "/session".to_owned(),
        app: None,
        ip: origin.ip,
    };
    let entry = node.stores.audit.begin(&change).await?;
    Ok(node.stores.audit.end(entry, status).await?)
}

/// The answer to a login.
pub(super) fn begun(login: Login) -> Response {
    let Login { user, secret, max_age_s } = login;
    let max_age = cookie::time::Duration::seconds(i64::try_from(max_age_s).unwrap_or(0));
    let cookie = Cookie::build((COOKIE, secret)).max_age(max_age);
    ([(header::SET_COOKIE, set_cookie(cookie))], Json(Whoami::logged_in(user))).into_response()
}

fn set_cookie(cookie: cookie::CookieBuilder<'_>) -> HeaderValue {
    let cookie = cookie.path("/").secure(true).http_only(true).same_site(SameSite::Lax);
    // A name and a value of ours have nothing that a header may not have.
    HeaderValue::from_str(&cookie.to_string()).unwrap_or(HeaderValue::from_static(""))
}

/// Logs out: the session ends and its cookie goes.
#[utoipa::path(
    delete,
    path = "/session",
    operation_id = "log_out",
    tag = "session",
    responses((status = 204)),
    security(("token" = ["any"])),
)]
async fn log_out(State(node): State<Arc<Node>>, By(caller): By) -> Result<Response, Problem> {
    match caller {
        Caller::User { user, by: Credential::Session(id, _) } => {
            node.accounts.end_session(user.id, id).await?;
        }
        Caller::User { user, by: Credential::Token(token) } => {
            node.accounts.revoke_token(user.id, token.id).await?;
        }
        Caller::Operator => {}
    }
    let cookie = Cookie::build((COOKIE, "")).max_age(cookie::time::Duration::ZERO);
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, set_cookie(cookie))]).into_response())
}

/// Your logins that have not ended, the newest first.
#[utoipa::path(
    get,
    path = "/sessions",
    operation_id = "list_sessions",
    tag = "session",
    responses((status = 200, body = SessionList)),
    security(("token" = ["user"])),
)]
async fn list(State(node): State<Arc<Node>>, By(caller): By) -> Result<Json<SessionList>, Problem> {
    let user = account(&caller)?;
    let sessions = node.accounts.sessions(user.id).await?;
    let own = match &caller {
        Caller::User { by: Credential::Session(id, _), .. } => Some(*id),
        _ => None,
    };
    let view = |session: Session| SessionView { current: own == Some(session.id), session };
    Ok(Json(List { items: sessions.into_iter().map(view).collect(), next: None }))
}

/// Ends one of your logins.
#[utoipa::path(
    delete,
    path = "/sessions/{id}",
    operation_id = "end_session",
    tag = "session",
    responses((status = 204)),
    security(("token" = ["user"])),
)]
async fn end(
    State(node): State<Arc<Node>>,
    By(caller): By,
    Path(id): Path<i64>,
) -> Result<StatusCode, Problem> {
    node.accounts.end_session(account(&caller)?.id, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A password in place of another.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewPassword {
    /// The one you have.
    old: String,
    /// The one you want, of 10 bytes at least.
    new: String,
}

/// Changes your password and ends your other logins.
#[utoipa::path(
    put,
    path = "/password",
    operation_id = "change_password",
    tag = "session",
    request_body = NewPassword,
    responses((status = 204)),
    security(("token" = ["user"])),
)]
async fn change_password(
    State(node): State<Arc<Node>>,
    By(caller): By,
    request_body: Body,
) -> Result<StatusCode, Problem> {
    let NewPassword { old, new } = body::json(request_body, MAX_BODY_BYTES).await?;
    let kept = match &caller {
        Caller::User { by: Credential::Session(_, digest), .. } => Some(digest),
        _ => None,
    };
    node.accounts.change_password(account(&caller)?, old, new, kept).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The caller's account.
pub(super) fn account(caller: &Caller) -> Result<&User, Problem> {
    let detail = "the admin's token has no account; log in with one";
    caller.user().ok_or_else(|| Problem::new(403, "forbidden", detail))
}
