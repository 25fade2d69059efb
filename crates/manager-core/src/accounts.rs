//! Accounts: logging in, invites, passwords, tokens, and who may use an app.

mod throttle;

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::sync::Arc;

use picloud_shared::access::{
    AppRole, Digest, Invite, InviteStore, Member, MemberStore, NewInvite, NewSession, NewToken,
    Purpose, Scope, Session, SessionStore, Token, TokenStore,
};
use picloud_shared::allowance::{Allowance, Exceeded, network};
use picloud_shared::crypto::{self, Crypto};
use picloud_shared::user::UserStore;
use picloud_shared::{App, AppSlug, Clock, InstanceRole, StoreError, User, UserId, UserName};
use sha2::{Digest as _, Sha256};
use tokio::sync::{OnceCell, Semaphore, SemaphorePermit};

use self::throttle::Throttle;
use crate::{Caller, Credential, Error};

/// Bytes of the shortest password.
pub const MIN_PASSWORD_BYTES: usize = 10;
/// Tokens that a user may have.
pub const MAX_TOKENS: u32 = 100;
/// Bytes of a token's name.
pub const MAX_TOKEN_NAME_BYTES: usize = 64;
/// Logins that a user may have at one time.
const MAX_SESSIONS: u32 = 50;
/// Bytes that are kept of what a browser calls itself.
const MAX_USER_AGENT_BYTES: usize = 200;

const MINUTE_MS: u64 = 60_000;
const MINUTE_NS: u64 = MINUTE_MS * 1_000_000;
const DAY_MS: u64 = 24 * 60 * MINUTE_MS;
const SESSION_MS: u64 = 30 * DAY_MS;
const JOIN_MS: u64 = 7 * DAY_MS;
const RESET_MS: u64 = DAY_MS;

/// Failed logins for one account: this many, and then one every half a minute.
const TRIES_PER_ACCOUNT: Allowance = Allowance { count: 10, per_ns: 10 * MINUTE_NS / 2 };
/// Failed logins from one address, or from one network of IPv6 addresses.
const TRIES_PER_ADDRESS: Allowance = Allowance { count: 30, per_ns: 30 * MINUTE_NS / 6 };
/// Accounts and addresses that are remembered, each.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(16_384).unwrap();
/// Passwords that may wait for being hashed.
const WAITING: usize = 32;
/// Seconds until whoever finds no place among them comes back.
const CROWDED_S: RangeInclusive<u64> = 2..=5;

/// A place among those who wait for a hash. Nothing is hashed without one.
type Place<'a> = SemaphorePermit<'a>;

/// Makes credentials and knows them again.
///
/// It decides neither who may call it nor what for: [`Caller::may`] has.
pub struct Accounts {
    users: Arc<dyn UserStore>,
    sessions: Arc<dyn SessionStore>,
    tokens: Arc<dyn TokenStore>,
    invites: Arc<dyn InviteStore>,
    members: Arc<dyn MemberStore>,
    passwords: Arc<dyn Crypto>,
    clock: Arc<dyn Clock>,
    waiting: Semaphore,
    by_account: Throttle<UserName>,
    by_address: Throttle<IpAddr>,
    /// The hash of nobody's password, so that a name that nobody has takes as
    /// long as a password that is wrong.
    nobodys: OnceCell<String>,
}

/// The ports behind [`Accounts`].
pub struct AccountStores {
    pub users: Arc<dyn UserStore>,
    pub sessions: Arc<dyn SessionStore>,
    pub tokens: Arc<dyn TokenStore>,
    pub invites: Arc<dyn InviteStore>,
    pub members: Arc<dyn MemberStore>,
}

/// A login that has begun.
#[derive(Debug)]
pub struct Login {
    pub user: User,
    /// To be shown to nobody but who has logged in.
    pub secret: String,
    /// Seconds.
    pub max_age_s: u64,
}

/// Where a login comes from.
#[derive(Clone, Debug)]
pub struct Origin {
    pub ip: IpAddr,
    pub user_agent: String,
}

