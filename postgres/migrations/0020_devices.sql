-- +goose Up

-- secret: SHA-256 of what the device connects with. last_seen, battery: NULL = never said.
CREATE TABLE devices (
	id         TEXT COLLATE "C" PRIMARY KEY,
	owner      BIGINT NOT NULL,
	name       TEXT NOT NULL,
	kind       TEXT NOT NULL,
	pact       BIGINT NOT NULL,
	goal       BIGINT NOT NULL,
	secret     BYTEA NOT NULL,
	last_seen  BIGINT,
	battery    INTEGER,
	created_at BIGINT NOT NULL
);
CREATE INDEX devices_owner ON devices (owner, created_at);

-- One of token, usr and device is set. before: with usr, tokens issued up to then. until: when it may be forgotten.
CREATE TABLE revocations (
	id      TEXT COLLATE "C" PRIMARY KEY,
	token   TEXT,
	usr     TEXT,
	device  TEXT,
	before  BIGINT,
	revoker TEXT NOT NULL,
	at      BIGINT NOT NULL,
	until   BIGINT NOT NULL
);
CREATE INDEX revocations_at ON revocations (at);
CREATE INDEX revocations_until ON revocations (until);
