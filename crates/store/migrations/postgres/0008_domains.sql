-- Claims of apps to domains. Any number of apps may claim one; it belongs to
-- the one that has proved that it does.
CREATE TABLE domains (
    app_id bigint NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    domain text COLLATE "C" NOT NULL,
    token text NOT NULL,
    created_at_ms bigint NOT NULL,
    verified_at_ms bigint,
    PRIMARY KEY (app_id, domain)
);

CREATE UNIQUE INDEX domains_verified ON domains (domain) WHERE verified_at_ms IS NOT NULL;
