package delivery

import "github.com/pactwire/pactwire"

// cursor is the place of a client in one stream. It exists for QoS 1 alone. Under Client.mu.
type cursor struct {
	stream      pactwire.Stream
	acked       pactwire.Seq // contiguous prefix that the client acknowledged
	sent        pactwire.Seq // last that was handed to the transport
	head        pactwire.Seq // last that is known to exist
	first       pactwire.Seq // first that came while the place was being read; 0 = none
	dup         pactwire.Seq // up to here a message may have been sent before
	identifiers []uint32     // subscription identifiers of the filters that take the stream in
	under       uint16       // messages in the ring
	state       state
	check       bool // its place is to be compared with what is kept, before anything is read from there
	away        bool // the user could not read the stream when the session went on
	dead        bool // no longer subscribed, or no longer permitted
}

// state says who feeds a cursor.
type state uint8

const (
	placing state = iota // its place is being read; it is no part of the session yet
	held                 // its place is known, but SUBACK or CONNACK goes first
	behind               // a worker reads the log for it, after the snapshots
	live                 // has everything up to sent, and takes the next as it comes
	parked               // the user may not read the stream now; the next entry or change of membership wakes it
)

// caughtUp reports whether there is nothing to read for a cursor. Entries that were committed since it was placed are seen
// in head, because it was findable before its place was read.
func (cur *cursor) caughtUp() bool { return !cur.check && cur.sent >= cur.head }

// before is the place ahead of seq; 0 stands for the start.
func before(seq pactwire.Seq) pactwire.Seq {
	if seq == 0 {
		return 0
	}
	return seq - 1
}
