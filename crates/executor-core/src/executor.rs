//! The executor: one task in, one committed outcome out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use opentelemetry::trace::SpanContext;
use picloud_shared::config::Settings;
use picloud_shared::crypto::{self, Crypto as _};
use picloud_shared::outbox::{Cause, Emitted, Lease};
use picloud_shared::receipt::{Commit, HostCall};
use picloud_shared::test::Test;
use picloud_shared::usage::Counters;
use picloud_shared::{
    AppId, AppSlug, Clock, Event, Execution, ExecutionId, Handler, HostPattern, Invocation, Limits,
    Outcome, Program, ReleaseNumber, Sandbox, ScriptError, StoreError, Trigger, Usage, fault,
};
use tokio::time::timeout_at;

use crate::app_metrics::{AppLabels, AppMetrics};
use crate::at_once::AtOnce;
use crate::commit::{self, Written};
use crate::emitter::{ServiceEvent, ServiceEventEmitter};
use crate::gate::{ExecutionGate, Permit, Refused};
use crate::log::InvocationLog;
use crate::passwords::Passwords;
use crate::recorder::{Record, Recorder, Trace};
use crate::secrets::AppSecrets;
use crate::services::{AppState, Attempt, Backends};
use crate::unit_of_work::{FileUnit, KvUnit};

/// Runs of one invocation, the first included.
const MAX_ATTEMPTS: u32 = 6;

/// What is to be run.
#[derive(Clone)]
pub struct Task {
    pub app: AppId,
    pub slug: AppSlug,
    pub release: ReleaseNumber,
    pub program: Arc<Program>,
    pub handler: Handler,
    pub event: Event,
    pub limits: Arc<Limits>,
    /// The manifest's `[config]`.
    pub settings: Arc<Settings>,
    /// The manifest's `[egress] allow`.
    pub egress: Arc<[HostPattern]>,
    /// Where clients reach the app, without a slash at the end.
    pub origin: Arc<str>,
    /// `GET /path`, for the record.
    pub cause: String,
    /// The triggers of the app's active release, whichever is run.
    pub triggers: Arc<[Trigger]>,
    /// The delivery that this is a run of.
    pub delivery: Option<TaskDelivery>,
    /// The span that has led to it, [`SpanContext::NONE`] if there is none;
    /// `None` where nothing is traced.
    pub span: Option<SpanContext>,
}

/// What is known of a task that an event has led to.
#[derive(Clone, Copy, Debug)]
pub struct TaskDelivery {
    /// The right to acknowledge it, with what the handler writes.
    pub lease: Lease,
    /// How the events that the handler leads to have come about.
    pub cause: Cause,
}

impl Task {
    pub(crate) fn emitter(&self, execution: ExecutionId, now_ms: u64) -> ServiceEventEmitter {
        let cause = match self.delivery {
            Some(TaskDelivery { cause, .. }) => cause,
            None => Cause::root(execution.0),
        };
        ServiceEventEmitter::new(Arc::clone(&self.triggers), cause, Some(execution), now_ms)
    }
}

/// What came of it. Whatever a handler that answered has written is durable.
#[derive(Clone, Debug)]
pub struct Executed {
    pub id: ExecutionId,
    pub outcome: Outcome,
    /// What the record says went wrong.
    pub error: Option<ScriptError>,
    pub usage: Usage,
    pub attempts: u32,
}

/// A change that the control plane makes.
pub struct OutsideChange<'a> {
    pub app: AppId,
    pub limits: &'a Limits,
    pub emitter: &'a ServiceEventEmitter,
    pub kv: Option<&'a KvUnit>,
    pub files: Option<&'a FileUnit>,
    /// What is sent beside it.
    pub sent: Vec<Emitted>,
}

/// Runs handlers under admission, in a unit of work, with a record of each.
pub struct Executor {
    sandbox: Arc<dyn Sandbox>,
    backends: Backends,
    passwords: Passwords,
    clock: Arc<dyn Clock>,
    recorder: Recorder,
    gate: ExecutionGate,
    apps: Mutex<HashMap<AppId, Arc<AppState>>>,
    labels: AppLabels,
}

