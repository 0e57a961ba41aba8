-- Snapshots of sessions, sessions that begin from one, and sessions that
-- continue from the memory of a hibernation.

-- +goose Up
ALTER TABLE environments ADD COLUMN last_snapshot integer NOT NULL DEFAULT 0;

CREATE TABLE snapshots (
    id             uuid PRIMARY KEY,
    environment_id uuid NOT NULL REFERENCES environments (id),
    version_id     uuid NOT NULL REFERENCES environment_versions (id),
    session_id     uuid NOT NULL, -- the session may be gone
    session_number integer NOT NULL,
    parent_id      uuid REFERENCES snapshots (id),
    name           text NOT NULL,
    state          text NOT NULL CHECK (state IN ('taking', 'ready', 'lost')),
    implicit       boolean NOT NULL,
    memory         boolean NOT NULL DEFAULT false,
    consistency    text NOT NULL DEFAULT '',
    size           bigint NOT NULL DEFAULT 0,
    shared         bigint NOT NULL DEFAULT 0,
    pause_ns       bigint NOT NULL DEFAULT 0,
    compat_key     text NOT NULL DEFAULT '',
    created_at     timestamptz NOT NULL,
    created_by     uuid NOT NULL REFERENCES users (id),
    CHECK ((name = '') = implicit)
);
CREATE UNIQUE INDEX snapshots_name_key ON snapshots (environment_id, name) WHERE name <> '';
CREATE INDEX snapshots_session_idx ON snapshots (session_id);
CREATE INDEX snapshots_parent_idx ON snapshots (parent_id);

ALTER TABLE sessions
    ADD COLUMN resuming boolean NOT NULL DEFAULT false,
    ADD COLUMN throwaway boolean NOT NULL DEFAULT false,
    ADD COLUMN disk_only boolean NOT NULL DEFAULT false,
    ADD COLUMN snapshot_id uuid, -- where it came from; the snapshot may be gone
    ADD COLUMN fork_of uuid,     -- likewise
    -- The snapshot that must not go: what snapshot_id is until the session has a
    -- disk of its own, or, for a throw-away, until it has ended.
    ADD COLUMN needs_snapshot uuid REFERENCES snapshots (id);
CREATE INDEX sessions_snapshot_idx ON sessions (needs_snapshot) WHERE needs_snapshot IS NOT NULL;

-- +goose StatementBegin
-- As nixspace.SessionStatus.CanBecome has it: a hibernated session is resumed by
-- the next generation, and an interrupted resume leaves it hibernated.
CREATE OR REPLACE FUNCTION session_can_become(old_status text, new_status text) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE new_status
        WHEN 'failed' THEN old_status NOT IN ('stopped', 'failed')
        WHEN 'creating' THEN old_status IN ('stopped', 'failed', 'hibernated')
        WHEN 'running' THEN old_status IN ('creating', 'hibernated')
        WHEN 'hibernated' THEN old_status IN ('running', 'creating')
        WHEN 'stopping' THEN old_status IN ('creating', 'running', 'hibernated')
        WHEN 'stopped' THEN old_status IN ('stopping', 'creating', 'running', 'hibernated')
        ELSE false
    END
$$;
-- +goose StatementEnd
