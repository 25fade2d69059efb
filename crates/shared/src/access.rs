//! Who may do what: roles, scopes, and the credentials that prove who asks.
//!
//! A credential is a random secret of 32 bytes. The store keeps its [`Digest`]
//! alone, so that whoever reads a dump cannot use what is in it.

use std::net::IpAddr;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{App, AppId, AppSlug, InstanceRole, StoreError, User, UserId, UserName};

/// SHA-256 of a credential's text.
pub type Digest = [u8; 32];

/// What a user is to an app. A larger one may all that a smaller one may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum AppRole {
    /// Sees everything but secrets.
    Viewer,
    /// Deploys, runs and changes data.
    Developer,
    /// Deletes the app, and says who else may use it and under which domains.
    Owner,
}

/// What a token may do of what its user may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    Read,
    Deploy,
    Admin,
}

/// A login that has not ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Session {
    pub id: i64,
    /// Unix time, milliseconds, as are the others.
    pub created_at_ms: u64,
    pub expires_at_ms: u64,
    /// To the minute.
    pub last_used_at_ms: u64,
    /// Where it was begun.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub ip: IpAddr,
    pub user_agent: String,
}

/// A login that begins.
#[derive(Clone, Debug)]
pub struct NewSession {
    pub user: UserId,
    pub digest: Digest,
    pub created_at_ms: u64,
    pub expires_at_ms: u64,
    pub ip: IpAddr,
    pub user_agent: String,
}

/// Where sessions are kept.
#[async_trait]
pub trait SessionStore: Send + Sync {
    /// Begins a session. Of the user's other ones the oldest go, until there
    /// are at most `max`.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the user is gone.
    async fn create(&self, session: &NewSession, max: u32) -> Result<(), StoreError>;

    /// The session that has not expired, and whose it is.
    async fn find(
        &self,
        digest: &Digest,
        now_ms: u64,
    ) -> Result<Option<(Session, User)>, StoreError>;

    /// Notes that the session was used.
    async fn touch(&self, id: i64, now_ms: u64) -> Result<(), StoreError>;

    /// The user's sessions that have not expired, the newest first.
    async fn list(&self, user: UserId, now_ms: u64) -> Result<Vec<Session>, StoreError>;

    /// Ends one of the user's sessions. `false` if there was none.
    async fn delete(&self, user: UserId, id: i64) -> Result<bool, StoreError>;

    /// Removes what had expired by `now_ms`, of invites, too.
    async fn prune(&self, now_ms: u64) -> Result<(), StoreError>;
}

/// An API token, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Token {
    pub id: i64,
    /// What the user calls it.
    pub name: String,
    pub scope: Scope,
    /// The only app that it is for; `None` for all of the user's.
    pub app: Option<AppSlug>,
    /// Unix time, milliseconds, as are the others.
    pub created_at_ms: u64,
    pub expires_at_ms: Option<u64>,
    /// To the minute.
    pub last_used_at_ms: Option<u64>,
}

/// A token to be made.
#[derive(Clone, Debug)]
pub struct NewToken {
    pub user: UserId,
    pub digest: Digest,
    pub name: String,
    pub scope: Scope,
    pub app: Option<AppId>,
    pub created_at_ms: u64,
    pub expires_at_ms: Option<u64>,
}

/// Where API tokens are kept.
#[async_trait]
pub trait TokenStore: Send + Sync {
    /// Makes a token; its number.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the user or the app is gone,
    /// [`StoreError::QuotaExceeded`] if the user has `max` already.
    async fn create(&self, token: &NewToken, max: u32) -> Result<i64, StoreError>;

    /// The token that has not expired, and whose it is.
    async fn find(&self, digest: &Digest, now_ms: u64)
    -> Result<Option<(Token, User)>, StoreError>;

    /// Notes that the token was used.
    async fn touch(&self, id: i64, now_ms: u64) -> Result<(), StoreError>;

    /// The user's tokens, the newest first, expired ones among them.
    async fn list(&self, user: UserId) -> Result<Vec<Token>, StoreError>;

    /// Revokes one of the user's tokens. `false` if there was none.
    async fn delete(&self, user: UserId, id: i64) -> Result<bool, StoreError>;
}

/// What a link that works once is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Purpose {
    /// The first admin's account; there can be no other link for it.
    Setup,
    /// An account for somebody new.
    Join { role: InstanceRole },
    /// A new password for somebody who is there already.
    Reset { user: UserName },
}

/// A link that works once, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Invite {
    pub id: i64,
    #[serde(flatten)]
    pub purpose: Purpose,
    /// Unix time, milliseconds, as is the other.
    pub created_at_ms: u64,
    pub expires_at_ms: u64,
}

/// A link to be made.
#[derive(Clone, Debug)]
pub struct NewInvite {
    pub digest: Digest,
    pub purpose: Purpose,
    pub created_at_ms: u64,
    pub expires_at_ms: u64,
}

/// Where invites are kept.
#[async_trait]
pub trait InviteStore: Send + Sync {
    /// Makes a link. One for setup, or for the same user's password, replaces
    /// the one before.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the user whose password it is for is gone, or
    /// there are users already and it is for setup.
    async fn create(&self, invite: &NewInvite) -> Result<Invite, StoreError>;

    /// The link, if it has neither expired nor been used.
    async fn find(&self, digest: &Digest, now_ms: u64) -> Result<Option<Invite>, StoreError>;

    /// Uses the link up: makes the user of this name, or sets the password of the one whose
    /// it is and ends their sessions. `None` if it was used or expired.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the name is taken; the link stays usable.
    async fn accept(
        &self,
        digest: &Digest,
        name: Option<&UserName>,
        password_hash: &str,
        now_ms: u64,
    ) -> Result<Option<User>, StoreError>;

    /// Those that have neither expired nor been used, the newest first.
    async fn list(&self, now_ms: u64) -> Result<Vec<Invite>, StoreError>;

    /// Takes a link back. `false` if there was none.
    async fn delete(&self, id: i64) -> Result<bool, StoreError>;
}

/// A user of an app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Member {
    pub name: UserName,
    pub role: AppRole,
}

/// Where it is kept who may use which app.
#[async_trait]
pub trait MemberStore: Send + Sync {
    async fn role(&self, app: AppId, user: UserId) -> Result<Option<AppRole>, StoreError>;

    /// The app's users in the order of their names.
    async fn list(&self, app: AppId) -> Result<Vec<Member>, StoreError>;

    /// Gives the user this role.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the app or the user is gone, or this would
    /// take the app's last owner.
    async fn set(&self, app: AppId, user: UserId, role: AppRole) -> Result<(), StoreError>;

    /// Takes the user's role. `false` if there was none.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if this would take the app's last owner.
    async fn remove(&self, app: AppId, user: UserId) -> Result<bool, StoreError>;

    /// Up to `limit` of the user's apps in the order of their slugs, from the
    /// first after `after`.
    async fn apps(
        &self,
        user: UserId,
        after: Option<&AppSlug>,
        limit: u32,
    ) -> Result<Vec<(App, AppRole)>, StoreError>;
}
