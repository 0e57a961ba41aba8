-- name: InsertBuild :exec
INSERT INTO builds (id, version_id, status, error, error_code, created_at, started_at, finished_at)
VALUES (@id, @version_id, @status, @error, @error_code, @created_at, @started_at, @finished_at);

-- name: BuildByID :one
SELECT * FROM builds WHERE id = @id;

-- name: LockBuild :one
SELECT * FROM builds WHERE id = @id FOR UPDATE;

-- name: BuildsOfVersion :many
SELECT * FROM builds WHERE version_id = @version_id ORDER BY created_at DESC, id;

-- name: OpenBuilds :many
SELECT * FROM builds WHERE status IN ('queued', 'running') ORDER BY created_at DESC, id;

-- name: StepBuild :execrows
UPDATE builds
SET status = @status, error = @error, error_code = @error_code, started_at = @started_at, finished_at = @finished_at
WHERE id = @id AND status = ANY (@from_status::text[]);

-- name: AppendBuildLog :copyfrom
INSERT INTO build_log_lines (build_id, seq, at, text) VALUES (@build_id, @seq, @at, @text);

-- name: BuildLog :many
SELECT * FROM build_log_lines WHERE build_id = @build_id AND seq > @after_seq ORDER BY seq LIMIT @max_rows;
