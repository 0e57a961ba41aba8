-- What sessions began from.

-- +goose Up
CREATE TABLE session_prebuilds (
    session_id  uuid PRIMARY KEY REFERENCES sessions (id) ON DELETE CASCADE,
    prebuild_id uuid NOT NULL REFERENCES prebuilds (id) ON DELETE CASCADE,
    earlier     boolean NOT NULL -- of other code than the session's, or another manifest
);
CREATE INDEX session_prebuilds_prebuild_idx ON session_prebuilds (prebuild_id);