impl Executor {
    /// `concurrency` is the instance's limit of invocations at one time.
    #[must_use]
    pub fn new(
        sandbox: Arc<dyn Sandbox>,
        backends: Backends,
        clock: Arc<dyn Clock>,
        recorder: Recorder,
        concurrency: usize,
    ) -> Self {
        let gate = ExecutionGate::new(concurrency);
        let passwords = Passwords::default();
        Self {
            sandbox,
            backends,
            passwords,
            clock,
            recorder,
            gate,
            apps: Mutex::default(),
            labels: AppLabels::default(),
        }
    }

    /// Runs a task to its end, or refuses it when there is no room.
    ///
    /// Dropping the future abandons the invocation: nothing is written unless
    /// its commit had begun, which then ends one way or the other. The record
    /// says `cancelled`.
    ///
    /// # Errors
    /// [`Refused`], before anything has run.
    pub async fn execute(&self, task: Task) -> Result<Executed, Refused> {
        self.run(task, None).await
    }

    /// Runs a test: like a handler, but what it writes is committed as it is
    /// written, whatever becomes of it, and it has what `test` lends it.
    ///
    /// # Errors
    /// [`Refused`], before anything has run.
    pub async fn execute_test(&self, task: Task, test: Arc<dyn Test>) -> Result<Executed, Refused> {
        self.run(task, Some(test)).await
    }

    async fn run(&self, task: Task, test: Option<Arc<dyn Test>>) -> Result<Executed, Refused> {
        let _permit = self.admit(&task).await?;
        let now_ms = self.clock.now_ms();
        let Backends { secrets, vault, .. } = &self.backends;
        let secrets = AppSecrets::new(task.app, Arc::clone(secrets), Arc::clone(vault));
        let mut run = Run {
            executor: self,
            app: self.app(task.app),
            id: ExecutionId::new(now_ms, rand::random()),
            started_at_ms: now_ms,
            started: Instant::now(),
            log: Arc::new(InvocationLog::new(Arc::clone(&self.clock))),
            secrets: Arc::new(secrets),
            usage: Usage::default(),
            calls: Vec::new(),
            commit: None,
            attempts: 0,
            outcome: None,
            task,
            test,
        };
        let outcome = run.attempts().await;
        run.tell_of(&outcome).await;
        Ok(run.finish(outcome))
    }

    /// Commits what somebody has changed from outside of any invocation, and
    /// what that makes known.
    ///
    /// # Errors
    /// Why nothing was written: an [`Outcome`] that is not `Ok`.
    pub async fn commit_outside(&self, change: OutsideChange<'_>) -> Result<(), Outcome> {
        let OutsideChange { app, limits, emitter, kv, files, sent } = change;
        let mut events = match kv {
            Some(kv) => kv.events(emitter).await.map_err(commit::of_kv)?,
            None => Vec::new(),
        };
        events.extend(sent);
        let kv = kv.map_or_else(Default::default, KvUnit::write_set);
        let files = files.map_or_else(Default::default, FileUnit::write_set);
        let written = Written::from_outside(kv, files, events, emitter);
        let state = self.app(app);
        let _shared = state.commits.read().await;
        let committed = written.commit(&self.backends, &state, app, limits, self.clock.now_ms());
        committed.await.map_err(commit_outcome)
    }

    /// Removes contents of an app's files that were put before `before_ms`,
    /// Unix time, and that no file has: what a process that was killed has
    /// left. No commit of the app refers to them meanwhile.
    pub async fn remove_unreferenced(&self, app: AppId, before_ms: u64) -> Result<(), StoreError> {
        let state = self.app(app);
        let _turn = state.contents.lock().await;
        let old = self.backends.contents.older_than(app, before_ms).await?;
        commit::remove_unreferenced(&self.backends, app, old).await
    }

