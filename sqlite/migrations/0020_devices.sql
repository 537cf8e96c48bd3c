-- +goose Up

-- secret: SHA-256 of what the device connects with. last_seen, battery: NULL = never said.
CREATE TABLE devices (
	id         TEXT PRIMARY KEY,
	owner      INTEGER NOT NULL,
	name       TEXT NOT NULL,
	kind       TEXT NOT NULL,
	pact       INTEGER NOT NULL,
	goal       INTEGER NOT NULL,
	secret     BLOB NOT NULL,
	last_seen  INTEGER,
	battery    INTEGER,
	created_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX devices_owner ON devices (owner, created_at);
