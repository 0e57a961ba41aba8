-- name: InsertUser :exec
INSERT INTO users (id, name, created_at) VALUES (@id, @name, @created_at)
ON CONFLICT (name) DO NOTHING;

-- name: UserByName :one
SELECT * FROM users WHERE name = @name;

-- name: InsertProject :exec
INSERT INTO projects (id, slug, source, workspace, created_at, created_by)
VALUES (@id, @slug, @source, @workspace, @created_at, @created_by);

-- name: ProjectByID :one
SELECT * FROM projects WHERE id = @id;

-- name: ProjectBySlug :one
SELECT * FROM projects WHERE slug = @slug;

-- name: Projects :many
SELECT * FROM projects ORDER BY slug;
