-- Releases by the keys that their deploys were given, for a day.
CREATE TABLE deploys (
    app_id INTEGER NOT NULL,
    caller TEXT NOT NULL,
    key TEXT NOT NULL,
    number INTEGER NOT NULL,
    -- The hash of what was asked for.
    request BLOB NOT NULL,
    answer TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL,
    PRIMARY KEY (app_id, caller, key),
    FOREIGN KEY (app_id, number) REFERENCES releases (app_id, number) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX deploys_release ON deploys (app_id, number);
