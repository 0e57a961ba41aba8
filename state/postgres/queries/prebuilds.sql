-- name: PutCode :exec
INSERT INTO environment_code (environment_id, workspace, source, changed_at)
VALUES (@environment_id, @workspace, @source, @changed_at)
ON CONFLICT (environment_id) DO UPDATE SET workspace = EXCLUDED.workspace, source = EXCLUDED.source, changed_at = EXCLUDED.changed_at;

-- name: InheritCode :exec
INSERT INTO environment_code (environment_id, workspace, source, changed_at)
SELECT @heir::uuid, c.workspace, c.source, c.changed_at FROM environment_code AS c WHERE c.environment_id = @origin::uuid;

-- name: CodeOf :one
SELECT COALESCE(c.workspace::text, p.workspace::text, '')::text AS workspace, COALESCE(c.source, p.source)::text AS source
FROM environments AS e JOIN projects AS p ON p.id = e.project_id LEFT JOIN environment_code AS c ON c.environment_id = e.id
WHERE e.id = @id;

-- name: FetchOfCode :one
SELECT * FROM source_fetches
WHERE status = 'succeeded' AND code -> 'Workspace' ->> 'Digest' = @workspace::text
ORDER BY finished_at DESC LIMIT 1;

-- name: InsertPrebuild :execrows
INSERT INTO prebuilds (id, key, project_id, environment_id, version_id, workspace, manifest_hash, status, created_at, created_by, used_at)
VALUES (@id, @key, @project_id, @environment_id, @version_id, @workspace, @manifest_hash, @status, @created_at, @created_by, @created_at)
ON CONFLICT (key) WHERE status IN ('queued', 'running') DO NOTHING;

-- name: PrebuildByID :one
SELECT sqlc.embed(b), p.slug, e.name
FROM prebuilds AS b JOIN environments AS e ON e.id = b.environment_id JOIN projects AS p ON p.id = b.project_id
WHERE b.id = @id;

-- name: PrebuildBySnapshot :one
SELECT sqlc.embed(b), p.slug, e.name
FROM prebuilds AS b JOIN environments AS e ON e.id = b.environment_id JOIN projects AS p ON p.id = b.project_id
WHERE b.snapshot_id = @snapshot_id::uuid;

-- name: Prebuilds :many
SELECT sqlc.embed(b), p.slug, e.name
FROM prebuilds AS b JOIN environments AS e ON e.id = b.environment_id JOIN projects AS p ON p.id = b.project_id
WHERE (sqlc.narg(environment)::uuid IS NULL OR b.environment_id = sqlc.narg(environment)::uuid)
  AND (@key::text = '' OR b.key = @key)
  AND (NOT @open::boolean OR b.status IN ('queued', 'running'))
ORDER BY b.created_at DESC, b.id;

-- name: BestPrebuild :one
-- It stays as long as the transaction lasts, which is about to note its use: others wait, as two
-- that both shared the row could not both change it.
SELECT sqlc.embed(b), p.slug, e.name
FROM prebuilds AS b JOIN environments AS e ON e.id = b.environment_id JOIN projects AS p ON p.id = b.project_id
    JOIN snapshots AS s ON s.id = b.snapshot_id
WHERE b.project_id = @project_id AND b.status = 'succeeded' AND s.state = 'ready'
ORDER BY (b.key = @key) DESC, (b.manifest_hash = @manifest_hash) DESC, (b.environment_id = @environment_id) DESC, b.finished_at DESC
LIMIT 1
FOR NO KEY UPDATE OF b;

-- name: StepPrebuild :execrows
UPDATE prebuilds
SET status = @status, error = @error, error_code = @error_code, snapshot_id = @snapshot_id, started_at = @started_at, finished_at = @finished_at
WHERE id = @id AND status = ANY (@from_status::text[]);

-- name: UsePrebuild :exec
UPDATE prebuilds SET used_at = @used_at WHERE id = @id;

-- name: InsertSessionPrebuild :exec
INSERT INTO session_prebuilds (session_id, prebuild_id, earlier) VALUES (@session_id, @prebuild_id, @earlier);

-- name: PrebuildOfSession :one
SELECT sqlc.embed(b), p.slug, e.name, s.earlier
FROM session_prebuilds AS s JOIN prebuilds AS b ON b.id = s.prebuild_id
    JOIN environments AS e ON e.id = b.environment_id JOIN projects AS p ON p.id = b.project_id
WHERE s.session_id = @session_id;

-- name: DeletePrebuild :execrows
DELETE FROM prebuilds WHERE id = @id AND status IN ('succeeded', 'failed', 'canceled');

-- name: AppendPrebuildLog :copyfrom
INSERT INTO prebuild_log_lines (prebuild_id, seq, at, text) VALUES (@prebuild_id, @seq, @at, @text);

-- name: PrebuildLog :many
SELECT * FROM prebuild_log_lines WHERE prebuild_id = @prebuild_id AND seq > @after_seq ORDER BY seq LIMIT @max_rows;
