//! Which deliveries to hand out next, and what becomes of those that fail: a
//! state machine without a clock, a store or a task of its own.
//!
//! A node hands out no more deliveries at one time than it says, an app gets
//! no more of them than its share, and a queue no more than its trigger allows.
//! Who has fewest under way comes first, so an app with a hundred thousand
//! messages delays another one's first by one handler's time at most.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use picloud_shared::AppId;
use picloud_shared::outbox::{Claim, Lane, Then};

/// The delay before the second attempt is up to this long; it doubles with
/// each further one.
const FIRST_DELAY_MS: u64 = 1_000;
/// And is never longer than this.
const MAX_DELAY_MS: u64 = 3_600_000;

/// How many deliveries may be under way at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Of the app, all together.
    pub app: u32,
    /// Of the lane.
    pub lane: u32,
    /// How long one is leased, in milliseconds: longer than it may run.
    pub lease_ms: u64,
}

/// How a delivery's run has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It is acknowledged, or not ours to speak of any more.
    Settled,
    /// There was no room to run it, or no store to commit to.
    NotRun,
    /// The same, and it will not be before this Unix time in milliseconds.
    NotBefore(u64),
    /// Its handler has failed.
    Failed,
    /// It cannot be run: there is no such handler.
    Impossible,
}

/// What a node has under way.
#[derive(Debug)]
pub struct Dispatcher {
    capacity: u32,
    total: u32,
    apps: HashMap<AppId, u32>,
    lanes: HashMap<(AppId, String), u32>,
}

impl Dispatcher {
    /// One that has at most `capacity` deliveries under way.
    #[must_use]
    pub fn new(capacity: u32) -> Self {
        Self { capacity, total: 0, apps: HashMap::new(), lanes: HashMap::new() }
    }

    /// Deliveries under way.
    #[must_use]
    pub fn under_way(&self) -> u32 {
        self.total
    }

    /// Deliveries of that lane under way.
    #[must_use]
    pub fn of_lane(&self, app: AppId, queue: &str) -> u32 {
        self.lanes.get(&(app, queue.to_owned())).copied().unwrap_or(0)
    }

    /// What to claim now: places go one by one to whichever lane that has
    /// something due has fewest under way, its app counted first.
    #[must_use]
    pub fn plan(&self, lanes: &[(Lane, Capacity)], now_ms: u64) -> Vec<Claim> {
        let mut apps: HashMap<AppId, u32> = HashMap::new();
        let mut limits = vec![0; lanes.len()];
        // Under way in the app, in the lane; which lane. An app's number may be
        // out of date; it is looked up when its turn comes.
        let mut waiting: BinaryHeap<Reverse<(u32, u32, usize)>> = lanes
            .iter()
            .enumerate()
            .filter(|(_, (lane, _))| lane.due_at_ms <= now_ms)
            .map(|(index, (lane, _))| {
                let of_app = self.apps.get(&lane.app).copied().unwrap_or(0);
                apps.insert(lane.app, of_app);
                Reverse((of_app, self.of_lane(lane.app, &lane.queue), index))
            })
            .collect();
        let mut free = self.capacity.saturating_sub(self.total);
        while free > 0 {
            let Some(Reverse((then, of_lane, index))) = waiting.pop() else { break };
            let Some(((lane, capacity), limit)) = lanes.get(index).zip(limits.get_mut(index))
            else {
                break;
            };
            let of_app = apps.entry(lane.app).or_default();
            if *of_app > then {
                waiting.push(Reverse((*of_app, of_lane, index)));
                continue;
            }
            if *of_app >= capacity.app || of_lane >= capacity.lane {
                continue;
            }
            *of_app += 1;
            *limit += 1;
            free -= 1;
            waiting.push(Reverse((*of_app, of_lane + 1, index)));
        }
        let claims = lanes.iter().zip(limits).filter(|(_, limit)| *limit > 0);
        claims
            .map(|((lane, capacity), limit)| Claim {
                app: lane.app,
                queue: lane.queue.clone(),
                limit,
                lease_ms: capacity.lease_ms,
            })
            .collect()
    }

    /// A delivery of that lane is under way.
    pub fn started(&mut self, app: AppId, queue: &str) {
        self.total += 1;
        *self.apps.entry(app).or_default() += 1;
        *self.lanes.entry((app, queue.to_owned())).or_default() += 1;
    }

    /// One that was is not any more.
    pub fn ended(&mut self, app: AppId, queue: &str) {
        self.total = self.total.saturating_sub(1);
        let lane = (app, queue.to_owned());
        if let Some(count) = self.apps.get_mut(&app) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.apps.remove(&app);
            }
        }
        if let Some(count) = self.lanes.get_mut(&lane) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.lanes.remove(&lane);
            }
        }
    }
}

