-- name: InsertEnvironment :exec
INSERT INTO environments
    (id, hash, parent_id, name, flake_content, created_at, created_by, project_id, head_version_id, updated_at)
VALUES
    (@id, @hash, @parent_id, @name, @flake_content, @created_at, @created_by, @project_id, @head_version_id, @updated_at);

-- name: EnvironmentsByID :many
SELECT sqlc.embed(e), p.slug FROM environments AS e JOIN projects AS p ON p.id = e.project_id
WHERE e.id = ANY (@ids::uuid[]);

-- name: EnvironmentsNamed :many
SELECT sqlc.embed(e), p.slug FROM environments AS e JOIN projects AS p ON p.id = e.project_id
WHERE e.name = @name AND (@project::text = '' OR p.slug = @project)
ORDER BY p.slug;

-- name: Environments :many
SELECT sqlc.embed(e), p.slug FROM environments AS e JOIN projects AS p ON p.id = e.project_id
WHERE sqlc.narg(project)::uuid IS NULL OR e.project_id = sqlc.narg(project)::uuid
ORDER BY p.slug, e.name;

-- name: EnvironmentRefs :many
SELECT p.slug, e.name FROM environments AS e JOIN projects AS p ON p.id = e.project_id
ORDER BY e.updated_at DESC LIMIT @max_rows;

-- name: MoveHead :execrows
UPDATE environments
SET head_version_id = @head, hash = @hash, flake_content = @flake_content,
    updated_at = GREATEST(updated_at, @updated_at)
WHERE id = @id AND head_version_id = @from_head;
