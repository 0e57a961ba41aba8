-- name: InsertEnvironment :exec
WITH made AS (
    INSERT INTO environments
        (id, hash, parent_id, name, flake_content, created_at, created_by, project_id, head_version_id, updated_at, visibility)
    VALUES
        (@id, @hash, @parent_id, @name, @flake_content, @created_at, @created_by, @project_id, @head_version_id, @updated_at, @visibility)
    RETURNING id, head_version_id, created_at
)
INSERT INTO head_moves (environment_id, to_version_id, action, message, actor, at)
SELECT id, head_version_id, @action, @message, @actor, created_at FROM made;

-- name: EnvironmentsByID :many
SELECT sqlc.embed(e), p.slug FROM environments AS e JOIN projects AS p ON p.id = e.project_id
WHERE e.id = ANY (@ids::uuid[]);

-- name: LockEnvironment :one
SELECT sqlc.embed(e), p.slug FROM environments AS e JOIN projects AS p ON p.id = e.project_id
WHERE e.id = @id FOR UPDATE OF e;

-- name: EnvironmentsNamed :many
SELECT sqlc.embed(e), p.slug FROM environments AS e JOIN projects AS p ON p.id = e.project_id
WHERE e.name = @name AND (@project::text = '' OR p.slug = @project) AND e.deleted_at IS NULL
ORDER BY p.slug;

-- name: DeletedEnvironments :many
SELECT sqlc.embed(e), p.slug FROM environments AS e JOIN projects AS p ON p.id = e.project_id
WHERE e.name = @name AND (@project::text = '' OR p.slug = @project) AND e.deleted_at IS NOT NULL
ORDER BY e.deleted_at DESC, e.id;

-- name: Environments :many
SELECT sqlc.embed(e), p.slug FROM environments AS e JOIN projects AS p ON p.id = e.project_id
WHERE (sqlc.narg(project)::uuid IS NULL OR e.project_id = sqlc.narg(project)::uuid) AND e.deleted_at IS NULL
ORDER BY p.slug, e.name;

-- name: EnvironmentRefs :many
SELECT p.slug, e.name FROM environments AS e JOIN projects AS p ON p.id = e.project_id
WHERE e.deleted_at IS NULL
ORDER BY e.updated_at DESC LIMIT @max_rows;

-- No head moves without an entry in the reflog.
-- name: MoveHead :execrows
WITH moved AS (
    UPDATE environments
    SET head_version_id = @head, hash = @hash, flake_content = @flake_content,
        updated_at = GREATEST(updated_at, @at)
    WHERE id = @id AND head_version_id = @from_head AND deleted_at IS NULL AND (@merges::boolean OR NOT protected)
    RETURNING id
)
INSERT INTO head_moves (environment_id, from_version_id, to_version_id, action, message, actor, at)
SELECT id, @from_head, @head, @action, @message, @actor, @at FROM moved;

-- name: UpdateEnvironment :execrows
UPDATE environments SET name = @name, protected = @protected, deleted_at = sqlc.narg(deleted_at)::timestamptz WHERE id = @id;

-- name: EnvironmentsAt :many
SELECT sqlc.embed(e), p.slug FROM environments AS e JOIN projects AS p ON p.id = e.project_id
WHERE e.head_version_id = ANY (@versions::uuid[]) AND e.deleted_at IS NULL
ORDER BY p.slug, e.name;