/// What becomes of a delivery after its `attempts`th run; `None` for nothing
/// more. `jitter` is a random number from 0 to 1: the delay is anything up to
/// its limit, so that what has failed together does not come back together
/// (<https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>,
/// "full jitter").
#[must_use]
pub fn after(
    ended: Ended,
    attempts: u32,
    max_attempts: u32,
    now_ms: u64,
    jitter: f64,
) -> Option<Then> {
    let in_up_to = |limit_ms: u64| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            clippy::cast_sign_loss,
            reason = "an hour of milliseconds is exact in a float, and the jitter is positive"
        )]
        let delay = (limit_ms as f64 * jitter.clamp(0.0, 1.0)) as u64;
        now_ms.saturating_add(delay)
    };
    match ended {
        Ended::Settled => None,
        Ended::NotRun => Some(Then::HandBack(in_up_to(FIRST_DELAY_MS))),
        Ended::NotBefore(at_ms) => Some(Then::HandBack(at_ms)),
        Ended::Impossible => Some(Then::Bury),
        Ended::Failed if attempts >= max_attempts => Some(Then::Bury),
        Ended::Failed => {
            let doublings = attempts.saturating_sub(1).min(20);
            Some(Then::Retry(in_up_to((FIRST_DELAY_MS << doublings).min(MAX_DELAY_MS))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_000_000;

    fn lane(app: i64, queue: &str, due_at_ms: u64, of_app: u32, of_lane: u32) -> (Lane, Capacity) {
        let lane = Lane {
            app: AppId(app),
            slug: format!("app-{app}").parse().unwrap(),
            queue: queue.to_owned(),
            due_at_ms,
        };
        (lane, Capacity { app: of_app, lane: of_lane, lease_ms: 1 })
    }

    fn plan(dispatcher: &Dispatcher, lanes: &[(Lane, Capacity)]) -> Vec<(i64, String, u32)> {
        let claims = dispatcher.plan(lanes, NOW);
        claims.into_iter().map(|claim| (claim.app.0, claim.queue, claim.limit)).collect()
    }

    #[test]
    fn what_is_not_due_is_not_claimed() {
        let lanes = [lane(1, "", NOW, 8, 8), lane(2, "", NOW + 1, 8, 8)];
        assert_eq!(plan(&Dispatcher::new(4), &lanes), [(1, String::new(), 4)]);
    }

    #[test]
    fn apps_share_what_there_is_however_many_lanes_they_have() {
        let lanes = [
            lane(1, "", NOW, 8, 8),
            lane(1, "a", NOW, 8, 8),
            lane(1, "b", NOW, 8, 8),
            lane(2, "", NOW, 8, 8),
        ];
        let claims = plan(&Dispatcher::new(6), &lanes);
        let of = |app| claims.iter().filter(|c| c.0 == app).map(|c| c.2).sum::<u32>();
        assert_eq!((of(1), of(2)), (3, 3));
        assert_eq!(claims.len(), 4, "and an app's lanes share what it has: {claims:?}");
    }

    #[test]
    fn who_has_fewest_under_way_comes_first() {
        let mut dispatcher = Dispatcher::new(4);
        for _ in 0..3 {
            dispatcher.started(AppId(1), "");
        }
        let lanes = [lane(1, "", NOW, 8, 8), lane(2, "", NOW, 8, 8)];
        assert_eq!(plan(&dispatcher, &lanes), [(2, String::new(), 1)]);
        dispatcher.started(AppId(2), "");
        assert_eq!(plan(&dispatcher, &lanes), []);
        dispatcher.ended(AppId(1), "");
        dispatcher.ended(AppId(1), "");
        assert_eq!(plan(&dispatcher, &lanes), [(1, String::new(), 1), (2, String::new(), 1)]);
        for _ in 0..2 {
            dispatcher.ended(AppId(1), "");
            dispatcher.ended(AppId(2), "");
        }
        assert_eq!(dispatcher.under_way(), 0);
    }

    #[test]
    fn a_queue_has_no_more_under_way_than_its_trigger_says() {
        let mut dispatcher = Dispatcher::new(100);
        let lanes = [lane(1, "mail", NOW, 8, 2), lane(1, "", NOW, 8, 8)];
        assert_eq!(plan(&dispatcher, &lanes), [(1, "mail".to_owned(), 2), (1, String::new(), 6)]);
        dispatcher.started(AppId(1), "mail");
        dispatcher.started(AppId(1), "mail");
        assert_eq!(plan(&dispatcher, &lanes), [(1, String::new(), 6)]);
    }

    #[test]
    fn a_failure_is_put_off_longer_each_time_and_then_buried() {
        let at = |attempts, jitter| after(Ended::Failed, attempts, 20, NOW, jitter);
        assert_eq!(at(1, 1.0), Some(Then::Retry(NOW + 1_000)));
        assert_eq!(at(1, 0.5), Some(Then::Retry(NOW + 500)));
        assert_eq!(at(1, 0.0), Some(Then::Retry(NOW)));
        assert_eq!(at(4, 1.0), Some(Then::Retry(NOW + 8_000)));
        assert_eq!(at(19, 1.0), Some(Then::Retry(NOW + 3_600_000)));
        assert_eq!(at(20, 1.0), Some(Then::Bury));
        assert_eq!(after(Ended::Failed, 1, 1, NOW, 1.0), Some(Then::Bury));
        assert_eq!(after(Ended::Failed, 5, u32::MAX, u64::MAX, 1.0), Some(Then::Retry(u64::MAX)));
    }

    #[test]
    fn what_was_not_run_is_handed_back_and_what_cannot_run_is_buried() {
        let hand_back = Some(Then::HandBack(NOW + 1_000));
        assert_eq!(after(Ended::NotRun, 99, 1, NOW, 1.0), hand_back);
        let later = NOW + 5_000_000;
        assert_eq!(after(Ended::NotBefore(later), 99, 1, NOW, 1.0), Some(Then::HandBack(later)));
        assert_eq!(after(Ended::Impossible, 1, 8, NOW, 1.0), Some(Then::Bury));
        assert_eq!(after(Ended::Settled, 1, 8, NOW, 1.0), None);
    }
}
