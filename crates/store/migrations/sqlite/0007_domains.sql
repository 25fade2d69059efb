-- Claims of apps to domains. Any number of apps may claim one; it belongs to
-- the one that has proved that it does.
CREATE TABLE domains (
    app_id INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    domain TEXT NOT NULL,
    token TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL,
    verified_at_ms INTEGER,
    PRIMARY KEY (app_id, domain)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX domains_verified ON domains (domain) WHERE verified_at_ms IS NOT NULL;
