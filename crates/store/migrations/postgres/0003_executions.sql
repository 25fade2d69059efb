-- Without foreign keys: records of an app deleted meanwhile must not make the
-- rest of their batch fail. Pruning takes them.
CREATE TABLE executions (
    app_id bigint NOT NULL,
    id uuid NOT NULL,
    release bigint NOT NULL,
    handler text NOT NULL,
    cause text NOT NULL,
    started_at_ms bigint NOT NULL,
    duration_us bigint NOT NULL,
    outcome text NOT NULL,
    status integer,
    error text,
    fuel bigint NOT NULL,
    memory_bytes bigint NOT NULL,
    host_calls bigint NOT NULL,
    host_bytes bigint NOT NULL,
    attempts bigint NOT NULL,
    PRIMARY KEY (app_id, id)
);

CREATE INDEX executions_age ON executions (started_at_ms);

CREATE TABLE logs (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    app_id bigint NOT NULL,
    execution uuid NOT NULL,
    at_ms bigint NOT NULL,
    -- 0 debug, 1 info, 2 warn, 3 error
    level smallint NOT NULL,
    message text NOT NULL,
    fields text
);

CREATE INDEX logs_app ON logs (app_id, seq);
CREATE INDEX logs_execution ON logs (execution, seq);
CREATE INDEX logs_age ON logs (at_ms);
