-- Numbers are drawn when a row is inserted, but rows become visible when their
-- transaction commits. One lock makes the two orders the same.
-- name: LockEvents :exec
SELECT pg_advisory_xact_lock(hashtext('nixspace.events'));

-- name: InsertEvent :one
INSERT INTO events (at, kind, project_id, environment_id, session_id, build_id, actor, message, data)
VALUES (@at, @kind, @project_id, @environment_id, @session_id, @build_id, @actor, @message, @data)
RETURNING seq;

-- name: EventsAfter :many
SELECT * FROM events WHERE seq > @after_seq ORDER BY seq LIMIT @max_rows;

-- name: LastEvent :one
SELECT COALESCE(max(seq), 0)::bigint FROM events;