    /// Whether the hash is one of this password. Found out where scripts' own
    /// are, when the app's turn has come.
    pub async fn verify_password(
        &self,
        app: AppId,
        password: String,
        hash: String,
    ) -> Result<bool, crypto::Error> {
        self.app(app).passwords.password_verify(password, hash).await
    }

    async fn admit(&self, task: &Task) -> Result<Permit, Refused> {
        let admitted = match self.backends.owners.spent(task.app).await {
            Some(left_ms) => Err(Refused::Spent { left_ms }),
            None => self.gate.admit(task.app, task.limits.concurrency).await,
        };
        if let Err(refused) = &admitted {
            let by = match refused {
                Refused::AppBusy => "app",
                Refused::InstanceBusy => "instance",
                Refused::Spent { .. } => "owner",
            };
            metrics::counter!("picloud_executions_refused_total", "by" => by).increment(1);
        }
        admitted
    }

    /// How many invocations run now.
    #[must_use]
    pub fn running(&self) -> usize {
        self.gate.running()
    }

    /// How many wait for their turn.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.gate.waiting()
    }

    /// Forgets an app that was deleted.
    pub fn forget(&self, app: AppId) {
        self.apps.lock().unwrap_or_else(PoisonError::into_inner).remove(&app);
    }

    fn app(&self, app: AppId) -> Arc<AppState> {
        let mut apps = self.apps.lock().unwrap_or_else(PoisonError::into_inner);
        let state = || Arc::new(AppState::new(self.passwords.clone()));
        Arc::clone(apps.entry(app).or_insert_with(state))
    }
}

/// An invocation under way. However it ends, dropping it leaves a record.
struct Run<'a> {
    executor: &'a Executor,
    app: Arc<AppState>,
    task: Task,
    /// What is lent to a test.
    test: Option<Arc<dyn Test>>,
    id: ExecutionId,
    started_at_ms: u64,
    started: Instant,
    log: Arc<InvocationLog>,
    secrets: Arc<AppSecrets>,
    usage: Usage,
    calls: Vec<HostCall>,
    commit: Option<Commit>,
    attempts: u32,
    /// Code, status and error for the record; `None` while it runs.
    outcome: Option<(&'static str, Option<u16>, Option<ScriptError>)>,
}

