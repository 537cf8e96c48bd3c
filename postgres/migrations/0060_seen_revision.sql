-- +goose Up

-- Which state of a pact of a remote habits-service a row has: one more with each that is recorded, so that a node notices when
-- another one has recorded a reading meanwhile.
ALTER TABLE seen_pacts ADD COLUMN revision BIGINT NOT NULL DEFAULT 1;
