//! Triggers: which events call which handler.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use wildmatch::WildMatchPattern;

use crate::manifest::HandlerAt;

/// Attempts that a delivery has until it becomes a dead letter.
pub const DEFAULT_ATTEMPTS: u32 = 8;
/// The most that a trigger may ask for.
pub const MAX_ATTEMPTS: u32 = 20;

/// What can happen in an app, as `service.event`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum EventType {
    KvSet,
    KvDelete,
    FilesPut,
    FilesDelete,
    EventsPublish,
    QueueMessage,
    ScheduleFire,
    ExecutionFailed,
}

/// A text that is no [`EventType`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no event {given}{}; there are {}", did_you_mean(given), EventType::names())]
pub struct UnknownEvent {
    given: String,
}

impl EventType {
    pub const ALL: [Self; 8] = [
        Self::KvSet,
        Self::KvDelete,
        Self::FilesPut,
        Self::FilesDelete,
        Self::EventsPublish,
        Self::QueueMessage,
        Self::ScheduleFire,
        Self::ExecutionFailed,
    ];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::KvSet => "kv.set",
            Self::KvDelete => "kv.delete",
            Self::FilesPut => "files.put",
            Self::FilesDelete => "files.delete",
            Self::EventsPublish => "events.publish",
            Self::QueueMessage => "queue.message",
            Self::ScheduleFire => "schedule.fire",
            Self::ExecutionFailed => "execution.failed",
        }
    }

    /// Service and name.
    #[must_use]
    pub fn parts(self) -> (&'static str, &'static str) {
        self.as_str().split_once('.').unwrap_or_default()
    }

    /// The fields that a filter can name; each is a text.
    #[must_use]
    pub fn filters(self) -> &'static [&'static str] {
        match self {
            Self::KvSet | Self::KvDelete => &["collection", "key"],
            Self::FilesPut => &["bucket", "path", "content_type"],
            Self::FilesDelete => &["bucket", "path"],
            Self::EventsPublish => &["topic"],
            Self::QueueMessage => &["queue"],
            Self::ScheduleFire => &["schedule"],
            Self::ExecutionFailed => &["handler", "outcome"],
        }
    }

    fn names() -> String {
        Self::ALL.map(Self::as_str).join(", ")
    }
}

fn did_you_mean(given: &str) -> String {
    let names = EventType::ALL.map(EventType::as_str);
    closest(given, &names).map_or_else(String::new, |name| format!(", did you mean `{name}`?"))
}

/// The name that was probably meant.
pub(crate) fn closest<'a>(given: &str, names: &[&'a str]) -> Option<&'a str> {
    let given = given.to_lowercase();
    names
        .iter()
        .map(|name| (strsim::damerau_levenshtein(&given, &name.to_lowercase()), *name))
        .min()
        .filter(|(distance, _)| *distance <= 2.max(given.len() / 3))
        .map(|(_, name)| name)
}

impl FromStr for EventType {
    type Err = UnknownEvent;

    fn from_str(text: &str) -> Result<Self, UnknownEvent> {
        let found = Self::ALL.into_iter().find(|event| event.as_str() == text);
        found.ok_or_else(|| UnknownEvent { given: text.to_owned() })
    }
}

impl TryFrom<String> for EventType {
    type Error = UnknownEvent;

    fn try_from(text: String) -> Result<Self, UnknownEvent> {
        text.parse()
    }
}

impl From<EventType> for String {
    fn from(event: EventType) -> Self {
        event.as_str().to_owned()
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `[[triggers]]`
#[derive(Clone, Debug, PartialEq)]
pub struct Trigger {
    pub on: EventType,
    /// The event's fields that must match, all of them.
    pub filter: BTreeMap<String, Glob>,
    pub handler: HandlerAt,
    /// Messages of its queue that are handled at one time, 1 or more; for
    /// `queue.message` only.
    pub concurrency: Option<u32>,
    /// Runs that a delivery has, the first included: 1 to [`MAX_ATTEMPTS`].
    pub attempts: u32,
}

impl Trigger {
    /// The queue, or the queues, whose messages it handles; empty if it is for
    /// other events.
    #[must_use]
    pub fn queue(&self) -> &str {
        let queue = self.filter.get("queue").filter(|_| self.on == EventType::QueueMessage);
        queue.map_or("", Glob::as_str)
    }

    /// Whether an event with these fields is one of the trigger's.
    #[must_use]
    pub fn matches(&self, on: EventType, fields: &[(&str, &str)]) -> bool {
        self.on == on
            && self.filter.iter().all(|(name, glob)| {
                fields.iter().any(|(field, value)| field == name && glob.matches(value))
            })
    }
}

/// A text in which `*` stands for anything, also for nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Glob {
    text: String,
    // No field that a filter names holds a NUL, so nothing but `*` is special.
    pattern: WildMatchPattern<'*', '\0'>,
}

impl Glob {
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self { text: text.to_owned(), pattern: WildMatchPattern::new(text) }
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.pattern.matches(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_has_its_name_and_nothing_else_has_one() {
        for event in EventType::ALL {
            assert_eq!(event.as_str().parse(), Ok(event));
        }
        let error = "kv.put".parse::<EventType>().unwrap_err().to_string();
        assert!(error.contains("did you mean `kv.set`?"), "{error}");
        let error = "zzzzzzz".parse::<EventType>().unwrap_err().to_string();
        assert!(!error.contains("did you mean") && error.contains("queue.message"), "{error}");
    }

    #[test]
    fn only_the_star_is_special() {
        for (glob, text, expected) in [
            ("posts", "posts", true),
            ("posts", "posts2", false),
            ("*", "", true),
            ("p*s", "posts", true),
            ("p*s", "post", false),
            ("a/*", "a/b/c", true),
            ("?", "x", false),
            ("?", "?", true),
            ("[a]", "a", false),
            ("ä*", "äö", true),
            ("", "", true),
            ("", "x", false),
        ] {
            assert_eq!(Glob::new(glob).matches(text), expected, "{glob} {text}");
        }
    }
}
