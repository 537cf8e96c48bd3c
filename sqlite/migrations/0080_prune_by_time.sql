-- +goose Up

-- These are pruned by their time too, in whatever order they came.
CREATE INDEX seen_webhooks_at ON seen_webhooks (at);
CREATE INDEX seen_checkins_by_day ON seen_checkins (day);
