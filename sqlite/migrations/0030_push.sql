-- +goose Up

-- What a person wants of pushes, as JSON; NULL = everything.
ALTER TABLE users ADD COLUMN push TEXT;

-- What a person will be pushed about unless they see it first. batch: '' while it waits, then of the pushes made of it.
CREATE TABLE push_jobs (
	id         INTEGER PRIMARY KEY,
	user       INTEGER NOT NULL,
	cause      TEXT NOT NULL,
	kind       TEXT NOT NULL,
	pact       INTEGER NOT NULL, -- 0 = none
	event      BLOB NOT NULL,
	created_at INTEGER NOT NULL,
	due_at     INTEGER NOT NULL,
	batch      TEXT NOT NULL
);
CREATE UNIQUE INDEX push_jobs_cause ON push_jobs (user, cause);
CREATE INDEX push_jobs_due ON push_jobs (due_at) WHERE batch = '';
CREATE INDEX push_jobs_batch ON push_jobs (batch) WHERE batch <> '';

-- The entries that tell of a job's cause: who acknowledges one of them has seen it.
CREATE TABLE push_marks (
	user   INTEGER NOT NULL,
	stream INTEGER NOT NULL,
	seq    INTEGER NOT NULL,
	job    INTEGER NOT NULL,
	PRIMARY KEY (user, stream, seq)
) WITHOUT ROWID;
CREATE INDEX push_marks_job ON push_marks (job);

-- Messages on their way, one a target.
CREATE TABLE pushes (
	id         TEXT PRIMARY KEY,
	batch      TEXT NOT NULL,
	user       INTEGER NOT NULL,
	pact       INTEGER NOT NULL, -- 0 = none, or several
	channel    TEXT NOT NULL,
	target     TEXT NOT NULL,
	body       BLOB NOT NULL,
	created_at INTEGER NOT NULL,
	attempts   INTEGER NOT NULL,
	next_at    INTEGER NOT NULL,
	dead       INTEGER NOT NULL,
	error      TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX pushes_due ON pushes (channel, next_at) WHERE dead = 0;
CREATE INDEX pushes_batch ON pushes (batch);
CREATE INDEX pushes_user ON pushes (user);
CREATE INDEX pushes_created ON pushes (created_at);

-- How many pushes a person got on their latest local day, the number yyyymmdd.
CREATE TABLE push_counts (
	user INTEGER PRIMARY KEY,
	day  INTEGER NOT NULL,
	n    INTEGER NOT NULL
);

CREATE TABLE push_tokens (
	id         TEXT PRIMARY KEY,
	user       INTEGER NOT NULL,
	kind       TEXT NOT NULL,
	token      TEXT NOT NULL,
	p256dh     TEXT NOT NULL,
	auth       TEXT NOT NULL,
	created_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX push_tokens_token ON push_tokens (kind, token);
CREATE INDEX push_tokens_user ON push_tokens (user);
