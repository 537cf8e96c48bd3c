-- +goose Up

-- What is pruned is found by its time. Reactions are found by the id of their activity, which begins with its time; seen_checkins stand
-- about in the order of their days.
CREATE INDEX celebrations_at ON celebrations (at);
