//! Delivers events: claims what is due, runs it as requests are run, sleeps
//! until the next moment at which something is due.
//!
//! Nothing polls. Whoever commits an event, deploys a release or replays a dead
//! letter wakes it up; on PostgreSQL other nodes do so by a notification, which
//! can be lost with its connection, so there it also looks from time to time.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::trace::SpanContext;
use picloud_executor_core::{Refused, ServiceEvent, ServiceEventEmitter, Task, TaskDelivery};
use picloud_orchestrator_core::dispatcher::{self, Capacity, Dispatcher, Ended};
use picloud_orchestrator_core::{DirectoryError, RunnableApp};
use picloud_shared::outbox::{Cause, Claim, Claimed, EventId, Failure, Lane, MAX_LOST, Then};
use picloud_shared::schedule::{Due, Fire};
use picloud_shared::{
    AppId, AppSlug, Event, EventType, Handler, NamedEvent, Outcome, ScriptError, StoreError, fault,
};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{self, JoinSet};

use crate::node::Node;

/// A lease is this much longer than its handler may run.
const LEASE_MARGIN_MS: u64 = 30_000;
/// Schedules that are looked at at a time.
const SCHEDULES: u32 = 256;
/// After a failure of the store.
const RETRY: Duration = Duration::from_secs(1);
/// How long it sleeps at most where others may write what it is not told of.
const POLL: Duration = Duration::from_secs(10);
/// How long runs have to end once the server is told to stop.
const DRAIN: Duration = Duration::from_secs(30);
/// Deliveries that are claimed ahead of their runs, of all apps together: one
/// claim does for many runs. An app that comes later gets its own beside them.
const IN_HAND: u32 = 256;
/// One lane's, at most.
const AHEAD: u32 = 64;
/// What is claimed begins within this time, or is handed back: its lease is to
/// outlast its run.
const START_MS: u64 = LEASE_MARGIN_MS / 2;
/// A schedule whose app cannot be loaded is looked at again after this.
const BROKEN_MS: u64 = 60_000;

/// Asks to be told when nothing is due and nothing runs, and when something
/// will be: Unix time in milliseconds.
pub type Settler = oneshot::Sender<Option<u64>>;

/// Delivers until the server is told to stop, then sees to it that what runs
/// ends.
pub(super) async fn run(node: Arc<Node>, settlers: mpsc::UnboundedReceiver<Settler>) {
    let capacity = u32::try_from(node.max_concurrent_executions / 2).unwrap_or(u32::MAX).max(1);
    let mut edge = Edge {
        node,
        in_hand: Dispatcher::new(u32::MAX),
        running: Dispatcher::new(capacity),
        ready: BTreeMap::new(),
        runs: JoinSet::new(),
        lanes: HashMap::new(),
        failures: Vec::new(),
        look: true,
        wanting: Vec::new(),
        next_ms: None,
        settlers,
        waiting: Vec::new(),
    };
    edge.run().await;
}

/// An app, and one of its queues.
type LaneId = (AppId, String);

struct Edge {
    node: Arc<Node>,
    /// What is claimed: ready or running.
    in_hand: Dispatcher,
    running: Dispatcher,
    ready: BTreeMap<LaneId, Ready>,
    runs: JoinSet<Option<Failure>>,
    /// The lane that each run is of.
    lanes: HashMap<task::Id, LaneId>,
    /// What is to be written of runs that have ended, all at once.
    failures: Vec<Failure>,
    /// Whether there may be something new in the store.
    look: bool,
    /// Lanes that had more to claim than there was room for, and with how many
    /// in hand they are to be looked at again.
    wanting: Vec<(AppId, String, u32)>,
    /// When the next thing is due that is not yet: Unix time in milliseconds.
    next_ms: Option<u64>,
    settlers: mpsc::UnboundedReceiver<Settler>,
    waiting: Vec<Settler>,
}

/// Deliveries of one lane that are claimed and wait for a place to run in.
struct Ready {
    slug: AppSlug,
    deliveries: VecDeque<(Claimed, u64)>,
}

