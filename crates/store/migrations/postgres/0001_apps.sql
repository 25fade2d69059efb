CREATE TABLE apps (
    -- An identity column's numbers are never given out twice.
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    slug text COLLATE "C" NOT NULL UNIQUE,
    created_at_ms bigint NOT NULL,
    active_release bigint,
    limits jsonb NOT NULL DEFAULT '{}'
);

CREATE TABLE releases (
    app_id bigint NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    number bigint NOT NULL,
    created_at_ms bigint NOT NULL,
    note text NOT NULL,
    files bigint NOT NULL,
    bytes bigint NOT NULL,
    PRIMARY KEY (app_id, number)
);

-- Contents are addressed within the app: whether another app holds the same
-- bytes can neither be seen nor timed.
CREATE TABLE blobs (
    app_id bigint NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    hash bytea NOT NULL,
    contents bytea NOT NULL,
    PRIMARY KEY (app_id, hash)
);

CREATE TABLE release_files (
    app_id bigint NOT NULL,
    number bigint NOT NULL,
    path text COLLATE "C" NOT NULL,
    hash bytea NOT NULL,
    bytes bigint NOT NULL,
    PRIMARY KEY (app_id, number, path),
    FOREIGN KEY (app_id, number) REFERENCES releases (app_id, number) ON DELETE CASCADE
);
