-- +goose Up

-- What a person wants of pushes, as JSON; NULL = everything.
ALTER TABLE users ADD COLUMN push TEXT;

-- What a person will be pushed about unless they see it first. batch: '' while it waits, then of the pushes made of it.
CREATE TABLE push_jobs (
	id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	usr        BIGINT NOT NULL,
	cause      TEXT COLLATE "C" NOT NULL,
	kind       TEXT NOT NULL,
	pact       BIGINT NOT NULL, -- 0 = none
	event      BYTEA NOT NULL,
	created_at BIGINT NOT NULL,
	due_at     BIGINT NOT NULL,
	batch      TEXT COLLATE "C" NOT NULL
);
CREATE UNIQUE INDEX push_jobs_cause ON push_jobs (usr, cause);
CREATE INDEX push_jobs_due ON push_jobs (due_at) WHERE batch = '';
CREATE INDEX push_jobs_batch ON push_jobs (batch) WHERE batch <> '';

-- The entries that tell of a job's cause: who acknowledges one of them has seen it.
CREATE TABLE push_marks (
	usr    BIGINT NOT NULL,
	stream BIGINT NOT NULL,
	seq    BIGINT NOT NULL,
	job    BIGINT NOT NULL,
	PRIMARY KEY (usr, stream, seq)
);
CREATE INDEX push_marks_job ON push_marks (job);

-- Messages on their way, one a target.
CREATE TABLE pushes (
	id         TEXT COLLATE "C" PRIMARY KEY,
	batch      TEXT COLLATE "C" NOT NULL,
	usr        BIGINT NOT NULL,
	pact       BIGINT NOT NULL, -- 0 = none, or several
	channel    TEXT NOT NULL,
	target     TEXT NOT NULL,
	body       BYTEA NOT NULL,
	created_at BIGINT NOT NULL,
	attempts   INTEGER NOT NULL,
	next_at    BIGINT NOT NULL,
	dead       BOOLEAN NOT NULL,
	error      TEXT NOT NULL
);
CREATE INDEX pushes_due ON pushes (channel, next_at) WHERE NOT dead;
CREATE INDEX pushes_batch ON pushes (batch);
CREATE INDEX pushes_usr ON pushes (usr);
CREATE INDEX pushes_created ON pushes (created_at);

-- How many pushes a person got on their latest local day, the number yyyymmdd.
CREATE TABLE push_counts (
	usr BIGINT PRIMARY KEY,
	day INTEGER NOT NULL,
	n   INTEGER NOT NULL
);

CREATE TABLE push_tokens (
	id         TEXT COLLATE "C" PRIMARY KEY,
	usr        BIGINT NOT NULL,
	kind       TEXT NOT NULL,
	token      TEXT NOT NULL,
	p256dh     TEXT NOT NULL,
	auth       TEXT NOT NULL,
	created_at BIGINT NOT NULL
);
-- A token may be longer than an entry of an index.
CREATE UNIQUE INDEX push_tokens_token ON push_tokens (kind, md5(token));
CREATE INDEX push_tokens_usr ON push_tokens (usr);
