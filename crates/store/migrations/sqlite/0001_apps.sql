CREATE TABLE apps (
    -- AUTOINCREMENT: a deleted app's number is never given out again.
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    slug TEXT NOT NULL UNIQUE,
    created_at_ms INTEGER NOT NULL,
    active_release INTEGER,
    limits TEXT NOT NULL DEFAULT '{}'
) STRICT;

CREATE TABLE releases (
    app_id INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    created_at_ms INTEGER NOT NULL,
    note TEXT NOT NULL,
    files INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    PRIMARY KEY (app_id, number)
) STRICT, WITHOUT ROWID;

-- Contents are addressed within the app: whether another app holds the same
-- bytes can neither be seen nor timed.
CREATE TABLE blobs (
    app_id INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    hash BLOB NOT NULL,
    contents BLOB NOT NULL,
    PRIMARY KEY (app_id, hash)
) STRICT;

CREATE TABLE release_files (
    app_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    path TEXT NOT NULL,
    hash BLOB NOT NULL,
    bytes INTEGER NOT NULL,
    PRIMARY KEY (app_id, number, path),
    FOREIGN KEY (app_id, number) REFERENCES releases (app_id, number) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
