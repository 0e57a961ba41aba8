-- Environments that people saved, to begin other projects with.

-- +goose Up
CREATE TABLE source_templates (
    name        name_t PRIMARY KEY,
    description text NOT NULL,
    workspace   sha256_t NOT NULL,
    size        bigint NOT NULL CHECK (size >= 0),
    files       integer NOT NULL CHECK (files >= 0),
    saved_from  text NOT NULL, -- project/environment@version, which may be gone
    created_at  timestamptz NOT NULL,
    created_by  uuid NOT NULL REFERENCES users (id)
);