impl Run<'_> {
    async fn attempts(&mut self) -> Outcome {
        let app = Arc::clone(&self.app);
        let deadline = self.started + self.wall_clock();
        loop {
            self.attempts += 1;
            let exclusive = match self.attempts {
                1 => None,
                _ => match timeout_at(deadline.into(), app.commits.write()).await {
                    Ok(exclusive) => Some(exclusive),
                    Err(_elapsed) => return Outcome::TimedOut,
                },
            };
            let (outcome, can_be_repeated) = self.attempt(deadline, exclusive.is_some()).await;
            let is_over = !can_be_repeated || self.attempts == MAX_ATTEMPTS;
            if outcome != Outcome::Conflict || is_over {
                return outcome;
            }
            drop(exclusive);
            metrics::counter!("picloud_execution_retries_total").increment(1);
            if self.attempts > 1 {
                // Another node is at it; do not meet it again in step.
                let jitter = rand::random_range(0..10 << self.attempts);
                tokio::time::sleep(Duration::from_millis(jitter)).await;
            }
        }
    }

    fn wall_clock(&self) -> Duration {
        Duration::from_millis(match self.task.event {
            Event::Http(_) => self.task.limits.http_ms,
            Event::Named(_) => self.task.limits.event_ms,
        })
    }

    /// One run in the sandbox, and its commit if it answered. Whether it can
    /// be run again is the other answer: not if it has called other servers.
    async fn attempt(&mut self, deadline: Instant, exclusive: bool) -> (Outcome, bool) {
        let Executor { sandbox, backends, .. } = self.executor;
        self.log.clear();
        // Not the first attempt's time: an entry that has expired since is gone
        // for this one, or it would conflict again.
        let now_ms = self.executor.clock.now_ms();
        let attempt = Attempt::new(backends, &self.app, &self.task, self.id, now_ms);
        let mut services = attempt.services(&self.app, &self.task, &self.log, &self.secrets);
        if let Some(test) = &self.test {
            let at_once = Arc::new(AtOnce {
                backends: backends.clone(),
                app: Arc::clone(&self.app),
                task: self.task.clone(),
                execution: self.id,
                clock: Arc::clone(&self.executor.clock),
                test: Arc::clone(test),
            });
            services.events = Arc::clone(&at_once) as _;
            services.kv = Arc::clone(&at_once) as _;
            services.queue = Arc::clone(&at_once) as _;
            services.files = at_once;
            services.test = Some(Arc::clone(test));
        }
        let invocation = Invocation {
            id: self.id,
            app: self.task.slug.clone(),
            release: self.task.release,
            now_ms,
            seed: rand::random(),
            function: self.task.handler.function.clone(),
        };
        let finished = sandbox
            .invoke(
                &self.task.program,
                invocation,
                self.task.event.clone(),
                services,
                &self.task.limits,
                deadline.saturating_duration_since(Instant::now()),
            )
            .await;
        self.usage.add(&finished.usage);
        self.calls.extend(finished.calls);
        let outcome = self.conclude(finished.outcome, &attempt, exclusive).await;
        (outcome, !attempt.http.was_used())
    }

    /// Commits what a handler that answered has written.
    async fn conclude(&mut self, outcome: Outcome, attempt: &Attempt, exclusive: bool) -> Outcome {
        let response = match outcome {
            Outcome::Ok(response) => response,
            failed => return failed,
        };
        if let Err(reason) = response.check() {
            let code = Some("invalid_header".to_owned());
            return Outcome::ScriptError(ScriptError { code, ..ScriptError::new(reason) });
        }
        let ack = self.task.delivery.map(|delivery| delivery.lease);
        let written = match Written::by(attempt, ack).await {
            Ok(Some(written)) => written,
            Ok(None) => return Outcome::Ok(response),
            Err(outcome) => return outcome,
        };
        let size = written.size();
        fault::point("ack.before");
        let committed = self.commit(written, exclusive).await;
        fault::point("ack.after");
        match committed {
            Ok(()) => {
                self.commit = size;
                Outcome::Ok(response)
            }
            Err(error) => commit_outcome(error),
        }
    }

    async fn commit(&self, written: Written, exclusive: bool) -> Result<(), StoreError> {
        let _shared = if exclusive { None } else { Some(self.app.commits.read().await) };
        let Executor { backends, clock, .. } = self.executor;
        let Task { app, limits, .. } = &self.task;
        let begun = Instant::now();
        let committed = written.commit(backends, &self.app, *app, limits, clock.now_ms()).await;
        metrics::histogram!("picloud_commit_seconds").record(begun.elapsed());
        committed
    }

    /// Lets the app know that a request's handler has failed, if a trigger asks
    /// for that. Of a delivery that is known when it is buried.
    async fn tell_of(&self, outcome: &Outcome) {
        if matches!(outcome, Outcome::Ok(_)) || self.task.delivery.is_some() || self.test.is_some()
        {
            return;
        }
        let now_ms = self.executor.clock.now_ms();
        let Task { release, handler, cause, .. } = &self.task;
        let failed = self.task.emitter(self.id, now_ms).emit(&ServiceEvent::ExecutionFailed {
            execution: Some(self.id),
            release: *release,
            handler: &handler.to_string(),
            cause,
            outcome: outcome.code(),
            message: &self.error(outcome).map_or_else(String::new, |error| error.message),
        });
        let Some(failed) = failed else { return };
        if let Err(error) = self.commit(Written::events(vec![failed]), false).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, app = %self.task.slug, "execution.failed could not be written");
        }
    }

    /// The error that the record has.
    fn error(&self, outcome: &Outcome) -> Option<ScriptError> {
        let mut error = match outcome {
            Outcome::Ok(_) => return None,
            Outcome::ScriptError(error) => error.clone(),
            other => ScriptError::new(other.to_string()),
        };
        self.secrets.redact(&mut error.message, false);
        Some(error)
    }

    fn finish(mut self, outcome: Outcome) -> Executed {
        if let Outcome::Unavailable(cause) | Outcome::HostFault(cause) = &outcome {
            tracing::error!(
                app = %self.task.slug,
                execution = %self.id,
                cause,
                "an invocation failed through no fault of its script"
            );
        }
        let error = self.error(&outcome);
        let is_request = matches!(self.task.event, Event::Http(_));
        let status = is_request.then(|| status_of(&outcome));
        self.outcome = Some((outcome.code(), status, error.clone()));
        Executed { id: self.id, outcome, error, usage: self.usage, attempts: self.attempts }
    }
}