/// What a token shall be.
#[derive(Clone, Debug)]
pub struct TokenWish {
    pub name: String,
    pub scope: Scope,
    pub app: Option<App>,
    /// Seconds; `None` for ever.
    pub lifetime_s: Option<u64>,
}

impl Accounts {
    /// `passwords` hashes people's passwords.
    #[must_use]
    pub fn new(stores: AccountStores, passwords: Arc<dyn Crypto>, clock: Arc<dyn Clock>) -> Self {
        let AccountStores { users, sessions, tokens, invites, members } = stores;
        Self {
            users,
            sessions,
            tokens,
            invites,
            members,
            passwords,
            clock,
            waiting: Semaphore::new(WAITING),
            by_account: Throttle::new(TRIES_PER_ACCOUNT, REMEMBERED),
            by_address: Throttle::new(TRIES_PER_ADDRESS, REMEMBERED),
            nobodys: OnceCell::new(),
        }
    }

    /// Logs a user in.
    ///
    /// # Errors
    /// [`Error::WrongCredentials`], whether it is the name or the password;
    /// [`Error::Throttled`] after too many of those.
    pub async fn log_in(
        &self,
        name: &UserName,
        password: String,
        origin: Origin,
    ) -> Result<Login, Error> {
        let place = self.queue()?;
        let now_ms = self.clock.now_ms();
        let network = network(origin.ip);
        self.by_address.take(network, now_ms).map_err(throttled)?;
        self.by_account.take(name.clone(), now_ms).map_err(throttled)?;
        let user = self.with_password(&place, name, password).await;
        drop(place);
        if !is_a_guess(&user) {
            self.by_address.give_back(&network);
            self.by_account.give_back(name);
        }
        self.begin_session(user?, origin).await
    }

    /// The user of this name, if this is their password.
    async fn with_password(
        &self,
        place: &Place<'_>,
        name: &UserName,
        password: String,
    ) -> Result<User, Error> {
        let user = self.users.find(name).await?;
        let hash = match &user {
            Some(user) => self.users.password_hash(user.id).await?,
            None => None,
        };
        let hash = match hash {
            Some(hash) => hash,
            None => self.nobodys_hash(place).await?,
        };
        let is_right = self.verify(place, password, hash).await?;
        user.filter(|_| is_right).ok_or(Error::WrongCredentials)
    }

    async fn begin_session(&self, user: User, origin: Origin) -> Result<Login, Error> {
        let (secret, digest) = new_secret("");
        let now_ms = self.clock.now_ms();
        let Origin { ip, mut user_agent } = origin;
        user_agent.truncate(user_agent.floor_char_boundary(MAX_USER_AGENT_BYTES));
        let session = NewSession {
            user: user.id,
            digest,
            created_at_ms: now_ms,
            expires_at_ms: now_ms + SESSION_MS,
            ip,
            user_agent,
        };
        match self.sessions.create(&session, MAX_SESSIONS).await {
            Ok(()) => Ok(Login { user, secret, max_age_s: SESSION_MS / 1_000 }),
            // The user was deleted meanwhile.
            Err(StoreError::Conflict) => Err(Error::WrongCredentials),
            Err(error) => Err(error.into()),
        }
    }

    /// Whose session this is, if it is one.
    pub async fn by_session(&self, secret: &str) -> Result<Option<Caller>, Error> {
        let (digest, now_ms) = (digest(secret), self.clock.now_ms());
        let Some((session, user)) = self.sessions.find(&digest, now_ms).await? else {
            return Ok(None);
        };
        if now_ms.saturating_sub(session.last_used_at_ms) >= MINUTE_MS {
            self.sessions.touch(session.id, now_ms).await?;
        }
        Ok(Some(Caller::User { user, by: Credential::Session(session.id, digest) }))
    }

