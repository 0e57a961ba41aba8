-- Users, projects, environments (branches) and their versions (commits).
--
-- environments and environment_versions keep the columns of the original data
-- model. One deviation: environments.hash is not UNIQUE, because a branch
-- without a change has its parent's content.

-- +goose Up
CREATE DOMAIN name_t AS text
    CHECK (VALUE ~ '^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$' AND VALUE !~ '^[0-9]+$');
CREATE DOMAIN sha256_t AS text CHECK (VALUE ~ '^[0-9a-f]{64}$');

CREATE TABLE users (
    id         uuid PRIMARY KEY,
    name       text NOT NULL CONSTRAINT users_name_key UNIQUE CHECK (length(name) BETWEEN 1 AND 255),
    created_at timestamptz NOT NULL
);

CREATE TABLE projects (
    id         uuid PRIMARY KEY,
    slug       name_t NOT NULL CONSTRAINT projects_slug_key UNIQUE,
    source     text NOT NULL,
    workspace  sha256_t,
    created_at timestamptz NOT NULL,
    created_by uuid NOT NULL REFERENCES users (id)
);

CREATE TABLE environments (
    id              uuid PRIMARY KEY,
    hash            sha256_t NOT NULL,
    parent_id       uuid REFERENCES environments (id),
    name            name_t NOT NULL,
    flake_content   text NOT NULL,
    created_at      timestamptz NOT NULL,
    created_by      uuid NOT NULL REFERENCES users (id),
    project_id      uuid NOT NULL REFERENCES projects (id),
    head_version_id uuid NOT NULL,
    updated_at      timestamptz NOT NULL,
    CONSTRAINT environments_project_name_key UNIQUE (project_id, name),
    CHECK (parent_id <> id),
    CHECK (updated_at >= created_at)
);
CREATE INDEX environments_name_idx ON environments (name);
CREATE INDEX environments_parent_idx ON environments (parent_id);

CREATE TABLE environment_versions (
    id                uuid PRIMARY KEY,
    environment_id    uuid NOT NULL REFERENCES environments (id),
    version_hash      sha256_t NOT NULL CONSTRAINT environment_versions_hash_key UNIQUE,
    message           text NOT NULL,
    changes           jsonb NOT NULL CHECK (jsonb_typeof(changes) = 'array'),
    created_at        timestamptz NOT NULL,
    parents           text[] NOT NULL CHECK (cardinality(parents) <= 2),
    parent_version_id uuid REFERENCES environment_versions (id),
    seq               bigint NOT NULL CHECK (seq >= 1),
    manifest_hash     sha256_t NOT NULL,
    manifest          text NOT NULL,
    -- The canonical form is kept byte for byte: its SHA-256 is manifest_hash.
    canonical         text NOT NULL,
    flake_content     text NOT NULL,
    flake_lock        text NOT NULL,
    drv_path          text NOT NULL CHECK (drv_path LIKE '/nix/store/%.drv'),
    out_path          text NOT NULL CHECK (out_path LIKE '/nix/store/%'),
    author            text NOT NULL,
    created_by        uuid NOT NULL REFERENCES users (id),
    UNIQUE (environment_id, seq),
    CHECK ((parent_version_id IS NULL) = (cardinality(parents) = 0)),
    CHECK ((parent_version_id IS NULL) = (seq = 1)),
    CHECK (manifest_hash = encode(sha256(convert_to(canonical, 'UTF8')), 'hex'))
);
-- Prefixes of hashes are looked up with LIKE, whatever the collation.
CREATE INDEX environment_versions_hash_prefix_idx ON environment_versions (version_hash text_pattern_ops);
CREATE INDEX environment_versions_parent_idx ON environment_versions (parent_version_id);

-- The first environment and its first version name each other.
ALTER TABLE environments ADD CONSTRAINT environments_head_fkey
    FOREIGN KEY (head_version_id) REFERENCES environment_versions (id) DEFERRABLE INITIALLY DEFERRED;

-- +goose StatementBegin
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is immutable', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END
$$;
-- +goose StatementEnd
CREATE TRIGGER environment_versions_immutable BEFORE UPDATE OR DELETE ON environment_versions
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER environment_versions_no_truncate BEFORE TRUNCATE ON environment_versions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
