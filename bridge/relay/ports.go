package relay

import (
	"context"
	"time"

	"github.com/pactwire/pactwire"
)

// Bus carries messages between nodes and knows who is connected where. All that it knows may be forgotten at any time.
type Bus interface {
	// Beat says that this node lives. Leave says that it ends, and that its words hold for so long.
	Beat(ctx context.Context) (pactwire.Beat, error)
	Leave(ctx context.Context, hold time.Duration) error
	// Here and Gone say that users are connected to this node, or are no more. "" stands for the operators.
	Here(ctx context.Context, users []pactwire.UserID) error
	Gone(ctx context.Context, users []pactwire.UserID) error
	// Routes tells at which nodes each user is connected, in lists that are not to be changed; Forget removes those of nodes that are no
	// more.
	Routes(ctx context.Context, users []pactwire.UserID) ([][]string, error)
	Forget(ctx context.Context, stale map[pactwire.UserID][]string) error
	// Send puts one message into the inbox of each node named.
	Send(ctx context.Context, messages map[string][]byte) error
	// Receive waits at most about a second for messages. fresh says that some may have been lost.
	Receive(ctx context.Context) (messages [][]byte, fresh bool, err error)
}

// Hub is this node's connections. Its methods do not block, save Yield and CheckSessions.
type Hub interface {
	Publish(e pactwire.Entry)
	Direct(u pactwire.UserID, about pactwire.PactID, topic string, payload, correlation []byte)
	PactsChanged(u pactwire.UserID, joined []pactwire.Membership, left []pactwire.PactID)
	StateChanged(p pactwire.PactID)
	PresenceChanged(p pactwire.Presence)
	// PresenceMissed says that changes of presence may have been lost.
	PresenceMissed()
	// PresenceMissedBy says that a user's connections may not have been told of changes.
	PresenceMissedBy(u pactwire.UserID)
	// Behind says that a stream has come to a head of which the entries are not at hand.
	Behind(s pactwire.Stream, head pactwire.Seq)
	Users() []pactwire.UserID
	Operators() bool
	Connections(u pactwire.UserID) int
	// Yield ends this node's connection of a session and returns when it is saved.
	Yield(ctx context.Context, key pactwire.SessionKey) error
	// CheckSessions ends the connections whose sessions another node has claimed.
	CheckSessions(ctx context.Context) error
}

// View is this node's view of membership. Pacts and Readers read memory.
type View interface {
	Pacts(u pactwire.UserID) []pactwire.Membership
	Readers(p pactwire.PactID, f func(pactwire.UserID) bool)
	// Members are the readers of a pact, also of one that is not in the view.
	Members(ctx context.Context, p pactwire.PactID) ([]pactwire.UserID, error)
	// Relearn reads a pact that another node has changed, and brings view and connections in line.
	Relearn(ctx context.Context, p pactwire.PactID) error
	// Rename gives a user another name in pacts.
	Rename(u pactwire.UserID, name string, pacts []pactwire.PactID)
}

// Log is what was committed, by whichever node.
type Log interface {
	ReadMany(ctx context.Context, reqs []pactwire.ReadRequest) ([][]pactwire.Entry, error)
	Bounds(ctx context.Context, streams []pactwire.Stream) ([]pactwire.Bounds, error)
}

// Shared is what a store of several nodes tells besides.
type Shared interface {
	// ChangedPacts lists the pacts that were changed, or whose members were, since a mark, and returns the mark to ask from
	// next; a change may be listed more than once, and is never left out. Mark 0 asks for no pacts, only for the mark.
	ChangedPacts(ctx context.Context, since uint64) (changes []pactwire.PactChange, next uint64, err error)
	// NodeAlive reports whether a process with a node's id has its hold on the store.
	NodeAlive(ctx context.Context, id string) (bool, error)
	// NodeAwake reports whether it looks after its hold: a process that hangs keeps it.
	NodeAwake(ctx context.Context, id string) (bool, error)
	// NodesBesides counts the processes that have theirs in the name of another node than these, and those of them that look after it.
	NodesBesides(ctx context.Context, ids []string) (held, awake int, err error)
}
