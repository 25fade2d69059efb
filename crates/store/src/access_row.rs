//! Users, credentials, members and the audit log as rows: what both databases
//! ask and how the answers are read. Statements stand here where the two
//! understand the same text.

use picloud_shared::access::{AppRole, Invite, Member, Purpose, Scope, Session, Token};
use picloud_shared::audit::{Change, Entry};
use picloud_shared::{AppId, InstanceRole, StoreError, User, UserId, UserName};

use crate::convert::{corrupt, unsigned};

pub(crate) mod user {
    pub(crate) const FIND: &str = "SELECT id, name, role, created_at_ms FROM users WHERE name = $1";
    pub(crate) const LIST: &str = "SELECT id, name, role, created_at_ms FROM users
         WHERE name > $1 ORDER BY name LIMIT $2";
    pub(crate) const IS_EMPTY: &str = "SELECT NOT EXISTS (SELECT 1 FROM users)";
    pub(crate) const PASSWORD_HASH: &str = "SELECT password_hash FROM users WHERE id = $1";
    pub(crate) const SET_PASSWORD: &str = "UPDATE users SET password_hash = $2 WHERE id = $1
         RETURNING id, name, role, created_at_ms";
    pub(crate) const SET_ROLE: &str = "UPDATE users SET role = $2 WHERE id = $1";
    pub(crate) const END_SESSIONS: &str = "DELETE FROM sessions WHERE user_id = $1";
    pub(crate) const END_OTHER_SESSIONS: &str =
        "DELETE FROM sessions WHERE user_id = $1 AND digest <> $2";
    pub(crate) const EXISTS: &str = "SELECT EXISTS (SELECT 1 FROM users WHERE id = $1)";
    /// Nothing happens while an app has no other owner.
    pub(crate) const DELETE: &str = "DELETE FROM users WHERE id = $1 AND NOT EXISTS (
             SELECT 1 FROM members AS own
             WHERE own.user_id = $1 AND own.role = 'owner' AND NOT EXISTS (
                 SELECT 1 FROM members AS other WHERE other.app_id = own.app_id
                     AND other.role = 'owner' AND other.user_id <> own.user_id))";
}

pub(crate) mod session {
    pub(crate) const CREATE: &str = "INSERT INTO sessions (digest, user_id, created_at_ms,
             expires_at_ms, last_used_at_ms, ip, user_agent)
         SELECT $2, id, $3, $4, $3, $5, $6 FROM users WHERE id = $1";
    pub(crate) const DELETE_OLDEST: &str = "DELETE FROM sessions WHERE user_id = $1
         AND id NOT IN (SELECT id FROM sessions WHERE user_id = $1 ORDER BY id DESC LIMIT $2)";
    pub(crate) const FIND: &str = "SELECT users.id, name, role, users.created_at_ms,
             sessions.id, sessions.created_at_ms, expires_at_ms, last_used_at_ms, ip, user_agent
         FROM sessions JOIN users ON users.id = user_id
         WHERE digest = $1 AND expires_at_ms > $2";
    pub(crate) const TOUCH: &str = "UPDATE sessions SET last_used_at_ms = $2 WHERE id = $1";
    pub(crate) const LIST: &str =
        "SELECT id, created_at_ms, expires_at_ms, last_used_at_ms, ip, user_agent
         FROM sessions WHERE user_id = $1 AND expires_at_ms > $2 ORDER BY id DESC";
    pub(crate) const DELETE: &str = "DELETE FROM sessions WHERE user_id = $1 AND id = $2";
    pub(crate) const PRUNE: [&str; 2] = [
        "DELETE FROM sessions WHERE expires_at_ms <= $1",
        "DELETE FROM invites WHERE expires_at_ms <= $1",
    ];
}

pub(crate) mod token {
    pub(crate) const COUNT: &str = "SELECT count(*) FROM tokens WHERE user_id = $1";
    pub(crate) const CREATE: &str = "INSERT INTO tokens (digest, user_id, app_id, name, scope,
             created_at_ms, expires_at_ms)
         SELECT $2, users.id, $3, $4, $5, $6, $7 FROM users
         WHERE users.id = $1
             AND (CAST($3 AS bigint) IS NULL OR EXISTS (SELECT 1 FROM apps WHERE apps.id = $3))
         RETURNING id";
    pub(crate) const FIND: &str = "SELECT users.id, users.name, role, users.created_at_ms,
             tokens.id, tokens.name, scope, slug, tokens.created_at_ms, expires_at_ms,
             last_used_at_ms
         FROM tokens JOIN users ON users.id = user_id LEFT JOIN apps ON apps.id = app_id
         WHERE digest = $1 AND (expires_at_ms IS NULL OR expires_at_ms > $2)";
    pub(crate) const TOUCH: &str = "UPDATE tokens SET last_used_at_ms = $2 WHERE id = $1";
    pub(crate) const LIST: &str = "SELECT tokens.id, name, scope, slug, tokens.created_at_ms,
             expires_at_ms, last_used_at_ms
         FROM tokens LEFT JOIN apps ON apps.id = app_id WHERE user_id = $1
         ORDER BY tokens.id DESC";
    pub(crate) const DELETE: &str = "DELETE FROM tokens WHERE user_id = $1 AND id = $2";
}

