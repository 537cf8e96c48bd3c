-- +goose Up

-- What others learn of when a person was last seen; NULL = all.
ALTER TABLE users ADD COLUMN last_seen TEXT;
