-- +goose Up

CREATE TABLE celebrations (
	usr     BIGINT NOT NULL,
	checkin TEXT COLLATE "C" NOT NULL,
	at      BIGINT NOT NULL,
	PRIMARY KEY (usr, checkin)
);

-- The latest day alone: a limit of a day needs no more.
CREATE TABLE encouragements (
	usr    BIGINT NOT NULL,
	target BIGINT NOT NULL,
	day    INTEGER NOT NULL,
	n      INTEGER NOT NULL,
	PRIMARY KEY (usr, target)
);

CREATE TABLE reactions (
	activity TEXT COLLATE "C" NOT NULL,
	usr      BIGINT NOT NULL,
	emoji    TEXT NOT NULL,
	PRIMARY KEY (activity, usr)
);

-- Each of two people has a side of their own.
CREATE TABLE connections (
	usr        BIGINT NOT NULL,
	other      BIGINT NOT NULL,
	status     TEXT NOT NULL,
	blocked    BOOLEAN NOT NULL,
	asked      INTEGER NOT NULL,
	updated_at BIGINT NOT NULL,
	PRIMARY KEY (usr, other)
);

-- n counts a person's notifications up; the list is read from its end.
CREATE TABLE notifications (
	usr         BIGINT NOT NULL,
	n           BIGINT NOT NULL,
	uid         TEXT COLLATE "C" NOT NULL,
	type        TEXT NOT NULL,
	subject     TEXT NOT NULL,
	unread      BOOLEAN NOT NULL,
	sender      TEXT NOT NULL,
	sender_name TEXT NOT NULL,
	pact        TEXT NOT NULL,
	count       INTEGER NOT NULL,
	data        BYTEA NOT NULL,
	created_at  BIGINT NOT NULL,
	updated_at  BIGINT NOT NULL,
	PRIMARY KEY (usr, n)
);
CREATE UNIQUE INDEX notifications_uid ON notifications (usr, uid);
CREATE INDEX notifications_unread ON notifications (usr, subject) WHERE unread;
