package pactwire

import (
	"strings"
	"time"
)

// The words in which several nodes speak of each other. They stand here because neither the side that talks nor the side
// that carries imports the other.

// Beat is what a node learns when it says that it lives.
type Beat struct {
	// Known says that the node's former beat was still there. When it was not, all that the node had said is lost.
	Known bool
	// Nodes are all that said so and were not removed since, the asking one included.
	Nodes []NodeBeat
}

// NodeBeat is the last sign of life of one start of a node.
type NodeBeat struct {
	Addr   string        // "id/start": another one after each start
	Age    time.Duration // of the sign of life
	Lapsed bool          // its lease is over
}

// NodeOf is the id of the node that an address is a start of.
func NodeOf(addr string) string {
	id, _, _ := strings.Cut(addr, "/")
	return id
}

// Word is what one node says of a person's presence there.
type Word struct {
	User     UserID
	Status   PresenceStatus
	LastSeen time.Time
	// Floor is a version that was told before, if any; the next one is higher.
	Floor uint64
	// Quiet repeats what was said before, for a board that has forgotten: it announces nothing.
	Quiet bool
	// WasThere says that others take the person to be there, so that going is a change even for a board that has forgotten.
	WasThere bool
}

// Said is what all nodes' words together make of a person.
type Said struct {
	Known    bool // anything was ever said
	Status   PresenceStatus
	LastSeen time.Time
	Version  uint64
	// Changed says that this word has changed it, and that it is for its speaker to announce that.
	Changed bool
}

// PactChange says that a pact, or its members, were changed. At tells changes of a pact apart.
type PactChange struct {
	Pact PactID
	At   uint64
}

// Spent is what was taken of a rate limit at one node.
type Spent struct {
	Key  string
	Cost time.Duration // in which it is earned back
	Age  time.Duration // since the first of it was taken
	Full time.Duration // in which all that may be taken at once is earned back
}

// ForwardedHeader is in every request to a habits-service. A server that forwards and gets one is its own habits-service.
const ForwardedHeader = "Pactwire-Forwarded"