    /// Whose API token this is, if it is one.
    pub async fn by_token(&self, secret: &str) -> Result<Option<Caller>, Error> {
        let now_ms = self.clock.now_ms();
        let Some((token, user)) = self.tokens.find(&digest(secret), now_ms).await? else {
            return Ok(None);
        };
        if token.last_used_at_ms.is_none_or(|used| now_ms.saturating_sub(used) >= MINUTE_MS) {
            self.tokens.touch(token.id, now_ms).await?;
        }
        Ok(Some(Caller::User { user, by: Credential::Token(token) }))
    }

    pub async fn sessions(&self, user: UserId) -> Result<Vec<Session>, Error> {
        Ok(self.sessions.list(user, self.clock.now_ms()).await?)
    }

    pub async fn end_session(&self, user: UserId, id: i64) -> Result<(), Error> {
        found(self.sessions.delete(user, id).await?, "session")
    }

    /// Changes a user's own password, and ends their other sessions.
    pub async fn change_password(
        &self,
        user: &User,
        old: String,
        new: String,
        kept: Option<&Digest>,
    ) -> Result<(), Error> {
        check_password(&user.name, &new)?;
        let place = self.queue()?;
        let now_ms = self.clock.now_ms();
        self.by_account.take(user.name.clone(), now_ms).map_err(throttled)?;
        let checked = self.with_password(&place, &user.name, old).await;
        if !is_a_guess(&checked) {
            self.by_account.give_back(&user.name);
        }
        checked?;
        let hash = self.hash(&place, new).await?;
        self.users.set_password(user.id, &hash, kept).await.map_err(|error| match error {
            StoreError::Conflict => Error::UserNotFound(user.name.clone()),
            error => error.into(),
        })
    }

