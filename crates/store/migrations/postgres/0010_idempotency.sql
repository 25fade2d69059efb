-- Releases by the keys that their deploys were given, for a day.
CREATE TABLE deploys (
    app_id bigint NOT NULL,
    caller text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    number bigint NOT NULL,
    -- The hash of what was asked for.
    request bytea NOT NULL,
    answer text NOT NULL,
    created_at_ms bigint NOT NULL,
    PRIMARY KEY (app_id, caller, key),
    FOREIGN KEY (app_id, number) REFERENCES releases (app_id, number) ON DELETE CASCADE
);

CREATE INDEX deploys_release ON deploys (app_id, number);
