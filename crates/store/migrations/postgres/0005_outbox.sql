-- What happened, where a trigger asked for it. `fields` is a JSON object.
CREATE TABLE events (
    app_id bigint NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    id uuid NOT NULL,
    name text NOT NULL,
    fields text NOT NULL,
    at_ms bigint NOT NULL,
    root uuid NOT NULL,
    parent uuid,
    depth bigint NOT NULL,
    execution uuid,
    PRIMARY KEY (app_id, id)
);

CREATE INDEX events_root ON events (app_id, root);
CREATE INDEX events_age ON events (at_ms);

-- One event for one handler.
CREATE TABLE deliveries (
    app_id bigint NOT NULL,
    id uuid NOT NULL,
    event_id uuid NOT NULL,
    handler text NOT NULL,
    -- Empty for what is no message.
    queue text COLLATE "C" NOT NULL,
    key text COLLATE "C",
    -- 0 waiting, 1 running, 2 done, 3 dead
    status bigint NOT NULL,
    -- When it is due, or its lease ends; NULL when there is nothing more to do.
    due_at_ms bigint,
    -- Counts the claims. Whoever has the last one may acknowledge.
    token bigint NOT NULL DEFAULT 0,
    -- Runs that have come to an end.
    attempts bigint NOT NULL DEFAULT 0,
    -- Claims of which nothing was heard again.
    lost bigint NOT NULL DEFAULT 0,
    max_attempts bigint NOT NULL,
    error text,
    -- In place of the event's, where somebody has changed them.
    fields text,
    PRIMARY KEY (app_id, id),
    FOREIGN KEY (app_id, event_id) REFERENCES events (app_id, id) ON DELETE CASCADE
);

CREATE INDEX deliveries_event ON deliveries (app_id, event_id);
CREATE INDEX deliveries_due ON deliveries (app_id, queue, due_at_ms) WHERE due_at_ms IS NOT NULL;
CREATE INDEX deliveries_dead ON deliveries (app_id, id) WHERE status = 3;
CREATE UNIQUE INDEX deliveries_key ON deliveries (app_id, queue, key)
    WHERE key IS NOT NULL AND due_at_ms IS NOT NULL;

-- What is remembered of the schedules of apps' manifests.
CREATE TABLE schedules (
    app_id bigint NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    name text COLLATE "C" NOT NULL,
    -- As it was when `due_ms` was found.
    cron text NOT NULL,
    paused boolean NOT NULL,
    last_fire_ms bigint,
    -- The next tick; NULL while it is paused or no part of the active release.
    due_ms bigint,
    PRIMARY KEY (app_id, name)
);

CREATE INDEX schedules_due ON schedules (due_ms) WHERE due_ms IS NOT NULL;

