-- What apps have used, by day: a day's number since the first of January 1970,
-- in UTC.
CREATE TABLE usage (
    app_id bigint NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    day bigint NOT NULL,
    requests bigint NOT NULL,
    invocations bigint NOT NULL,
    failures bigint NOT NULL,
    fuel bigint NOT NULL,
    duration_us bigint NOT NULL,
    host_calls bigint NOT NULL,
    bytes_in bigint NOT NULL,
    bytes_out bigint NOT NULL,
    events bigint NOT NULL,
    deliveries bigint NOT NULL,
    PRIMARY KEY (app_id, day)
);

CREATE INDEX usage_age ON usage (day);

-- What each app's outbox holds, those deliveries that are done included: rows
-- of deliveries, and bytes of their events' fields. It is the sum over an app's
-- slots; each connection adds to its own, so that commits do not queue for one
-- row.
CREATE TABLE outbox_usage (
    app_id bigint NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    slot integer NOT NULL,
    rows bigint NOT NULL,
    bytes bigint NOT NULL,
    PRIMARY KEY (app_id, slot)
) WITH (fillfactor = 50);
INSERT INTO outbox_usage (app_id, slot, rows, bytes)
SELECT id, 0, (SELECT count(*) FROM deliveries WHERE app_id = apps.id),
    (SELECT coalesce(sum(octet_length(fields)), 0) FROM events WHERE app_id = apps.id)
FROM apps;

-- What gives way when an outbox is full, the oldest first.
CREATE INDEX deliveries_done ON deliveries (app_id, event_id) WHERE status = 2;

-- Adds to what an app's outbox holds. Of an app that is gone nothing is counted.
CREATE FUNCTION outbox_count(p_app bigint, p_rows bigint, p_bytes bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    -- More slots than a node has connections are of no use.
    my_slot integer := pg_backend_pid() % 16;
BEGIN
    UPDATE outbox_usage SET rows = rows + p_rows, bytes = bytes + p_bytes
    WHERE app_id = p_app AND slot = my_slot;
    IF NOT FOUND THEN
        INSERT INTO outbox_usage AS u (app_id, slot, rows, bytes)
        SELECT id, my_slot, p_rows, p_bytes FROM apps WHERE id = p_app FOR KEY SHARE
        ON CONFLICT (app_id, slot)
        DO UPDATE SET rows = u.rows + excluded.rows, bytes = u.bytes + excluded.bytes;
    END IF;
END
$$;

-- Forgets up to p_limit deliveries that are done, the oldest first, and the
-- events that have no other. How many.
CREATE FUNCTION outbox_free(p_app bigint, p_limit bigint) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    emptied uuid[];
    freed_rows bigint;
    freed_bytes bigint;
BEGIN
    WITH done AS MATERIALIZED (
        SELECT id FROM deliveries WHERE app_id = p_app AND status = 2
        ORDER BY event_id LIMIT p_limit FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM deliveries AS d USING done WHERE d.app_id = p_app AND d.id = done.id
        RETURNING d.event_id
    )
    SELECT count(*), array_agg(DISTINCT event_id) INTO freed_rows, emptied FROM gone;
    WITH gone AS (
        DELETE FROM events AS e WHERE e.app_id = p_app AND e.id = ANY (emptied)
            AND NOT EXISTS (
                SELECT 1 FROM deliveries AS d WHERE d.app_id = p_app AND d.event_id = e.id
            )
        RETURNING octet_length(fields) AS bytes
    )
    SELECT coalesce(sum(bytes), 0) INTO freed_bytes FROM gone;
    IF freed_rows > 0 THEN
        PERFORM outbox_count(p_app, -freed_rows, -freed_bytes);
    END IF;
    RETURN freed_rows;
END
$$;

-- As before, and counts what it has written.
CREATE OR REPLACE FUNCTION outbox_write(
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
    added bigint;
    added_rows bigint := 0;
    added_bytes bigint := 0;
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
        GET DIAGNOSTICS added = ROW_COUNT;
        -- A message that is there already, under its key, has not been sent.
        IF added = 0 AND EXISTS (
            SELECT 1 FROM jsonb_array_elements(p_deliveries) AS given
            WHERE (given ->> 'event')::uuid = e.id
        ) THEN
            DELETE FROM events WHERE app_id = p_app AND id = e.id;
        ELSE
            added_rows := added_rows + added;
            added_bytes := added_bytes + octet_length(e.fields);
        END IF;
    END LOOP;
    IF added_bytes > 0 THEN
        PERFORM outbox_count(p_app, added_rows, added_bytes);
        -- Whoever delivers is told when this is committed.
        PERFORM pg_notify('picloud_outbox', '');
    END IF;
END
$$;

-- As before, with quotas. What is done gives way to what is new.
--
-- Raises PC004 if the outbox would be over p_max_rows or p_max_bytes.
CREATE FUNCTION outbox_commit(
    p_app bigint,
    p_delivery uuid,
    p_token bigint,
    p_events jsonb,
    p_deliveries jsonb,
    p_max_per_root bigint,
    p_too_many text,
    p_max_rows bigint,
    p_max_bytes bigint
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    used record;
BEGIN
    PERFORM outbox_commit(
        p_app, p_delivery, p_token, p_events, p_deliveries, p_max_per_root, p_too_many
    );
    IF p_events IS NULL THEN
        RETURN;
    END IF;
    LOOP
        SELECT sum(rows) AS rows, sum(bytes) AS bytes INTO used
        FROM outbox_usage WHERE app_id = p_app;
        EXIT WHEN used.rows <= p_max_rows AND used.bytes <= p_max_bytes;
        IF outbox_free(p_app, 1000) = 0 THEN
            RAISE EXCEPTION 'the outbox is full' USING ERRCODE = 'PC004';
        END IF;
    END LOOP;
END
$$;

-- Where admins departed from owners' default limits.
CREATE TABLE owner_limits (
    user_id bigint PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    limits text NOT NULL
);