pub(crate) mod invite {
    /// What the new one replaces.
    pub(crate) const DELETE_SETUP: &str = "DELETE FROM invites WHERE kind = 'setup'";
    pub(crate) const DELETE_RESET: &str = "DELETE FROM invites WHERE user_id = $1 AND id <> $2";
    pub(crate) const CREATE: &str = "INSERT INTO invites (digest, kind, role, user_id,
             created_at_ms, expires_at_ms)
         SELECT $1, $2, $3, (SELECT id FROM users WHERE name = $4), $5, $6
         WHERE CASE CAST($2 AS text) WHEN 'setup' THEN NOT EXISTS (SELECT 1 FROM users)
             WHEN 'reset' THEN EXISTS (SELECT 1 FROM users WHERE name = $4) ELSE TRUE END
         RETURNING id, user_id";
    pub(crate) const FIND: &str = "SELECT invites.id, kind, invites.role, name,
             invites.created_at_ms, expires_at_ms
         FROM invites LEFT JOIN users ON users.id = user_id
         WHERE digest = $1 AND expires_at_ms > $2";
    pub(crate) const LIST: &str = "SELECT invites.id, kind, invites.role, name,
             invites.created_at_ms, expires_at_ms
         FROM invites LEFT JOIN users ON users.id = user_id
         WHERE expires_at_ms > $1 ORDER BY invites.id DESC";
    pub(crate) const USE: &str = "DELETE FROM invites WHERE digest = $1 AND expires_at_ms > $2
         RETURNING kind, role, user_id";
    pub(crate) const MAKE_USER: &str = "INSERT INTO users (name, role, password_hash,
             created_at_ms)
         VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING
         RETURNING id, name, role, created_at_ms";
    pub(crate) const DELETE: &str = "DELETE FROM invites WHERE id = $1";
}

pub(crate) mod member {
    pub(crate) const ROLE: &str = "SELECT role FROM members WHERE app_id = $1 AND user_id = $2";
    pub(crate) const LIST: &str = "SELECT name, members.role
         FROM members JOIN users ON users.id = user_id WHERE app_id = $1 ORDER BY name";
    /// Nothing happens to the last owner.
    pub(crate) const SET: &str = "INSERT INTO members (app_id, user_id, role)
         SELECT apps.id, users.id, $3 FROM apps, users
         WHERE apps.id = $1 AND users.id = $2 AND ($3 = 'owner' OR NOT EXISTS (
             SELECT 1 FROM members AS own
             WHERE own.app_id = $1 AND own.user_id = $2 AND own.role = 'owner'
         ) OR EXISTS (
             SELECT 1 FROM members AS other
             WHERE other.app_id = $1 AND other.user_id <> $2 AND other.role = 'owner'))
         ON CONFLICT (app_id, user_id) DO UPDATE SET role = excluded.role";
    pub(crate) const REMOVE: &str = "DELETE FROM members WHERE app_id = $1 AND user_id = $2
         AND (role <> 'owner' OR EXISTS (
             SELECT 1 FROM members AS other
             WHERE other.app_id = $1 AND other.user_id <> $2 AND other.role = 'owner'))";
}

pub(crate) mod audit {
    pub(crate) const BEGIN: &str = "INSERT INTO audit (at_ms, actor, token, action, target,
             app_id, ip)
         VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id";
    pub(crate) const END: &str = "UPDATE audit SET status = $2 WHERE id = $1";
    pub(crate) const LIST: &str = "SELECT id, at_ms, actor, token, action, target, app_id, ip,
             status
         FROM audit WHERE id < $1 ORDER BY id DESC LIMIT $2";
    pub(crate) const LIST_OF_APP: &str = "SELECT id, at_ms, actor, token, action, target, app_id,
             ip, status
         FROM audit WHERE app_id = $3 AND id < $1 ORDER BY id DESC LIMIT $2";
    pub(crate) const PRUNE: &str = "DELETE FROM audit WHERE id IN (
             SELECT id FROM audit WHERE at_ms < $1 ORDER BY id LIMIT $2)";
}

pub(crate) type UserRow = (i64, String, String, i64);
pub(crate) type SessionRow = (i64, i64, i64, i64, String, String);
pub(crate) type FoundSession = (i64, String, String, i64, i64, i64, i64, i64, String, String);
pub(crate) type TokenRow = (i64, String, String, Option<String>, i64, Option<i64>, Option<i64>);
pub(crate) type FoundToken =
    (i64, String, String, i64, i64, String, String, Option<String>, i64, Option<i64>, Option<i64>);
pub(crate) type InviteRow = (i64, String, Option<String>, Option<String>, i64, i64);
/// A used invite's kind, role and user.
pub(crate) type UsedInvite = (String, Option<String>, Option<i64>);
pub(crate) type EntryRow =
    (i64, i64, String, Option<String>, String, String, Option<i64>, String, Option<i64>);

