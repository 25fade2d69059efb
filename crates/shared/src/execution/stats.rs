//! How an app has done, by time.

use serde::Serialize;

use super::ExecutionQuery;

/// Buckets of one answer, at most.
pub const MAX_BUCKETS: u64 = 500;

/// A stretch of time, in buckets of equal length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatsQuery {
    /// Where the first bucket begins, Unix time in milliseconds: a multiple of
    /// `step_ms`.
    pub from_ms: u64,
    /// Milliseconds of a bucket, at least 1.
    pub step_ms: u64,
    pub buckets: u64,
}

/// Why there are no such buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("between `from_ms` and `until_ms` there must be 1 to {MAX_BUCKETS} steps of `step_ms`")]
pub struct InvalidStats;

impl StatsQuery {
    /// The buckets that have a part of the time from `from_ms` until before
    /// `until_ms`. They begin at multiples of `step_ms`, so that who asks again
    /// later gets the same ones, and more of them.
    ///
    /// # Errors
    /// [`InvalidStats`], if there are none or more than [`MAX_BUCKETS`].
    pub fn new(from_ms: u64, until_ms: u64, step_ms: u64) -> Result<Self, InvalidStats> {
        let first = from_ms.checked_div(step_ms).ok_or(InvalidStats)?;
        let buckets = until_ms.div_ceil(step_ms).saturating_sub(first);
        let is_valid = from_ms < until_ms && buckets <= MAX_BUCKETS;
        is_valid.then_some(Self { from_ms: first * step_ms, step_ms, buckets }).ok_or(InvalidStats)
    }

    /// The executions that it is about.
    #[must_use]
    pub fn executions(&self) -> ExecutionQuery {
        let length_ms = self.buckets.saturating_mul(self.step_ms);
        ExecutionQuery {
            from_ms: Some(self.from_ms),
            until_ms: Some(self.from_ms.saturating_add(length_ms)),
            ..ExecutionQuery::default()
        }
    }

    /// Puts the buckets that have something, in their order, among those that
    /// have nothing.
    #[must_use]
    pub fn fill(&self, buckets: Vec<Bucket>) -> Vec<Bucket> {
        let mut buckets = buckets.into_iter().peekable();
        (0..self.buckets)
            .map(|index| self.from_ms + index * self.step_ms)
            .map(|at_ms| {
                let found = buckets.next_if(|bucket| bucket.at_ms == at_ms);
                found.unwrap_or(Bucket { at_ms, ..Bucket::default() })
            })
            .collect()
    }
}

/// What an app has done within a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Bucket {
    /// Where it begins, Unix time in milliseconds.
    pub at_ms: u64,
    /// Requests that a script has answered or failed to answer.
    pub requests: u64,
    /// Those of them that failed or were answered with a status of 500 or more.
    pub errors: u64,
    /// The median of the requests' durations in microseconds; `null` without
    /// requests.
    pub p50_us: Option<u64>,
    /// The same for the duration that 99 of 100 do not exceed.
    pub p99_us: Option<u64>,
    /// Fuel of all invocations, those of events and schedules too.
    pub fuel: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_begin_at_multiples_of_the_step_and_are_bounded() {
        let new = StatsQuery::new;
        let query = |from_ms, buckets| Ok(StatsQuery { from_ms, step_ms: 10, buckets });
        assert_eq!(new(20, 30, 10), query(20, 1));
        assert_eq!(new(29, 31, 10), query(20, 2));
        assert_eq!(new(0, MAX_BUCKETS * 10, 10), query(0, MAX_BUCKETS));
        for (from_ms, until_ms, step_ms) in
            [(0, MAX_BUCKETS * 10 + 1, 10), (20, 20, 10), (30, 20, 10), (0, 1, 0), (0, u64::MAX, 1)]
        {
            assert_eq!(new(from_ms, until_ms, step_ms), Err(InvalidStats), "{from_ms} {until_ms}");
        }
        assert!(new(u64::MAX - 1, u64::MAX, u64::MAX).is_ok(), "the numbers do not overflow");
    }

    #[test]
    fn what_is_missing_is_filled_in() {
        let query = StatsQuery::new(0, 30, 10).unwrap();
        let found = Bucket { at_ms: 10, requests: 3, ..Bucket::default() };
        let empty = |at_ms| Bucket { at_ms, ..Bucket::default() };
        assert_eq!(query.fill(vec![found]), [empty(0), found, empty(20)]);
        assert_eq!(query.fill(Vec::new()), [empty(0), empty(10), empty(20)]);
    }
}
