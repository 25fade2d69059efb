//! What both databases make of executions and of what is asked about them.

use picloud_shared::execution::{Bucket, ExecutionQuery, OutcomeFilter, StatsQuery};
use picloud_shared::outbox::EventId;
use picloud_shared::receipt::{Calls, Commit};
use picloud_shared::{Execution, StoreError};
use serde::{Deserialize, Serialize};

use crate::convert::{corrupt, to_json, unsigned, without_nul};

/// The part of a record that nobody searches by: one column, so that a service
/// more is no column more.
#[derive(Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Receipt {
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) calls: Calls,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) received_bytes: u64,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) compile_us: u64,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) commit: Option<Commit>,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) event: Option<EventId>,
}

/// What executions come to, by bucket, in the words of both databases. A
/// percentile is the duration of the request at its rank.
pub(crate) const STATS: &str = "
    WITH ran AS (
        SELECT (started_at_ms - $4) / $5 AS bucket, status IS NOT NULL AS is_request,
            outcome <> 'ok' OR status >= 500 AS is_error, duration_us, fuel
        FROM executions WHERE app_id = $1 AND id BETWEEN $2 AND $3),
    ranked AS (
        SELECT *, count(*) OVER (PARTITION BY bucket, is_request) AS total,
            row_number() OVER (PARTITION BY bucket, is_request ORDER BY duration_us) AS nth
        FROM ran)
    SELECT bucket,
        count(CASE WHEN is_request THEN 1 END) AS requests,
        count(CASE WHEN is_request AND is_error THEN 1 END) AS errors,
        max(CASE WHEN is_request AND nth = (total + 1) / 2 THEN duration_us END) AS p50_us,
        max(CASE WHEN is_request AND nth = (total * 99 + 99) / 100 THEN duration_us END) AS p99_us,
        CAST(sum(fuel) AS bigint) AS fuel
    FROM ranked GROUP BY bucket ORDER BY bucket";

/// A row of [`STATS`] as it is read: bucket, requests, errors, both
/// percentiles, fuel.
pub(crate) type StatsRow = (i64, i64, i64, Option<i64>, Option<i64>, i64);

pub(crate) fn bucket(query: &StatsQuery, row: StatsRow) -> Result<Bucket, StoreError> {
    let (index, requests, errors, p50_us, p99_us, fuel) = row;
    let index: u64 = unsigned("a bucket", index)?;
    let duration = |us: Option<i64>| us.map(|us| unsigned("a duration", us)).transpose();
    Ok(Bucket {
        at_ms: query.from_ms + index * query.step_ms,
        requests: unsigned("requests", requests)?,
        errors: unsigned("errors", errors)?,
        p50_us: duration(p50_us)?,
        p99_us: duration(p99_us)?,
        fuel: unsigned("fuel", fuel)?,
    })
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Receipt {
    /// The column of an execution.
    pub(crate) fn column(execution: &Execution) -> Result<Option<String>, StoreError> {
        let Execution { usage, commit, event, .. } = execution;
        let receipt = Self {
            calls: usage.calls,
            received_bytes: usage.received_bytes,
            compile_us: usage.compile_us,
            commit: *commit,
            event: *event,
        };
        if receipt == Self::default() { Ok(None) } else { to_json(&receipt).map(Some) }
    }

    pub(crate) fn of_column(column: Option<&str>) -> Result<Self, StoreError> {
        let parsed = column.map(serde_json::from_str).transpose();
        Ok(parsed.map_err(|error| corrupt("a receipt", error))?.unwrap_or_default())
    }
}

/// A query's filters as they are bound.
pub(crate) struct Filters {
    /// Whether only failures are asked for, which have an index of their own.
    pub(crate) is_failed: bool,
    pub(crate) outcome: Option<&'static str>,
    pub(crate) handler: Option<String>,
    pub(crate) release: Option<i64>,
    pub(crate) status: Option<i32>,
    pub(crate) text: Option<String>,
    /// The text as it is within JSON, which an error is stored as.
    pub(crate) text_in_json: Option<String>,
}

impl Filters {
    pub(crate) fn of(query: &ExecutionQuery) -> Result<Self, StoreError> {
        let outcome = match query.outcome {
            Some(OutcomeFilter::Is(code)) => Some(code),
            Some(OutcomeFilter::Failed) | None => None,
        };
        // Texts are stored without NUL, so they are looked for without it.
        let stored = |text: &String| without_nul(text).into_owned();
        let quoted = query.text.as_ref().map(to_json).transpose()?;
        let inner = |json: String| {
            let inner = json.strip_prefix('"').and_then(|json| json.strip_suffix('"'));
            inner.unwrap_or_default().to_owned()
        };
        Ok(Self {
            is_failed: query.outcome.is_some_and(|outcome| outcome != OutcomeFilter::Is("ok")),
            outcome,
            handler: query.handler.as_ref().map(stored),
            release: query.release.map(|number| number.0),
            status: query.status.map(i32::from),
            text: query.text.as_ref().map(stored),
            text_in_json: quoted.map(inner),
        })
    }
}
