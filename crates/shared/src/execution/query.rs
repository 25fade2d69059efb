//! Which executions are asked for.

use std::str::FromStr;

use uuid::Uuid;

use super::Execution;
use crate::{ExecutionId, ReleaseNumber};

/// The codes that an execution's outcome can have.
pub const OUTCOMES: [&str; 11] = [
    "ok",
    "script_error",
    "out_of_fuel",
    "out_of_memory",
    "timed_out",
    "budget_exceeded",
    "conflict",
    "superseded",
    "unavailable",
    "host_fault",
    // Whoever waited for it went away.
    "cancelled",
];

/// Which executions to list. They come newest first.
#[derive(Clone, Debug, Default)]
pub struct ExecutionQuery {
    /// Only those before this one: where the page before has ended.
    pub before: Option<ExecutionId>,
    /// Only those whose ids begin like this.
    pub id: Option<IdPrefix>,
    /// Only those that began at this time or later, Unix time in milliseconds.
    pub from_ms: Option<u64>,
    /// Only those that began before this time, Unix time in milliseconds.
    pub until_ms: Option<u64>,
    pub outcome: Option<OutcomeFilter>,
    /// `file.rhai` or `file.rhai#function`, as it is recorded.
    pub handler: Option<String>,
    pub release: Option<ReleaseNumber>,
    /// The HTTP status that the client got.
    pub status: Option<u16>,
    /// Only those with this text in their error's message or in a line of
    /// their log, letter by letter.
    pub text: Option<String>,
    /// This many at most.
    pub limit: u32,
    /// So many are looked at, at most, to find those that match: a page is
    /// bounded work even if what is asked for is rare, or is not there.
    pub scan: u32,
}

/// Some of the executions that match.
#[derive(Clone, Debug, PartialEq)]
pub struct ExecutionPage {
    pub executions: Vec<Execution>,
    /// Where to go on, as `before`; `None` if there are no more. A page that
    /// is not full can have one: the scan ended before the executions did.
    pub next: Option<ExecutionId>,
}

impl ExecutionQuery {
    /// The ids that are asked for, both ends included; `None` if there can be
    /// none. An id begins with its time, so times are ids, too.
    #[must_use]
    pub fn ids(&self) -> Option<(ExecutionId, ExecutionId)> {
        let (mut low, mut high) =
            self.id.map_or((0, u128::MAX), |IdPrefix { low, high }| (low, high));
        if let Some(from_ms) = self.from_ms {
            low = low.max(first_id_at(from_ms)?);
        }
        // What begins before the end of time is everything.
        if let Some(end) = self.until_ms.map(first_id_at) {
            high = high.min(end.unwrap_or(u128::MAX).checked_sub(1)?);
        }
        if let Some(before) = self.before {
            high = high.min(before.0.as_u128().checked_sub(1)?);
        }
        let id = |bits| ExecutionId(Uuid::from_u128(bits));
        (low <= high).then(|| (id(low), id(high)))
    }

    /// Whether some of those ids may have to be passed over.
    #[must_use]
    pub fn is_selective(&self) -> bool {
        self.outcome.is_some()
            || self.handler.is_some()
            || self.release.is_some()
            || self.status.is_some()
            || self.text.is_some()
    }

    /// Makes a page of one execution more than the limit, if there is one, and
    /// of the last that the scan has come to, if it ended there.
    #[must_use]
    pub fn page(&self, mut executions: Vec<Execution>, last: Option<ExecutionId>) -> ExecutionPage {
        let limit = self.limit as usize;
        let is_full = executions.len() > limit;
        executions.truncate(limit);
        let next = if is_full { executions.last().map(|execution| execution.id) } else { last };
        ExecutionPage { executions, next }
    }
}

/// The lowest id of a moment; `None` where no id's time reaches.
fn first_id_at(ms: u64) -> Option<u128> {
    let time_bits = 48;
    (ms < 1 << time_bits).then(|| u128::from(ms) << (128 - time_bits))
}

/// How an execution must have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutcomeFilter {
    /// In any way but `ok`.
    Failed,
    /// One of [`OUTCOMES`].
    Is(&'static str),
}

/// A text is no outcome's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an outcome is `failed`, for any but `ok`, or one of {}", OUTCOMES.map(|code| format!("`{code}`")).join(", "))]
pub struct UnknownOutcome;

impl FromStr for OutcomeFilter {
    type Err = UnknownOutcome;

