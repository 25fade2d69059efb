-- What is known of files; their bytes lie outside of the database, under
-- their hash.
CREATE TABLE files (
    app_id INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    bucket TEXT NOT NULL,
    path TEXT NOT NULL,
    hash BLOB NOT NULL,
    bytes INTEGER NOT NULL,
    content_type TEXT NOT NULL,
    modified_ms INTEGER NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (app_id, bucket, path)
) STRICT;

CREATE INDEX files_hash ON files (app_id, hash);

-- Bytes of each app's files, changed in the transaction that changes them.
CREATE TABLE files_usage (
    app_id INTEGER PRIMARY KEY REFERENCES apps (id) ON DELETE CASCADE,
    bytes INTEGER NOT NULL
) STRICT;
INSERT INTO files_usage (app_id, bytes) SELECT id, 0 FROM apps;

-- The last version given to a file of any app.
CREATE TABLE files_sequence (last INTEGER NOT NULL) STRICT;
INSERT INTO files_sequence (last) VALUES (0);

-- Values are sealed with the instance's master key, for their app and name.
CREATE TABLE secrets (
    app_id INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    sealed BLOB NOT NULL,
    updated_at_ms INTEGER NOT NULL,
    PRIMARY KEY (app_id, name)
) STRICT, WITHOUT ROWID;

-- What the instance remembers of itself.
CREATE TABLE instance (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
