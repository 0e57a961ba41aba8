-- Every pattern must match project/name. Short names come first: they are the
-- likelier ones of many that hold the same words.
-- name: SearchEnvironments :many
SELECT sqlc.embed(e), p.slug FROM environments AS e JOIN projects AS p ON p.id = e.project_id
WHERE e.deleted_at IS NULL AND (p.slug || '/' || e.name) ILIKE ALL (@patterns::text[])
ORDER BY length(e.name), p.slug, e.name LIMIT @max_rows;
