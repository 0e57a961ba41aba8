-- Code that is an environment's own, and prebuilds: disks and memory of machines in
-- which the setup of one manifest has run over one state of the code.

-- +goose Up
-- An environment that is not in it has the code of its project.
CREATE TABLE environment_code (
    environment_id uuid PRIMARY KEY REFERENCES environments (id),
    workspace      sha256_t NOT NULL,
    source         text NOT NULL, -- in words
    changed_at     timestamptz NOT NULL
);
-- What is known of code is found by its digest.
CREATE INDEX source_fetches_workspace_idx ON source_fetches ((code -> 'Workspace' ->> 'Digest')) WHERE status = 'succeeded';

CREATE TABLE prebuilds (
    id             uuid PRIMARY KEY,
    key            sha256_t NOT NULL, -- of project, code and manifest
    project_id     uuid NOT NULL REFERENCES projects (id),
    environment_id uuid NOT NULL REFERENCES environments (id),
    version_id     uuid NOT NULL REFERENCES environment_versions (id),
    workspace      text NOT NULL,
    manifest_hash  sha256_t NOT NULL,
    status         text NOT NULL CHECK (status IN ('queued', 'running', 'succeeded', 'failed', 'canceled')),
    error          text NOT NULL DEFAULT '',
    error_code     text NOT NULL DEFAULT '',
    snapshot_id    uuid REFERENCES snapshots (id),
    created_at     timestamptz NOT NULL,
    created_by     uuid NOT NULL REFERENCES users (id),
    started_at     timestamptz,
    finished_at    timestamptz,
    used_at        timestamptz NOT NULL,
    CHECK ((finished_at IS NOT NULL) = (status IN ('succeeded', 'failed', 'canceled'))),
    CHECK (status <> 'failed' OR error <> ''),
    CHECK ((snapshot_id IS NOT NULL) = (status = 'succeeded'))
);
CREATE UNIQUE INDEX prebuilds_open_key ON prebuilds (key) WHERE status IN ('queued', 'running');
CREATE INDEX prebuilds_environment_idx ON prebuilds (environment_id, created_at);
CREATE INDEX prebuilds_project_idx ON prebuilds (project_id) WHERE status = 'succeeded';
CREATE INDEX prebuilds_snapshot_idx ON prebuilds (snapshot_id) WHERE snapshot_id IS NOT NULL;

CREATE TABLE prebuild_log_lines (
    prebuild_id uuid NOT NULL REFERENCES prebuilds (id) ON DELETE CASCADE,
    seq         bigint NOT NULL CHECK (seq >= 1),
    at          timestamptz NOT NULL,
    text        text NOT NULL,
    PRIMARY KEY (prebuild_id, seq)
);

-- +goose StatementBegin
CREATE FUNCTION prebuilds_step() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.status IN ('succeeded', 'failed', 'canceled') AND NEW.status <> OLD.status THEN
        RAISE EXCEPTION 'prebuild % is final', OLD.id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE FUNCTION prebuilds_notify() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('nixspace_prebuild', COALESCE(NEW.id, OLD.id)::text);
    RETURN NULL;
END
$$;
CREATE FUNCTION prebuild_log_lines_notify() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('nixspace_prebuild', prebuild_id::text) FROM (SELECT DISTINCT prebuild_id FROM added) AS p;
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER prebuilds_step BEFORE UPDATE ON prebuilds FOR EACH ROW EXECUTE FUNCTION prebuilds_step();
CREATE TRIGGER prebuilds_notify AFTER INSERT OR UPDATE OR DELETE ON prebuilds FOR EACH ROW EXECUTE FUNCTION prebuilds_notify();
CREATE TRIGGER prebuild_log_lines_notify AFTER INSERT ON prebuild_log_lines
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION prebuild_log_lines_notify();
