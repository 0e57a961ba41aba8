-- name: InsertFetch :exec
INSERT INTO source_fetches (id, source, private, status, created_at, created_by)
VALUES (@id, @source, @private, @status, @created_at, @created_by);

-- name: FetchByID :one
SELECT * FROM source_fetches WHERE id = @id;

-- name: OpenFetches :many
SELECT * FROM source_fetches WHERE status IN ('queued', 'running') ORDER BY created_at, id;

-- name: StepFetch :execrows
UPDATE source_fetches
SET status = @status, error = @error, error_code = @error_code, code = @code, started_at = @started_at, finished_at = @finished_at
WHERE id = @id AND status = ANY (@from_status::text[]);
