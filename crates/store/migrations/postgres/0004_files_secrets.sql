-- What is known of files; their bytes lie outside of the database, under
-- their hash.
CREATE TABLE files (
    app_id bigint NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    bucket text COLLATE "C" NOT NULL,
    path text COLLATE "C" NOT NULL,
    hash bytea NOT NULL,
    bytes bigint NOT NULL,
    content_type text NOT NULL,
    modified_ms bigint NOT NULL,
    version bigint NOT NULL,
    PRIMARY KEY (app_id, bucket, path)
);

CREATE INDEX files_hash ON files (app_id, hash);

-- Bytes of each app's files, changed in the transaction that changes them.
CREATE TABLE files_usage (
    app_id bigint PRIMARY KEY REFERENCES apps (id) ON DELETE CASCADE,
    bytes bigint NOT NULL
);
INSERT INTO files_usage (app_id, bytes) SELECT id, 0 FROM apps;

-- Versions of files of all apps. It starts at 1: 0 means "absent" below.
CREATE SEQUENCE files_version;

-- Values are sealed with the instance's master key, for their app and name.
CREATE TABLE secrets (
    app_id bigint NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    name text COLLATE "C" NOT NULL,
    sealed bytea NOT NULL,
    updated_at_ms bigint NOT NULL,
    PRIMARY KEY (app_id, name)
);

-- What the instance remembers of itself.
CREATE TABLE instance (name text PRIMARY KEY, value text NOT NULL);

-- Applies one write-set's files. A write is an element of each of the p_
-- arrays: seen is NULL for unread, 0 for absent, a version otherwise; a hash
-- of NULL deletes. Returns the bytes of the app's files, or NULL where there
-- was nothing to do.
--
-- Raises PC001 for a conflict and PC002 for an exceeded quota. Like kv_commit,
-- after which it is called, it locks the app's row, files by bucket and path,
-- the usage's row, in this order.
CREATE FUNCTION files_commit(
    p_app bigint,
    p_buckets text[],
    p_paths text[],
    p_seen bigint[],
    p_hashes bytea[],
    p_bytes bigint[],
    p_content_types text[],
    p_modified_ms bigint[],
    p_quota_bytes bigint
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    w record;
    old record;
    growth bigint := 0;
    used bigint;
BEGIN
    IF cardinality(p_paths) = 0 THEN
        RETURN NULL;
    END IF;
    PERFORM 1 FROM apps WHERE id = p_app FOR KEY SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the app is gone' USING ERRCODE = 'PC001';
    END IF;

    FOR w IN
        SELECT * FROM unnest(
            p_buckets, p_paths, p_seen, p_hashes, p_bytes, p_content_types, p_modified_ms
        ) AS given (bucket, path, seen, hash, bytes, content_type, modified_ms)
        ORDER BY bucket COLLATE "C", path COLLATE "C"
    LOOP
        LOOP
            SELECT version, bytes INTO old FROM files
            WHERE app_id = p_app AND bucket = w.bucket AND path = w.path
            FOR UPDATE;
            IF w.seen IS NOT NULL AND coalesce(old.version, 0) <> w.seen THEN
                RAISE EXCEPTION 'a file changed' USING ERRCODE = 'PC001';
            END IF;

            IF w.hash IS NULL THEN
                DELETE FROM files
                WHERE app_id = p_app AND bucket = w.bucket AND path = w.path
                    AND old.version IS NOT NULL;
                EXIT;
            ELSIF old.version IS NOT NULL THEN
                UPDATE files SET hash = w.hash, bytes = w.bytes, content_type = w.content_type,
                    modified_ms = w.modified_ms, version = nextval('files_version')
                WHERE app_id = p_app AND bucket = w.bucket AND path = w.path;
                EXIT;
            END IF;
            INSERT INTO files
                (app_id, bucket, path, hash, bytes, content_type, modified_ms, version)
            VALUES (p_app, w.bucket, w.path, w.hash, w.bytes, w.content_type, w.modified_ms,
                nextval('files_version'))
            ON CONFLICT DO NOTHING;
            EXIT WHEN FOUND;
            -- Somebody made the file since the look. Look again.
        END LOOP;
        growth := growth + coalesce(w.bytes, 0) - coalesce(old.bytes, 0);
    END LOOP;

    UPDATE files_usage SET bytes = bytes + growth WHERE app_id = p_app RETURNING bytes INTO used;
    IF growth > 0 AND used > p_quota_bytes THEN
        RAISE EXCEPTION 'the quota is used up' USING ERRCODE = 'PC002';
    END IF;
    RETURN used;
END
$$;
