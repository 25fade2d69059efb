CREATE TABLE users (
    -- An identity column's numbers are never given out twice.
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text COLLATE "C" NOT NULL UNIQUE,
    role text NOT NULL,
    password_hash text NOT NULL,
    created_at_ms bigint NOT NULL
);

-- Of each credential only the SHA-256 is kept.
CREATE TABLE sessions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest bytea NOT NULL UNIQUE,
    user_id bigint NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at_ms bigint NOT NULL,
    expires_at_ms bigint NOT NULL,
    last_used_at_ms bigint NOT NULL,
    ip text NOT NULL,
    user_agent text NOT NULL
);
CREATE INDEX sessions_of_user ON sessions (user_id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at_ms);

CREATE TABLE tokens (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest bytea NOT NULL UNIQUE,
    user_id bigint NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- A token for one app goes with it.
    app_id bigint REFERENCES apps (id) ON DELETE CASCADE,
    name text NOT NULL,
    scope text NOT NULL,
    created_at_ms bigint NOT NULL,
    expires_at_ms bigint,
    last_used_at_ms bigint
);
CREATE INDEX tokens_of_user ON tokens (user_id);
CREATE INDEX tokens_of_app ON tokens (app_id);

CREATE TABLE invites (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest bytea NOT NULL UNIQUE,
    -- 'setup', 'join' or 'reset'.
    kind text NOT NULL,
    -- Of somebody new.
    role text,
    -- Of whose password is to be set.
    user_id bigint REFERENCES users (id) ON DELETE CASCADE,
    created_at_ms bigint NOT NULL,
    expires_at_ms bigint NOT NULL
);
CREATE INDEX invites_of_user ON invites (user_id);
CREATE INDEX invites_by_expiry ON invites (expires_at_ms);
-- There is one at a time.
CREATE UNIQUE INDEX invite_for_setup ON invites (kind) WHERE kind = 'setup';

CREATE TABLE members (
    app_id bigint NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    user_id bigint NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role text NOT NULL,
    PRIMARY KEY (app_id, user_id)
);
CREATE INDEX members_of_user ON members (user_id, app_id);

-- It refers to nothing: what happened stays when what it happened to is gone.
CREATE TABLE audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at_ms bigint NOT NULL,
    actor text NOT NULL,
    token text,
    action text NOT NULL,
    target text NOT NULL,
    app_id bigint,
    ip text NOT NULL,
    status bigint
);
CREATE INDEX audit_of_app ON audit (app_id, id);
