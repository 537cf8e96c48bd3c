-- +goose Up

-- Which node's connection holds a session, and since which claim. What an earlier owner writes later changes nothing. 0 is a
-- session of a store with one node, where nothing is fenced.
ALTER TABLE sessions ADD COLUMN owner TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;
