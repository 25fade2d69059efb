-- What apps have used, by day: a day's number since the first of January 1970,
-- in UTC.
CREATE TABLE usage (
    app_id INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    day INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    invocations INTEGER NOT NULL,
    failures INTEGER NOT NULL,
    fuel INTEGER NOT NULL,
    duration_us INTEGER NOT NULL,
    host_calls INTEGER NOT NULL,
    bytes_in INTEGER NOT NULL,
    bytes_out INTEGER NOT NULL,
    events INTEGER NOT NULL,
    deliveries INTEGER NOT NULL,
    PRIMARY KEY (app_id, day)
) STRICT, WITHOUT ROWID;

CREATE INDEX usage_age ON usage (day);

-- What each app's outbox holds, those deliveries that are done included: rows
-- of deliveries, and bytes of their events' fields.
CREATE TABLE outbox_usage (
    app_id INTEGER PRIMARY KEY REFERENCES apps (id) ON DELETE CASCADE,
    rows INTEGER NOT NULL,
    bytes INTEGER NOT NULL
) STRICT;
INSERT INTO outbox_usage (app_id, rows, bytes)
SELECT id, (SELECT count(*) FROM deliveries WHERE app_id = apps.id),
    (SELECT coalesce(sum(octet_length(fields)), 0) FROM events WHERE app_id = apps.id)
FROM apps;

CREATE TRIGGER events_added AFTER INSERT ON events BEGIN
    UPDATE outbox_usage SET bytes = bytes + octet_length(NEW.fields) WHERE app_id = NEW.app_id;
END;
CREATE TRIGGER events_removed AFTER DELETE ON events BEGIN
    UPDATE outbox_usage SET bytes = bytes - octet_length(OLD.fields) WHERE app_id = OLD.app_id;
END;
CREATE TRIGGER deliveries_added AFTER INSERT ON deliveries BEGIN
    UPDATE outbox_usage SET rows = rows + 1 WHERE app_id = NEW.app_id;
END;
CREATE TRIGGER deliveries_removed AFTER DELETE ON deliveries BEGIN
    UPDATE outbox_usage SET rows = rows - 1 WHERE app_id = OLD.app_id;
END;

-- What gives way when an outbox is full, the oldest first.
CREATE INDEX deliveries_done ON deliveries (app_id, event_id) WHERE status = 2;

-- Where admins departed from owners' default limits.
CREATE TABLE owner_limits (
    user_id INTEGER PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    limits TEXT NOT NULL
) STRICT;
