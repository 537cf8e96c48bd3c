// Package postgres is the store of several nodes: journal, log, sessions, presence and the habits-service in one PostgreSQL
// database that every node reads and writes. It promises what package sqlite promises, over all nodes: what was reported as
// done is on disk, the entries of every stream are numbered 1, 2, 3, … without a gap, and a failing transaction leaves the
// store as it was and in use.
//
// Writes come as functions, like in package sqlite, and one goroutine, the committer, runs what is queued in one transaction.
// A round trip costs more than the work, so the functions run against memory (Tx): the first run tells what they want to
// read, all of it is locked and fetched at once, they run again, and what they wrote is sent together with the COMMIT. A
// batch of usual commands costs two round trips, whatever its size.
//
// What nodes decide at the same time is kept apart by row locks: the row in names of a pact and of a person is locked, in
// order of id, before anything of theirs is read. A function that reads what cannot be foreseen runs alone, statement by
// statement (see Tx.alone).
//
// Rules for a function are those of package sqlite, and matter more here: every function runs at least twice, and an error
// that a Tx method returned during a first run is not to be remembered.
package postgres
