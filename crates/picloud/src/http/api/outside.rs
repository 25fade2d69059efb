//! What the control plane changes of an app's data: the app's triggers see it
//! like what its scripts change.

use std::sync::Arc;

use picloud_executor_core::unit_of_work::{FileUnit, KvUnit};
use picloud_executor_core::{OutsideChange, ServiceEventEmitter};
use picloud_orchestrator_core::RunnableApp;
use picloud_shared::outbox::{Cause, Emitted, EventId};
use picloud_shared::{App, Limits, Outcome};

use crate::http::problem::Problem;
use crate::node::Node;

/// How often a change is tried that others keep changing under one's hands.
pub(super) const ATTEMPTS: u32 = 8;

/// The app's active release, if it has one. Another app that has its name
/// since is not it.
pub(super) async fn active(node: &Node, app: &App) -> Result<Option<Arc<RunnableApp>>, Problem> {
    let runnable = node.directory.active(&app.slug).await?;
    Ok(runnable.filter(|runnable| runnable.app.id == app.id))
}

/// Emits to the triggers of the app's active release; each emitter's events
/// have a root of their own.
pub(super) async fn emitter(node: &Node, app: &App) -> Result<ServiceEventEmitter, Problem> {
    let triggers = match active(node, app).await? {
        Some(app) => Arc::clone(&app.triggers),
        None => Arc::from([]),
    };
    let now_ms = node.clock.now_ms();
    let root = EventId::new(now_ms, rand::random()).0;
    Ok(ServiceEventEmitter::new(triggers, Cause::root(root), None, now_ms))
}

/// Commits what was sent.
pub(super) async fn commit(
    node: &Node,
    app: &App,
    emitter: &ServiceEventEmitter,
    sent: Vec<Emitted>,
) -> Result<(), Problem> {
    let limits = Limits::default().with(&app.limits);
    let change =
        OutsideChange { app: app.id, limits: &limits, emitter, kv: None, files: None, sent };
    node.executor.commit_outside(change).await.map_err(|outcome| problem(&outcome))
}

/// Whether the units are committed; not if others changed the same things
/// meanwhile.
pub(super) async fn commit_units(
    node: &Node,
    app: &App,
    kv: Option<&KvUnit>,
    files: Option<&FileUnit>,
) -> Result<bool, Problem> {
    let limits = Limits::default().with(&app.limits);
    let emitter = &emitter(node, app).await?;
    let change =
        OutsideChange { app: app.id, limits: &limits, emitter, kv, files, sent: Vec::new() };
    match node.executor.commit_outside(change).await {
        Ok(()) => Ok(true),
        Err(Outcome::Conflict) => Ok(false),
        Err(outcome) => Err(problem(&outcome)),
    }
}

/// Why a change was not committed.
pub(super) fn problem(outcome: &Outcome) -> Problem {
    match outcome {
        Outcome::ScriptError(error) if error.code.as_deref() == Some("quota_exceeded") => {
            Problem::new(507, "quota_exceeded", error.message.clone())
        }
        Outcome::BudgetExceeded(budget) => {
            let detail = format!("one change may not have so many {budget}");
            Problem::new(413, "budget_exceeded", detail)
        }
        Outcome::Unavailable(cause) => {
            tracing::error!(cause, "the database failed");
            Problem::unavailable()
        }
        other => {
            tracing::error!(%other, "a change from outside was not committed");
            Problem::host_fault()
        }
    }
}
