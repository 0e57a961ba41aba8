-- The walk goes up the parents in the order of distance, and ends as soon as
-- enough rows came out of it, because the outer query neither sorts nor joins.
-- name: VersionNodes :many
WITH RECURSIVE walk AS (
    SELECT version_hash, parents, seq, created_at FROM environment_versions WHERE version_hash = ANY (@hashes::text[])
    UNION
    SELECT v.version_hash, v.parents, v.seq, v.created_at
    FROM walk AS w JOIN environment_versions AS v ON v.version_hash = ANY (w.parents)
)
SELECT version_hash, parents, seq, created_at FROM walk LIMIT @max_rows;

-- name: Commits :many
SELECT id, environment_id, version_hash, parents, seq, created_at, message, author, changes
FROM environment_versions WHERE version_hash = ANY (@hashes::text[]);

-- name: FirstParent :one
WITH RECURSIVE walk AS (
    SELECT v.id, v.parent_version_id FROM environment_versions AS v WHERE v.id = @version
    UNION ALL
    SELECT p.id, p.parent_version_id FROM environment_versions AS p JOIN walk AS w ON p.id = w.parent_version_id
)
SELECT id FROM walk OFFSET @steps LIMIT 1;

-- name: HeadMoves :many
SELECT * FROM head_moves
WHERE environment_id = @environment AND (@before_seq::bigint = 0 OR seq < @before_seq)
ORDER BY seq DESC OFFSET @skip LIMIT @max_rows;

-- name: HeadMoveAt :one
SELECT * FROM head_moves WHERE environment_id = @environment AND at <= @at ORDER BY seq DESC LIMIT 1;

-- name: InsertTag :exec
INSERT INTO tags (project_id, name, version_id, message, created_at, created_by)
VALUES (@project_id, @name, @version_id, @message, @created_at, @created_by);

-- name: PutTag :exec
INSERT INTO tags (project_id, name, version_id, message, created_at, created_by)
VALUES (@project_id, @name, @version_id, @message, @created_at, @created_by)
ON CONFLICT (project_id, name) DO UPDATE
SET version_id = EXCLUDED.version_id, message = EXCLUDED.message, created_at = EXCLUDED.created_at, created_by = EXCLUDED.created_by;

-- name: TagsNamed :many
SELECT sqlc.embed(t), p.slug, u.name AS author
FROM tags AS t JOIN projects AS p ON p.id = t.project_id JOIN users AS u ON u.id = t.created_by
WHERE t.name = @name AND (@project::text = '' OR p.slug = @project)
ORDER BY p.slug;

-- name: Tags :many
SELECT sqlc.embed(t), p.slug, u.name AS author
FROM tags AS t JOIN projects AS p ON p.id = t.project_id JOIN users AS u ON u.id = t.created_by
WHERE sqlc.narg(project)::uuid IS NULL OR t.project_id = sqlc.narg(project)::uuid
ORDER BY p.slug, t.name;

-- name: TagsAt :many
SELECT sqlc.embed(t), p.slug, u.name AS author
FROM tags AS t JOIN projects AS p ON p.id = t.project_id JOIN users AS u ON u.id = t.created_by
WHERE t.version_id = ANY (@versions::uuid[])
ORDER BY p.slug, t.name;

-- name: DeleteTag :execrows
DELETE FROM tags WHERE project_id = @project_id AND name = @name;

-- name: InsertMerge :exec
INSERT INTO merges (id, environment_id, version_id, from_version_id, theirs_version_id, fast_forward, status,
    error, error_code, message, actor, created_at, finished_at)
VALUES (@id, @environment_id, @version_id, @from_version_id, @theirs_version_id, @fast_forward, @status,
    @error, @error_code, @message, @actor, @created_at, @finished_at);

-- name: MergeByID :one
SELECT * FROM merges WHERE id = @id;

-- name: BuildingMerges :many
SELECT * FROM merges
WHERE status = 'building' AND (sqlc.narg(version)::uuid IS NULL OR version_id = sqlc.narg(version)::uuid)
ORDER BY created_at, id;

-- name: EndMerge :execrows
UPDATE merges SET status = @status, error = @error, error_code = @error_code, finished_at = @finished_at
WHERE id = @id AND status = 'building';