impl Edge {
    async fn run(&mut self) {
        let node = Arc::clone(&self.node);
        let mut stopping = node.stopping.subscribe();
        loop {
            while let Some(done) = self.runs.try_join_next_with_id() {
                self.ended(done);
            }
            let sleep = match self.round().await {
                // What was handed back is to be written at once.
                Ok(()) if self.look || !self.failures.is_empty() => continue,
                Ok(()) => self.next_ms.map(|due_ms| {
                    Duration::from_millis(due_ms.saturating_sub(node.clock.now_ms()))
                }),
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "events cannot be delivered now");
                    self.look = true;
                    Some(RETRY)
                }
            };
            let sleep = match (node.stores.is_shared(), sleep) {
                (true, sleep) => Some(sleep.map_or(POLL, |sleep| sleep.min(POLL))),
                (false, sleep) => sleep,
            };
            let timer = async {
                match sleep {
                    Some(sleep) => tokio::time::sleep(sleep).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = node.deliver.notified() => {
                    self.look = true;
                    node.outbox_changes.send_replace(());
                }
                Some(done) = self.runs.join_next_with_id() => self.ended(done),
                Some(settler) = self.settlers.recv() => {
                    self.look = true;
                    self.waiting.push(settler);
                }
                () = timer => self.look = true,
                _ = stopping.wait_for(|stopping| *stopping) => break,
            }
        }
        self.drain().await;
    }

    fn ended(&mut self, done: Result<(task::Id, Option<Failure>), task::JoinError>) {
        let id = match done {
            Ok((id, failure)) => {
                self.failures.extend(failure);
                id
            }
            Err(error) => {
                // Its lease will run out.
                tracing::error!(%error, "a delivery's run has panicked");
                error.id()
            }
        };
        if let Some((app, queue)) = self.lanes.remove(&id) {
            self.running.ended(app, &queue);
            self.in_hand.ended(app, &queue);
        }
        // What it has led to is committed, and yet perhaps not heard of: whoever
        // waits for the end of everything waits for that, too.
        self.look |= !self.waiting.is_empty();
    }

    /// Writes what has failed, claims what is due, starts what there is room
    /// for.
    async fn round(&mut self) -> Result<(), StoreError> {
        if !self.failures.is_empty() {
            let failures = std::mem::take(&mut self.failures);
            fault::point("fail.before");
            let failed = self.node.stores.outbox.fail(&failures).await;
            fault::point("fail.after");
            if let Err(error) = failed {
                // Their leases will run out, and they are claimed again.
                tracing::warn!(count = failures.len(), "deliveries that have failed stay leased");
                return Err(error);
            }
            // They may be due again soon.
            self.look = true;
        }
        let mut wanting = self.wanting.iter();
        if self.look || wanting.any(|(app, queue, low)| self.in_hand.of_lane(*app, queue) <= *low) {
            self.look().await?;
        }
        self.start().await?;
        if self.in_hand.under_way() == 0 && self.failures.is_empty() && !self.look {
            self.waiting.drain(..).for_each(|settler| _ = settler.send(self.next_ms));
        }
        Ok(())
    }

    /// Fires schedules and claims deliveries that are due.
    async fn look(&mut self) -> Result<(), StoreError> {
        let next_tick = self.fire().await?;
        // Whoever commits something from here on says so.
        self.look = false;
        self.wanting.clear();
        let lanes = self.node.stores.outbox.lanes().await?;
        let now_ms = self.node.clock.now_ms();
        let next = lanes.iter().map(|lane| lane.due_at_ms).filter(|due| *due > now_ms).min();
        self.next_ms = next.into_iter().chain(next_tick).min();
        let due: Vec<Lane> = lanes.into_iter().filter(|lane| lane.due_at_ms <= now_ms).collect();
        let mut apps: BTreeSet<AppId> = self.ready.keys().map(|(app, _)| *app).collect();
        apps.extend(due.iter().map(|lane| lane.app));
        let share = IN_HAND / u32::try_from(apps.len()).unwrap_or(u32::MAX).max(1);
        let mut wanted = Vec::with_capacity(due.len());
        for lane in due {
            let app = self.active(&lane.slug, lane.app).await?;
            let Capacity { lane: runs, lease_ms, .. } = capacity(app.as_ref(), &lane.queue);
            // Where others could do it, too, nobody takes more than is soon done.
            let ahead = if self.node.stores.is_shared() { 2 * runs } else { AHEAD };
            let ahead = ahead.min(share).max(1);
            if self.in_hand.of_lane(lane.app, &lane.queue) > ahead / 2 {
                self.wanting.push((lane.app, lane.queue, ahead / 2));
            } else {
                let capacity = Capacity { app: share.clamp(1, 2 * AHEAD), lane: ahead, lease_ms };
                wanted.push((lane, capacity));
            }
        }
        let claims = self.in_hand.plan(&wanted, now_ms);
        let claimed = self.node.stores.outbox.claim(&claims, now_ms).await?;
        if !claimed.is_empty() {
            fault::point("claim.after");
            // A lane tells when its first is due. When the one behind it is, is
            // seen only now.
            self.look = true;
        }
        let mut left: HashMap<LaneId, u32> = HashMap::new();
        for claim in claims {
            left.insert((claim.app, claim.queue), claim.limit);
        }
        for (lane, _) in &wanted {
            let lag_ms = now_ms.saturating_sub(lane.due_at_ms);
            metrics::histogram!("picloud_delivery_lag_seconds")
                .record(Duration::from_millis(lag_ms));
        }
        let slugs: HashMap<AppId, &AppSlug> =
            wanted.iter().map(|(lane, _)| (lane.app, &lane.slug)).collect();
        for one in claimed {
            let Some(slug) = slugs.get(&one.app) else { continue };
            let id = (one.app, one.queue.clone());
            left.entry(id.clone()).and_modify(|left| *left = left.saturating_sub(1));
            self.in_hand.started(one.app, &one.queue);
            let empty = || Ready { slug: (*slug).clone(), deliveries: VecDeque::new() };
            let ready = self.ready.entry(id).or_insert_with(empty);
            ready.deliveries.push_back((one, now_ms + START_MS));
        }
        // Those that got all they could have may have more.
        for (lane, Capacity { lane: ahead, .. }) in wanted {
            let id = (lane.app, lane.queue);
            if left.get(&id).is_none_or(|left| *left == 0) {
                self.wanting.push((id.0, id.1, ahead / 2));
            }
        }
        Ok(())
    }

    /// Runs what is claimed, as far as there is room.
    async fn start(&mut self) -> Result<(), StoreError> {
        let now_ms = self.node.clock.now_ms();
        let mut lanes = Vec::with_capacity(self.ready.len());
        let mut apps: HashMap<AppId, Option<Arc<RunnableApp>>> = HashMap::new();
        for ((app, queue), ready) in &self.ready {
            let active = match apps.entry(*app) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(place) => place.insert(self.active(&ready.slug, *app).await?),
            };
            let capacity = capacity(active.as_ref(), queue);
            let (slug, queue) = (ready.slug.clone(), queue.clone());
            lanes.push((Lane { app: *app, slug, queue, due_at_ms: 0 }, capacity));
        }
        for Claim { app, queue, limit, .. } in self.running.plan(&lanes, now_ms) {
            let id = (app, queue);
            for _ in 0..limit {
                let Some(ready) = self.ready.get_mut(&id) else { break };
                let Some((claimed, start_by_ms)) = ready.deliveries.pop_front() else {
                    self.ready.remove(&id);
                    break;
                };
                if now_ms > start_by_ms {
                    // What is left of its lease might not be enough.
                    self.in_hand.ended(id.0, &id.1);
                    self.failures.push(handed_back(&claimed, now_ms));
                    continue;
                }
                self.running.started(id.0, &id.1);
                let node = Arc::clone(&self.node);
                let active = apps.get(&id.0).cloned().flatten();
                let run = self.runs.spawn(async move { deliver(&node, active, claimed).await });
                self.lanes.insert(run.id(), id.clone());
            }
        }
        self.ready.retain(|_, ready| !ready.deliveries.is_empty());
        Ok(())
    }

    /// The app with its active release; `None` if it cannot be run.
    async fn active(
        &self,
        slug: &AppSlug,
        id: AppId,
    ) -> Result<Option<Arc<RunnableApp>>, StoreError> {
        match self.node.directory.active(slug).await {
            Ok(app) => Ok(app.filter(|app| app.app.id == id)),
            Err(DirectoryError::Store(error)) => Err(error),
            Err(error) => {
                tracing::error!(%error, app = %slug, "its events cannot be handled");
                Ok(None)
            }
        }
    }

    /// Fires the schedules that are due. When the next one will be.
    async fn fire(&self) -> Result<Option<u64>, StoreError> {
        let Node { stores, clock, .. } = &*self.node;
        loop {
            let upcoming = stores.schedules.upcoming(SCHEDULES).await?;
            let now_ms = clock.now_ms();
            let next = upcoming.iter().map(|due| due.due_ms).find(|due_ms| *due_ms > now_ms);
            let due: Vec<Due> = upcoming.into_iter().filter(|due| due.due_ms <= now_ms).collect();
            if due.is_empty() {
                return Ok(next);
            }
            let mut fires = Vec::with_capacity(due.len());
            for due in due {
                fires.push(self.firing(due, now_ms).await?);
            }
            fault::point("fire.before");
            let fired = stores.schedules.fire(&fires).await?;
            fault::point("fire.after");
            metrics::counter!("picloud_schedule_ticks_total").increment(fired);
        }
    }

    async fn firing(&self, due: Due, now_ms: u64) -> Result<Fire, StoreError> {
        let Due { app, slug, name, due_ms } = due;
        let left_out =
            |name, next_ms| Fire { app, name, due_ms, next_ms: Some(next_ms), tick: None };
        let has_it = |runnable: &RunnableApp| {
            runnable.release.manifest.schedules.iter().any(|schedule| schedule.name == name)
        };
        let mut active = self.node.directory.active(&slug).await;
        if !active.as_ref().is_ok_and(|app| app.as_deref().is_some_and(has_it)) {
            // Another node may have deployed since.
            self.node.directory.invalidate(&slug);
            active = self.node.directory.active(&slug).await;
        }
        let runnable = match active {
            Ok(Some(runnable)) if runnable.app.id == app => runnable,
            Ok(_) => return Ok(left_out(name, now_ms + BROKEN_MS)),
            Err(DirectoryError::Store(error)) => return Err(error),
            Err(error) => {
                tracing::error!(%error, app = %slug, schedule = name, "a tick was left out");
                return Ok(left_out(name, now_ms + BROKEN_MS));
            }
        };
        let schedules = &runnable.release.manifest.schedules;
        let Some(schedule) = schedules.iter().find(|schedule| schedule.name == name) else {
            // The release became active after the row was read.
            return Ok(left_out(name, now_ms + BROKEN_MS));
        };
        let firing = schedule.cron.firing(due_ms, now_ms);
        let tick = firing.tick_ms.and_then(|tick_ms| {
            let root = Cause::root(EventId::new(now_ms, rand::random()).0);
            let triggers = Arc::clone(&runnable.triggers);
            let emitter = ServiceEventEmitter::new(triggers, root, None, now_ms);
            let handler = &schedule.handler.handler;
            let fired =
                ServiceEvent::ScheduleFire { schedule: &name, scheduled_at: tick_ms, handler };
            Some((tick_ms, emitter.emit(&fired)?))
        });
        Ok(Fire { app, name, due_ms, next_ms: firing.next_ms, tick })
    }

    /// Hands back what is claimed and does not run, and waits for what runs.
    /// What does not end in time is claimed again when its lease is over, or at
    /// the next start.
    async fn drain(&mut self) {
        let now_ms = self.node.clock.now_ms();
        for (_, ready) in std::mem::take(&mut self.ready) {
            let handed_back = ready.deliveries.iter().map(|(one, _)| handed_back(one, now_ms));
            self.failures.extend(handed_back);
        }
        let ended = async {
            while let Some(done) = self.runs.join_next().await {
                self.failures.extend(done.ok().flatten());
            }
        };
        if tokio::time::timeout(DRAIN, ended).await.is_err() {
            tracing::warn!(
                runs = self.runs.len(),
                "deliveries are given up; they will be run again"
            );
            self.runs.shutdown().await;
        }
        if let Err(error) = self.node.stores.outbox.fail(&self.failures).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "deliveries stay leased until their time is over");
        }
    }
}

