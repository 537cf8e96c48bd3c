-- +goose Up

-- Which state of a pact of a remote habits-service a row has: one more with each that is recorded.
ALTER TABLE seen_pacts ADD COLUMN revision INTEGER NOT NULL DEFAULT 1;
