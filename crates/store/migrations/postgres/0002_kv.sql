-- `bytes` is the entry's size as the app gave it, so that usage does not
-- depend on a database's representation.
CREATE TABLE kv (
    app_id bigint NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    collection text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    value jsonb NOT NULL,
    version bigint NOT NULL,
    expires_at_ms bigint,
    bytes bigint NOT NULL,
    PRIMARY KEY (app_id, collection, key)
);

CREATE INDEX kv_expiry ON kv (expires_at_ms) WHERE expires_at_ms IS NOT NULL;

-- Bytes of each app's entries, changed in the transaction that changes them.
CREATE TABLE kv_usage (
    app_id bigint PRIMARY KEY REFERENCES apps (id) ON DELETE CASCADE,
    bytes bigint NOT NULL
);

-- Versions of entries of all apps. It starts at 1: 0 means "absent" below.
CREATE SEQUENCE kv_version;

-- Applies one write-set in the one round trip that calls it. A write is an
-- element of each of the p_ arrays: seen is NULL for unread, 0 for absent, a
-- version otherwise; a value of NULL deletes.
--
-- Raises PC001 for a conflict and PC002 for an exceeded quota.
--
-- Locks are taken in one order by everybody, the app's row, entries by
-- collection and key, the usage's row, so that deadlocks are rare; the caller
-- runs it again after one.
CREATE FUNCTION kv_commit(
    p_app bigint,
    p_clears text[],
    p_collections text[],
    p_keys text[],
    p_seen bigint[],
    p_values text[],
    p_expires_at_ms bigint[],
    p_quota_bytes bigint,
    p_now_ms bigint
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    w record;
    old record;
    freed bigint;
    growth bigint := 0;
    used bigint;
BEGIN
    PERFORM 1 FROM apps WHERE id = p_app FOR KEY SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the app is gone' USING ERRCODE = 'PC001';
    END IF;

    IF cardinality(p_clears) > 0 THEN
        -- What was seen was seen before the clears.
        FOR w IN
            SELECT * FROM unnest(p_collections, p_keys, p_seen) AS given (collection, key, seen)
            WHERE seen IS NOT NULL AND collection = ANY (p_clears)
            ORDER BY collection COLLATE "C", key COLLATE "C"
        LOOP
            SELECT version INTO old FROM kv
            WHERE app_id = p_app AND collection = w.collection AND key = w.key
                AND (expires_at_ms IS NULL OR expires_at_ms > p_now_ms)
            FOR UPDATE;
            IF coalesce(old.version, 0) <> w.seen THEN
                RAISE EXCEPTION 'an entry changed' USING ERRCODE = 'PC001';
            END IF;
        END LOOP;
        PERFORM 1 FROM kv WHERE app_id = p_app AND collection = ANY (p_clears)
        ORDER BY collection, key FOR UPDATE;
        WITH gone AS (
            DELETE FROM kv WHERE app_id = p_app AND collection = ANY (p_clears) RETURNING bytes
        )
        SELECT coalesce(sum(bytes), 0) INTO freed FROM gone;
        growth := growth - freed;
    END IF;

    FOR w IN
        SELECT *, octet_length(collection) + octet_length(key) + octet_length(value) AS bytes
        FROM unnest(p_collections, p_keys, p_seen, p_values, p_expires_at_ms)
            AS given (collection, key, seen, value, expires_at_ms)
        ORDER BY collection COLLATE "C", key COLLATE "C"
    LOOP
        LOOP
            SELECT version, bytes, expires_at_ms IS NULL OR expires_at_ms > p_now_ms AS live
            INTO old FROM kv
            WHERE app_id = p_app AND collection = w.collection AND key = w.key
            FOR UPDATE;
            IF w.seen = 0 AND old.live
                OR w.seen > 0 AND (old.live IS NOT TRUE OR old.version <> w.seen)
                    AND w.collection <> ALL (p_clears)
            THEN
                RAISE EXCEPTION 'an entry changed' USING ERRCODE = 'PC001';
            END IF;

            IF w.value IS NULL THEN
                DELETE FROM kv
                WHERE app_id = p_app AND collection = w.collection AND key = w.key
                    AND old.version IS NOT NULL;
                EXIT;
            ELSIF old.version IS NOT NULL THEN
                UPDATE kv SET value = w.value::jsonb, version = nextval('kv_version'),
                    expires_at_ms = w.expires_at_ms, bytes = w.bytes
                WHERE app_id = p_app AND collection = w.collection AND key = w.key;
                EXIT;
            END IF;
            INSERT INTO kv (app_id, collection, key, value, version, expires_at_ms, bytes)
            VALUES (p_app, w.collection, w.key, w.value::jsonb, nextval('kv_version'),
                w.expires_at_ms, w.bytes)
            ON CONFLICT DO NOTHING;
            EXIT WHEN FOUND;
            -- Somebody made the entry since the look. Look again: an unread
            -- write wins over it, any other is a conflict.
        END LOOP;
        growth := growth + coalesce(w.bytes, 0) - coalesce(old.bytes, 0);
    END LOOP;

    -- Writes that keep their sizes leave the counter alone, so that they do
    -- not queue for its row.
    IF growth = 0 THEN
        SELECT bytes INTO used FROM kv_usage WHERE app_id = p_app;
        RETURN used;
    END IF;
    UPDATE kv_usage SET bytes = bytes + growth WHERE app_id = p_app RETURNING bytes INTO used;
    IF growth > 0 AND used > p_quota_bytes THEN
        -- Entries whose time has come take no space, though they may still be there.
        WITH due AS (
            SELECT collection, key FROM kv
            WHERE app_id = p_app AND expires_at_ms <= p_now_ms
            FOR UPDATE SKIP LOCKED
        ), gone AS (
            DELETE FROM kv USING due
            WHERE kv.app_id = p_app AND kv.collection = due.collection AND kv.key = due.key
            RETURNING kv.bytes
        )
        SELECT coalesce(sum(bytes), 0) INTO freed FROM gone;
        UPDATE kv_usage SET bytes = bytes - freed WHERE app_id = p_app RETURNING bytes INTO used;
        IF used > p_quota_bytes THEN
            RAISE EXCEPTION 'the quota is used up' USING ERRCODE = 'PC002';
        END IF;
    END IF;
    RETURN used;
END
$$;
