-- +goose Up

-- What is pruned is found by its time. A BRIN index says of pages what was in them since they were new: once rows have gone and others
-- have come into their place, it finds nearly all of them old, and each look for what is to go reads the whole table.
DROP INDEX log_at, commands_at, seen_webhooks_at, celebrations_at, seen_checkins_day;
CREATE INDEX log_at ON log (at);
CREATE INDEX commands_at ON commands (accepted_at);
CREATE INDEX seen_webhooks_at ON seen_webhooks (at);
CREATE INDEX celebrations_at ON celebrations (at);
CREATE INDEX seen_checkins_day ON seen_checkins (day);