fn handed_back(claimed: &Claimed, now_ms: u64) -> Failure {
    Failure {
        app: claimed.app,
        lease: claimed.lease,
        error: ScriptError::new("it was claimed and not begun in time"),
        then: Then::HandBack(now_ms),
        events: Vec::new(),
    }
}

fn capacity(app: Option<&Arc<RunnableApp>>, queue: &str) -> Capacity {
    let Some(app) = app else {
        return Capacity { app: 1, lane: 1, lease_ms: LEASE_MARGIN_MS };
    };
    // Most of a run is waiting for its commit. A quarter is left to requests.
    let of_app = app.limits.concurrency - app.limits.concurrency / 4;
    let of_app = u32::try_from(of_app).unwrap_or(u32::MAX).max(1);
    let consumer = app.triggers.iter().find(|trigger| trigger.queue() == queue);
    let of_queue = consumer.and_then(|trigger| trigger.concurrency).unwrap_or(of_app);
    let lane = if queue.is_empty() { of_app } else { of_queue };
    Capacity { app: of_app, lane, lease_ms: app.limits.event_ms + LEASE_MARGIN_MS }
}

/// Runs a delivery, and says what is to become of it if it has failed.
async fn deliver(
    node: &Arc<Node>,
    mut app: Option<Arc<RunnableApp>>,
    claimed: Claimed,
) -> Option<Failure> {
    let mut run = task(node, app.as_deref(), &claimed);
    if let (Err(_), Some(stale)) = (&run, &app) {
        // Another node may have deployed since.
        let slug = stale.app.slug.clone();
        node.directory.invalidate(&slug);
        let active = node.directory.active(&slug).await.ok().flatten();
        // An app of the same name may be another one.
        app = active.filter(|active| active.app.id == claimed.app);
        run = task(node, app.as_deref(), &claimed);
    }
    let (ended, error, outcome) = match run {
        Ok(task) => {
            fault::point("run.before");
            let ended = execute(node, task).await;
            fault::point("run.after");
            ended
        }
        Err(error) if claimed.lost >= MAX_LOST => (Ended::Impossible, error, "interrupted"),
        Err(error) => (Ended::Impossible, error, "handler_not_found"),
    };
    metrics::counter!("picloud_deliveries_total", "outcome" => outcome).increment(1);
    let now_ms = node.clock.now_ms();
    let Claimed { attempt, max_attempts, .. } = claimed;
    let then = dispatcher::after(ended, attempt, max_attempts, now_ms, rand::random());
    let then = then?;
    match then {
        Then::Retry(_) => metrics::counter!("picloud_delivery_retries_total").increment(1),
        Then::Bury => metrics::counter!("picloud_dead_letters_total").increment(1),
        Then::HandBack(_) => {}
    }
    let mut events = Vec::new();
    if then == Then::Bury {
        tracing::info!(delivery = %claimed.lease.delivery, outcome, "a delivery is a dead letter");
        // A handler of failures that fails must not call itself.
        if claimed.event.on != EventType::ExecutionFailed
            && let Some(app) = &app
        {
            let emitter = ServiceEventEmitter::new(
                Arc::clone(&app.triggers),
                cause_of_next(&claimed),
                None,
                now_ms,
            );
            events.extend(emitter.emit(&ServiceEvent::ExecutionFailed {
                execution: None,
                release: app.release.number,
                handler: &claimed.handler,
                cause: &cause(&claimed),
                outcome,
                message: &error.message,
            }));
        }
    }
    Some(Failure { app: claimed.app, lease: claimed.lease, error, then, events })
}

