//! What apps use: counted by day, and what they keep now.

use std::borrow::Cow;
use std::fmt;
use std::ops::AddAssign;
use std::str::FromStr;

use async_trait::async_trait;
use chrono::{DateTime, NaiveDate};
use serde::{Deserialize, Serialize};

use crate::{AppId, Limits, StoreError};

/// Milliseconds of a day.
pub const DAY_MS: u64 = 24 * 3600 * 1000;
/// Days for which usage is remembered.
pub const MAX_DAYS: u32 = 400;

/// A day in UTC, counted from the first of January 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = String, format = Date))]
pub struct Day(pub u32);

impl Day {
    /// The day of a Unix time in milliseconds.
    #[must_use]
    pub fn of(now_ms: u64) -> Self {
        Self(u32::try_from(now_ms / DAY_MS).unwrap_or(u32::MAX))
    }

    /// The one that is so many days before.
    #[must_use]
    pub fn before(self, days: u32) -> Self {
        Self(self.0.saturating_sub(days))
    }

    /// Milliseconds of it that are left.
    #[must_use]
    pub fn left_ms(now_ms: u64) -> u64 {
        DAY_MS - now_ms % DAY_MS
    }
}

/// `2026-03-01`.
impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = i64::from(self.0) * 24 * 3600;
        match DateTime::from_timestamp(seconds, 0) {
            Some(time) => time.date_naive().fmt(f),
            None => write!(f, "day {}", self.0),
        }
    }
}

impl FromStr for Day {
    type Err = InvalidDay;

    fn from_str(text: &str) -> Result<Self, InvalidDay> {
        let date: NaiveDate = text.parse().map_err(|_| InvalidDay)?;
        let days = date.signed_duration_since(NaiveDate::default()).num_days();
        u32::try_from(days).map(Self).map_err(|_| InvalidDay)
    }
}

/// The text is no day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a day is written 2026-03-01")]
pub struct InvalidDay;

impl Serialize for Day {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Declares [`Counters`] with what is the same for each of them.
macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// What was used.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        pub struct Counters {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Counters {
            /// How many counters there are.
            pub const COUNT: usize = [$(stringify!($name)),*].len();

            /// Every counter, in the order of the fields.
            #[must_use]
            pub fn values(&self) -> [u64; Self::COUNT] {
                [$(self.$name),*]
            }

            /// The reverse of [`Counters::values`].
            #[must_use]
            pub fn of([$($name),*]: [u64; Self::COUNT]) -> Self {
                Self { $($name),* }
            }
        }

        impl AddAssign for Counters {
            fn add_assign(&mut self, other: Self) {
                $(self.$name = self.$name.saturating_add(other.$name);)*
            }
        }
    };
}

counters!(
    /// Requests over HTTP, those for files among them.
    requests,
    /// Handlers that were run.
    invocations,
    /// Those of them that did not answer.
    failures,
    fuel,
    /// Wall clock of the invocations, in microseconds.
    duration_us,
    host_calls,
    /// Bytes of the requests' bodies.
    bytes_in,
    /// Bytes of the answers' bodies.
    bytes_out,
    /// Events and messages that were committed.
    events,
    /// Runs of deliveries.
    deliveries,
);

/// What an app has used on one day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    pub app: AppId,
    pub day: Day,
    pub counters: Counters,
}

/// What is kept now, of one app or of several together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Storage {
    pub kv_bytes: u64,
    pub file_bytes: u64,
    /// Of the contents of all releases, each once.
    pub release_bytes: u64,
    /// Deliveries: those that wait, dead letters, and those that are done and
    /// still remembered.
    pub outbox_rows: u64,
    /// Of their events' fields.
    pub outbox_bytes: u64,
}

impl AddAssign for Storage {
    fn add_assign(&mut self, other: Self) {
        self.kv_bytes += other.kv_bytes;
        self.file_bytes += other.file_bytes;
        self.release_bytes += other.release_bytes;
        self.outbox_rows += other.outbox_rows;
        self.outbox_bytes += other.outbox_bytes;
    }
}

/// From how many percent of a limit on there is a warning.
pub const WARN_PERCENT: u64 = 80;

/// How much of a limit is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Bounded {
    /// The limit's name.
    pub limit: Cow<'static, str>,
    pub used: u64,
    pub max: u64,
    /// Rounded down.
    pub percent: u64,
}

