-- Calls by service, bytes received, time of compilation, size of the commit:
-- a JSON object without what is nothing; NULL if all of it is.
ALTER TABLE executions ADD COLUMN receipt TEXT;

-- Failures are few and the likeliest to be looked for, so finding them must not
-- mean going through all that went well.
CREATE INDEX executions_failed ON executions (app_id, id) WHERE outcome <> 'ok';
