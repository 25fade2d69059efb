CREATE TABLE executions (
    app_id INTEGER NOT NULL,
    id BLOB NOT NULL,
    release INTEGER NOT NULL,
    handler TEXT NOT NULL,
    cause TEXT NOT NULL,
    started_at_ms INTEGER NOT NULL,
    duration_us INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    status INTEGER,
    error TEXT,
    fuel INTEGER NOT NULL,
    memory_bytes INTEGER NOT NULL,
    host_calls INTEGER NOT NULL,
    host_bytes INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    PRIMARY KEY (app_id, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX executions_age ON executions (started_at_ms);

CREATE TABLE logs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    app_id INTEGER NOT NULL,
    execution BLOB NOT NULL,
    at_ms INTEGER NOT NULL,
    -- 0 debug, 1 info, 2 warn, 3 error
    level INTEGER NOT NULL,
    message TEXT NOT NULL,
    fields TEXT
) STRICT;

-- Each ends in the rowid, which is `seq`: an app's newest lines are a range.
CREATE INDEX logs_app ON logs (app_id);
CREATE INDEX logs_execution ON logs (execution);
CREATE INDEX logs_age ON logs (at_ms);
