//! One's own API tokens.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use http::StatusCode;
use picloud_manager_core::{Error, Subject, TokenWish, Verdict};
use picloud_shared::AppSlug;
use picloud_shared::access::{Scope, Token};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::session::account;
use super::{List, Path};
use crate::http::auth::By;
use crate::http::body;
use crate::http::problem::Problem;
use crate::node::Node;

const MAX_BODY_BYTES: u64 = 8 * 1024;

type TokenList = List<Token>;

pub(super) fn router() -> OpenApiRouter<Arc<Node>> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(revoke))
}

/// Your tokens, the newest first, without their secrets.
#[utoipa::path(
    get,
    path = "/tokens",
    operation_id = "list_tokens",
    tag = "tokens",
    responses((status = 200, body = TokenList)),
    security(("token" = ["user"])),
)]
async fn list(State(node): State<Arc<Node>>, By(caller): By) -> Result<Json<TokenList>, Problem> {
    let tokens = node.accounts.tokens(account(&caller)?.id).await?;
    Ok(Json(List { items: tokens, next: None }))
}

/// What a token is to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewToken {
    /// What to call it, such as where it is used.
    name: String,
    scope: Scope,
    /// The only app that it is for.
    app: Option<AppSlug>,
    /// Seconds until it expires.
    #[schema(minimum = 1)]
    lifetime_s: Option<u64>,
}

/// A token with its secret, which is shown this once.
#[derive(Serialize, ToSchema)]
struct MadeToken {
    #[serde(flatten)]
    token: Token,
    /// To be sent as `Authorization: Bearer …`.
    secret: String,
}

/// Makes a token that may do what you may, within its scope.
#[utoipa::path(
    post,
    path = "/tokens",
    operation_id = "create_token",
    tag = "tokens",
    request_body = NewToken,
    responses((status = 201, body = MadeToken)),
    security(("token" = ["user"])),
)]
async fn create(
    State(node): State<Arc<Node>>,
    By(caller): By,
    request_body: Body,
) -> Result<(StatusCode, Json<MadeToken>), Problem> {
    let NewToken { name, scope, app, lifetime_s } =
        body::json(request_body, MAX_BODY_BYTES).await?;
    if lifetime_s == Some(0) {
        let detail = "a token lives for a second at least; leave `lifetime_s` out for ever";
        return Err(Problem::bad_request("invalid_body", detail));
    }
    let app = match app {
        None => None,
        Some(slug) => {
            let app = node.manager.app(&slug).await?;
            // Whether it exists is only for those to know who may see it.
            let role = node.accounts.role(&caller, &app).await?;
            let subject = Subject::App(&slug, role);
            let verdict = caller.may(picloud_manager_core::Need::Read, false, subject);
            if verdict != Verdict::Allowed {
                return Err(Error::AppNotFound(slug).into());
            }
            Some(app)
        }
    };
    let wish = TokenWish { name, scope, app, lifetime_s };
    let (token, secret) = node.accounts.create_token(account(&caller)?, wish).await?;
    Ok((StatusCode::CREATED, Json(MadeToken { token, secret })))
}

/// Revokes a token.
#[utoipa::path(
    delete,
    path = "/tokens/{id}",
    operation_id = "revoke_token",
    tag = "tokens",
    responses((status = 204)),
    security(("token" = ["user"])),
)]
async fn revoke(
    State(node): State<Arc<Node>>,
    By(caller): By,
    Path(id): Path<i64>,
) -> Result<StatusCode, Problem> {
    node.accounts.revoke_token(account(&caller)?.id, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
