//! Apps.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http::StatusCode;
use picloud_manager_core::{Caller, Need, Subject, Verdict};
use picloud_shared::{App, AppRole, AppSlug, LimitOverrides, Limits};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{List, Page, Path, Query, change, slug};
use crate::http::auth::{By, MaybeApp, OfApp};
use crate::http::body;
use crate::http::problem::Problem;
use crate::node::Node;

/// Apps whose roles are asked for at one time.
const ROLES: usize = 8;

const MAX_BODY_BYTES: u64 = 64 * 1024;

type AppList = List<AppView, AppSlug>;

pub(super) fn router() -> OpenApiRouter<Arc<Node>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show, create, delete))
}

/// An app, as the API shows it.
#[derive(Serialize, ToSchema)]
struct AppView {
    #[serde(flatten)]
    app: App,
    /// Where it answers.
    url: String,
    /// What you are to it; `null` for an admin of the instance who is no member.
    role: Option<AppRole>,
    /// Its limits, complete.
    effective_limits: Limits,
}

impl AppView {
    fn new(node: &Node, app: App, role: Option<AppRole>) -> Self {
        let effective_limits = Limits::default().with(&app.limits);
        Self { url: node.app_url(&app.slug), role, effective_limits, app }
    }

    /// With the role that is the caller's.
    async fn of(node: &Node, caller: &Caller, app: App) -> Result<Self, Problem> {
        let role = node.accounts.role(caller, &app).await?;
        Ok(Self::new(node, app, role))
    }
}

/// Your apps, by name; an admin's are all.
#[utoipa::path(
    get,
    path = "/apps",
    operation_id = "list_apps",
    tag = "apps",
    params(Page),
    responses((status = 200, body = AppList)),
    security(("token" = ["user"])),
)]
async fn list(
    State(node): State<Arc<Node>>,
    By(caller): By,
    Query(page): Query<Page>,
) -> Result<Json<AppList>, Problem> {
    let after = page.after::<AppSlug>()?;
    let limit = page.limit() + 1;
    let mut apps = match caller.user() {
        Some(user) if !caller.sees_all() => {
            let apps = node.accounts.apps(user.id, after.as_ref(), limit).await?;
            apps.into_iter().map(|(app, role)| AppView::new(&node, app, Some(role))).collect()
        }
        _ => {
            let apps = stream::iter(node.manager.apps(after.as_ref(), limit).await?);
            let views = apps.map(|app| AppView::of(&node, &caller, app)).buffered(ROLES);
            views.try_collect::<Vec<_>>().await?
        }
    };
    let more = apps.len() > page.limit() as usize;
    apps.truncate(page.limit() as usize);
    let next = apps.last().filter(|_| more).map(|view| view.app.slug.clone());
    Ok(Json(List { items: apps, next }))
}

/// An app.
#[utoipa::path(
    get,
    path = "/apps/{app}",
    operation_id = "show_app",
    tag = "apps",
    responses((status = 200, body = AppView)),
    security(("token" = ["read"])),
)]
async fn show(
    State(node): State<Arc<Node>>,
    By(caller): By,
    OfApp(app): OfApp,
) -> Result<Json<AppView>, Problem> {
    Ok(Json(AppView::of(&node, &caller, app).await?))
}

/// What may be said of an app when it is made, or afterwards.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Departures from the default limits, in place of all that there were.
    limits: Option<LimitOverrides>,
}

/// Makes the app unless it exists; sets its limits if the body has some.
#[utoipa::path(
    put,
    path = "/apps/{app}",
    operation_id = "put_app",
    tag = "apps",
    request_body = Option<Settings>,
    responses(
        (status = 200, description = "It existed.", body = AppView),
        (status = 201, description = "It was made.", body = AppView),
    ),
    security(("token" = ["deploy", "create"])),
)]
async fn create(
    State(node): State<Arc<Node>>,
    By(caller): By,
    MaybeApp(app): MaybeApp,
    Path(slug): Path<String>,
    request_body: Body,
) -> Result<(StatusCode, Json<AppView>), Problem> {
    let body = body::read(request_body, MAX_BODY_BYTES).await?;
    let settings = if body.is_empty() {
        Settings { limits: None }
    } else {
        serde_json::from_slice(&body)
            .map_err(|error| Problem::bad_request("invalid_body", error.to_string()))?
    };
    if settings.limits.is_some()
        && let Verdict::Forbidden(reason) = caller.may(Need::Instance, true, Subject::None)
    {
        return Err(Problem::new(403, "forbidden", format!("limits: {reason}")));
    }
    let status = if app.is_none() { StatusCode::CREATED } else { StatusCode::OK };
    let mut app = match app {
        Some(app) => app,
        None => node.manager.create_app(&self::slug(&slug)?, caller.owner()).await?,
    };
    if let Some(limits) = settings.limits {
        let changed = change(&node, &app.slug, {
            let app = app.clone();
            async move |node| node.manager.set_limits(&app, limits).await
        });
        app = changed.await?;
    }
    Ok((status, Json(AppView::of(&node, &caller, app).await?)))
}

/// Deletes the app with everything that it owns.
#[utoipa::path(
    delete,
    path = "/apps/{app}",
    operation_id = "delete_app",
    tag = "apps",
    responses((status = 204)),
    security(("token" = ["admin"])),
)]
async fn delete(State(node): State<Arc<Node>>, OfApp(app): OfApp) -> Result<StatusCode, Problem> {
    let slug = app.slug.clone();
    let deleted = change(&node, &slug, async move |node| {
        let deleted = node.manager.delete_app(&app).await;
        // Its domains are nobody's now, nor another app's of the same name.
        node.domain_directory.invalidate();
        deleted?;
        node.executor.forget(app.id);
        node.rates.forget(app.id);
        if let Err(error) = node.contents.remove_app(app.id).await {
            // The app is gone; what it had takes space until the next clean-up.
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "a deleted app's files were not removed");
        }
        Ok(())
    });
    deleted.await?;
    Ok(StatusCode::NO_CONTENT)
}
