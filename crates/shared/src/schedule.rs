//! Schedules: handlers that a clock calls.

use std::fmt;

use chrono::{DateTime, TimeZone, Utc};
use chrono_tz::Tz;
use croner::parser::{CronParser, Seconds};

use crate::manifest::HandlerAt;

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

    fn at(&self, ms: u64) -> Option<DateTime<Tz>> {
        let utc = Utc.timestamp_millis_opt(i64::try_from(ms).ok()?).single()?;
        Some(utc.with_timezone(&self.timezone))
    }
}

fn unix_ms(moment: &DateTime<Tz>) -> Option<u64> {
    u64::try_from(moment.timestamp_millis()).ok()
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.text, self.timezone.name())
    }
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
