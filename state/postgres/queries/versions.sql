-- name: InsertVersion :exec
INSERT INTO environment_versions
    (id, environment_id, version_hash, message, changes, created_at, parents, parent_version_id, seq,
     manifest_hash, manifest, canonical, flake_content, flake_lock, drv_path, out_path, author, created_by)
VALUES
    (@id, @environment_id, @version_hash, @message, @changes, @created_at, @parents, @parent_version_id, @seq,
     @manifest_hash, @manifest, @canonical, @flake_content, @flake_lock, @drv_path, @out_path, @author, @created_by);

-- name: VersionsByID :many
SELECT * FROM environment_versions WHERE id = ANY (@ids::uuid[]);

-- name: VersionHashes :many
SELECT version_hash FROM environment_versions WHERE id = ANY (@ids::uuid[]);

-- name: VersionsByHash :many
SELECT * FROM environment_versions WHERE version_hash LIKE @prefix::text || '%'
ORDER BY version_hash LIMIT @max_rows;

-- History walks along first parents. The walk stops as soon as enough rows came
-- out of it, because the outer query neither sorts nor joins.
-- name: VersionHistory :many
WITH RECURSIVE history AS (
    SELECT v.* FROM environment_versions AS v WHERE v.id = @head
    UNION ALL
    SELECT p.* FROM environment_versions AS p JOIN history AS h ON p.id = h.parent_version_id
)
SELECT * FROM history WHERE @before_seq::bigint = 0 OR seq < @before_seq LIMIT @max_rows;

-- name: RealisationByDrv :one
SELECT * FROM realisations WHERE drv_path = @drv_path;

-- name: PutRealisation :exec
INSERT INTO realisations (drv_path, manifest_hash, out_path, closure_digest, closure_size, paths, realised_at)
VALUES (@drv_path, @manifest_hash, @out_path, @closure_digest, @closure_size, @paths, @realised_at)
ON CONFLICT (drv_path) DO UPDATE
SET manifest_hash = EXCLUDED.manifest_hash, out_path = EXCLUDED.out_path, closure_digest = EXCLUDED.closure_digest,
    closure_size = EXCLUDED.closure_size, paths = EXCLUDED.paths, realised_at = EXCLUDED.realised_at;
