-- Sessions: machines of a version. The table keeps the columns of the original
-- data model.

-- +goose Up
-- Numbers of sessions are not used twice, also when a session is removed.
ALTER TABLE environments ADD COLUMN last_session integer NOT NULL DEFAULT 0;

CREATE TABLE sessions (
    id                     uuid PRIMARY KEY,
    environment_version_id uuid NOT NULL REFERENCES environment_versions (id),
    vm_id                  text NOT NULL DEFAULT '',
    status                 text NOT NULL
        CHECK (status IN ('creating', 'running', 'hibernated', 'stopping', 'stopped', 'failed')),
    started_at             timestamptz NOT NULL,
    last_activity          timestamptz NOT NULL,
    environment_id         uuid NOT NULL REFERENCES environments (id),
    number                 integer NOT NULL CHECK (number >= 1),
    generation             bigint NOT NULL CHECK (generation >= 1),
    reason                 text NOT NULL DEFAULT '',
    reason_code            text NOT NULL DEFAULT '',
    driver                 text NOT NULL DEFAULT '',
    isolation              text NOT NULL DEFAULT '',
    ephemeral              boolean NOT NULL,
    status_since           timestamptz NOT NULL,
    ended_at               timestamptz,
    created_by             uuid NOT NULL REFERENCES users (id),
    CONSTRAINT sessions_number_key UNIQUE (environment_id, number),
    CHECK ((ended_at IS NOT NULL) = (status IN ('stopped', 'failed'))),
    CHECK (status <> 'failed' OR reason <> '')
);
CREATE INDEX sessions_started_idx ON sessions (started_at);
CREATE INDEX sessions_live_idx ON sessions (status) WHERE status NOT IN ('stopped', 'failed');
CREATE INDEX sessions_version_idx ON sessions (environment_version_id);

-- +goose StatementBegin
-- The state machine, as nixspace.SessionStatus.CanBecome has it. A test holds
-- the two together.
CREATE FUNCTION session_can_become(old_status text, new_status text) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE new_status
        WHEN 'failed' THEN old_status NOT IN ('stopped', 'failed')
        WHEN 'creating' THEN old_status IN ('stopped', 'failed')
        WHEN 'running' THEN old_status IN ('creating', 'hibernated')
        WHEN 'hibernated' THEN old_status = 'running'
        WHEN 'stopping' THEN old_status IN ('creating', 'running', 'hibernated')
        WHEN 'stopped' THEN old_status IN ('stopping', 'creating', 'running', 'hibernated')
        ELSE false
    END
$$;
CREATE FUNCTION sessions_step() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.status <> OLD.status AND NOT session_can_become(OLD.status, NEW.status) THEN
        RAISE EXCEPTION 'session % cannot go from % to %', OLD.id, OLD.status, NEW.status
            USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.generation <> OLD.generation + (NEW.status = 'creating' AND OLD.status <> 'creating')::integer THEN
        RAISE EXCEPTION 'session %: generation % cannot follow %', OLD.id, NEW.generation, OLD.generation
            USING ERRCODE = 'check_violation';
    END IF;
    IF (NEW.id, NEW.environment_id, NEW.environment_version_id, NEW.number)
        IS DISTINCT FROM (OLD.id, OLD.environment_id, OLD.environment_version_id, OLD.number) THEN
        RAISE EXCEPTION 'session %: its version is fixed', OLD.id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE FUNCTION sessions_notify() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('nixspace_session', COALESCE(NEW.id, OLD.id)::text);
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER sessions_step BEFORE UPDATE ON sessions FOR EACH ROW EXECUTE FUNCTION sessions_step();
CREATE TRIGGER sessions_notify AFTER INSERT OR UPDATE OR DELETE ON sessions
    FOR EACH ROW EXECUTE FUNCTION sessions_notify();
