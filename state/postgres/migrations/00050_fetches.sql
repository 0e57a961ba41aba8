-- Fetches of projects' code.

-- +goose Up
CREATE TABLE source_fetches (
    id          uuid PRIMARY KEY,
    source      jsonb NOT NULL, -- where from; never credentials
    private     boolean NOT NULL,
    status      text NOT NULL CHECK (status IN ('queued', 'running', 'succeeded', 'failed', 'canceled')),
    error       text NOT NULL DEFAULT '',
    error_code  text NOT NULL DEFAULT '',
    code        jsonb, -- what was fetched
    created_at  timestamptz NOT NULL,
    created_by  uuid NOT NULL REFERENCES users (id),
    started_at  timestamptz,
    finished_at timestamptz,
    CHECK ((finished_at IS NOT NULL) = (status IN ('succeeded', 'failed', 'canceled'))),
    CHECK (status <> 'failed' OR error <> ''),
    CHECK ((code IS NOT NULL) = (status = 'succeeded'))
);
CREATE INDEX source_fetches_open_idx ON source_fetches (created_at) WHERE status IN ('queued', 'running');

-- +goose StatementBegin
CREATE FUNCTION source_fetches_step() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.status IN ('succeeded', 'failed', 'canceled') THEN
        RAISE EXCEPTION 'fetch % is final', OLD.id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE FUNCTION source_fetches_notify() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('nixspace_fetch', NEW.id::text);
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER source_fetches_step BEFORE UPDATE ON source_fetches FOR EACH ROW EXECUTE FUNCTION source_fetches_step();
CREATE TRIGGER source_fetches_notify AFTER INSERT OR UPDATE ON source_fetches FOR EACH ROW EXECUTE FUNCTION source_fetches_notify();
