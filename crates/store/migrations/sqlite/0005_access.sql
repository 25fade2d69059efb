CREATE TABLE users (
    -- AUTOINCREMENT: a deleted user's number is never given out again.
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    role TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL
) STRICT;

-- Of each credential only the SHA-256 is kept.
CREATE TABLE sessions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    digest BLOB NOT NULL UNIQUE,
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at_ms INTEGER NOT NULL,
    expires_at_ms INTEGER NOT NULL,
    last_used_at_ms INTEGER NOT NULL,
    ip TEXT NOT NULL,
    user_agent TEXT NOT NULL
) STRICT;
CREATE INDEX sessions_of_user ON sessions (user_id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at_ms);

CREATE TABLE tokens (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    digest BLOB NOT NULL UNIQUE,
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- A token for one app goes with it.
    app_id INTEGER REFERENCES apps (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    scope TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL,
    expires_at_ms INTEGER,
    last_used_at_ms INTEGER
) STRICT;
CREATE INDEX tokens_of_user ON tokens (user_id);
CREATE INDEX tokens_of_app ON tokens (app_id);

CREATE TABLE invites (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    digest BLOB NOT NULL UNIQUE,
    -- 'setup', 'join' or 'reset'.
    kind TEXT NOT NULL,
    -- Of somebody new.
    role TEXT,
    -- Of whose password is to be set.
    user_id INTEGER REFERENCES users (id) ON DELETE CASCADE,
    created_at_ms INTEGER NOT NULL,
    expires_at_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX invites_of_user ON invites (user_id);
CREATE INDEX invites_by_expiry ON invites (expires_at_ms);
-- There is one at a time.
CREATE UNIQUE INDEX invite_for_setup ON invites (kind) WHERE kind = 'setup';

CREATE TABLE members (
    app_id INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role TEXT NOT NULL,
    PRIMARY KEY (app_id, user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX members_of_user ON members (user_id, app_id);

-- It refers to nothing: what happened stays when what it happened to is gone.
CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms INTEGER NOT NULL,
    actor TEXT NOT NULL,
    token TEXT,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    app_id INTEGER,
    ip TEXT NOT NULL,
    status INTEGER
) STRICT;
CREATE INDEX audit_of_app ON audit (app_id, id);