    /// Makes the link to the first account; its secret. `None` once there is
    /// an account.
    pub async fn setup(&self) -> Result<Option<String>, Error> {
        if !self.users.is_empty().await? {
            return Ok(None);
        }
        match self.invite(Purpose::Setup).await {
            Ok((_, secret)) => Ok(Some(secret)),
            // Somebody has set it up meanwhile.
            Err(Error::Conflict) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes a link that works once; with its secret.
    pub async fn invite(&self, purpose: Purpose) -> Result<(Invite, String), Error> {
        let (secret, digest) = new_secret("");
        let now_ms = self.clock.now_ms();
        let lifetime_ms = match &purpose {
            Purpose::Join { .. } => JOIN_MS,
            Purpose::Setup | Purpose::Reset { .. } => RESET_MS,
        };
        let expires_at_ms = now_ms + lifetime_ms;
        let invite = NewInvite { digest, purpose, created_at_ms: now_ms, expires_at_ms };
        match (self.invites.create(&invite).await, invite.purpose) {
            (Err(StoreError::Conflict), Purpose::Reset { user }) => Err(Error::UserNotFound(user)),
            (made, _) => Ok((made?, secret)),
        }
    }

    /// What a link is for.
    pub async fn find_invite(&self, secret: &str) -> Result<Invite, Error> {
        let found = self.invites.find(&digest(secret), self.clock.now_ms()).await?;
        found.ok_or(Error::InviteNotFound)
    }

    /// Uses a link up, and logs in whoever did. `name` is of somebody new.
    pub async fn accept(
        &self,
        secret: &str,
        name: Option<&UserName>,
        password: String,
        origin: Origin,
    ) -> Result<Login, Error> {
        // Whoever guesses shall not have passwords hashed.
        let invite = self.find_invite(secret).await?;
        let name = match &invite.purpose {
            Purpose::Reset { user } => user,
            Purpose::Setup | Purpose::Join { .. } => name.ok_or(Error::NameMissing)?,
        };
        check_password(name, &password)?;
        let hash = self.hash(&self.queue()?, password).await?;
        let now_ms = self.clock.now_ms();
        match self.invites.accept(&digest(secret), Some(name), &hash, now_ms).await {
            Ok(Some(user)) => self.begin_session(user, origin).await,
            Ok(None) => Err(Error::InviteNotFound),
            Err(StoreError::Conflict) => Err(Error::NameTaken(name.to_string())),
            Err(error) => Err(error.into()),
        }
    }

    pub async fn invites(&self) -> Result<Vec<Invite>, Error> {
        Ok(self.invites.list(self.clock.now_ms()).await?)
    }

    pub async fn withdraw_invite(&self, id: i64) -> Result<(), Error> {
        found(self.invites.delete(id).await?, "invite")
    }

    /// Makes an API token; with its secret, which nobody will see again.
    pub async fn create_token(
        &self,
        user: &User,
        wish: TokenWish,
    ) -> Result<(Token, String), Error> {
        let (secret, digest) = new_secret("pic_");
        let now_ms = self.clock.now_ms();
        let TokenWish { name, scope, app, lifetime_s } = wish;
        if name.is_empty() || name.len() > MAX_TOKEN_NAME_BYTES || name.contains(char::is_control) {
            return Err(Error::InvalidTokenName);
        }
        let token = NewToken {
            user: user.id,
            digest,
            name,
            scope,
            app: app.as_ref().map(|app| app.id),
            created_at_ms: now_ms,
            expires_at_ms: lifetime_s.map(|s| now_ms.saturating_add(s.saturating_mul(1_000))),
        };
        let app = app.map(|app| app.slug);
        let id = match self.tokens.create(&token, MAX_TOKENS).await {
            Err(StoreError::QuotaExceeded(_)) => {
                return Err(Error::TooManyTokens { max: MAX_TOKENS });
            }
            // The app was deleted meanwhile, or the user.
            Err(StoreError::Conflict) => {
                let user = || Error::UserNotFound(user.name.clone());
                return Err(app.map_or_else(user, Error::AppNotFound));
            }
            id => id?,
        };
        let NewToken { name, created_at_ms, expires_at_ms, .. } = token;
        let token =
            Token { id, name, scope, app, created_at_ms, expires_at_ms, last_used_at_ms: None };
        Ok((token, secret))
    }

    pub async fn tokens(&self, user: UserId) -> Result<Vec<Token>, Error> {
        Ok(self.tokens.list(user).await?)
    }

    pub async fn revoke_token(&self, user: UserId, id: i64) -> Result<(), Error> {
        found(self.tokens.delete(user, id).await?, "token")
    }

    /// Up to `limit` users in the order of their names, from the first after `after`.
    pub async fn users(&self, after: Option<&UserName>, limit: u32) -> Result<Vec<User>, Error> {
        Ok(self.users.list(after, limit).await?)
    }

    pub async fn user(&self, name: &UserName) -> Result<User, Error> {
        self.users.find(name).await?.ok_or_else(|| Error::UserNotFound(name.clone()))
    }

    /// Gives the user this role on the instance.
    pub async fn set_role(
        &self,
        by: &Caller,
        name: &UserName,
        role: InstanceRole,
    ) -> Result<User, Error> {
        let user = self.user(name).await?;
        not_oneself(by, &user)?;
        self.users.set_role(user.id, role).await.map_err(|error| match error {
            StoreError::Conflict => Error::UserNotFound(name.clone()),
            error => error.into(),
        })?;
        Ok(User { role, ..user })
    }

    pub async fn delete_user(&self, by: &Caller, name: &UserName) -> Result<(), Error> {
        let user = self.user(name).await?;
        not_oneself(by, &user)?;
        match self.users.delete(user.id).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Error::UserNotFound(name.clone())),
            Err(StoreError::Conflict) => Err(Error::OwnsApps(name.clone())),
            Err(error) => Err(error.into()),
        }
    }

    /// What the caller is to the app.
    pub async fn role(&self, caller: &Caller, app: &App) -> Result<Option<AppRole>, Error> {
        match caller.user() {
            None => Ok(Some(AppRole::Owner)),
            Some(user) => Ok(self.members.role(app.id, user.id).await?),
        }
    }

    pub async fn members(&self, app: &App) -> Result<Vec<Member>, Error> {
        Ok(self.members.list(app.id).await?)
    }

