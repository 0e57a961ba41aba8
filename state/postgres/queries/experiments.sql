-- name: InsertExperiment :one
INSERT INTO experiments (id, project_id, kind, status, spec, author, created_at, created_by)
VALUES (@id, @project_id, @kind, @status, @spec, @author, @created_at, @created_by)
RETURNING number;

-- name: ExperimentByID :one
SELECT * FROM experiments WHERE id = @id;

-- name: ExperimentByNumber :one
SELECT * FROM experiments WHERE number = @number;

-- name: ListExperiments :many
SELECT * FROM experiments
WHERE (sqlc.narg('project_id')::uuid IS NULL OR project_id = sqlc.narg('project_id')::uuid)
    AND (@kind::text = '' OR kind = @kind::text)
    AND (@version::text = '' OR (spec -> 'subjects') @> jsonb_build_array(jsonb_build_object('versionId', @version::text)))
    AND (NOT @open::boolean OR status IN ('queued', 'running'))
    AND (@before::bigint = 0 OR number < @before::bigint)
ORDER BY number DESC
LIMIT sqlc.arg('max_rows');

-- name: StepExperiment :execrows
UPDATE experiments
SET status = @status, error = @error, error_code = @error_code, answer = @answer, started_at = @started_at, finished_at = @finished_at
WHERE id = @id AND status = ANY (@from_status::text[]);

-- name: PutExperimentRun :one
INSERT INTO experiment_runs (experiment_id, seq, key, subject, version_id, version_hash, status, exit_code, error, error_code, usage, report,
    stdout, stderr, truncated, artifact, started_at, finished_at)
VALUES (@experiment_id, (SELECT coalesce(max(r.seq), 0) + 1 FROM experiment_runs r WHERE r.experiment_id = @experiment_id),
    @key, @subject, @version_id, @version_hash, @status, @exit_code, @error, @error_code, @usage, @report,
    @stdout, @stderr, @truncated, @artifact, @started_at, @finished_at)
ON CONFLICT (experiment_id, key) DO UPDATE
SET subject = excluded.subject, version_id = excluded.version_id, version_hash = excluded.version_hash, status = excluded.status,
    exit_code = excluded.exit_code, error = excluded.error, error_code = excluded.error_code, usage = excluded.usage, report = excluded.report,
    stdout = excluded.stdout, stderr = excluded.stderr, truncated = excluded.truncated, artifact = excluded.artifact,
    started_at = excluded.started_at, finished_at = excluded.finished_at
RETURNING seq;

-- name: ListExperimentRuns :many
SELECT experiment_id, seq, key, subject, version_id, version_hash, status, exit_code, error, error_code, usage,
    (CASE WHEN @full_rows::boolean THEN report END)::jsonb AS report,
    (CASE WHEN @full_rows::boolean THEN stdout ELSE '' END)::text AS stdout,
    (CASE WHEN @full_rows::boolean THEN stderr ELSE '' END)::text AS stderr,
    truncated, (artifact IS NOT NULL)::boolean AS has_artifact, started_at, finished_at
FROM experiment_runs WHERE experiment_id = @experiment_id ORDER BY seq;

-- name: OneExperimentRun :one
SELECT * FROM experiment_runs WHERE experiment_id = @experiment_id AND seq = @seq;

-- name: HoldSession :exec
INSERT INTO experiment_sessions (experiment_id, session_id) VALUES (@experiment_id, @session_id) ON CONFLICT DO NOTHING;

-- name: ReleaseSession :exec
DELETE FROM experiment_sessions WHERE experiment_id = @experiment_id AND session_id = @session_id;

-- name: HeldSessions :many
SELECT session_id FROM experiment_sessions WHERE experiment_id = @experiment_id ORDER BY session_id;

-- name: DeleteExperiment :execrows
DELETE FROM experiments WHERE id = @id AND status IN ('succeeded', 'failed', 'canceled');
