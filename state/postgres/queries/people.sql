-- name: InsertAccount :exec
INSERT INTO accounts (user_id, email, standing, password, totp, created_at)
VALUES (@user_id, @email, @standing, @password, @totp, @created_at);

-- name: AccountByID :one
SELECT sqlc.embed(a), u.name FROM accounts AS a JOIN users AS u ON u.id = a.user_id WHERE a.user_id = @user_id;

-- name: AccountByName :one
SELECT sqlc.embed(a), u.name FROM accounts AS a JOIN users AS u ON u.id = a.user_id WHERE u.name = @name;

-- name: Accounts :many
SELECT sqlc.embed(a), u.name FROM accounts AS a JOIN users AS u ON u.id = a.user_id ORDER BY u.name;

-- name: UpdateAccount :execrows
UPDATE accounts SET email = @email, standing = @standing, password = @password, totp = @totp,
    disabled_at = sqlc.narg(disabled_at)::timestamptz
WHERE user_id = @user_id;

-- name: UseTOTPStep :execrows
UPDATE accounts SET totp_step = @step WHERE user_id = @user_id AND totp_step < @step;

-- name: InsertTeam :exec
INSERT INTO teams (id, name, created_at, created_by) VALUES (@id, @name, @created_at, @created_by);

-- name: Teams :many
SELECT sqlc.embed(t), COALESCE((SELECT array_agg(u.name ORDER BY u.name) FROM team_members AS m JOIN users AS u ON u.id = m.user_id
    WHERE m.team_id = t.id), '{}')::text[] AS members
FROM teams AS t WHERE @name::text = '' OR t.name = @name ORDER BY t.name;

-- name: DeleteTeam :execrows
DELETE FROM teams WHERE id = @id;

-- name: InsertTeamMember :execrows
INSERT INTO team_members (team_id, user_id) VALUES (@team_id, @user_id) ON CONFLICT DO NOTHING;

-- name: DeleteTeamMember :execrows
DELETE FROM team_members WHERE team_id = @team_id AND user_id = @user_id;

-- name: PutUserMember :exec
INSERT INTO project_members (project_id, user_id, role, created_at) VALUES (@project_id, @user_id, @role, @created_at)
ON CONFLICT (project_id, user_id) DO UPDATE SET role = EXCLUDED.role;

-- name: PutTeamMember :exec
INSERT INTO project_members (project_id, team_id, role, created_at) VALUES (@project_id, @team_id, @role, @created_at)
ON CONFLICT (project_id, team_id) DO UPDATE SET role = EXCLUDED.role;

-- name: DeleteMember :execrows
DELETE FROM project_members WHERE project_id = @project_id
    AND (user_id = sqlc.narg(user_id)::uuid OR team_id = sqlc.narg(team_id)::uuid);

-- name: Members :many
SELECT sqlc.embed(m), p.slug, COALESCE(u.name, t.name)::text AS who
FROM project_members AS m JOIN projects AS p ON p.id = m.project_id
    LEFT JOIN users AS u ON u.id = m.user_id LEFT JOIN teams AS t ON t.id = m.team_id
WHERE m.project_id = @project_id ORDER BY who;

-- One lock at a time, always in this order.
-- name: LockOccupied :exec
SELECT pg_advisory_xact_lock(hashtextextended(@name, 90));

-- name: Occupied :one
SELECT count(*) FILTER (WHERE s.created_by = @user_id) AS of_user, count(*) FILTER (WHERE e.project_id = @project_id) AS of_project
FROM sessions AS s JOIN environments AS e ON e.id = s.environment_id
WHERE s.status IN ('creating', 'running', 'stopping') AND (s.created_by = @user_id OR e.project_id = @project_id);

-- name: RolesOf :many
SELECT pm.project_id, pm.role FROM project_members AS pm
WHERE pm.user_id = @user_id OR pm.team_id IN (SELECT t.team_id FROM team_members AS t WHERE t.user_id = @user_id);

-- name: OpenProjects :many
SELECT DISTINCT project_id FROM environments WHERE visibility = 'public' AND deleted_at IS NULL;

-- name: HiddenEnvironments :many
SELECT id FROM environments WHERE visibility = 'private' AND deleted_at IS NULL AND created_by <> @user_id;

-- name: SetVisibility :execrows
UPDATE environments SET visibility = @visibility WHERE id = @id;

-- name: InsertCredential :exec
INSERT INTO credentials (id, user_id, kind, name, hash, cap, projects, standing, uses, created_at, expires_at, made_from)
VALUES (@id, @user_id, @kind, @name, @hash, @cap, @projects, @standing, @uses, @created_at, @expires_at, @made_from);

-- name: CredentialByHash :one
SELECT sqlc.embed(c), u.name FROM credentials AS c JOIN users AS u ON u.id = c.user_id WHERE c.hash = @hash;

-- name: CredentialByID :one
SELECT sqlc.embed(c), u.name FROM credentials AS c JOIN users AS u ON u.id = c.user_id WHERE c.id = @id;

-- name: Credentials :many
SELECT sqlc.embed(c), u.name FROM credentials AS c JOIN users AS u ON u.id = c.user_id
WHERE c.user_id = @user_id AND c.revoked_at IS NULL ORDER BY c.created_at DESC, c.id LIMIT 1000;

-- One that can be used some times only loses a use; 1 becomes -1, used up.
-- name: UseCredential :execrows
UPDATE credentials SET last_used_at = @at, uses = CASE WHEN uses = 1 THEN -1 WHEN uses > 1 THEN uses - 1 ELSE uses END
WHERE id = @id AND uses >= 0;

-- name: RevokeCredential :execrows
UPDATE credentials SET revoked_at = @at WHERE id = @id AND revoked_at IS NULL;

-- name: InsertAudit :exec
INSERT INTO audit (at, actor_id, actor, credential_id, came_from, operation, target, outcome)
VALUES (@at, @actor_id, @actor, @credential_id, @came_from, @operation, @target, @outcome);

-- name: AuditEntries :many
SELECT * FROM audit
WHERE seq > @after AND (@actor::text = '' OR actor = @actor) AND (@operation::text = '' OR operation = @operation)
  AND (@target::text = '' OR target = @target)
  AND (sqlc.narg(since)::timestamptz IS NULL OR at >= sqlc.narg(since)) AND (sqlc.narg(until)::timestamptz IS NULL OR at < sqlc.narg(until))
ORDER BY seq LIMIT @max_rows;
