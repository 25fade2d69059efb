//! Whether a release's files may run, and what to tell their author.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use picloud_shared::schedule::{Planned, Schedule};
use picloud_shared::{
    App, CompileError, EventType, Handler, Layout, Manifest, Program, Routes, ScriptError,
    ScriptInfo, ScriptPath, manifest,
};

use super::cycles::cycles;
use super::{COMPILES, Manager};
use crate::{Error, Issue};

/// Issues that are told at once; who has more starts with these.
const MAX_ISSUES: usize = 50;

/// What is to be said about files that may run.
pub(super) struct Review {
    pub(super) routes: Routes,
    pub(super) warnings: Vec<String>,
    schedules: Vec<Schedule>,
}

impl Review {
    /// The schedules as they are stored, with their next ticks.
    pub(super) fn planned(&self, now_ms: u64) -> Vec<Planned> {
        self.schedules.iter().map(|schedule| schedule.planned(now_ms)).collect()
    }
}

impl Manager {
    /// Examines a release's files.
    ///
    /// # Errors
    /// [`Error::Rejected`] with everything that is wrong with them.
    pub(super) async fn review(
        &self,
        app: &App,
        files: &BTreeMap<String, Bytes>,
    ) -> Result<Review, Error> {
        let layout = Layout::of(files).map_err(|errors| rejected(errors, files))?;
        let infos = self.compile(&layout, files).await?;
        let errors = missing_functions(&layout, &infos);
        if !errors.is_empty() {
            return Err(rejected(errors, files));
        }
        let mut warnings = self.warnings(app, &layout, &infos);
        warnings.extend(self.missing_secrets(app, &layout.manifest).await?);
        let Layout { manifest, mut routes, .. } = layout;
        // By convention every script has a route; those that are for events
        // alone answer 404 there, which nobody needs to be told of.
        routes.routes.retain(|route| !is_for_events_alone(&route.handler, &infos));
        Ok(Review { routes, warnings, schedules: manifest.schedules })
    }

    /// Compiles every program of the release, in the sandbox.
    async fn compile(
        &self,
        layout: &Layout,
        files: &BTreeMap<String, Bytes>,
    ) -> Result<BTreeMap<ScriptPath, ScriptInfo>, Error> {
        let compile = |program: Arc<Program>| async move {
            // Never refused: nobody closes the semaphore.
            let _permit = self.compiles.acquire().await;
            (program.entry().to_owned(), self.sandbox.compile(&program).await)
        };
        let mut compiled =
            stream::iter(layout.programs().into_values()).map(compile).buffered(COMPILES);
        let mut infos = BTreeMap::new();
        let mut errors: Vec<ScriptError> = Vec::new();
        while let Some((entry, result)) = compiled.next().await {
            match result {
                Ok(info) => _ = infos.insert(entry, info),
                Err(CompileError::Script(more)) => {
                    for error in more {
                        // A library's mistake comes once per script that imports it.
                        if !errors.contains(&error) {
                            errors.push(error);
                        }
                    }
                }
                Err(error @ CompileError::TooLarge(_)) => errors.push(ScriptError {
                    code: Some("script_too_large".to_owned()),
                    ..ScriptError::new(format!("{entry}: {error}"))
                }),
                Err(CompileError::HostFault(reason)) => return Err(Error::HostFault(reason)),
            }
            if errors.len() >= MAX_ISSUES {
                break;
            }
        }
        if errors.is_empty() { Ok(infos) } else { Err(rejected(errors, files)) }
    }

