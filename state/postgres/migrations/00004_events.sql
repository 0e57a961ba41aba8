-- Events: what happened, for people and for subscribers.

-- +goose Up
-- What an event is about may be gone by now, so its IDs are not references.
CREATE TABLE events (
    seq            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at             timestamptz NOT NULL,
    kind           text NOT NULL CHECK (kind ~ '^[a-z]+(\.[a-z_]+)+$'),
    project_id     uuid,
    environment_id uuid,
    session_id     uuid,
    build_id       uuid,
    actor          text NOT NULL,
    message        text NOT NULL,
    data           jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(data) = 'object')
);

-- +goose StatementBegin
CREATE FUNCTION events_notify() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('nixspace_event', '');
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER events_notify AFTER INSERT ON events FOR EACH STATEMENT EXECUTE FUNCTION events_notify();
CREATE TRIGGER events_immutable BEFORE UPDATE ON events FOR EACH ROW EXECUTE FUNCTION refuse_change();
