//! Who is next. Every method is a step from one state to the next; none waits.
//!
//! Between two steps no place is free that anybody who waits could have.

use std::collections::{BTreeSet, HashMap, VecDeque};

use picloud_shared::AppId;
use tokio::sync::oneshot;

use super::Refused;

/// How many may wait for each place there is, an app's or the instance's.
pub(super) const WAITING_PER_PLACE: usize = 16;

pub(super) type Verdict = Result<(), Refused>;

/// One invocation's name in its app's line. Later ones are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(u64);

pub(super) enum Arrival {
    Admitted,
    Refused(Refused),
    /// The verdict is sent once, while it is in line and not after.
    Waits(Ticket, oneshot::Receiver<Verdict>),
}

/// Every app that runs or waits, with its line.
#[derive(Debug)]
pub(super) struct Lines {
    places: usize,
    running: usize,
    waiting: usize,
    /// Counts tickets and turns.
    count: u64,
    /// An app with nothing to run is not in here.
    apps: HashMap<AppId, Line>,
    /// The apps that wait and may run another: those with the fewest running
    /// first, and among these the one whose last turn is the longest ago.
    ready: BTreeSet<(usize, u64, AppId)>,
    /// The apps that wait, the longest line last.
    lengths: BTreeSet<(usize, AppId)>,
}

#[derive(Debug, Default)]
struct Line {
    /// The app's own limit.
    concurrency: usize,
    running: usize,
    /// When it was last admitted.
    turn: u64,
    waiters: VecDeque<Waiter>,
}

#[derive(Debug)]
struct Waiter {
    ticket: Ticket,
    verdict: oneshot::Sender<Verdict>,
}

impl Waiter {
    fn tell(self, verdict: Verdict) {
        // Whoever waits keeps the receiver until it has left the line.
        let _ = self.verdict.send(verdict);
    }
}

impl Line {
    fn ready(&self, app: AppId) -> Option<(usize, u64, AppId)> {
        let may_run = !self.waiters.is_empty() && self.running < self.concurrency;
        may_run.then_some((self.running, self.turn, app))
    }

    fn length(&self, app: AppId) -> Option<(usize, AppId)> {
        (!self.waiters.is_empty()).then_some((self.waiters.len(), app))
    }

    fn why(&self) -> Refused {
        if self.running >= self.concurrency { Refused::AppBusy } else { Refused::InstanceBusy }
    }
}

impl Lines {
    pub(super) fn new(places: usize) -> Self {
        Self {
            places: places.max(1),
            running: 0,
            waiting: 0,
            count: 0,
            apps: HashMap::new(),
            ready: BTreeSet::new(),
            lengths: BTreeSet::new(),
        }
    }

    pub(super) fn running(&self) -> usize {
        self.running
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Admits it if there is a place for it, or else puts it at the end of its
    /// app's line.
    pub(super) fn arrive(&mut self, app: AppId, concurrency: usize) -> Arrival {
        self.count += 1;
        let ticket = Ticket(self.count);
        let has_place = self.running < self.places;
        let arrival = self.change(app, |line| {
            line.concurrency = concurrency.max(1);
            if has_place && line.waiters.is_empty() && line.running < line.concurrency {
                line.running += 1;
                line.turn = ticket.0;
                return Arrival::Admitted;
            }
            if line.waiters.len() >= line.concurrency.saturating_mul(WAITING_PER_PLACE) {
                return Arrival::Refused(line.why());
            }
            let (verdict, told) = oneshot::channel();
            line.waiters.push_back(Waiter { ticket, verdict });
            Arrival::Waits(ticket, told)
        });
        match arrival {
            Arrival::Admitted => self.running += 1,
            Arrival::Refused(_) => {}
            Arrival::Waits(..) => {
                self.waiting += 1;
                // The limit may be another one than before.
                self.admit();
                self.shorten(app);
            }
        }
        arrival
    }

    /// Takes it out of its line, and says why it is not admitted; `None` if it
    /// is not in line.
    pub(super) fn leave(&mut self, app: AppId, ticket: Ticket) -> Option<Refused> {
        let left = self.change(app, |line| {
            let at = line.waiters.binary_search_by_key(&ticket, |waiter| waiter.ticket).ok()?;
            line.waiters.remove(at)?;
            Some(line.why())
        })?;
        self.waiting -= 1;
        Some(left)
    }

    /// Takes a place back and gives it to whoever is next.
    pub(super) fn release(&mut self, app: AppId) {
        self.change(app, |line| line.running -= 1);
        self.running -= 1;
        self.admit();
    }

    fn admit(&mut self) {
        while self.running < self.places
            && let Some(&(_, _, app)) = self.ready.first()
        {
            self.count += 1;
            let turn = self.count;
            let next = self.change(app, |line| {
                line.running += 1;
                line.turn = turn;
                line.waiters.pop_front()
            });
            self.running += 1;
            self.waiting -= 1;
            if let Some(next) = next {
                next.tell(Ok(()));
            }
        }
    }

    /// Refuses whoever came last to the longest line, if more wait than may. Of
    /// lines that are as long as that of `newest`, it is this one.
    fn shorten(&mut self, newest: AppId) {
        let length = self.apps.get(&newest).map_or(0, |line| line.waiters.len());
        if self.waiting > self.places.saturating_mul(WAITING_PER_PLACE)
            && let Some(&(longest, app)) = self.lengths.last()
        {
            let app = if length == longest { newest } else { app };
            let last = self.change(app, |line| line.waiters.pop_back());
            self.waiting -= 1;
            if let Some(last) = last {
                last.tell(Err(Refused::InstanceBusy));
            }
        }
    }

    /// Changes an app's line and its places in the orders.
    fn change<T>(&mut self, app: AppId, change: impl FnOnce(&mut Line) -> T) -> T {
        let line = self.apps.entry(app).or_default();
        let before = (line.ready(app), line.length(app));
        let changed = change(line);
        let after = (line.ready(app), line.length(app));
        if line.running == 0 && line.waiters.is_empty() {
            self.apps.remove(&app);
        }
        replace(&mut self.ready, before.0, after.0);
        replace(&mut self.lengths, before.1, after.1);
        changed
    }
}

fn replace<T: Ord>(order: &mut BTreeSet<T>, before: Option<T>, after: Option<T>) {
    if before == after {
        return;
    }
    if let Some(before) = before {
        order.remove(&before);
    }
    order.extend(after);
}
