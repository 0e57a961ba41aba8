-- History as a graph: merges, the reflog of every head, tags, protection and
-- deletion that can be undone.

-- +goose Up
-- +goose StatementBegin
DO $$
DECLARE name text;
BEGIN
    -- A version that was made for a merge is not in the history of any head until
    -- it is built, so positions are not unique in an environment.
    SELECT conname INTO STRICT name FROM pg_constraint
    WHERE conrelid = 'environment_versions'::regclass AND contype = 'u'
      AND pg_get_constraintdef(oid) = 'UNIQUE (environment_id, seq)';
    EXECUTE format('ALTER TABLE environment_versions DROP CONSTRAINT %I', name);
END
$$;

-- A version follows its parents: they exist, were made before it, and it comes
-- one after the later of them. Searches and walks rely on that order.
CREATE FUNCTION environment_versions_follow() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    found integer;
    last  bigint;
    until timestamptz;
    first uuid;
BEGIN
    SELECT count(*), COALESCE(max(v.seq), 0), max(v.created_at), max(v.id::text) FILTER (WHERE v.version_hash = NEW.parents[1])
    INTO found, last, until, first
    FROM environment_versions AS v WHERE v.version_hash = ANY (NEW.parents);
    IF found <> cardinality(NEW.parents) OR first IS DISTINCT FROM NEW.parent_version_id THEN
        RAISE EXCEPTION 'version %: its parents are not there', NEW.version_hash USING ERRCODE = 'foreign_key_violation';
    END IF;
    IF NEW.seq <> last + 1 OR NEW.created_at <= until THEN
        RAISE EXCEPTION 'version %: it does not follow its parents', NEW.version_hash USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER environment_versions_follow BEFORE INSERT ON environment_versions
    FOR EACH ROW EXECUTE FUNCTION environment_versions_follow();
CREATE INDEX environment_versions_environment_idx ON environment_versions (environment_id);

ALTER TABLE environments
    ADD COLUMN protected  boolean NOT NULL DEFAULT false,
    ADD COLUMN deleted_at timestamptz;
-- The name of a deleted environment is free.
ALTER TABLE environments DROP CONSTRAINT environments_project_name_key;
CREATE UNIQUE INDEX environments_project_name_key ON environments (project_id, name) WHERE deleted_at IS NULL;
CREATE INDEX environments_head_idx ON environments (head_version_id);

-- The reflog.
CREATE TABLE head_moves (
    seq             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    environment_id  uuid NOT NULL REFERENCES environments (id),
    from_version_id uuid REFERENCES environment_versions (id) DEFERRABLE INITIALLY DEFERRED,
    to_version_id   uuid NOT NULL REFERENCES environment_versions (id) DEFERRABLE INITIALLY DEFERRED,
    action          text NOT NULL CHECK (action ~ '^[a-z]+(-[a-z]+)*$'),
    message         text NOT NULL,
    actor           text NOT NULL,
    at              timestamptz NOT NULL
);
CREATE INDEX head_moves_environment_idx ON head_moves (environment_id, seq);
CREATE TRIGGER head_moves_immutable BEFORE UPDATE ON head_moves FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- Before there was a reflog every history was a line, and every version of an
-- environment was once its head. A branch without a version of its own yet was
-- where it was branched.
INSERT INTO head_moves (environment_id, from_version_id, to_version_id, action, message, actor, at)
SELECT environment_id, from_id, to_id, action, message, actor, at
FROM (
    SELECT e.id AS environment_id, NULL::uuid AS from_id,
           COALESCE(f.parent_version_id, e.head_version_id) AS to_id,
           CASE WHEN e.parent_id IS NULL THEN 'create' ELSE 'branch' END AS action,
           'branched' AS message, u.name AS actor, e.created_at AS at, 0::bigint AS position
    FROM environments AS e
    JOIN users AS u ON u.id = e.created_by
    LEFT JOIN LATERAL (
        SELECT v.* FROM environment_versions AS v WHERE v.environment_id = e.id ORDER BY v.seq LIMIT 1
    ) AS f ON true
    WHERE f.id IS NULL OR (f.parent_version_id IS NOT NULL AND f.created_at > e.created_at)
    UNION ALL
    SELECT v.environment_id, CASE WHEN v.created_at > e.created_at THEN v.parent_version_id END, v.id,
           CASE WHEN v.created_at > e.created_at THEN 'change' WHEN e.parent_id IS NULL THEN 'create' ELSE 'branch' END,
           split_part(v.message, E'\n', 1), v.author, v.created_at, v.seq
    FROM environment_versions AS v JOIN environments AS e ON e.id = v.environment_id
) AS moves
ORDER BY at, position;

CREATE TABLE tags (
    project_id uuid NOT NULL REFERENCES projects (id),
    name       name_t NOT NULL,
    version_id uuid NOT NULL REFERENCES environment_versions (id),
    message    text NOT NULL,
    created_at timestamptz NOT NULL,
    created_by uuid NOT NULL REFERENCES users (id),
    CONSTRAINT tags_project_name_key PRIMARY KEY (project_id, name)
);
CREATE INDEX tags_name_idx ON tags (name);
CREATE INDEX tags_version_idx ON tags (version_id);

-- A merge waits for the build of its version, and ends with it.
CREATE TABLE merges (
    id                uuid PRIMARY KEY,
    environment_id    uuid NOT NULL REFERENCES environments (id),
    version_id        uuid NOT NULL REFERENCES environment_versions (id),
    from_version_id   uuid NOT NULL REFERENCES environment_versions (id),
    theirs_version_id uuid NOT NULL REFERENCES environment_versions (id),
    fast_forward      boolean NOT NULL,
    status            text NOT NULL CHECK (status IN ('building', 'merged', 'failed')),
    error             text NOT NULL DEFAULT '',
    error_code        text NOT NULL DEFAULT '',
    message           text NOT NULL,
    actor             text NOT NULL,
    created_at        timestamptz NOT NULL,
    finished_at       timestamptz,
    CHECK ((finished_at IS NULL) = (status = 'building')),
    CHECK (status <> 'failed' OR error <> '')
);
CREATE INDEX merges_building_idx ON merges (version_id) WHERE status = 'building';