async fn execute(node: &Node, task: Task) -> (Ended, ScriptError, &'static str) {
    let executed = match node.executor.execute(task).await {
        Ok(executed) => executed,
        Err(refused) => {
            let ended = match refused {
                Refused::Spent { left_ms } => Ended::NotBefore(node.clock.now_ms() + left_ms),
                Refused::AppBusy | Refused::InstanceBusy => Ended::NotRun,
            };
            return (ended, ScriptError::new(refused.to_string()), "refused");
        }
    };
    let outcome = executed.outcome.code();
    let ended = match executed.outcome {
        Outcome::Ok(_) | Outcome::Superseded => Ended::Settled,
        Outcome::Unavailable(_) => Ended::NotRun,
        _ => Ended::Failed,
    };
    let mut error = executed.error.unwrap_or_else(|| ScriptError::new(""));
    if error.code.is_none() && outcome != "script_error" {
        error.code = Some(outcome.to_owned());
    }
    (ended, error, outcome)
}

/// The run of a delivery, or why there can be none.
fn task(node: &Node, app: Option<&RunnableApp>, claimed: &Claimed) -> Result<Task, ScriptError> {
    let Claimed { event, lost, .. } = claimed;
    if *lost >= MAX_LOST {
        let code = Some("interrupted".to_owned());
        let message = "the server has stopped again and again while it was being handled";
        return Err(ScriptError { code, ..ScriptError::new(message) });
    }
    let missing = |what: &str| {
        let code = Some("handler_not_found".to_owned());
        let message =
            format!("the active release has no {what}; deploy one that has, and replay this");
        ScriptError { code, ..ScriptError::new(message) }
    };
    let app = app.ok_or_else(|| missing("handlers"))?;
    let handler: Handler = claimed.handler.parse().map_err(|_| missing(&claimed.handler))?;
    let program = app.release.program(&handler.script).ok_or_else(|| missing(&claimed.handler))?;
    let (service, name) = event.on.parts();
    let event =
        NamedEvent { service: service.to_owned(), name: name.to_owned(), fields: fields(claimed) };
    let origin = node.app_url(&app.app.slug);
    Ok(Task {
        app: app.app.id,
        slug: app.app.slug.clone(),
        release: app.release.number,
        program: Arc::clone(program),
        handler,
        event: Event::Named(event),
        limits: Arc::clone(&app.limits),
        settings: Arc::clone(&app.release.settings),
        egress: Arc::clone(&app.release.egress),
        origin: origin.trim_end_matches('/').into(),
        cause: cause(claimed),
        triggers: Arc::clone(&app.triggers),
        span: node.traces.as_ref().map(|_| SpanContext::NONE),
        delivery: Some(TaskDelivery { lease: claimed.lease, cause: cause_of_next(claimed) }),
    })
}

/// What the handler is told: the event's own fields, and which event and which
/// attempt it is.
fn fields(claimed: &Claimed) -> String {
    let Claimed { event, attempt, .. } = claimed;
    let (id, at) = (event.id, event.at_ms);
    let own = event.fields.trim_start().trim_start_matches('{');
    let comma = if own.trim_start().starts_with('}') { "" } else { "," };
    format!("{{\"id\":\"{id}\",\"at\":{at},\"attempt\":{attempt}{comma}{own}")
}

/// As the execution's record has it: `kv.set 0198…`.
fn cause(claimed: &Claimed) -> String {
    format!("{} {}", claimed.event.on, claimed.event.id)
}

/// How what the handler does has come about.
fn cause_of_next(claimed: &Claimed) -> Cause {
    let Cause { root, depth, .. } = claimed.event.cause;
    Cause { root, parent: Some(claimed.event.id), depth: depth + 1 }
}
