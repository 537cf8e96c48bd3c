-- +goose NO TRANSACTION
-- +goose Up

-- What is pruned is found by its time. A BRIN index says of pages what was in them since they were new: once rows have gone and others
-- have come into their place, it finds nearly all of them old, and each look for what is to go reads the whole table.
-- Other nodes go on writing meanwhile, and what was broken off is done anew: so each for itself, and CONCURRENTLY.
DROP INDEX CONCURRENTLY IF EXISTS log_at;
CREATE INDEX CONCURRENTLY log_at ON log (at);
DROP INDEX CONCURRENTLY IF EXISTS commands_at;
CREATE INDEX CONCURRENTLY commands_at ON commands (accepted_at);
DROP INDEX CONCURRENTLY IF EXISTS seen_webhooks_at;
CREATE INDEX CONCURRENTLY seen_webhooks_at ON seen_webhooks (at);
DROP INDEX CONCURRENTLY IF EXISTS celebrations_at;
CREATE INDEX CONCURRENTLY celebrations_at ON celebrations (at);
DROP INDEX CONCURRENTLY IF EXISTS seen_checkins_day;
CREATE INDEX CONCURRENTLY seen_checkins_day ON seen_checkins (day);
