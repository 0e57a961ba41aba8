-- Commands that are run on several versions, to learn how these differ.

-- +goose Up
CREATE TABLE experiments (
    id          uuid PRIMARY KEY,
    number      bigint NOT NULL GENERATED ALWAYS AS IDENTITY UNIQUE,
    project_id  uuid NOT NULL REFERENCES projects (id),
    kind        text NOT NULL CHECK (kind IN ('run', 'compare', 'bisect', 'check', 'upgrades')),
    status      text NOT NULL CHECK (status IN ('queued', 'running', 'succeeded', 'failed', 'canceled')),
    error       text NOT NULL DEFAULT '',
    error_code  text NOT NULL DEFAULT '',
    spec        jsonb NOT NULL,
    answer      jsonb, -- what it found, as far as it is
    author      text NOT NULL,
    created_at  timestamptz NOT NULL,
    created_by  uuid NOT NULL REFERENCES users (id),
    started_at  timestamptz,
    finished_at timestamptz,
    CHECK ((finished_at IS NOT NULL) = (status IN ('succeeded', 'failed', 'canceled'))),
    CHECK (status <> 'failed' OR error <> '')
);
CREATE INDEX experiments_open_idx ON experiments (created_at) WHERE status IN ('queued', 'running');
CREATE INDEX experiments_project_idx ON experiments (project_id, number);
CREATE INDEX experiments_subjects_idx ON experiments USING gin ((spec -> 'subjects') jsonb_path_ops);

CREATE TABLE experiment_runs (
    experiment_id uuid NOT NULL REFERENCES experiments (id) ON DELETE CASCADE,
    seq           integer NOT NULL CHECK (seq > 0),
    key           text NOT NULL,
    subject       text NOT NULL,
    version_id    uuid REFERENCES environment_versions (id),
    version_hash  text NOT NULL,
    status        text NOT NULL CHECK (status IN ('queued', 'running', 'succeeded', 'failed', 'canceled')),
    exit_code     integer,
    error         text NOT NULL DEFAULT '',
    error_code    text NOT NULL DEFAULT '',
    usage         jsonb,
    report        jsonb,
    stdout        text NOT NULL DEFAULT '',
    stderr        text NOT NULL DEFAULT '',
    truncated     boolean NOT NULL DEFAULT false,
    artifact      bytea, -- a tar
    started_at    timestamptz NOT NULL,
    finished_at   timestamptz,
    PRIMARY KEY (experiment_id, seq),
    UNIQUE (experiment_id, key)
);

-- Sessions that end with an experiment. They are noted before they are made.
CREATE TABLE experiment_sessions (
    experiment_id uuid NOT NULL REFERENCES experiments (id) ON DELETE CASCADE,
    session_id    uuid NOT NULL,
    PRIMARY KEY (experiment_id, session_id)
);

-- +goose StatementBegin
CREATE FUNCTION experiments_notify() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('nixspace_experiment', NEW.id::text);
    RETURN NULL;
END
$$;
CREATE FUNCTION experiment_runs_notify() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('nixspace_experiment', NEW.experiment_id::text);
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER experiments_notify AFTER INSERT OR UPDATE ON experiments FOR EACH ROW EXECUTE FUNCTION experiments_notify();
CREATE TRIGGER experiment_runs_notify AFTER INSERT OR UPDATE ON experiment_runs FOR EACH ROW EXECUTE FUNCTION experiment_runs_notify();
