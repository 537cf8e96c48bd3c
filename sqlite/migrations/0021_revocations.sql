-- +goose Up

-- One of token, user and device is set. before: with user, tokens issued up to then. until: when it may be forgotten.
CREATE TABLE revocations (
	id      TEXT PRIMARY KEY,
	token   TEXT,
	user    TEXT,
	device  TEXT,
	before  INTEGER,
	revoker TEXT NOT NULL,
	at      INTEGER NOT NULL,
	until   INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX revocations_at ON revocations (at);
CREATE INDEX revocations_until ON revocations (until);
