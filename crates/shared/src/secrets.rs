//! An app's secrets.
//!
//! [`Secrets`] is what a script sees, [`SecretStore`] where the sealed texts
//! are kept. Only who has the [`Vault`](crate::Vault) can open them.

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;

use crate::{AppId, StoreError};

/// Bytes that a secret's value may have.
pub const MAX_VALUE_BYTES: usize = 16 << 10;
/// Secrets that an app may have.
pub const MAX_SECRETS: usize = 100;

/// A secret's name: `[A-Za-z_][A-Za-z0-9_.-]{0,63}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(String);

impl Name {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let ok = text.len() <= 64
            && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
        if ok { Ok(Self(text.to_owned())) } else { Err(InvalidName) }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text cannot name a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a secret's name has 1 to 64 characters of A-Z a-z 0-9 _ . - and begins with a letter or _"
)]
pub struct InvalidName;

/// Why a secret was not given, from the script's point of view.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    InvalidName(#[from] InvalidName),
    /// The store failed, or what it holds cannot be opened: the host's fault.
    #[error("the secrets are unavailable")]
    Unavailable(#[source] StoreError),
}

/// What a script can do with secrets. Each instance is bound to one app and
/// one invocation by whoever makes it.
#[async_trait]
pub trait Secrets: Send + Sync {
    /// The secret of that name, `None` if there is no such secret.
    async fn get(&self, name: &str) -> Result<Option<String>, Error>;
}

/// A secret as it is listed: without its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub name: Name,
    /// Unix time in milliseconds.
    pub updated_at_ms: u64,
}

/// Where sealed secrets are kept.
#[async_trait]
pub trait SecretStore: Send + Sync {
    /// The sealed value.
    async fn get(&self, app: AppId, name: &Name) -> Result<Option<Vec<u8>>, StoreError>;

    /// The app's secrets in the order of their names.
    async fn list(&self, app: AppId) -> Result<Vec<Listed>, StoreError>;

    /// Writes a sealed value over whatever is there.
    ///
    /// # Errors
    /// [`StoreError::QuotaExceeded`] if it would be one over [`MAX_SECRETS`];
    /// [`StoreError::Conflict`] if the app is gone.
    async fn set(
        &self,
        app: AppId,
        name: &Name,
        sealed: &[u8],
        now_ms: u64,
    ) -> Result<(), StoreError>;

    /// Whether there was a secret to delete.
    async fn delete(&self, app: AppId, name: &Name) -> Result<bool, StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_environment_variables_and_a_little_more() {
        for good in ["A", "_", "API_KEY", "stripe.key-2", &"x".repeat(64)] {
            assert!(good.parse::<Name>().is_ok(), "{good}");
        }
        for bad in ["", "1A", "a b", "a/b", "é", "a\n", &"x".repeat(65)] {
            assert!(bad.parse::<Name>().is_err(), "{bad:?}");
        }
    }
}