    fn warnings(
        &self,
        app: &App,
        layout: &Layout,
        infos: &BTreeMap<ScriptPath, ScriptInfo>,
    ) -> Vec<String> {
        let Layout { manifest, routes, sources, .. } = layout;
        let mut warnings = cycles(manifest, sources, infos);
        if routes.routes.is_empty() && routes.statics.is_empty() {
            warnings.push("nothing in this release answers a request".to_owned());
        }
        let allowed = self.defaults.with(&app.limits);
        if allowed.lowered_by(&manifest.limits) != allowed.with(&manifest.limits) {
            let file = manifest::FILE;
            warnings.push(format!("{file}: [limits] can only lower the app's limits"));
        }
        for rule in manifest.ingress.rules.iter().filter(|rule| !rule.concerns(routes)) {
            let (file, path) = (manifest::FILE, &rule.path);
            warnings.push(format!("{file}: no path of the app is under the rule for {path}"));
        }
        let bodies = manifest.ingress.rules.iter().filter_map(|rule| rule.body_bytes);
        if bodies.max().is_some_and(|bytes| bytes > allowed.request_body_bytes) {
            let file = manifest::FILE;
            warnings.push(format!("{file}: `body_bytes` can only lower request_body_bytes"));
        }
        warnings
    }

    /// What is to be said of rules that nobody can meet yet.
    async fn missing_secrets(&self, app: &App, manifest: &Manifest) -> Result<Vec<String>, Error> {
        let mut names: Vec<_> = manifest.ingress.secrets().collect();
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let listed = self.secrets.list(app.id).await?;
        names.retain(|name| !listed.iter().any(|known| known.name == **name));
        names.sort_unstable();
        names.dedup();
        let warning = |name| {
            let file = manifest::FILE;
            format!("{file}: there is no secret {name} yet, so a rule of [ingress] lets nobody in")
        };
        Ok(names.into_iter().map(warning).collect())
    }
}

/// Whether the guest calls the script for events and not for requests.
fn is_for_events_alone(handler: &Handler, infos: &BTreeMap<ScriptPath, ScriptInfo>) -> bool {
    const FOR_EVENTS: [&str; 3] = ["on_event", "on_message", "on_schedule"];
    const FOR_REQUESTS: [&str; 8] =
        ["handle", "get", "post", "put", "patch", "delete", "head", "options"];
    let Some(info) = infos.get(&handler.script).filter(|_| handler.function.is_none()) else {
        return false;
    };
    let has = |names: &[&str]| info.functions.iter().any(|name| names.contains(&name.as_str()));
    has(&FOR_EVENTS) && !has(&FOR_REQUESTS)
}

/// Handlers whose function their script does not have: the one that they name,
/// or else the one that is called for what happens.
fn missing_functions(
    layout: &Layout,
    infos: &BTreeMap<ScriptPath, ScriptInfo>,
) -> Vec<ScriptError> {
    let Manifest { routes, triggers, schedules, .. } = &layout.manifest;
    let of_triggers = triggers.iter().map(|trigger| {
        let is_message = trigger.on == EventType::QueueMessage;
        (&trigger.handler, Some(if is_message { "on_message" } else { "on_event" }))
    });
    let of_schedules = schedules.iter().map(|schedule| (&schedule.handler, Some("on_schedule")));
    let of_routes = routes.iter().map(|route| (&route.handler, None));
    let error = |(at, default): (&manifest::HandlerAt, Option<&str>)| {
        let Handler { script, function } = &at.handler;
        let function = function.as_deref().or(default)?;
        let functions = &infos.get(script)?.functions;
        if functions.iter().any(|known| known == function) {
            return None;
        }
        let known = match functions.as_slice() {
            [] => "it has none".to_owned(),
            known => format!("it has {}", known.join(", ")),
        };
        Some(ScriptError {
            code: Some("invalid_manifest".to_owned()),
            position: Some(at.position.clone()),
            ..ScriptError::new(format!("{script} has no function {function}; {known}"))
        })
    };
    of_routes.chain(of_triggers).chain(of_schedules).filter_map(error).collect()
}

fn rejected(errors: Vec<ScriptError>, files: &BTreeMap<String, Bytes>) -> Error {
    let source = |file: &str| files.get(file).map(|bytes| String::from_utf8_lossy(bytes));
    let issues = errors.into_iter().take(MAX_ISSUES).map(|error| Issue::new(error, source));
    Error::Rejected(issues.collect())
}
