//! Schedules: handlers that a clock calls.

use std::fmt;

use async_trait::async_trait;
use chrono::{DateTime, TimeZone, Utc};
use chrono_tz::Tz;
use croner::parser::{CronParser, Seconds};

use crate::manifest::HandlerAt;
use crate::outbox::Emitted;
use crate::{AppId, AppSlug, StoreError};

/// A missed tick is made up for if it is younger than this.
pub const MISSED_MS: u64 = 3600 * 1000;

/// `[[schedules]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Its handler unless the manifest names it; unique within the app.
    pub name: String,
    pub cron: Cron,
    pub handler: HandlerAt,
}

/// Moments in a time zone, by a cron expression of five fields, or of six of
/// which the first is seconds.
///
/// Where clocks are put forward, a moment that is left out is made up for
/// right after the gap; where they are put back, a moment that comes twice
/// counts once, unless the expression says "every hour" or the like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cron {
    text: String,
    cron: croner::Cron,
    timezone: Tz,
}

/// Why a text is no [`Cron`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCron {
    #[error("{0} is no time zone; write a name such as Europe/Berlin")]
    Timezone(String),
    #[error("a cron expression has 5 or 6 fields, this one has {0}")]
    Fields(usize),
    #[error("not a cron expression: {0}")]
    Expression(String),
    #[error("no moment ever fits this expression")]
    Never,
}

impl Cron {
    /// `timezone` is an IANA name; UTC if there is none.
    ///
    /// # Errors
    /// What is wrong with either.
    pub fn new(text: &str, timezone: Option<&str>) -> Result<Self, InvalidCron> {
        let fields = text.split_whitespace().count();
        if !(5..=6).contains(&fields) {
            return Err(InvalidCron::Fields(fields));
        }
        let parser = CronParser::builder().seconds(Seconds::Optional).build();
        let cron =
            parser.parse(text).map_err(|error| InvalidCron::Expression(error.to_string()))?;
        let timezone = timezone.map_or(Ok(Tz::UTC), |name| {
            name.parse().map_err(|_| InvalidCron::Timezone(name.to_owned()))
        })?;
        let cron = Self { text: text.to_owned(), cron, timezone };
        // 30 February is well-formed. Any start will do to find that out.
        if cron.next_after(0).is_none() { Err(InvalidCron::Never) } else { Ok(cron) }
    }

    /// The expression as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The IANA name of its time zone.
    #[must_use]
    pub fn timezone(&self) -> &'static str {
        self.timezone.name()
    }

    /// The first moment after this one, both in Unix milliseconds; `None` if
    /// there is none before the calendar ends.
    #[must_use]
    pub fn next_after(&self, ms: u64) -> Option<u64> {
        unix_ms(&self.cron.find_next_occurrence(&self.at(ms)?, false).ok()?)
    }

    /// The last moment that is not after this one, in Unix milliseconds.
    #[must_use]
    pub fn last_until(&self, ms: u64) -> Option<u64> {
        unix_ms(&self.cron.find_previous_occurrence(&self.at(ms)?, true).ok()?)
    }

    /// The next `count` moments after this one.
    pub fn upcoming(&self, ms: u64, count: usize) -> impl Iterator<Item = u64> {
        std::iter::successors(self.next_after(ms), |ms| self.next_after(*ms)).take(count)
    }

    /// What is to be done now, `now_ms`, about a tick that was due at `due_ms`
    /// or later: of all that have passed the last one is fired, unless it is
    /// [`MISSED_MS`] old.
    #[must_use]
    pub fn firing(&self, due_ms: u64, now_ms: u64) -> Firing {
        let last = self.last_until(now_ms).filter(|last| *last >= due_ms).unwrap_or(due_ms);
        let tick_ms = (now_ms.saturating_sub(last) < MISSED_MS).then_some(last);
        Firing { tick_ms, next_ms: self.next_after(now_ms) }
    }

    fn at(&self, ms: u64) -> Option<DateTime<Tz>> {
        let utc = Utc.timestamp_millis_opt(i64::try_from(ms).ok()?).single()?;
        Some(utc.with_timezone(&self.timezone))
    }
}