impl Bounded {
    #[must_use]
    pub fn new(limit: &'static str, used: u64, max: u64) -> Self {
        // What may not be at all is used up.
        let percent = (u128::from(used) * 100).checked_div(u128::from(max)).unwrap_or(100);
        let percent = u64::try_from(percent).unwrap_or(u64::MAX);
        Self { limit: limit.into(), used, max, percent }
    }

    /// What to warn of; `None` while there is plenty left.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        let Self { limit, used, max, percent } = self;
        (*percent >= WARN_PERCENT)
            .then(|| format!("{percent} % of `{limit}` are used: {used} of {max}"))
    }
}

impl Storage {
    /// Each part of it beside its limit.
    #[must_use]
    pub fn bounded(&self, limits: &Limits) -> Vec<Bounded> {
        vec![
            Bounded::new("kv_bytes", self.kv_bytes, limits.kv_bytes),
            Bounded::new("file_bytes", self.file_bytes, limits.file_bytes),
            Bounded::new("release_bytes", self.release_bytes, limits.release_bytes),
            Bounded::new("outbox_rows", self.outbox_rows, limits.outbox_rows),
            Bounded::new("outbox_bytes", self.outbox_bytes, limits.outbox_bytes),
        ]
    }
}

/// Keeps what was used, and knows what is kept.
#[async_trait]
pub trait UsageStore: Send + Sync {
    /// Adds to what was used before, in one transaction. What was used by an
    /// app that is gone is left out.
    async fn add(&self, used: &[Used]) -> Result<(), StoreError>;

    /// What these apps have used from `from` on, by app and day, the earlier
    /// days first.
    async fn days(&self, apps: &[AppId], from: Day) -> Result<Vec<Used>, StoreError>;

    /// What each of these apps keeps now; of one that is gone there is none.
    async fn storage(&self, apps: &[AppId]) -> Result<Vec<(AppId, Storage)>, StoreError>;

    /// Removes up to `limit` days of apps that lie before `before`. How many.
    async fn prune(&self, before: Day, limit: u32) -> Result<u64, StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LimitOverrides;

    #[test]
    fn days_are_written_and_read_as_dates() {
        for (ms, text) in [(0, "1970-01-01"), (951_827_696_123, "2000-02-29")] {
            assert_eq!(Day::of(ms).to_string(), text);
            assert_eq!(text.parse(), Ok(Day::of(ms)));
        }
        for none in ["", "1969-12-31", "2026-02-30", "tomorrow"] {
            assert_eq!(none.parse::<Day>(), Err(InvalidDay), "{none}");
        }
        assert!(!Day(u32::MAX).to_string().is_empty());
    }

    #[test]
    fn a_day_ends_at_midnight() {
        assert_eq!(Day::left_ms(0), DAY_MS);
        assert_eq!(Day::left_ms(DAY_MS - 1), 1);
        assert_eq!(Day::of(DAY_MS - 1), Day(0));
        assert_eq!(Day::of(DAY_MS), Day(1));
    }

    #[test]
    fn from_eighty_percent_on_there_is_a_warning() {
        let percent = |used, max| Bounded::new("kv_bytes", used, max).percent;
        assert_eq!([percent(0, 10), percent(799, 1_000), percent(11, 10)], [0, 79, 110]);
        assert_eq!(
            [percent(0, 0), percent(u64::MAX, u64::MAX), percent(u64::MAX, 1)].map(|p| p >= 100),
            [true; 3]
        );
        assert_eq!(Bounded::new("kv_bytes", 799, 1_000).warning(), None);
        let warning = Bounded::new("kv_bytes", 8, 10).warning().unwrap();
        assert_eq!(warning, "80 % of `kv_bytes` are used: 8 of 10");
    }

    #[test]
    fn what_is_kept_is_bounded_by_limits_that_there_are() {
        let names = LimitOverrides::default();
        let names: Vec<_> = names.entries().map(|(name, _)| name).collect();
        for bounded in Storage::default().bounded(&Limits::default()) {
            assert!(names.contains(&&*bounded.limit), "{}", bounded.limit);
            assert_eq!(bounded.percent, 0);
        }
    }

    #[test]
    fn counters_add_up_and_never_overflow() {
        let mut sum = Counters::of([1; Counters::COUNT]);
        sum += Counters { fuel: u64::MAX, ..Counters::of([2; Counters::COUNT]) };
        assert_eq!(sum, Counters { fuel: u64::MAX, ..Counters::of([3; Counters::COUNT]) });
    }
}
