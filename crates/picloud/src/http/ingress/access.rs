//! Who may come in, and how often: what an app's rules ask of a request, met
//! or not before anything of it is read or run.

use std::net::IpAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, header};
use picloud_orchestrator_core::{Demands, RunnableApp};
use picloud_shared::ingress::Auth;
use picloud_shared::{AppId, crypto};
use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};

use super::super::problem::Problem;
use crate::node::Node;

/// How long a password waits for its turn to be checked.
const TURN: Duration = Duration::from_secs(2);
/// Passwords that are remembered to be right.
const KNOWN: usize = 1_024;
const HASHED: &str = "$argon2id$";

/// Passwords that were right lately: to hash one with each request would take
/// longer than most requests do.
pub struct KnownPasswords {
    /// Digests of the password, with the hash that it is right for.
    known: Cache<[u8; 32], ()>,
    /// Makes a digest worth nothing outside of this process.
    key: [u8; 32],
}

impl Default for KnownPasswords {
    fn default() -> Self {
        Self { known: Cache::new(KNOWN), key: rand::random() }
    }
}

impl KnownPasswords {
    fn digest(&self, app: AppId, password: &str, hash: &str) -> [u8; 32] {
        let digest = Sha256::new_with_prefix(self.key).chain_update(app.0.to_be_bytes());
        // A hash is text without a NUL, so nothing else reads the same.
        digest.chain_update(hash).chain_update([0]).chain_update(password).finalize().into()
    }
}

/// Lets a request in that meets all demands.
pub(super) async fn admit(
    node: &Node,
    app: &RunnableApp,
    client: IpAddr,
    headers: &HeaderMap,
    demands: &Demands<'_>,
) -> Result<(), Problem> {
    for &rate in &demands.rates {
        let counted = node.rates.under_rule(app.app.id, rate, client, node.clock.now_ms());
        counted.map_err(Problem::rate_limited)?;
    }
    for auth in &demands.auth {
        let door = Door { node, app, client };
        door.open(auth, headers).await?;
    }
    Ok(())
}

/// Where one client stands before one app.
struct Door<'a> {
    node: &'a Node,
    app: &'a RunnableApp,
    client: IpAddr,
}

impl Door<'_> {
    async fn open(&self, auth: &Auth, headers: &HeaderMap) -> Result<(), Problem> {
        let Some(secret) = auth.secret() else { return Ok(()) };
        let given = headers.get(header::AUTHORIZATION).and_then(|value| Given::of(auth, value));
        let Some(given) = given else {
            return Err(self.refused(auth, "this path asks for credentials"));
        };
        let (node, app) = (self.node, self.app.app.id);
        let sealed = node.stores.secrets.get(app, secret).await?;
        let Some(sealed) = sealed else {
            // Nobody gets in, which only the author is to know the reason of.
            let detail =
                format!("the app has no secret {secret} yet: picloud secrets set {secret}");
            let detail = if node.dev { detail.as_str() } else { WRONG };
            return Err(self.refused(auth, detail));
        };
        let Some(lines) = node.vault.open(app, secret, &sealed) else {
            tracing::error!(%secret, "a secret was sealed with another master key");
            return Err(Problem::host_fault());
        };
        let may = node.rates.may_attempt(app, self.client, node.clock.now_ms());
        may.map_err(Problem::rate_limited)?;
        let lines = || lines.lines().map(str::trim_end).filter(|line| !line.is_empty());
        let is_right = match given {
            Given::Token(token) => lines().filter(|known| is_same(known, &token)).count() > 0,
            Given::Password { user, password } => {
                let users = lines().filter_map(|line| line.split_once(':'));
                let users: Vec<_> = users.filter(|(_, entry)| !entry.is_empty()).collect();
                match entry(&users, &user) {
                    (is_user, hash) if hash.starts_with(HASHED) => {
                        // Also for who is no user, so that it takes as long.
                        let is_right = self.verify(&password, hash).await? && is_user;
                        return if is_right { Ok(()) } else { Err(self.refused(auth, WRONG)) };
                    }
                    (is_user, known) => is_same(known, &password) && is_user,
                }
            }
        };
        if is_right {
            return Ok(());
        }
        // It was no more than an attempt; whether there are more left is for
        // the next one to hear.
        let _ = node.rates.attempt(app, self.client, node.clock.now_ms());
        Err(self.refused(auth, WRONG))
    }

    /// Whether the hash is one of the password. Requests with the same password
    /// wait for the first of them.
    async fn verify(&self, password: &str, hash: &str) -> Result<bool, Problem> {
        let (node, app) = (self.node, self.app.app.id);
        let digest = node.passwords.digest(app, password, hash);
        let Err(guard) = node.passwords.known.get_value_or_guard_async(&digest).await else {
            return Ok(true);
        };
        // Counted before it is looked at: many at once are not to find out
        // together what each may not alone.
        let attempt = node.rates.attempt(app, self.client, node.clock.now_ms());
        attempt.map_err(Problem::rate_limited)?;
        let verified = node.executor.verify_password(app, password.to_owned(), hash.to_owned());
        let verified = tokio::time::timeout(TURN, verified).await;
        if !matches!(verified, Ok(Ok(false) | Err(crypto::Error::InvalidPassword))) {
            node.rates.give_back(app, self.client);
        }
        match verified {
            Ok(Ok(true)) => {
                // An error says that it was removed meanwhile.
                let _ = guard.insert(());
                Ok(true)
            }
            Ok(Ok(false) | Err(crypto::Error::InvalidPassword)) => Ok(false),
            Ok(Err(crypto::Error::InvalidHash)) => {
                let app = &self.app.app.slug;
                tracing::warn!(%app, "a hash in a secret is none that can be verified");
                Ok(false)
            }
            Ok(Err(crypto::Error::Failed(cause))) => {
                tracing::error!(cause, "a password could not be verified");
                Err(Problem::host_fault())
            }
            Err(_elapsed) => {
                Err(Problem::app_busy("too many passwords are being checked; try again shortly"))
            }
        }
    }

    fn refused(&self, auth: &Auth, detail: &str) -> Problem {
        let challenge = match auth {
            Auth::Basic(_) => {
                let realm = format!("Basic realm=\"{}\", charset=\"UTF-8\"", self.app.app.slug);
                HeaderValue::from_str(&realm).unwrap_or(HeaderValue::from_static("Basic"))
            }
            _ => HeaderValue::from_static("Bearer"),
        };
        Problem::new(401, "unauthorized", detail).with_header(header::WWW_AUTHENTICATE, challenge)
    }
}

