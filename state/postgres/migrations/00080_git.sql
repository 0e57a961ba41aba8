-- What users told for git in their sessions. What opens repositories is sealed with a
-- key that is not in the database.

-- +goose Up
CREATE TABLE git_identities (
    user_id uuid PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    name    text NOT NULL,
    email   text NOT NULL
);

CREATE TABLE git_credentials (
    user_id      uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    host         text NOT NULL,
    username     text NOT NULL,
    sealed       bytea NOT NULL,
    created_at   timestamptz NOT NULL,
    last_used_at timestamptz,
    PRIMARY KEY (user_id, host)
);
