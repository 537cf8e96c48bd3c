package delivery

import (
	"context"
	"time"

	"github.com/pactwire/pactwire"
)

// Log is the durable log that live delivery falls back to.
type Log interface {
	// ReadMany serves many streams with one bounded read. The result has the order of the requests.
	ReadMany(ctx context.Context, reqs []pactwire.ReadRequest) ([][]pactwire.Entry, error)
	// Bounds tells what is kept of each stream.
	Bounds(ctx context.Context, streams []pactwire.Stream) ([]pactwire.Bounds, error)
}

// SessionStore keeps sessions over restarts. Load serves many callers with few reads; Save and Delete are durable when
// they return.
type SessionStore interface {
	LoadSession(ctx context.Context, key pactwire.SessionKey) (pactwire.Session, bool, error)
	// SaveSessions returns those that it did not write because another node has claimed them since.
	SaveSessions(ctx context.Context, s []pactwire.Session) (fenced []pactwire.Session, err error)
	DeleteSession(ctx context.Context, key pactwire.SessionKey) error
	// ReleaseReceived forgets an unreleased packet id and calls done once that is durable. done does not block; with an error
	// from ReleaseReceived itself it is not called.
	ReleaseReceived(ctx context.Context, in pactwire.Inbound, done func(error)) error
	// ExpireSessions deletes the sessions whose time is over.
	ExpireSessions(ctx context.Context, now time.Time) (int, error)
}

// Owners is a session store that several nodes share. Who holds a session is decided there: the newest claim does.
type Owners interface {
	ClaimSession(ctx context.Context, claim pactwire.SessionClaim) (pactwire.SessionClaimed, error)
	// LostSessions returns those of the sessions that have been claimed under another epoch, or are gone.
	LostSessions(ctx context.Context, s []pactwire.Session) ([]pactwire.Session, error)
}

// Peers are the other nodes of a shared store.
type Peers interface {
	// Yield asks the node at an address to end its connection of a session and to save it. True means that nothing more is
	// to be expected of that node: it has, or it holds no such session, or it is gone. It returns within about a second.
	Yield(ctx context.Context, node string, key pactwire.SessionKey) bool
	// Moved says that a user's first connection of this node has come, or the last one has ended. It does not block.
	Moved(u pactwire.UserID)
}

// Access is the in-memory view of membership: the one function that says who may read what, at subscribe, delivery and
// replay alike. Its methods neither block nor do I/O, save Ensure and Learn.
type Access interface {
	// Ensure makes the user's pacts known, reading them when they are not. It fails with Unavailable.
	Ensure(ctx context.Context, u pactwire.UserID) error
	// Learn reads pacts again that u may not read by a view that may be old, and calls Hub.PactsChanged for what is new before it
	// returns. How much of that a user may ask for is its affair. It fails with Unavailable.
	Learn(ctx context.Context, u pactwire.UserID, pacts []pactwire.PactID) error
	// Release says that a connection for which Ensure succeeded has ended.
	Release(u pactwire.UserID)
	// CanRead reports whether u may read p now.
	CanRead(u pactwire.UserID, p pactwire.PactID) bool
	// Stale reports whether what is known of u's pacts is too old to subscribe by.
	Stale(u pactwire.UserID) bool
	// Pacts are the pacts that u may read now, with where each member's own story starts.
	Pacts(u pactwire.UserID) []pactwire.Membership
	// Readers calls f for each user that may read p now and is held by Ensure, until f returns false.
	Readers(p pactwire.PactID, f func(pactwire.UserID) bool)
}

// Snapshots makes the bodies of retained-style messages. Called from workers; may read the store.
type Snapshots interface {
	// States returns the JSON of each pact's State, nil where the pact is unknown.
	States(ctx context.Context, pacts []pactwire.PactID) ([][]byte, error)
	// Presences returns the presence of every active member of each pact. With an error there may be some that could be read.
	Presences(ctx context.Context, pacts []pactwire.PactID) (map[pactwire.PactID][]pactwire.Presence, error)
	// PactList returns the JSON of users/{u}/pacts.
	PactList(ctx context.Context, u pactwire.UserID) ([]byte, error)
	// ActiveConnections are the events that say to people who of their connections is there. Who is left out has none. With an
	// error there may be some that could be made.
	ActiveConnections(ctx context.Context, users []pactwire.UserID) (map[pactwire.UserID]pactwire.Event, error)
}

// Witness wants to know which entries people have seen. Its methods do not block.
type Witness interface {
	// Matters reports whether it wants to know of an entry. It is asked once for each delivery of one.
	Matters(e pactwire.Entry) bool
	// Saw says that a device at which a person looks acknowledged an entry that matters.
	Saw(u pactwire.UserID, of pactwire.Stream, seq pactwire.Seq)
}

// Transport is the connection under a client, as its owner sees it. Methods never block, save HearOut, and may be called from any
// goroutine.
type Transport interface {
	// Send writes whole packets. What the kernel does not take at once is copied and kept in order, up to the outbound
	// limit; past it the connection is closed and an error returned. p is not kept.
	Send(p []byte) error
	// Pending is how many bytes wait for the kernel.
	Pending() int
	// HearOut returns when all that the client has said by now has been dealt with, or after a time. Disconnect or Abort follows.
	HearOut(within time.Duration)
	// Disconnect sends DISCONNECT with the reason (MQTT 5 only) and closes the connection.
	Disconnect(reason byte)
	// Abort closes at once; what waits for the kernel is not sent.
	Abort()
	// OnDrained names what to call, from any goroutine, each time nothing waits for the kernel any more.
	OnDrained(f func())
}
