-- +goose Up

-- Packet ids of inbound QoS 2 publishes that were taken in and not yet released, one row each: written in the transaction
-- of the command, deleted before PUBCOMP. They go with their session.
CREATE TABLE received (
	usr    BIGINT NOT NULL,
	client TEXT COLLATE "C" NOT NULL,
	id     INTEGER NOT NULL,
	PRIMARY KEY (usr, client, id),
	FOREIGN KEY (usr, client) REFERENCES sessions (usr, client) ON DELETE CASCADE
);
