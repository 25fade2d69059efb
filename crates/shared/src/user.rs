//! Users: the people who may use the control plane.

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::StoreError;

/// A user's number. Given out by the store and never used twice, so that a user
/// made again under the same name inherits nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserId(pub i64);

/// The name that a user logs in with: `[a-z][a-z0-9._-]{0,38}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(try_from = "String", into = "String")]
pub struct UserName(String);

/// Why a text is no [`UserName`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a user's name has 1 to 39 characters: lower-case letters, digits, dots, hyphens and \
     underscores, starting with a letter"
)]
pub struct InvalidUserName;

impl UserName {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UserName {
    type Err = InvalidUserName;

    fn from_str(text: &str) -> Result<Self, InvalidUserName> {
        let is_allowed =
            |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_');
        let is_name = (1..=39).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.bytes().all(is_allowed);
        if is_name { Ok(Self(text.to_owned())) } else { Err(InvalidUserName) }
    }
}

impl TryFrom<String> for UserName {
    type Error = InvalidUserName;

    fn try_from(text: String) -> Result<Self, InvalidUserName> {
        text.parse()
    }
}

impl From<UserName> for String {
    fn from(name: UserName) -> Self {
        name.0
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a user is on the instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum InstanceRole {
    /// Has apps of their own and those that others share with them.
    Member,
    /// Has everybody's apps, and says who else is there and what they may use.
    Admin,
}

/// A user as the store knows them, without their password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct User {
    #[serde(skip, default = "nobody")]
    pub id: UserId,
    pub name: UserName,
    pub role: InstanceRole,
    /// Unix time, milliseconds.
    pub created_at_ms: u64,
}

fn nobody() -> UserId {
    UserId(0)
}

/// Where users are kept.
#[async_trait]
pub trait UserStore: Send + Sync {
    async fn find(&self, name: &UserName) -> Result<Option<User>, StoreError>;

    /// Up to `limit` users in the order of their names, from the first after `after`.
    async fn list(&self, after: Option<&UserName>, limit: u32) -> Result<Vec<User>, StoreError>;

    /// Whether there is no user at all.
    async fn is_empty(&self) -> Result<bool, StoreError>;

    /// The hash of the user's password, in PHC string format.
    async fn password_hash(&self, user: UserId) -> Result<Option<String>, StoreError>;

    /// Replaces the password and ends the user's sessions, but for `kept`.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the user is gone.
    async fn set_password(
        &self,
        user: UserId,
        hash: &str,
        kept: Option<&crate::access::Digest>,
    ) -> Result<(), StoreError>;

    /// # Errors
    /// [`StoreError::Conflict`] if the user is gone.
    async fn set_role(&self, user: UserId, role: InstanceRole) -> Result<(), StoreError>;

    /// Deletes the user with their sessions, tokens and memberships. `false` if
    /// there was none.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] while an app would be left without an owner.
    async fn delete(&self, user: UserId) -> Result<bool, StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_plain_and_cannot_be_mistaken_for_another() {
        for good in ["a", "anna", "a.b-c_d", "a1", &"a".repeat(39)] {
            assert!(good.parse::<UserName>().is_ok(), "{good}");
        }
        for bad in ["", "1a", ".a", "Anna", "änna", "a b", "a/b", "a\0", &"a".repeat(40)] {
            assert!(bad.parse::<UserName>().is_err(), "{bad:?}");
        }
    }
}
