-- What happened, where a trigger asked for it. `fields` is a JSON object.
CREATE TABLE events (
    app_id INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    id BLOB NOT NULL,
    name TEXT NOT NULL,
    fields TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    root BLOB NOT NULL,
    parent BLOB,
    depth INTEGER NOT NULL,
    execution BLOB,
    PRIMARY KEY (app_id, id)
) STRICT;

CREATE INDEX events_root ON events (app_id, root);
CREATE INDEX events_age ON events (at_ms);

-- One event for one handler.
CREATE TABLE deliveries (
    app_id INTEGER NOT NULL,
    id BLOB NOT NULL,
    event_id BLOB NOT NULL,
    handler TEXT NOT NULL,
    -- Empty for what is no message.
    queue TEXT NOT NULL,
    key TEXT,
    -- 0 waiting, 1 running, 2 done, 3 dead
    status INTEGER NOT NULL,
    -- When it is due, or its lease ends; NULL when there is nothing more to do.
    due_at_ms INTEGER,
    -- Counts the claims. Whoever has the last one may acknowledge.
    token INTEGER NOT NULL,
    -- Runs that have come to an end.
    attempts INTEGER NOT NULL,
    -- Claims of which nothing was heard again.
    lost INTEGER NOT NULL DEFAULT 0,
    max_attempts INTEGER NOT NULL,
    error TEXT,
    -- In place of the event's, where somebody has changed them.
    fields TEXT,
    PRIMARY KEY (app_id, id),
    FOREIGN KEY (app_id, event_id) REFERENCES events (app_id, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX deliveries_event ON deliveries (app_id, event_id);
CREATE INDEX deliveries_due ON deliveries (app_id, queue, due_at_ms) WHERE due_at_ms IS NOT NULL;
CREATE INDEX deliveries_dead ON deliveries (app_id, id) WHERE status = 3;
CREATE UNIQUE INDEX deliveries_key ON deliveries (app_id, queue, key)
    WHERE key IS NOT NULL AND due_at_ms IS NOT NULL;

-- What is remembered of the schedules of apps' manifests.
CREATE TABLE schedules (
    app_id INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    -- As it was when `due_ms` was found.
    cron TEXT NOT NULL,
    paused INTEGER NOT NULL,
    last_fire_ms INTEGER,
    -- The next tick; NULL while it is paused or no part of the active release.
    due_ms INTEGER,
    PRIMARY KEY (app_id, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX schedules_due ON schedules (due_ms) WHERE due_ms IS NOT NULL;
