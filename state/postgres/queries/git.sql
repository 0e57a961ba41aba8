-- name: GitIdentity :one
SELECT * FROM git_identities WHERE user_id = @user_id;

-- name: SetGitIdentity :exec
INSERT INTO git_identities (user_id, name, email) VALUES (@user_id, @name, @email)
ON CONFLICT (user_id) DO UPDATE SET name = excluded.name, email = excluded.email;

-- name: GitCredentials :many
SELECT * FROM git_credentials WHERE user_id = @user_id ORDER BY host;

-- name: PutGitCredential :exec
INSERT INTO git_credentials (user_id, host, username, sealed, created_at)
VALUES (@user_id, @host, @username, @sealed, @created_at)
ON CONFLICT (user_id, host) DO UPDATE
SET username = excluded.username, sealed = excluded.sealed, created_at = excluded.created_at, last_used_at = NULL;

-- name: DeleteGitCredential :execrows
DELETE FROM git_credentials WHERE user_id = @user_id AND host = @host;

-- name: GitCredentialUsed :exec
UPDATE git_credentials SET last_used_at = @at::timestamptz WHERE user_id = @user_id AND host = @host;
