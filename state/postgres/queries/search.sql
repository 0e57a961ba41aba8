-- Every pattern must match project/name. Short names come first: they are the
-- likelier ones of many that hold the same words.
-- name: SearchEnvironments :many
SELECT sqlc.embed(e), p.slug FROM environments AS e JOIN projects AS p ON p.id = e.project_id
WHERE e.deleted_at IS NULL AND (p.slug || '/' || e.name) ILIKE ALL (@patterns::text[])
ORDER BY length(e.name), p.slug, e.name LIMIT @max_rows;

-- A page of environments after project/name, of one project or of all.
-- name: EnvironmentsPage :many
SELECT sqlc.embed(e), p.slug FROM environments AS e JOIN projects AS p ON p.id = e.project_id
WHERE (sqlc.narg(project)::uuid IS NULL OR e.project_id = sqlc.narg(project)::uuid) AND e.deleted_at IS NULL
    AND (p.slug, e.name) > (@after_project::text, @after_name::text)
ORDER BY p.slug, e.name LIMIT @max_rows;

-- name: CountEnvironments :one
SELECT count(*) FROM environments AS e
WHERE (sqlc.narg(project)::uuid IS NULL OR e.project_id = sqlc.narg(project)::uuid) AND e.deleted_at IS NULL;
