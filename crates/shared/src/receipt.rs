//! The receipt of an invocation: what it asked of the host, service by service,
//! and what it has written.

use std::fmt;
use std::time::{Duration, Instant};

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A service of the SDK that the host answers for: an interface of `wit/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Service {
    App,
    Config,
    Crypto,
    Events,
    Files,
    Http,
    Kv,
    Log,
    Queue,
    Secrets,
    Test,
}

impl Service {
    pub const ALL: [Self; 11] = [
        Self::App,
        Self::Config,
        Self::Crypto,
        Self::Events,
        Self::Files,
        Self::Http,
        Self::Kv,
        Self::Log,
        Self::Queue,
        Self::Secrets,
        Self::Test,
    ];

    /// Its name in scripts.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::Config => "config",
            Self::Crypto => "crypto",
            Self::Events => "events",
            Self::Files => "files",
            Self::Http => "http",
            Self::Kv => "kv",
            Self::Log => "log",
            Self::Queue => "queue",
            Self::Secrets => "secrets",
            Self::Test => "test",
        }
    }
}

/// How often each service was called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls([u64; Service::ALL.len()]);

impl Calls {
    /// Counts a call.
    pub fn count(&mut self, service: Service) {
        self.set(service, self.of(service).saturating_add(1));
    }

    #[must_use]
    pub fn of(&self, service: Service) -> u64 {
        self.0.get(service as usize).copied().unwrap_or(0)
    }

    /// The services that were called.
    pub fn iter(&self) -> impl Iterator<Item = (Service, u64)> {
        Service::ALL.into_iter().zip(self.0).filter(|(_, calls)| *calls > 0)
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (service, calls) in other.iter() {
            self.set(service, self.of(service).saturating_add(calls));
        }
    }

    fn set(&mut self, service: Service, calls: u64) {
        if let Some(counted) = self.0.get_mut(service as usize) {
            *counted = calls;
        }
    }
}

/// `{"kv": 3, "log": 1}`
impl Serialize for Calls {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter().map(|(service, calls)| (service.as_str(), calls)))
    }
}

/// Services that this version does not know are passed over.
impl<'de> Deserialize<'de> for Calls {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Map;

        impl<'de> Visitor<'de> for Map {
            type Value = Calls;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of services to calls")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Calls, A::Error> {
                let mut calls = Calls::default();
                while let Some((name, count)) = map.next_entry::<String, u64>()? {
                    let service = Service::ALL.into_iter().find(|known| known.as_str() == name);
                    if let Some(service) = service {
                        calls.set(service, count);
                    }
                }
                Ok(calls)
            }
        }

        deserializer.deserialize_map(Map)
    }
}

#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for Calls {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        <std::collections::BTreeMap<String, u64> as utoipa::PartialSchema>::schema()
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for Calls {}

/// A call to the host as a trace has it: nothing of what was said in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostCall {
    pub service: Service,
    /// The service's function, as `wit/` names it.
    pub operation: &'static str,
    pub began: Instant,
    pub took: Duration,
    /// Bytes that it moved, both ways.
    pub bytes: u64,
    pub outcome: CallOutcome,
}

/// How a call to the host has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallOutcome {
    Ok,
    /// With an error that the script could catch.
    Error,
    /// With the invocation: a budget was used up, time was over, or the service
    /// was unavailable.
    Stopped,
}

impl CallOutcome {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
            Self::Stopped => "stopped",
        }
    }
}

/// What an invocation has written, in the one transaction of its commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Commit {
    /// KV entries set or deleted, and collections cleared.
    pub entries: u64,
    /// Files put or deleted.
    pub files: u64,
    /// Events and messages, as far as something is triggered by them.
    pub events: u64,
    /// Bytes of entries, files and events together.
    pub bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_service_is_counted_in_its_own_place() {
        let mut calls = Calls::default();
        for (index, service) in Service::ALL.into_iter().enumerate() {
            (0..=index).for_each(|_| calls.count(service));
        }
        for (index, service) in Service::ALL.into_iter().enumerate() {
            assert_eq!(calls.of(service), index as u64 + 1, "{}", service.as_str());
        }
        let json = serde_json::to_string(&calls).unwrap();
        assert_eq!(serde_json::from_str::<Calls>(&json).unwrap(), calls);
    }

    #[test]
    fn what_was_not_called_is_not_written_and_what_is_not_known_not_read() {
        let mut calls = Calls::default();
        calls.count(Service::Kv);
        assert_eq!(serde_json::to_string(&calls).unwrap(), r#"{"kv":1}"#);
        assert_eq!(serde_json::from_str::<Calls>(r#"{"kv":1,"telepathy":7}"#).unwrap(), calls);
    }
}
