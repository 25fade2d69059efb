//! Schedules of the active release: when they run next, running one now,
//! pausing.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use picloud_executor_core::ServiceEvent;
use picloud_orchestrator_core::RunnableApp;
use picloud_shared::App;
use picloud_shared::schedule::Schedule;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{List, Path, outside};
use crate::client::ScheduleInfo;
use crate::http::auth::OfApp;
use crate::http::problem::Problem;
use crate::node::Node;

type ScheduleList = List<ScheduleInfo>;

pub(super) fn router() -> OpenApiRouter<Arc<Node>> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(run))
        .routes(routes!(pause))
        .routes(routes!(resume))
}

/// The schedules of the active release.
#[utoipa::path(
    get,
    path = "/apps/{app}/schedules",
    operation_id = "list_schedules",
    tag = "schedules",
    responses((status = 200, body = ScheduleList)),
    security(("token" = ["read"])),
)]
async fn list(
    State(node): State<Arc<Node>>,
    OfApp(app): OfApp,
) -> Result<Json<ScheduleList>, Problem> {
    let Some(runnable) = outside::active(&node, &app).await? else {
        return Ok(Json(List { items: Vec::new(), next: None }));
    };
    let states = node.stores.schedules.list(app.id).await?;
    let now_ms = node.clock.now_ms();
    let info = |schedule: &Schedule| {
        let state = states.iter().find(|state| state.name == schedule.name);
        ScheduleInfo::new(schedule, state, now_ms)
    };
    let items = runnable.release.manifest.schedules.iter().map(info).collect();
    Ok(Json(List { items, next: None }))
}

/// Fires a tick now, whenever the next one is due, also of a paused schedule.
#[utoipa::path(
    post,
    path = "/apps/{app}/schedules/{name}/run",
    operation_id = "run_schedule",
    tag = "schedules",
    responses((status = 202)),
    security(("token" = ["deploy"])),
)]
async fn run(
    State(node): State<Arc<Node>>,
    OfApp(app): OfApp,
    Path((_app, name)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let runnable = find(&node, &app).await?;
    let schedule = schedule(&runnable, &name)?;
    let emitter = outside::emitter(&node, &app).await?;
    let tick = emitter.emit(&ServiceEvent::ScheduleFire {
        schedule: &name,
        scheduled_at: node.clock.now_ms(),
        handler: &schedule.handler.handler,
    });
    outside::commit(&node, &app, &emitter, tick.into_iter().collect()).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Keeps a schedule from running, across deploys too.
#[utoipa::path(
    post,
    path = "/apps/{app}/schedules/{name}/pause",
    operation_id = "pause_schedule",
    tag = "schedules",
    responses((status = 204)),
    security(("token" = ["deploy"])),
)]
async fn pause(
    State(node): State<Arc<Node>>,
    OfApp(app): OfApp,
    Path((_app, name)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let runnable = find(&node, &app).await?;
    schedule(&runnable, &name)?;
    node.stores.schedules.pause(app.id, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lets a schedule go on with its next tick.
///
/// What it missed meanwhile is not made up for.
#[utoipa::path(
    post,
    path = "/apps/{app}/schedules/{name}/resume",
    operation_id = "resume_schedule",
    tag = "schedules",
    responses((status = 204)),
    security(("token" = ["deploy"])),
)]
async fn resume(
    State(node): State<Arc<Node>>,
    OfApp(app): OfApp,
    Path((_app, name)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let runnable = find(&node, &app).await?;
    let due_ms = schedule(&runnable, &name)?.cron.next_after(node.clock.now_ms());
    node.stores.schedules.resume(app.id, &name, due_ms).await?;
    node.deliver.notify_one();
    Ok(StatusCode::NO_CONTENT)
}

async fn find(node: &Node, app: &App) -> Result<Arc<RunnableApp>, Problem> {
    let nothing = || Problem::not_found("nothing is deployed to this app");
    outside::active(node, app).await?.ok_or_else(nothing)
}

fn schedule<'a>(app: &'a RunnableApp, name: &str) -> Result<&'a Schedule, Problem> {
    let schedules = &app.release.manifest.schedules;
    schedules.iter().find(|schedule| schedule.name == name).ok_or_else(|| {
        let names: Vec<_> = schedules.iter().map(|schedule| schedule.name.as_str()).collect();
        let known = if names.is_empty() { "it has none".to_owned() } else { names.join(", ") };
        Problem::not_found(format!("the active release has no schedule {name}: {known}"))
    })
}
