-- +goose Up

-- What people say to each other, besides checking in. Users are numbers in names, days are yyyymmdd.

CREATE TABLE celebrations (
	user    INTEGER NOT NULL,
	checkin TEXT NOT NULL,
	at      INTEGER NOT NULL,
	PRIMARY KEY (user, checkin)
) WITHOUT ROWID;

-- The latest day alone: a limit of a day needs no more.
CREATE TABLE encouragements (
	user   INTEGER NOT NULL,
	target INTEGER NOT NULL,
	day    INTEGER NOT NULL,
	n      INTEGER NOT NULL,
	PRIMARY KEY (user, target)
) WITHOUT ROWID;

CREATE TABLE reactions (
	activity TEXT NOT NULL,
	user     INTEGER NOT NULL,
	emoji    TEXT NOT NULL,
	PRIMARY KEY (activity, user)
) WITHOUT ROWID;

-- Each of two people has a side of their own.
CREATE TABLE connections (
	user       INTEGER NOT NULL,
	other      INTEGER NOT NULL,
	status     TEXT NOT NULL,
	blocked    INTEGER NOT NULL,
	asked      INTEGER NOT NULL,
	updated_at INTEGER NOT NULL,
	PRIMARY KEY (user, other)
) WITHOUT ROWID;

-- n counts a person's notifications up; the list is read from its end.
CREATE TABLE notifications (
	user       INTEGER NOT NULL,
	n          INTEGER NOT NULL,
	uid        TEXT NOT NULL,
	type       TEXT NOT NULL,
	subject    TEXT NOT NULL,
	unread     INTEGER NOT NULL,
	sender     TEXT NOT NULL,
	sender_name TEXT NOT NULL,
	pact       TEXT NOT NULL,
	count      INTEGER NOT NULL,
	data       BLOB NOT NULL,
	created_at INTEGER NOT NULL,
	updated_at INTEGER NOT NULL,
	PRIMARY KEY (user, n)
) WITHOUT ROWID;
CREATE UNIQUE INDEX notifications_uid ON notifications (user, uid);
CREATE INDEX notifications_unread ON notifications (user, subject) WHERE unread = 1;
