//! Identifiers. Each is a type of its own, so that an app cannot be taken for
//! a release nor a slug for a host name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An app's number: the first column of every key that belongs to a tenant.
///
/// Given out by the store and never used twice, so that an app deleted and
/// made again under the same slug starts empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AppId(pub i64);

/// A release's number within its app, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(transparent)]
pub struct ReleaseNumber(pub i64);

impl fmt::Display for ReleaseNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// One execution's name: a version 7 UUID, so ids sort by the time they began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(transparent)]
pub struct ExecutionId(pub uuid::Uuid);

impl ExecutionId {
    /// Composes an id from the Unix time in milliseconds and ten random bytes.
    #[must_use]
    pub fn new(now_ms: u64, random: [u8; 10]) -> Self {
        Self(uuid::Builder::from_unix_timestamp_millis(now_ms, &random).into_uuid())
    }
}

impl fmt::Display for ExecutionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.as_hyphenated())
    }
}

impl FromStr for ExecutionId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        uuid::Uuid::parse_str(text).map(Self)
    }
}

/// An app's name in URLs and host names: `[a-z][a-z0-9-]{1,38}`, not ending in
/// a hyphen and without `--`, which separates a preview's release from its app.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(try_from = "String", into = "String")]
pub struct AppSlug(String);

/// Why a text is no [`AppSlug`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "an app's name has 2 to 39 characters: lower-case letters, digits and single hyphens, starting with a letter and not ending with a hyphen"
)]
pub struct InvalidSlug;

impl AppSlug {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AppSlug {
    type Err = InvalidSlug;

    fn from_str(text: &str) -> Result<Self, InvalidSlug> {
        let characters_ok =
            text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        let shape_ok = (2..=39).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && !text.ends_with('-')
            && !text.contains("--");
        if characters_ok && shape_ok { Ok(Self(text.to_owned())) } else { Err(InvalidSlug) }
    }
}

impl TryFrom<String> for AppSlug {
    type Error = InvalidSlug;

    fn try_from(text: String) -> Result<Self, InvalidSlug> {
        text.parse()
    }
}

impl From<AppSlug> for String {
    fn from(slug: AppSlug) -> Self {
        slug.0
    }
}

impl fmt::Display for AppSlug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_is_a_dns_label_of_ours() {
        for good in ["ab", "guestbook", "a-b-c", "a1", &"a".repeat(39)] {
            assert!(good.parse::<AppSlug>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "a",
            "1a",
            "-a",
            "a-",
            "A1",
            "a_b",
            "a.b",
            "r1--a",
            "ä1",
            "a b",
            "a\0b",
            &"a".repeat(40),
        ] {
            assert!(bad.parse::<AppSlug>().is_err(), "{bad:?}");
        }
    }
}
