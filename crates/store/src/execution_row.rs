//! What both databases make of executions and of what is asked about them.

use picloud_shared::execution::{ExecutionQuery, OutcomeFilter};
use picloud_shared::receipt::{Calls, Commit};
use picloud_shared::{Execution, StoreError};
use serde::{Deserialize, Serialize};

use crate::convert::{corrupt, to_json, without_nul};

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
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Receipt {
    /// The column of an execution.
    pub(crate) fn column(execution: &Execution) -> Result<Option<String>, StoreError> {
        let Execution { usage, commit, .. } = execution;
        let receipt = Self {
            calls: usage.calls,
            received_bytes: usage.received_bytes,
            compile_us: usage.compile_us,
            commit: *commit,
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