    /// Gives the user this role in the app.
    pub async fn set_member(&self, app: &App, name: &UserName, role: AppRole) -> Result<(), Error> {
        let user = self.user(name).await?;
        self.members.set(app.id, user.id, role).await.map_err(|error| match error {
            StoreError::Conflict => Error::LastOwner,
            error => error.into(),
        })
    }

    pub async fn remove_member(&self, app: &App, name: &UserName) -> Result<(), Error> {
        let user = self.user(name).await?;
        match self.members.remove(app.id, user.id).await {
            Ok(removed) => found(removed, "member"),
            Err(StoreError::Conflict) => Err(Error::LastOwner),
            Err(error) => Err(error.into()),
        }
    }

    /// Up to `limit` of the user's apps in the order of their names, from the
    /// first after `after`.
    pub async fn apps(
        &self,
        user: UserId,
        after: Option<&AppSlug>,
        limit: u32,
    ) -> Result<Vec<(App, AppRole)>, Error> {
        Ok(self.members.apps(user, after, limit).await?)
    }

    async fn nobodys_hash(&self, place: &Place<'_>) -> Result<String, Error> {
        let make = || self.hash(place, hex::encode(rand::random::<[u8; 32]>()));
        self.nobodys.get_or_try_init(make).await.cloned()
    }

    async fn hash(&self, _: &Place<'_>, password: String) -> Result<String, Error> {
        self.passwords.password_hash(password).await.map_err(unhashed)
    }

    async fn verify(&self, _: &Place<'_>, password: String, hash: String) -> Result<bool, Error> {
        // A password that nobody can have is wrong, after as long as others.
        let password = if (1..=crypto::MAX_PASSWORD_BYTES).contains(&password.len()) {
            password
        } else {
            "\0".to_owned()
        };
        self.passwords.password_verify(password, hash).await.map_err(unhashed)
    }

    /// A place to wait in for a hash, which takes a core for a while. Asked for
    /// before anything else is done, so that a crowd is turned away cheaply.
    fn queue(&self) -> Result<Place<'_>, Error> {
        self.waiting.try_acquire().map_err(|_| {
            // A crowd that came together shall not come back together.
            Error::Throttled { retry_after_s: rand::random_range(CROWDED_S) }
        })
    }
}

/// Whether a try is to be counted. Whoever found no place to wait in, or met a
/// store that is down, has guessed nothing, and may come back.
const fn is_a_guess<T>(tried: &Result<T, Error>) -> bool {
    matches!(tried, Err(Error::WrongCredentials))
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn unhashed(error: crypto::Error) -> Error {
    Error::HostFault(error.to_string())
}

fn throttled(Exceeded { wait_ms }: Exceeded) -> Error {
    Error::Throttled { retry_after_s: wait_ms.div_ceil(1_000) }
}

fn found(is_found: bool, what: &'static str) -> Result<(), Error> {
    if is_found { Ok(()) } else { Err(Error::NoSuch(what)) }
}

/// An admin can lose neither role nor account by their own hand, so that there
/// is always one left.
fn not_oneself(by: &Caller, user: &User) -> Result<(), Error> {
    if by.owner() == Some(user.id) { Err(Error::Oneself) } else { Ok(()) }
}

fn check_password(name: &UserName, password: &str) -> Result<(), Error> {
    let is_long = (MIN_PASSWORD_BYTES..=crypto::MAX_PASSWORD_BYTES).contains(&password.len());
    let is_name = password.to_lowercase().contains(name.as_str()) && name.as_str().len() > 3;
    if is_long && !is_name { Ok(()) } else { Err(Error::WeakPassword) }
}

/// A new credential and what is kept of it.
fn new_secret(prefix: &str) -> (String, Digest) {
    let secret = format!("{prefix}{}", hex::encode(rand::random::<[u8; 32]>()));
    let digest = digest(&secret);
    (secret, digest)
}

fn digest(secret: &str) -> Digest {
    Sha256::digest(secret).into()
}
