-- +goose Up

-- Which transaction changed a pact or its members last, so that nodes find what others have changed. A transaction that a
-- snapshot does not show yet is not older than the oldest one that ran then, so nothing is missed by asking from there.
ALTER TABLE pacts ADD COLUMN changed xid8 NOT NULL DEFAULT pg_current_xact_id();
CREATE INDEX pacts_changed ON pacts (changed);
ALTER TABLE seen_pacts ADD COLUMN changed xid8 NOT NULL DEFAULT pg_current_xact_id();
CREATE INDEX seen_pacts_changed ON seen_pacts (changed);