/// The HTTP status that a client gets.
#[must_use]
pub fn status_of(outcome: &Outcome) -> u16 {
    match outcome {
        Outcome::Ok(response) => response.status,
        // The client's mistake, which the script has left to us.
        Outcome::ScriptError(error) if error.code.as_deref() == Some("invalid_body") => 400,
        Outcome::Conflict | Outcome::Superseded => 409,
        Outcome::Unavailable(_) => 503,
        Outcome::TimedOut => 504,
        Outcome::ScriptError(_)
        | Outcome::OutOfFuel
        | Outcome::OutOfMemory
        | Outcome::BudgetExceeded(_)
        | Outcome::HostFault(_) => 500,
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        let (outcome, status, error) = self.outcome.take().unwrap_or(("cancelled", None, None));
        let elapsed = self.started.elapsed();
        metrics::counter!("picloud_executions_total", "outcome" => outcome).increment(1);
        metrics::counter!("picloud_fuel_total").increment(self.usage.fuel);
        let of_app = || AppMetrics::new(self.task.slug.as_str(), &self.executor.labels);
        self.app.metrics.get_or_init(of_app).ended(outcome, self.usage.fuel);
        metrics::histogram!("picloud_execution_seconds").record(elapsed);
        let duration_us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        let used = Counters {
            invocations: 1,
            failures: u64::from(outcome != "ok"),
            fuel: self.usage.fuel,
            duration_us,
            host_calls: self.usage.host_calls,
            deliveries: u64::from(self.task.delivery.is_some()),
            ..Counters::default()
        };
        self.executor.backends.usage.add(self.task.app, used);
        let execution = Execution {
            id: self.id,
            app: self.task.app,
            release: self.task.release,
            handler: self.task.handler.to_string(),
            cause: std::mem::take(&mut self.task.cause),
            event: self.task.delivery.and_then(|delivery| delivery.cause.parent),
            started_at_ms: self.started_at_ms,
            duration_us,
            outcome: outcome.to_owned(),
            status,
            error,
            usage: self.usage,
            commit: self.commit,
            attempts: self.attempts,
        };
        let lines = self.log.take(self.task.app, self.id, &self.secrets);
        let trace = self.task.span.take().map(|parent| Trace {
            app: self.task.slug.clone(),
            parent,
            began: self.started,
            calls: std::mem::take(&mut self.calls),
        });
        self.executor.recorder.record(Record { execution, lines, trace });
    }
}

fn commit_outcome(error: StoreError) -> Outcome {
    match error {
        StoreError::Conflict => Outcome::Conflict,
        StoreError::Superseded => Outcome::Superseded,
        StoreError::QuotaExceeded(quota) => Outcome::ScriptError(ScriptError {
            code: Some("quota_exceeded".to_owned()),
            ..ScriptError::new(format!("{quota}; nothing was written"))
        }),
        StoreError::Unavailable(source) => {
            Outcome::Unavailable(format!("the commit failed: {source}"))
        }
    }
}
