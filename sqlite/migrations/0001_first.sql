-- +goose Up

-- Text ids from outside become small numbers, once. kind: 1 pact, 2 user, 3 goal; the first two are also the kinds of
-- streams, so that a stream is named by the number of its pact or user. Rows are never deleted.
CREATE TABLE names (
	id   INTEGER PRIMARY KEY,
	kind INTEGER NOT NULL,
	name TEXT NOT NULL
);
CREATE UNIQUE INDEX names_name ON names (kind, name);

-- The log: append-only, so that a commit touches the last page and one index page a row.
CREATE TABLE log (
	id      INTEGER PRIMARY KEY,
	stream  INTEGER NOT NULL,
	seq     INTEGER NOT NULL,
	at      INTEGER NOT NULL,
	payload BLOB NOT NULL
);
CREATE UNIQUE INDEX log_stream ON log (stream, seq);

-- Up to where a stream was pruned; no row = nothing was.
CREATE TABLE floors (
	stream INTEGER PRIMARY KEY,
	floor  INTEGER NOT NULL
);

CREATE TABLE commands (
	id          INTEGER PRIMARY KEY,
	user        INTEGER NOT NULL,
	key         TEXT,
	request     BLOB,
	answer      BLOB,
	accepted_at INTEGER NOT NULL,
	attempts    INTEGER NOT NULL,
	next_at     INTEGER NOT NULL,
	told        INTEGER NOT NULL
);
CREATE UNIQUE INDEX commands_key ON commands (user, key) WHERE key IS NOT NULL;
CREATE INDEX commands_pending ON commands (id) WHERE answer IS NULL;
CREATE INDEX commands_pending_of ON commands (user, id) WHERE answer IS NULL;

