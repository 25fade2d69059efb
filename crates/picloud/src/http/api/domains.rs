//! Domains of an app's own.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use http::{HeaderValue, StatusCode, header};
use picloud_manager_core::domains::Error;
use picloud_shared::domain::{Claim, InvalidDomain};
use picloud_shared::{App, Domain};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::change::to_the_end;
use super::{List, Path};
use crate::client::{DomainInfo, DomainRecord};
use crate::http::auth::OfApp;
use crate::http::body;
use crate::http::problem::Problem;
use crate::node::Node;

const MAX_BODY_BYTES: u64 = 4 * 1024;

type DomainList = List<DomainInfo>;

pub(super) fn router() -> OpenApiRouter<Arc<Node>> {
    OpenApiRouter::new()
        .routes(routes!(list, claim))
        .routes(routes!(remove))
        .routes(routes!(verify))
        .routes(routes!(approve))
}

/// The app's domains, those that are not proved yet among them.
#[utoipa::path(
    get,
    path = "/apps/{app}/domains",
    operation_id = "list_domains",
    tag = "domains",
    responses((status = 200, body = DomainList)),
    security(("token" = ["read"])),
)]
async fn list(
    State(node): State<Arc<Node>>,
    OfApp(app): OfApp,
) -> Result<Json<DomainList>, Problem> {
    let claims = node.domains.list(&app).await?;
    let items = claims.into_iter().map(|claim| info(&node, &app, claim)).collect();
    Ok(Json(List { items, next: None }))
}

/// What is claimed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewDomain {
    /// `shop.example.org`
    domain: String,
}

/// Claims a domain, and says which record proves that it is the app's.
///
/// A claim that the app has already is returned as it is.
#[utoipa::path(
    post,
    path = "/apps/{app}/domains",
    operation_id = "claim_domain",
    tag = "domains",
    request_body = NewDomain,
    responses((status = 201, body = DomainInfo)),
    security(("token" = ["admin"])),
)]
async fn claim(
    State(node): State<Arc<Node>>,
    OfApp(app): OfApp,
    request_body: Body,
) -> Result<(StatusCode, Json<DomainInfo>), Problem> {
    let body = body::read(request_body, MAX_BODY_BYTES).await?;
    let NewDomain { domain } = serde_json::from_slice(&body)
        .map_err(|error| Problem::bad_request("invalid_body", error.to_string()))?;
    let claim = node.domains.claim(&app, &parse(&domain)?).await?;
    Ok((StatusCode::CREATED, Json(info(&node, &app, claim))))
}

/// Makes a claimed domain the app's, if its record is published.
#[utoipa::path(
    post,
    path = "/apps/{app}/domains/{domain}/verify",
    operation_id = "verify_domain",
    tag = "domains",
    responses((status = 200, body = DomainInfo)),
    security(("token" = ["admin"])),
)]
async fn verify(
    State(node): State<Arc<Node>>,
    OfApp(app): OfApp,
    Path((_app, domain)): Path<(String, String)>,
) -> Result<Json<DomainInfo>, Problem> {
    let domain = parse(&domain)?;
    let (keeper, of) = (Arc::clone(&node), app.clone());
    let verified = changed(&node, async move { keeper.domains.verify(&of, &domain).await }).await?;
    Ok(Json(info(&node, &app, verified)))
}

/// Makes a claimed domain the app's without a record.
#[utoipa::path(
    post,
    path = "/apps/{app}/domains/{domain}/approve",
    operation_id = "approve_domain",
    tag = "domains",
    responses((status = 200, body = DomainInfo)),
    security(("token" = ["instance"])),
)]
async fn approve(
    State(node): State<Arc<Node>>,
    OfApp(app): OfApp,
    Path((_app, domain)): Path<(String, String)>,
) -> Result<Json<DomainInfo>, Problem> {
    let domain = parse(&domain)?;
    let (keeper, of) = (Arc::clone(&node), app.clone());
    let approved =
        changed(&node, async move { keeper.domains.approve(&of, &domain).await }).await?;
    Ok(Json(info(&node, &app, approved)))
}

/// Gives a domain up, proved or not.
#[utoipa::path(
    delete,
    path = "/apps/{app}/domains/{domain}",
    operation_id = "remove_domain",
    tag = "domains",
    responses((status = 204)),
    security(("token" = ["admin"])),
)]
async fn remove(
    State(node): State<Arc<Node>>,
    OfApp(app): OfApp,
    Path((_app, domain)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let domain = parse(&domain)?;
    let keeper = Arc::clone(&node);
    changed(&node, async move { keeper.domains.remove(&app, &domain).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes a change to the end and has the next request see it.
async fn changed<T: Send + 'static>(
    node: &Arc<Node>,
    change: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Problem> {
    let node = Arc::clone(node);
    // Whatever the answer is: a commit may have succeeded and not be reported.
    Ok(to_the_end(change, move || node.domain_directory.invalidate()).await??)
}

fn info(node: &Node, app: &App, claim: Claim) -> DomainInfo {
    let Claim { domain, token, created_at_ms, verified_at_ms } = claim;
    DomainInfo {
        record: DomainRecord {
            kind: "TXT".to_owned(),
            name: domain.record_name(),
            value: token.record_value(),
        },
        url: node.url_of(domain.as_str()),
        alias_of: node.hosts.of_app(&app.slug),
        domain: domain.to_string(),
        created_at_ms,
        verified_at_ms,
    }
}

fn parse(text: &str) -> Result<Domain, Problem> {
    text.parse()
        .map_err(|error: InvalidDomain| Problem::bad_request("invalid_domain", error.to_string()))
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let status = match error {
            Error::NotFound(_) | Error::AppNotFound(_) => 404,
            Error::TooMany | Error::Taken(_) | Error::Unproved { .. } => 409,
            Error::Reserved { .. } => 422,
            Error::NoAnswer(ref cause) => {
                let error = cause as &dyn std::error::Error;
                tracing::warn!(error, "the domain name system does not answer");
                503
            }
            Error::Store(error) => return error.into(),
        };
        let problem = Self::new(status, error.code().to_owned(), error.to_string());
        if status == 503 {
            return problem.with_header(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        problem
    }
}