/// What becomes of a schedule whose time has come. Unix milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Firing {
    /// The tick to fire, if it is young enough.
    pub tick_ms: Option<u64>,
    pub next_ms: Option<u64>,
}

fn unix_ms(moment: &DateTime<Tz>) -> Option<u64> {
    u64::try_from(moment.timestamp_millis()).ok()
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.text, self.timezone.name())
    }
}

/// A schedule of a release that becomes the active one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    pub name: String,
    /// Its cron expression and time zone: where they have changed, its next
    /// tick is another.
    pub cron: String,
    /// Its next tick: Unix time in milliseconds.
    pub due_ms: Option<u64>,
}

impl Schedule {
    /// As it is to be stored when its release becomes active.
    #[must_use]
    pub fn planned(&self, now_ms: u64) -> Planned {
        let due_ms = self.cron.next_after(now_ms);
        Planned { name: self.name.clone(), cron: self.cron.to_string(), due_ms }
    }
}

/// A schedule that waits for its next tick.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    pub app: AppId,
    pub slug: AppSlug,
    pub name: String,
    /// Unix time in milliseconds.
    pub due_ms: u64,
}

/// A tick that is to be fired, or left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fire {
    pub app: AppId,
    pub name: String,
    /// The moment that it was due at, which nobody else may have dealt with.
    pub due_ms: u64,
    pub next_ms: Option<u64>,
    /// The tick, Unix time in milliseconds, and its event.
    pub tick: Option<(u64, Emitted)>,
}

/// How a schedule stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleState {
    pub name: String,
    pub is_paused: bool,
    /// The last tick that was fired: Unix time in milliseconds.
    pub last_fire_ms: Option<u64>,
    /// The next one; `None` while it is paused, or the active release does not
    /// have it.
    pub due_ms: Option<u64>,
}

/// Keeps the schedules of active releases, which
/// [`ReleaseStore`](crate::ReleaseStore) writes.
#[async_trait]
pub trait ScheduleStore: Send + Sync {
    /// The first `limit` schedules, of any app, in the order in which they are
    /// due, whether or not that is over.
    async fn upcoming(&self, limit: u32) -> Result<Vec<Due>, StoreError>;

    /// Moves schedules on to their next tick and writes the events of the ones
    /// that are fired; which is not done for those that were moved on, paused
    /// or taken away since. How many were moved on. However many nodes ask for
    /// one tick, one of them fires it.
    async fn fire(&self, fires: &[Fire]) -> Result<u64, StoreError>;

    /// What is remembered of an app's schedules, those of earlier releases
    /// among them.
    async fn list(&self, app: AppId) -> Result<Vec<ScheduleState>, StoreError>;

    /// Stops a schedule until it is resumed. Whether there is one.
    async fn pause(&self, app: AppId, schedule: &str) -> Result<bool, StoreError>;

    /// Lets a schedule that was paused go on, at `due_ms` for the next time.
    /// Whether one was paused.
    async fn resume(
        &self,
        app: AppId,
        schedule: &str,
        due_ms: Option<u64>,
    ) -> Result<bool, StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(text: &str) -> u64 {
        unix_ms(&text.parse::<DateTime<Utc>>().unwrap().with_timezone(&Tz::UTC)).unwrap()
    }

    fn upcoming(cron: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
        let cron = Cron::new(cron, Some(zone)).unwrap();
        let utc = |ms| Utc.timestamp_millis_opt(i64::try_from(ms).unwrap()).unwrap();
        let moments = cron.upcoming(ms(from), count);
        moments.map(|ms| utc(ms).format("%m-%dT%H:%M:%S").to_string()).collect()
    }

    #[test]
    fn working_days_at_eight_are_at_eight_on_both_sides_of_a_change() {
        assert_eq!(
            upcoming("0 8 * * MON-FRI", "Europe/Berlin", "2026-03-26T12:00:00Z", 3),
            ["03-27T07:00:00", "03-30T06:00:00", "03-31T06:00:00"],
        );
    }

