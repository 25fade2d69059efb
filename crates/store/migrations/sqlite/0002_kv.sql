-- `value` is SQLite's binary JSON; `bytes` is the entry's size as the app gave
-- it, so that usage does not depend on a database's representation.
-- Not WITHOUT ROWID: for small values that is no faster, and for those of some
-- kilobytes reading and writing take several times as long.
CREATE TABLE kv (
    app_id INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    collection TEXT NOT NULL,
    key TEXT NOT NULL,
    value JSONB NOT NULL,
    version INTEGER NOT NULL,
    expires_at_ms INTEGER,
    bytes INTEGER NOT NULL,
    PRIMARY KEY (app_id, collection, key)
);

CREATE INDEX kv_expiry ON kv (expires_at_ms) WHERE expires_at_ms IS NOT NULL;

-- Bytes of each app's entries, changed in the transaction that changes them.
CREATE TABLE kv_usage (
    app_id INTEGER PRIMARY KEY REFERENCES apps (id) ON DELETE CASCADE,
    bytes INTEGER NOT NULL
) STRICT;

-- The last version given to an entry of any app.
CREATE TABLE kv_sequence (last INTEGER NOT NULL) STRICT;
INSERT INTO kv_sequence (last) VALUES (0);