-- Single numbers that must survive their rows: the highest pruned command.
CREATE TABLE counters (
	name  TEXT PRIMARY KEY,
	value INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE joined (
	user   INTEGER NOT NULL,
	stream INTEGER NOT NULL,
	seq    INTEGER NOT NULL,
	PRIMARY KEY (user, stream)
) WITHOUT ROWID;

-- id is the number in names, here and in goals and pacts.
CREATE TABLE users (
	id            INTEGER PRIMARY KEY,
	user_name     TEXT NOT NULL,
	time_zone     TEXT NOT NULL,
	day_starts_at TEXT NOT NULL,
	quiet_from    TEXT,
	quiet_to      TEXT,
	locale        TEXT NOT NULL,
	created_at    INTEGER NOT NULL
);

CREATE TABLE goals (
	id              INTEGER PRIMARY KEY,
	creator         INTEGER NOT NULL,
	name            TEXT NOT NULL,
	emoji           TEXT NOT NULL,
	description     TEXT NOT NULL,
	frequency_type  TEXT NOT NULL,
	frequency_count INTEGER NOT NULL,
	days_of_week    TEXT NOT NULL,
	created_at      INTEGER NOT NULL
);
CREATE INDEX goals_creator ON goals (creator);

CREATE TABLE pacts (
	id            INTEGER PRIMARY KEY,
	status        TEXT NOT NULL,
	pact_type     TEXT NOT NULL,
	goal          INTEGER NOT NULL,
	creator       INTEGER NOT NULL,
	duration_days INTEGER NOT NULL,
	start_date    INTEGER,
	end_date      INTEGER,
	ended_at      INTEGER,
	end_reason    TEXT NOT NULL,
	created_at    INTEGER NOT NULL
);

CREATE TABLE members (
	pact      INTEGER NOT NULL,
	place     INTEGER NOT NULL,
	user      INTEGER NOT NULL,
	role      TEXT NOT NULL,
	status    TEXT NOT NULL,
	joined_at INTEGER,
	PRIMARY KEY (pact, place)
) WITHOUT ROWID;
CREATE UNIQUE INDEX members_user ON members (user, pact);

CREATE TABLE codes (
	code    TEXT PRIMARY KEY,
	pact    INTEGER NOT NULL,
	expires INTEGER NOT NULL
) WITHOUT ROWID;

-- day, from_day, to_day, last_day: a local date as the number yyyymmdd.
CREATE TABLE checkins (
	id         INTEGER PRIMARY KEY,
	uid        TEXT NOT NULL,
	pact       INTEGER NOT NULL,
	user       INTEGER NOT NULL,
	goal       INTEGER NOT NULL,
	day        INTEGER NOT NULL,
	status     TEXT NOT NULL,
	notes      TEXT NOT NULL,
	media      TEXT,
	created_at INTEGER NOT NULL,
	updated_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX checkins_uid ON checkins (uid);
CREATE UNIQUE INDEX checkins_day ON checkins (user, goal, day);

CREATE TABLE announced (
	user     INTEGER NOT NULL,
	goal     INTEGER NOT NULL,
	from_day INTEGER NOT NULL,
	days     INTEGER NOT NULL,
	to_day   INTEGER NOT NULL,
	PRIMARY KEY (user, goal, from_day, days)
) WITHOUT ROWID;

CREATE TABLE streaks (
	user       INTEGER NOT NULL,
	goal       INTEGER NOT NULL,
	length     INTEGER NOT NULL,
	longest    INTEGER NOT NULL,
	grace_left INTEGER NOT NULL,
	last_day   INTEGER NOT NULL,
	PRIMARY KEY (user, goal)
) WITHOUT ROWID;

-- state: filters, cursors and unreleased packet ids in one piece (session_codec.go). expires_at: NULL while connected.
CREATE TABLE sessions (
	id         INTEGER PRIMARY KEY,
	user       INTEGER NOT NULL,
	client     TEXT NOT NULL,
	state      BLOB NOT NULL,
	expiry     INTEGER NOT NULL,
	gone_at    INTEGER,
	expires_at INTEGER
);
CREATE UNIQUE INDEX sessions_client ON sessions (user, client);
CREATE INDEX sessions_expires ON sessions (expires_at) WHERE expires_at IS NOT NULL;

-- What a remote habits-service was last seen to say.
CREATE TABLE seen_pacts (
	id   INTEGER PRIMARY KEY,
	pact BLOB NOT NULL
);
-- uid is '' once another row was stored later under the same id.
CREATE TABLE seen_checkins (
	id      INTEGER PRIMARY KEY,
	user    INTEGER NOT NULL,
	goal    INTEGER NOT NULL,
	day     INTEGER NOT NULL,
	uid     TEXT NOT NULL,
	checkin BLOB NOT NULL
);
CREATE UNIQUE INDEX seen_checkins_day ON seen_checkins (user, goal, day);
CREATE INDEX seen_checkins_uid ON seen_checkins (uid) WHERE uid <> '';
CREATE TABLE seen_webhooks (
	id   INTEGER PRIMARY KEY,
	name TEXT NOT NULL,
	at   INTEGER NOT NULL
);
CREATE UNIQUE INDEX seen_webhooks_name ON seen_webhooks (name);
CREATE TABLE said_milestones (
	user    INTEGER NOT NULL,
	goal    INTEGER NOT NULL,
	checkin TEXT NOT NULL,
	days    INTEGER NOT NULL,
	PRIMARY KEY (user, goal, checkin, days)
) WITHOUT ROWID;

CREATE TABLE presence (
	id        INTEGER PRIMARY KEY,
	last_seen INTEGER,
	version   INTEGER NOT NULL,
	online    INTEGER NOT NULL
);

-- The outbox of signed webhooks.
CREATE TABLE webhooks (
	id         INTEGER PRIMARY KEY,
	uid        TEXT NOT NULL,
	target     TEXT NOT NULL,
	body       BLOB NOT NULL,
	created_at INTEGER NOT NULL,
	attempts   INTEGER NOT NULL,
	next_at    INTEGER NOT NULL
);
CREATE UNIQUE INDEX webhooks_uid ON webhooks (uid);
CREATE INDEX webhooks_due ON webhooks (target, next_at, uid);