    #[test]
    fn what_the_clock_leaves_out_is_made_up_for_once() {
        // 02:30 does not exist on 29 March.
        let days = upcoming("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 3);
        assert_eq!(days.len(), 3);
        assert!(days[0].starts_with("03-29T01:"), "{days:?}");
        assert_eq!(days[1], "03-30T00:30:00");
    }

    #[test]
    fn what_the_clock_shows_twice_counts_once() {
        // 02:30 comes twice on 25 October.
        let days = upcoming("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2);
        assert!(days[0].starts_with("10-25T0"), "{days:?}");
        assert_eq!(days[1], "10-26T01:30:00");
    }

    #[test]
    fn every_hour_is_every_hour_through_both_changes() {
        for from in ["2026-03-28T22:00:00Z", "2026-10-24T22:00:00Z"] {
            let cron = Cron::new("0 * * * *", Some("Europe/Berlin")).unwrap();
            let moments: Vec<_> = cron.upcoming(ms(from), 8).collect();
            assert!(moments.windows(2).all(|w| w[1] - w[0] == 3_600_000), "{moments:?}");
        }
    }

    #[test]
    fn seconds_are_a_sixth_field_in_front() {
        assert_eq!(
            upcoming("*/20 0 0 * * *", "UTC", "2026-01-01T00:00:00Z", 3),
            ["01-01T00:00:20", "01-01T00:00:40", "01-02T00:00:00"],
        );
    }

    #[test]
    fn the_last_moment_is_the_one_that_may_have_been_missed() {
        let cron = Cron::new("0 * * * *", None).unwrap();
        assert_eq!(cron.last_until(ms("2026-01-01T10:20:00Z")), Some(ms("2026-01-01T10:00:00Z")));
        assert_eq!(cron.last_until(ms("2026-01-01T10:00:00Z")), Some(ms("2026-01-01T10:00:00Z")));
    }

    #[test]
    fn of_missed_ticks_the_last_is_made_up_for_if_it_is_young() {
        let cron = Cron::new("*/10 * * * *", None).unwrap();
        let firing = |due, now| cron.firing(ms(due), ms(now));
        let next = |text| Some(ms(text));
        // In time.
        assert_eq!(
            firing("2026-01-01T10:00:00Z", "2026-01-01T10:00:00Z"),
            Firing { tick_ms: next("2026-01-01T10:00:00Z"), next_ms: next("2026-01-01T10:10:00Z") },
        );
        // Many were missed.
        assert_eq!(
            firing("2026-01-01T10:00:00Z", "2026-01-01T10:35:00Z"),
            Firing { tick_ms: next("2026-01-01T10:30:00Z"), next_ms: next("2026-01-01T10:40:00Z") },
        );
        // The only one is too old.
        let daily = Cron::new("0 8 * * *", None).unwrap();
        assert_eq!(
            daily.firing(ms("2026-01-01T08:00:00Z"), ms("2026-01-01T09:00:00Z")),
            Firing { tick_ms: None, next_ms: next("2026-01-02T08:00:00Z") },
        );
        assert_eq!(
            daily.firing(ms("2026-01-01T08:00:00Z"), ms("2026-01-01T08:59:59Z")).tick_ms,
            next("2026-01-01T08:00:00Z"),
        );
    }

    #[test]
    fn what_can_never_be_is_refused() {
        let error = |cron, zone| Cron::new(cron, zone).unwrap_err();
        assert_eq!(error("* *", None), InvalidCron::Fields(2));
        assert!(matches!(error("61 * * * *", None), InvalidCron::Expression(_)));
        assert!(matches!(error("a b c d e", None), InvalidCron::Expression(_)));
        assert_eq!(error("0 0 30 2 *", None), InvalidCron::Never);
        let nowhere = InvalidCron::Timezone("Mars/Olympus".to_owned());
        assert_eq!(error("0 0 * * *", Some("Mars/Olympus")), nowhere);
    }
}
