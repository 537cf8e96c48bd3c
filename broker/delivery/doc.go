// Package delivery carries the log to the connections. Each subscription of QoS 1 to a stream is a cursor: live while the
// client keeps up, and behind otherwise, when the log is read for it. Nothing is queued for who is slow or away.
//
// Publish is called for each committed entry, in order per stream, on the goroutine that committed it. It finds the readers
// through membership, so an event costs its members and not the connected, and hands ready-made bytes to each connection's
// transport, which never blocks. A client that has no room is switched to reading the log and served by a few workers.
//
// Packet ids are our own: those of a client's unacknowledged messages are consecutive, so they stand in a ring, and the
// acknowledged front of the ring moves the cursors.
//
// A session is written by one goroutine alone, the saver. Open lets one connection at a time hold it.
//
// Lock order: Client.mu first; under it come the transport and the membership view, which do not block, and the short locks
// of Hub, saver, queue, blockedSet and throttle, under which nothing is called.
package delivery