    fn from_str(text: &str) -> Result<Self, UnknownOutcome> {
        if text == "failed" {
            return Ok(Self::Failed);
        }
        OUTCOMES.into_iter().find(|code| *code == text).map(Self::Is).ok_or(UnknownOutcome)
    }
}

/// The first characters of an execution's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdPrefix {
    low: u128,
    high: u128,
}

/// A text that no execution's id begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an execution's id, or its beginning, is written in hexadecimal digits and hyphens")]
pub struct InvalidIdPrefix;

impl FromStr for IdPrefix {
    type Err = InvalidIdPrefix;

    fn from_str(text: &str) -> Result<Self, InvalidIdPrefix> {
        let (mut bits, mut left) = (0, 128);
        for (position, byte) in text.bytes().enumerate() {
            if matches!(position, 8 | 13 | 18 | 23) && byte == b'-' {
                continue;
            }
            let digit = char::from(byte).to_digit(16).ok_or(InvalidIdPrefix)?;
            left = u32::checked_sub(left, 4).ok_or(InvalidIdPrefix)?;
            bits |= u128::from(digit) << left;
        }
        if left == 128 {
            return Err(InvalidIdPrefix);
        }
        Ok(Self { low: bits, high: bits | ((1 << left) - 1) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_an_id_is_within_its_range_and_no_other() {
        let id = |ms| ExecutionId::new(ms, [0xff; 10]);
        let query =
            ExecutionQuery { from_ms: Some(5), until_ms: Some(7), ..ExecutionQuery::default() };
        let (low, high) = query.ids().unwrap();
        for (ms, is_within) in [(4, false), (5, true), (6, true), (7, false)] {
            assert_eq!((low..=high).contains(&id(ms)), is_within, "{ms}");
        }
        let first = ExecutionId::new(7, [0; 10]);
        assert!(!(low..=high).contains(&first));
    }

    #[test]
    fn a_range_without_ids_is_none() {
        let query = ExecutionQuery::default;
        let before = |bits| Some(ExecutionId(Uuid::from_u128(bits)));
        for none in [
            ExecutionQuery { from_ms: Some(7), until_ms: Some(7), ..query() },
            ExecutionQuery { from_ms: Some(8), until_ms: Some(7), ..query() },
            ExecutionQuery { from_ms: Some(u64::MAX), ..query() },
            ExecutionQuery { until_ms: Some(0), ..query() },
            ExecutionQuery { before: before(0), ..query() },
            ExecutionQuery { id: "02".parse().ok(), before: before(1 << 120), ..query() },
        ] {
            assert_eq!(none.ids(), None, "{none:?}");
        }
        let all = ExecutionQuery { until_ms: Some(u64::MAX), ..query() };
        assert!(all.ids().is_some());
    }

    #[test]
    fn a_prefix_is_the_beginning_of_an_id_with_its_hyphens_or_without() {
        let full = "0198c1f0-5a3e-7c11-8f7e-3d2b1a09c8d7";
        let id: ExecutionId = full.parse().unwrap();
        let other: ExecutionId = "0198c1f0-5a3e-7c11-8f7e-3d2b1a09c8d8".parse().unwrap();
        for length in 1..=full.len() {
            for text in [full[..length].to_owned(), full[..length].replace('-', "").to_uppercase()]
            {
                let id_prefix: Option<IdPrefix> = text.parse().ok();
                let query = ExecutionQuery { id: id_prefix, ..ExecutionQuery::default() };
                let (low, high) = query.ids().unwrap();
                assert!((low..=high).contains(&id), "{text}");
                assert_eq!((low..=high).contains(&other), length < full.len(), "{text}");
            }
        }
        for bad in ["", "-", "g", "0198c1f0--", "0-", "é", " 0", "%", &format!("{full}0")] {
            assert_eq!(bad.parse::<IdPrefix>(), Err(InvalidIdPrefix), "{bad:?}");
        }
    }

    #[test]
    fn an_outcome_is_a_code_or_failed() {
        assert_eq!("failed".parse(), Ok(OutcomeFilter::Failed));
        assert_eq!("ok".parse(), Ok(OutcomeFilter::Is("ok")));
        for bad in ["", "OK", "error", "ok' OR 1=1"] {
            assert_eq!(bad.parse::<OutcomeFilter>(), Err(UnknownOutcome), "{bad}");
        }
    }
}