pub(crate) fn role_name(role: InstanceRole) -> &'static str {
    match role {
        InstanceRole::Member => "member",
        InstanceRole::Admin => "admin",
    }
}

pub(crate) fn role(name: &str) -> Result<InstanceRole, StoreError> {
    match name {
        "member" => Ok(InstanceRole::Member),
        "admin" => Ok(InstanceRole::Admin),
        _ => Err(corrupt("a role", name)),
    }
}

pub(crate) fn app_role_name(role: AppRole) -> &'static str {
    match role {
        AppRole::Viewer => "viewer",
        AppRole::Developer => "developer",
        AppRole::Owner => "owner",
    }
}

pub(crate) fn app_role(name: &str) -> Result<AppRole, StoreError> {
    match name {
        "viewer" => Ok(AppRole::Viewer),
        "developer" => Ok(AppRole::Developer),
        "owner" => Ok(AppRole::Owner),
        _ => Err(corrupt("an app's role", name)),
    }
}

pub(crate) fn scope_name(scope: Scope) -> &'static str {
    match scope {
        Scope::Read => "read",
        Scope::Deploy => "deploy",
        Scope::Admin => "admin",
    }
}

fn scope(name: &str) -> Result<Scope, StoreError> {
    match name {
        "read" => Ok(Scope::Read),
        "deploy" => Ok(Scope::Deploy),
        "admin" => Ok(Scope::Admin),
        _ => Err(corrupt("a scope", name)),
    }
}

/// An invite's kind, role and user.
pub(crate) fn purpose_parts(
    purpose: &Purpose,
) -> (&'static str, Option<&'static str>, Option<&str>) {
    match purpose {
        Purpose::Setup => ("setup", Some(role_name(InstanceRole::Admin)), None),
        Purpose::Join { role } => ("join", Some(role_name(*role)), None),
        Purpose::Reset { user } => ("reset", None, Some(user.as_str())),
    }
}

fn name(text: String) -> Result<UserName, StoreError> {
    text.parse().map_err(|_| corrupt("a user's name", text))
}

fn time(ms: i64) -> Result<u64, StoreError> {
    unsigned("a time", ms)
}

pub(crate) fn user((id, text, role_text, created): UserRow) -> Result<User, StoreError> {
    Ok(User {
        id: UserId(id),
        name: name(text)?,
        role: role(&role_text)?,
        created_at_ms: time(created)?,
    })
}

pub(crate) fn session(
    (id, created, expires, used, ip, user_agent): SessionRow,
) -> Result<Session, StoreError> {
    Ok(Session {
        id,
        created_at_ms: time(created)?,
        expires_at_ms: time(expires)?,
        last_used_at_ms: time(used)?,
        ip: ip.parse().map_err(|_| corrupt("an address", ip))?,
        user_agent,
    })
}

pub(crate) fn found_session(row: FoundSession) -> Result<(Session, User), StoreError> {
    let (user_id, name, role, joined, id, created, expires, used, ip, user_agent) = row;
    let session = session((id, created, expires, used, ip, user_agent))?;
    Ok((session, user((user_id, name, role, joined))?))
}

pub(crate) fn token(
    (id, name, scope_text, app, created, expires, used): TokenRow,
) -> Result<Token, StoreError> {
    let app = app.map(|slug| slug.parse().map_err(|_| corrupt("an app's slug", slug)));
    Ok(Token {
        id,
        name,
        scope: scope(&scope_text)?,
        app: app.transpose()?,
        created_at_ms: time(created)?,
        expires_at_ms: expires.map(time).transpose()?,
        last_used_at_ms: used.map(time).transpose()?,
    })
}

pub(crate) fn found_token(row: FoundToken) -> Result<(Token, User), StoreError> {
    let (user_id, name, role, joined, id, token_name, scope, app, created, expires, used) = row;
    let token = token((id, token_name, scope, app, created, expires, used))?;
    Ok((token, user((user_id, name, role, joined))?))
}

pub(crate) fn invite(
    (id, kind, role_text, user, created, expires): InviteRow,
) -> Result<Invite, StoreError> {
    let purpose = match (&*kind, role_text, user) {
        ("setup", ..) => Purpose::Setup,
        ("join", Some(text), _) => Purpose::Join { role: role(&text)? },
        ("reset", _, Some(user)) => Purpose::Reset { user: name(user)? },
        _ => return Err(corrupt("an invite", kind)),
    };
    Ok(Invite { id, purpose, created_at_ms: time(created)?, expires_at_ms: time(expires)? })
}

pub(crate) fn member((text, role): (String, String)) -> Result<Member, StoreError> {
    Ok(Member { name: name(text)?, role: app_role(&role)? })
}

pub(crate) fn entry(row: EntryRow) -> Result<Entry, StoreError> {
    let (id, at_ms, actor, token, action, target, app, ip, status) = row;
    let ip = ip.parse().map_err(|_| corrupt("an address", ip))?;
    let change =
        Change { at_ms: time(at_ms)?, actor, token, action, target, app: app.map(AppId), ip };
    let status = status.map(|status| unsigned("a status", status)).transpose()?;
    Ok(Entry { id, change, status })
}
