//! Deploys that are asked for a second time by who has not heard the answer to
//! the first: the key that the client has given them says which they are.

use std::fmt;
use std::str::FromStr;

use crate::{BlobHash, ReleaseNumber};

/// How long a deploy is remembered by its key, in milliseconds.
pub const KEPT_MS: u64 = 24 * 3_600 * 1_000;
/// Bytes that a key may have.
pub const MAX_KEY_BYTES: usize = 200;

/// A client's name for one deploy: 1 to 200 characters of visible ASCII.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(String);

/// A text that is no [`IdempotencyKey`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key has 1 to {MAX_KEY_BYTES} visible ASCII characters")]
pub struct InvalidIdempotencyKey;

impl IdempotencyKey {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for IdempotencyKey {
    type Err = InvalidIdempotencyKey;

    fn from_str(text: &str) -> Result<Self, InvalidIdempotencyKey> {
        let is_key = (1..=MAX_KEY_BYTES).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic());
        if is_key { Ok(Self(text.to_owned())) } else { Err(InvalidIdempotencyKey) }
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which deploy it is. Keys of different callers never meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idempotency {
    /// Who deploys.
    pub caller: String,
    pub key: IdempotencyKey,
}

/// What a release is to be remembered by, written with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDeploy {
    pub idempotency: Idempotency,
    /// Of what was asked for.
    pub request: BlobHash,
    /// What was answered, beyond the release.
    pub answer: String,
}

/// A deploy that has been made under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MadeDeploy {
    pub request: BlobHash,
    pub answer: String,
    pub release: ReleaseNumber,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_visible_ascii_of_a_bounded_length() {
        for good in ["a", "01a2098e-31c0-7ca3", "!~\"", &"k".repeat(200)] {
            assert!(good.parse::<IdempotencyKey>().is_ok(), "{good}");
        }
        for bad in ["", " ", "a b", "a\n", "\u{7f}", "ä", "\0", &"k".repeat(201)] {
            assert!(bad.parse::<IdempotencyKey>().is_err(), "{bad:?}");
        }
    }
}
