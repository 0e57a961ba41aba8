-- Builds, their logs, and what they produced.

-- +goose Up
-- Keyed by derivation: two projects with equal manifests have equal packages but
-- environments of different names, so different derivations.
CREATE TABLE realisations (
    drv_path       text PRIMARY KEY CHECK (drv_path LIKE '/nix/store/%.drv'),
    manifest_hash  sha256_t NOT NULL,
    out_path       text NOT NULL CHECK (out_path LIKE '/nix/store/%'),
    closure_digest sha256_t NOT NULL,
    closure_size   bigint NOT NULL CHECK (closure_size >= 0),
    paths          integer NOT NULL CHECK (paths >= 1),
    realised_at    timestamptz NOT NULL
);
CREATE INDEX realisations_manifest_idx ON realisations (manifest_hash);

CREATE TABLE builds (
    id          uuid PRIMARY KEY,
    version_id  uuid NOT NULL REFERENCES environment_versions (id),
    status      text NOT NULL CHECK (status IN ('queued', 'running', 'succeeded', 'failed', 'canceled')),
    error       text NOT NULL DEFAULT '',
    error_code  text NOT NULL DEFAULT '',
    created_at  timestamptz NOT NULL,
    started_at  timestamptz,
    finished_at timestamptz,
    CHECK ((finished_at IS NOT NULL) = (status IN ('succeeded', 'failed', 'canceled'))),
    CHECK (status <> 'running' OR started_at IS NOT NULL),
    CHECK (status <> 'failed' OR error <> '')
);
CREATE UNIQUE INDEX builds_open_key ON builds (version_id) WHERE status IN ('queued', 'running');
CREATE INDEX builds_version_idx ON builds (version_id, created_at);

CREATE TABLE build_log_lines (
    build_id uuid NOT NULL REFERENCES builds (id) ON DELETE CASCADE,
    seq      bigint NOT NULL CHECK (seq >= 1),
    at       timestamptz NOT NULL,
    text     text NOT NULL,
    PRIMARY KEY (build_id, seq)
);

-- +goose StatementBegin
CREATE FUNCTION builds_step() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.status IN ('succeeded', 'failed', 'canceled') THEN
        RAISE EXCEPTION 'build % is final', OLD.id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE FUNCTION builds_notify() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('nixspace_build', NEW.id::text);
    RETURN NULL;
END
$$;
CREATE FUNCTION build_log_lines_notify() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('nixspace_build', build_id::text) FROM (SELECT DISTINCT build_id FROM added) AS b;
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER builds_step BEFORE UPDATE ON builds FOR EACH ROW EXECUTE FUNCTION builds_step();
CREATE TRIGGER builds_notify AFTER INSERT OR UPDATE ON builds FOR EACH ROW EXECUTE FUNCTION builds_notify();
CREATE TRIGGER build_log_lines_notify AFTER INSERT ON build_log_lines
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION build_log_lines_notify();
