// Package sqlite is the embedded store: one file that holds the journal, the log, sessions, presence and the
// habits-service. It promises that what was reported as done is on disk, that the entries of every stream are numbered
// 1, 2, 3, … without a gap, and that a failing transaction leaves the store as it was and in use.
//
// All writes go through one goroutine, the committer. It takes what is queued, runs it in one transaction, commits and
// calls back, so that many clients share one fsync:
//
//	err := db.Submit(ctx, func(tx *sqlite.Tx) error {
//		head, err := tx.Head(stream)
//		if err != nil {
//			return err
//		}
//		return tx.Append(pactwire.Entry{Stream: stream, Seq: head + 1, Payload: payload}, now)
//	}, func(err error) { … })
//
// Rules for such a function: it may run more than once, so it changes no memory except caches that OnRollback clears; it
// keeps neither the Tx nor a goroutine; it does nothing but database work, since everybody waits for it. Rules for the
// callback: it runs on the committer's goroutine in the order of submission and must neither block nor submit.
//
// Reads outside of transactions use a small pool of read-only connections and see committed state. Contexts end the
// wait for a connection or for room in the queue, never a running statement.
//
// The package talks to SQLite through the C API that modernc.org/sqlite/lib translates (conn.go, stmt.go), because the
// committer is what limits the server's throughput and database/sql costs half as much again as the work itself. Nothing
// outside these two files knows.
package sqlite