-- Writes events with their deliveries, each an element of a JSON array whose
-- fields are named like the columns; `event` is the delivery's `event_id`. A
-- delivery without a `due_at_ms` is a dead letter, and so is one whose root
-- has p_max_per_root events already, for p_too_many.
CREATE FUNCTION outbox_write(
    p_app bigint,
    p_events jsonb,
    p_deliveries jsonb,
    p_max_per_root bigint,
    p_too_many text
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    e record;
    of_root bigint;
    is_stopped boolean;
BEGIN
    FOR e IN
        SELECT * FROM jsonb_to_recordset(p_events) AS given (
            id uuid, name text, fields text, at_ms bigint, root uuid, parent uuid,
            depth bigint, execution uuid
        )
    LOOP
        is_stopped := false;
        -- The first of their root are bounded by their invocation.
        IF e.depth > 0 THEN
            SELECT count(*) INTO of_root FROM events WHERE app_id = p_app AND root = e.root;
            is_stopped := of_root >= p_max_per_root;
        END IF;
        INSERT INTO events (app_id, id, name, fields, at_ms, root, parent, depth, execution)
        VALUES (p_app, e.id, e.name, e.fields, e.at_ms, e.root, e.parent, e.depth, e.execution);
        INSERT INTO deliveries (app_id, id, event_id, handler, queue, key, status, due_at_ms,
            max_attempts, error)
        SELECT p_app, id, event, handler, queue, key,
            CASE WHEN due_at_ms IS NULL OR is_stopped THEN 3 ELSE 0 END,
            CASE WHEN is_stopped THEN NULL ELSE due_at_ms END,
            max_attempts,
            CASE WHEN error IS NULL AND is_stopped THEN p_too_many ELSE error END
        FROM jsonb_to_recordset(p_deliveries) AS given (
            id uuid, event uuid, handler text, queue text, key text, due_at_ms bigint,
            max_attempts bigint, error text
        )
        WHERE event = e.id
        ON CONFLICT DO NOTHING;
        -- A message that is there already, under its key, has not been sent.
        IF NOT FOUND AND EXISTS (
            SELECT 1 FROM jsonb_array_elements(p_deliveries) AS given
            WHERE (given ->> 'event')::uuid = e.id
        ) THEN
            DELETE FROM events WHERE app_id = p_app AND id = e.id;
        END IF;
    END LOOP;
    IF FOUND THEN
        -- Whoever delivers is told when this is committed.
        PERFORM pg_notify('picloud_outbox', '');
    END IF;
END
$$;

-- Acknowledges the delivery that is being handled, if there is one, and writes
-- the events of its handler. Called after kv_commit and files_commit.
--
-- Raises PC003 if somebody else has claimed the delivery since.
CREATE FUNCTION outbox_commit(
    p_app bigint,
    p_delivery uuid,
    p_token bigint,
    p_events jsonb,
    p_deliveries jsonb,
    p_max_per_root bigint,
    p_too_many text
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF p_delivery IS NOT NULL THEN
        UPDATE deliveries
        SET status = 2, due_at_ms = NULL, error = NULL, attempts = attempts + 1
        WHERE app_id = p_app AND id = p_delivery AND token = p_token AND status = 1;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'the delivery is no longer ours' USING ERRCODE = 'PC003';
        END IF;
    END IF;
    IF p_events IS NOT NULL THEN
        PERFORM outbox_write(p_app, p_events, p_deliveries, p_max_per_root, p_too_many);
    END IF;
END
$$;

-- Moves a schedule on from the tick that was due at p_due_ms, and writes the
-- event of the one that is fired. False if it was moved on, paused or taken
-- away since: of all who ask for one tick, one is told true.
CREATE FUNCTION schedule_fire(
    p_app bigint,
    p_name text,
    p_due_ms bigint,
    p_next_ms bigint,
    p_tick_ms bigint,
    p_events jsonb,
    p_deliveries jsonb,
    p_max_per_root bigint,
    p_too_many text
) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    UPDATE schedules SET due_ms = p_next_ms, last_fire_ms = coalesce(p_tick_ms, last_fire_ms)
    WHERE app_id = p_app AND name = p_name AND due_ms = p_due_ms;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF p_events IS NOT NULL THEN
        PERFORM outbox_write(p_app, p_events, p_deliveries, p_max_per_root, p_too_many);
    END IF;
    RETURN true;
END
$$;

-- Puts the schedules of the release that becomes active in place of those
-- before. What has not changed keeps its next tick, and stays paused.
CREATE FUNCTION schedules_plan(p_app bigint, p_schedules jsonb) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE schedules SET due_ms = NULL WHERE app_id = p_app
        AND name NOT IN (SELECT given ->> 'name' FROM jsonb_array_elements(p_schedules) AS given);
    INSERT INTO schedules AS s (app_id, name, cron, paused, due_ms)
    SELECT p_app, name, cron, false, due_ms
    FROM jsonb_to_recordset(p_schedules) AS given (name text, cron text, due_ms bigint)
    ON CONFLICT (app_id, name) DO UPDATE SET cron = excluded.cron, due_ms = CASE
        WHEN s.paused THEN NULL
        WHEN s.cron = excluded.cron AND s.due_ms IS NOT NULL THEN s.due_ms
        ELSE excluded.due_ms
    END;
    -- Their first tick may be the next thing to be done.
    PERFORM pg_notify('picloud_outbox', '');
END
$$;
