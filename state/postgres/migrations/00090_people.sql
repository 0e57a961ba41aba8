-- People: accounts, teams, members of projects, credentials and the audit trail.

-- +goose Up
CREATE DOMAIN role_t AS text CHECK (VALUE IN ('guest', 'viewer', 'developer', 'maintainer', 'owner'));

ALTER TABLE environments ADD COLUMN visibility text NOT NULL DEFAULT 'team'
    CHECK (visibility IN ('private', 'team', 'public'));
CREATE INDEX environments_public_idx ON environments (project_id) WHERE visibility = 'public';

CREATE TABLE accounts (
    user_id     uuid PRIMARY KEY REFERENCES users (id),
    email       text NOT NULL DEFAULT '',
    standing    text NOT NULL CHECK (standing IN ('admin', 'member', 'guest')),
    password    text NOT NULL DEFAULT '',
    totp        bytea,
    totp_step   bigint NOT NULL DEFAULT 0,
    created_at  timestamptz NOT NULL,
    disabled_at timestamptz
);

CREATE TABLE teams (
    id         uuid PRIMARY KEY,
    name       name_t NOT NULL CONSTRAINT teams_name_key UNIQUE,
    created_at timestamptz NOT NULL,
    created_by uuid NOT NULL REFERENCES users (id)
);

CREATE TABLE team_members (
    team_id uuid NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    user_id uuid NOT NULL REFERENCES users (id),
    PRIMARY KEY (team_id, user_id)
);
CREATE INDEX team_members_user_idx ON team_members (user_id);

CREATE TABLE project_members (
    project_id uuid NOT NULL REFERENCES projects (id),
    user_id    uuid REFERENCES users (id),
    team_id    uuid REFERENCES teams (id) ON DELETE CASCADE,
    role       role_t NOT NULL,
    created_at timestamptz NOT NULL,
    CHECK ((user_id IS NULL) <> (team_id IS NULL)),
    UNIQUE (project_id, user_id),
    UNIQUE (project_id, team_id)
);
CREATE INDEX project_members_user_idx ON project_members (user_id);
CREATE INDEX project_members_team_idx ON project_members (team_id);

CREATE TABLE credentials (
    id           uuid PRIMARY KEY,
    user_id      uuid NOT NULL REFERENCES users (id),
    kind         text NOT NULL CHECK (kind IN ('token', 'browser', 'invite')),
    name         text NOT NULL,
    hash         bytea NOT NULL CONSTRAINT credentials_hash_key UNIQUE CHECK (length(hash) = 32),
    cap          text NOT NULL DEFAULT '' CHECK (cap IN ('', 'guest', 'viewer', 'developer', 'maintainer', 'owner')),
    projects     uuid[] NOT NULL DEFAULT '{}',
    standing     text NOT NULL DEFAULT '' CHECK (standing IN ('', 'admin', 'member', 'guest')),
    uses         integer NOT NULL DEFAULT 0 CHECK (uses >= -1), -- -1: used up
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz,
    last_used_at timestamptz,
    revoked_at   timestamptz,
    made_from    text NOT NULL DEFAULT ''
);
CREATE INDEX credentials_user_idx ON credentials (user_id);

CREATE TABLE audit (
    seq           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at            timestamptz NOT NULL,
    -- Who acted may be gone by now, so these are not references.
    actor_id      uuid NOT NULL,
    actor         text NOT NULL,
    credential_id uuid,
    came_from     text NOT NULL,
    operation     text NOT NULL,
    target        text NOT NULL,
    outcome       text NOT NULL
);
CREATE INDEX audit_actor_idx ON audit (actor, seq);
CREATE TRIGGER audit_immutable BEFORE UPDATE OR DELETE ON audit FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Whatever takes rights away tells the servers, which end what is open.
-- +goose StatementBegin
CREATE FUNCTION access_notify_user() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('nixspace_access', COALESCE(OLD.user_id::text, ''));
    RETURN NULL;
END
$$;
CREATE FUNCTION access_notify_all() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('nixspace_access', '');
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER accounts_access AFTER UPDATE ON accounts FOR EACH ROW
    WHEN (OLD.standing <> NEW.standing OR OLD.disabled_at IS DISTINCT FROM NEW.disabled_at) EXECUTE FUNCTION access_notify_user();
CREATE TRIGGER team_members_access AFTER UPDATE OR DELETE ON team_members FOR EACH ROW EXECUTE FUNCTION access_notify_user();
CREATE TRIGGER project_members_access AFTER UPDATE OR DELETE ON project_members FOR EACH ROW EXECUTE FUNCTION access_notify_user();
CREATE TRIGGER credentials_access AFTER UPDATE OF revoked_at OR DELETE ON credentials
    FOR EACH ROW EXECUTE FUNCTION access_notify_user();
CREATE TRIGGER environments_access AFTER UPDATE OF visibility ON environments
    FOR EACH STATEMENT EXECUTE FUNCTION access_notify_all();
