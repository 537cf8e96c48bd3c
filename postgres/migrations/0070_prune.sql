-- +goose Up

-- What is pruned is found by its time, in order of which the rows about stand. Reactions are found by the id of their activity, which
-- begins with its time.
CREATE INDEX celebrations_at ON celebrations USING brin (at);
CREATE INDEX seen_checkins_day ON seen_checkins USING brin (day);
