-- +goose Up

-- Packet ids of inbound QoS 2 publishes that were taken in and not yet released, one row each: written in the transaction
-- of the command, deleted before PUBCOMP. session is the number of a row in sessions, and goes with it.
CREATE TABLE received (
	session INTEGER NOT NULL,
	id      INTEGER NOT NULL,
	PRIMARY KEY (session, id)
) WITHOUT ROWID;

-- +goose StatementBegin
CREATE TRIGGER sessions_received AFTER DELETE ON sessions BEGIN
	DELETE FROM received WHERE session = OLD.id;
END;
-- +goose StatementEnd
