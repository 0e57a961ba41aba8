-- name: NextSnapshotNumber :one
UPDATE environments SET last_snapshot = last_snapshot + 1 WHERE id = @id RETURNING last_snapshot;

-- name: InsertSnapshot :exec
INSERT INTO snapshots
    (id, environment_id, version_id, session_id, session_number, parent_id, name, state, implicit, created_at, created_by)
VALUES
    (@id, @environment_id, @version_id, @session_id, @session_number,
     (SELECT p.id FROM snapshots AS p WHERE p.id = sqlc.narg(parent_id)::uuid), @name, @state, @implicit, @created_at, @created_by);

-- name: SnapshotByID :one
SELECT sqlc.embed(s), p.slug, e.name
FROM snapshots AS s JOIN environments AS e ON e.id = s.environment_id JOIN projects AS p ON p.id = e.project_id
WHERE s.id = @id;

-- name: Snapshots :many
SELECT sqlc.embed(s), p.slug, e.name
FROM snapshots AS s JOIN environments AS e ON e.id = s.environment_id JOIN projects AS p ON p.id = e.project_id
WHERE (sqlc.narg(environment)::uuid IS NULL OR s.environment_id = sqlc.narg(environment)::uuid)
  AND (sqlc.narg(session)::uuid IS NULL OR s.session_id = sqlc.narg(session)::uuid)
  AND (@name::text = '' OR s.name = @name)
ORDER BY s.created_at DESC, s.id;

-- name: UpdateSnapshot :execrows
UPDATE snapshots SET
    state = @state, memory = @memory, consistency = @consistency, size = @size, shared = @shared,
    pause_ns = @pause_ns, compat_key = @compat_key
WHERE id = @id;

-- name: AdoptSnapshots :exec
UPDATE snapshots AS c SET parent_id = p.parent_id FROM snapshots AS p WHERE p.id = @id AND c.parent_id = p.id;

-- name: DeleteSnapshot :execrows
DELETE FROM snapshots WHERE id = @id;
