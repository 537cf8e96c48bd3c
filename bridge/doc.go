// Package bridge makes commands true. It accepts them, carries check-ins to the habits-service, records what came of it
// and hands it to delivery; it keeps the view of membership that permission is decided by.
//
// With the embedded habits-service one transaction holds everything: the check-in, the activities of each pact, the
// sender's answer, the idempotency record. With a remote one the command is journalled first, and acknowledged then; a
// worker calls the service, one command of a person at a time, and records the outcome in a second transaction.
//
// Functions given to Store.Submit run on the store's committing goroutine, possibly more than once; the done functions run
// there after the commit, in order, and hand entries to the Publisher, so that each stream is published in order. What
// the bridge remembers inside a transaction it forgets when anything is rolled back.
//
// The changes in pacts' lives are reported by the embedded service. A remote one is read, again and again, and each
// reading is compared with the last one that was recorded; see sawAll.
//
// Locks: Membership, worker, breaker and notices have one each. None is held while another is taken, during I/O or while
// the Publisher is called.
package bridge
