-- name: InsertTemplate :exec
INSERT INTO source_templates (name, description, workspace, size, files, saved_from, created_at, created_by)
VALUES (@name, @description, @workspace, @size, @files, @saved_from, @created_at, @created_by);

-- name: TemplateByName :one
SELECT * FROM source_templates WHERE name = @name;

-- name: Templates :many
SELECT * FROM source_templates ORDER BY name;

-- name: DeleteTemplate :execrows
DELETE FROM source_templates WHERE name = @name;