const WRONG: &str = "these credentials are not valid";

/// What a client has sent to be let in.
enum Given {
    Token(String),
    Password { user: String, password: String },
}

impl Given {
    /// `None` if it is nothing of the kind that is asked for.
    fn of(auth: &Auth, value: &HeaderValue) -> Option<Self> {
        let (scheme, given) = value.to_str().ok()?.split_once(' ')?;
        let given = given.trim();
        match auth {
            Auth::Token(_) if scheme.eq_ignore_ascii_case("bearer") => {
                Some(Self::Token(given.to_owned()))
            }
            Auth::Basic(_) if scheme.eq_ignore_ascii_case("basic") => {
                let given = String::from_utf8(STANDARD.decode(given).ok()?).ok()?;
                let (user, password) = given.split_once(':')?;
                Some(Self::Password { user: user.to_owned(), password: password.to_owned() })
            }
            _ => None,
        }
    }
}

/// What is to be compared with the password, and whether there is such a user
/// at all. All users are looked at, and a stranger is compared with one of
/// them, so that time tells nothing.
fn entry<'a>(users: &[(&str, &'a str)], user: &str) -> (bool, &'a str) {
    let mut found = None;
    for (name, entry) in users {
        if is_same(name, user) && found.is_none() {
            found = Some(*entry);
        }
    }
    let hashed = users.iter().find(|(_, entry)| entry.starts_with(HASHED));
    let any = hashed.or(users.first()).map_or("", |(_, entry)| entry);
    (found.is_some(), found.unwrap_or(any))
}

/// Digests are compared, so that time tells nothing about the texts.
fn is_same(known: &str, given: &str) -> bool {
    Sha256::digest(known) == Sha256::digest(given)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_is_compared_like_a_user_and_is_none() {
        let hash = "$argon2id$v=19$x";
        let users = [("ann", "pw"), ("bob", hash), ("ann", "other")];
        assert_eq!(entry(&users, "ann"), (true, "pw"));
        assert_eq!(entry(&users, "bob"), (true, hash));
        assert_eq!(entry(&users, "eve"), (false, hash));
        assert_eq!(entry(&users[..1], "eve"), (false, "pw"));
        assert_eq!(entry(&[], "eve"), (false, ""));
    }

    #[test]
    fn a_known_password_is_one_of_its_app_and_hash() {
        let known = KnownPasswords::default();
        let digest = known.digest(AppId(1), "pw", "hash");
        assert_eq!(known.digest(AppId(1), "pw", "hash"), digest);
        assert_ne!(known.digest(AppId(2), "pw", "hash"), digest);
        assert_ne!(known.digest(AppId(1), "pw2", "hash"), digest);
        assert_ne!(KnownPasswords::default().digest(AppId(1), "pw", "hash"), digest);
    }

    #[test]
    fn credentials_are_of_the_kind_that_is_asked_for() {
        let basic = Auth::Basic("S".parse().unwrap());
        let token = Auth::Token("S".parse().unwrap());
        let given = |auth, value: &'static str| match Given::of(auth, &value.parse().unwrap())? {
            Given::Token(token) => Some(token),
            Given::Password { user, password } => Some(format!("{user} {password}")),
        };
        assert_eq!(given(&basic, "Basic YW5uOmE6Yg==").as_deref(), Some("ann a:b"));
        assert_eq!(given(&basic, "bASIC  YW5uOg==").as_deref(), Some("ann "));
        assert_eq!(given(&token, "Bearer abc").as_deref(), Some("abc"));
        for value in ["", "Basic", "Basic ?", "Basic YW5u", "Basic /w==", "Bearer YW5uOmE="] {
            assert_eq!(given(&basic, value), None, "{value}");
        }
        assert_eq!(given(&token, "Basic YW5uOmE="), None);
    }
}
