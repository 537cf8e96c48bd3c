-- +goose Up

-- Which node works on a person's pending commands, under which number, and until when by the clock of the database.
DROP TABLE lanes;
CREATE SEQUENCE turn_numbers AS BIGINT;
CREATE TABLE turns (
	usr    BIGINT PRIMARY KEY,
	turn   BIGINT NOT NULL,
	node   TEXT NOT NULL,
	until  BIGINT NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX turns_turn ON turns (turn);
