//! What one invocation and one app may use.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An app's limits, complete. The defaults are the ones an app has until an
/// admin raises them or its manifest lowers them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Wasm instructions, roughly, per invocation; a billion is some 0.2 s of CPU.
    pub fuel: u64,
    /// Wall-clock milliseconds of an HTTP request's invocation, host calls included.
    pub http_ms: u64,
    /// Wall-clock milliseconds of an event's or a schedule's invocation.
    pub event_ms: u64,
    /// Bytes of linear memory.
    pub memory_bytes: u64,
    /// Bytes of a request's body.
    pub request_body_bytes: u64,
    /// Bytes of a response's body.
    pub response_body_bytes: u64,
    /// Calls from the guest to the host per invocation.
    pub host_calls: u64,
    /// Bytes that those calls may move, both ways together.
    pub host_bytes: u64,
    /// Bytes of log kept per invocation; what comes after is cut with a notice.
    pub log_bytes: u64,
    /// KV writes per invocation.
    pub kv_writes: u64,
    /// Bytes that those writes may have.
    pub kv_write_bytes: u64,
    /// Bytes of KV entries the app may keep.
    pub kv_bytes: u64,
    /// Bytes of files the app may keep.
    pub file_bytes: u64,
    /// Bytes that the contents of the app's releases may take.
    pub release_bytes: u64,
    /// Deliveries that the app's outbox may hold, dead letters among them.
    pub outbox_rows: u64,
    /// Bytes of their events.
    pub outbox_bytes: u64,
    /// Requests to other servers per invocation.
    pub http_requests: u64,
    /// Bytes that the answer to one of them may have.
    pub http_response_bytes: u64,
    /// Wall-clock milliseconds that one of them may take.
    pub http_request_ms: u64,
    /// Invocations of this app at one time.
    pub concurrency: u64,
    /// Executions of this app that are kept on record.
    pub history_executions: u64,
    /// Bytes of log lines of this app that are kept.
    pub history_log_bytes: u64,
    /// Requests that the app answers in a second, in the long run; by each node.
    pub requests_per_s: u64,
    /// Requests that it answers at once after a quiet time.
    pub requests_burst: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            fuel: 1_000_000_000,
            http_ms: 10_000,
            event_ms: 60_000,
            memory_bytes: 64 << 20,
            request_body_bytes: 1 << 20,
            response_body_bytes: 6 << 20,
            host_calls: 10_000,
            host_bytes: 32 << 20,
            log_bytes: 256 << 10,
            kv_writes: 1_000,
            kv_write_bytes: 4 << 20,
            kv_bytes: 256 << 20,
            file_bytes: 1 << 30,
            release_bytes: 512 << 20,
            outbox_rows: 100_000,
            outbox_bytes: 64 << 20,
            http_requests: 32,
            http_response_bytes: 5 << 20,
            http_request_ms: 10_000,
            concurrency: 16,
            history_executions: 100_000,
            history_log_bytes: 64 << 20,
            requests_per_s: 200,
            requests_burst: 400,
        }
    }
}

/// Declares [`LimitOverrides`] with one optional field per limit, so that a
/// limit added above cannot be forgotten here.
macro_rules! overrides {
    ($($field:ident),* $(,)?) => {
        /// Departures from a set of limits: an admin's for an app, or a
        /// manifest's for its own app.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        #[serde(default, deny_unknown_fields)]
        pub struct LimitOverrides {
            $(#[serde(skip_serializing_if = "Option::is_none")] pub $field: Option<u64>,)*
        }

        impl LimitOverrides {
            /// Every limit by its name; `None` where there is no departure.
            pub fn entries(&self) -> impl Iterator<Item = (&'static str, Option<u64>)> {
                [$((stringify!($field), self.$field)),*].into_iter()
            }
        }

        impl Limits {
            /// These limits with an admin's departures, up or down.
            #[must_use]
            pub fn with(&self, overrides: &LimitOverrides) -> Self {
                Self { $($field: overrides.$field.unwrap_or(self.$field)),* }
            }

            /// These limits with a manifest's departures, which can only lower.
            #[must_use]
            pub fn lowered_by(&self, overrides: &LimitOverrides) -> Self {
                Self { $($field: overrides.$field.unwrap_or(self.$field).min(self.$field)),* }
            }
        }
    };
}

overrides!(
    fuel,
    http_ms,
    event_ms,
    memory_bytes,
    request_body_bytes,
    response_body_bytes,
    host_calls,
    host_bytes,
    log_bytes,
    kv_writes,
    kv_write_bytes,
    kv_bytes,
    file_bytes,
    release_bytes,
    outbox_rows,
    outbox_bytes,
    http_requests,
    http_response_bytes,
    http_request_ms,
    concurrency,
    history_executions,
    history_log_bytes,
    requests_per_s,
    requests_burst,
);

/// What an app may keep a bounded amount of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quota {
    Kv,
    Files,
    Releases,
    Outbox,
    Domains,
    Secrets,
    Tokens,
    Apps,
}

/// Says that it is used up, and what helps.
impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kv => "the app's KV storage, or its owner's, is used up",
            Self::Files => "the app's file storage, or its owner's, is used up",
            Self::Releases => {
                "the app's releases, or all of its owner's, take as much space as they may; delete \
                 old ones first"
            }
            Self::Outbox => {
                "the app's outbox, or its owner's share, is full; handle what waits, or replay or \
                 drop dead letters"
            }
            Self::Domains => "the app has as many domains as it may have; remove one first",
            Self::Secrets => "the app has as many secrets as it may",
            Self::Apps => "the user owns as many apps as one may; delete one first",
            Self::Tokens => "the user has as many tokens as one may",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overrides_are_listed_by_the_names_that_a_manifest_has() {
        let overrides = LimitOverrides { kv_bytes: Some(7), ..LimitOverrides::default() };
        assert_eq!(overrides.entries().filter(|(_, value)| value.is_some()).count(), 1);
        assert!(overrides.entries().any(|entry| entry == ("kv_bytes", Some(7))));
    }

    #[test]
    fn a_manifest_lowers_and_an_admin_raises() {
        let more = LimitOverrides { fuel: Some(u64::MAX), ..LimitOverrides::default() };
        let less = LimitOverrides { fuel: Some(5), ..LimitOverrides::default() };
        let default = Limits::default();
        assert_eq!(default.with(&more).fuel, u64::MAX);
        assert_eq!(default.with(&less).fuel, 5);
        assert_eq!(default.lowered_by(&more).fuel, default.fuel);
        assert_eq!(default.lowered_by(&less).fuel, 5);
    }
}
