-- name: NextSessionNumber :one
UPDATE environments SET last_session = last_session + 1 WHERE id = @id AND deleted_at IS NULL RETURNING last_session;

-- name: InsertSession :exec
INSERT INTO sessions
    (id, environment_version_id, vm_id, status, started_at, last_activity, environment_id, number, generation,
     reason, reason_code, driver, isolation, ephemeral, status_since, ended_at, created_by,
     throwaway, disk_only, snapshot_id, fork_of, needs_snapshot)
VALUES
    (@id, @environment_version_id, @vm_id, @status, @started_at, @last_activity, @environment_id, @number, @generation,
     @reason, @reason_code, @driver, @isolation, @ephemeral, @status_since, @ended_at, @created_by,
     @throwaway, @disk_only, @snapshot_id, @fork_of, @needs_snapshot);

-- name: SessionByID :one
SELECT sqlc.embed(s), p.slug, e.name
FROM sessions AS s JOIN environments AS e ON e.id = s.environment_id JOIN projects AS p ON p.id = e.project_id
WHERE s.id = @id;

-- name: Sessions :many
SELECT sqlc.embed(s), p.slug, e.name
FROM sessions AS s JOIN environments AS e ON e.id = s.environment_id JOIN projects AS p ON p.id = e.project_id
WHERE (sqlc.narg(environment)::uuid IS NULL OR s.environment_id = sqlc.narg(environment)::uuid)
  AND (@number::integer = 0 OR s.number = @number)
  AND (cardinality(@statuses::text[]) = 0 OR s.status = ANY (@statuses))
ORDER BY s.started_at DESC, s.id
LIMIT sqlc.narg(max_rows)::bigint;

-- name: StepSession :execrows
UPDATE sessions SET
    status       = @status,
    status_since = @at,
    generation   = generation + CASE WHEN @restart::boolean THEN 1 ELSE 0 END,
    started_at   = CASE WHEN @restart THEN @at ELSE started_at END,
    last_activity = GREATEST(last_activity, @at),
    ended_at     = sqlc.narg(ended_at)::timestamptz,
    reason       = @reason,
    reason_code  = @reason_code,
    resuming     = CASE WHEN @restart THEN @resume::boolean ELSE resuming END,
    needs_snapshot = CASE
        WHEN NOT throwaway AND @status = 'running' THEN NULL
        WHEN throwaway AND @status IN ('stopped', 'failed') THEN NULL
        ELSE needs_snapshot END,
    vm_id     = CASE WHEN @restart THEN '' WHEN @vm_id::text <> '' THEN @vm_id ELSE vm_id END,
    driver    = CASE WHEN @restart THEN '' WHEN @driver::text <> '' THEN @driver ELSE driver END,
    isolation = CASE WHEN @restart THEN '' WHEN @isolation::text <> '' THEN @isolation ELSE isolation END
WHERE id = @id AND generation = @generation AND status = ANY (@from_status::text[]);

-- name: TouchSession :exec
UPDATE sessions SET last_activity = @at WHERE id = @id AND last_activity < @at;

-- name: DeleteSession :execrows
DELETE FROM sessions WHERE id = @id AND status IN ('stopped', 'failed');
