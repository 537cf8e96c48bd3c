package pactwire

import (
	"math"
	"slices"
	"time"
)

// SessionKey names a session. A client id belongs to its user: the same client id from another user is another session.
type SessionKey struct {
	User     UserID
	ClientID string
}

// Session is what outlives a connection: the filters, and how far each stream was acknowledged. Nothing else is queued
// for who is away; the log is the queue.
type Session struct {
	Key     SessionKey
	Filters []SessionFilter
	Cursors []Cursor
	// Expiry is how long the session outlives its connection. 0 means that it is not stored at all.
	Expiry time.Duration
	// GoneAt is when the connection ended; zero while it stands.
	GoneAt time.Time
	// Epoch numbers the claim under which the session is held: what is written under an older one changes nothing. 0 = the
	// store has one node, and nothing is fenced.
	Epoch uint64
	// Received holds the packet ids of inbound QoS 2 publishes that were taken in and not yet released. Stores read it, and do
	// not write it with the session: see Inbound.
	Received []uint16
}

// SessionClaim asks for a session on behalf of a node.
type SessionClaim struct {
	Key  SessionKey
	Node string // the node's address, another one after each start
	// Clean forgets what was kept.
	Clean bool
	// Force takes the session also from another node's connection that still stands.
	Force bool
}

// SessionClaimed is what became of a claim.
type SessionClaimed struct {
	// Session is what was kept, under its new epoch. Found says whether anything was.
	Session Session
	Found   bool
	// Before is the epoch before the claim, 0 when there was none.
	Before uint64
	// Holder is the address of the other node whose connection stands; then nothing was claimed. "" = claimed.
	Holder string
}

// SessionFilter is one subscription of a session.
type SessionFilter struct {
	Filter         string
	QoS            byte
	Identifier     uint32 // MQTT 5 subscription identifier, 0 = none
	RetainHandling byte
	NoLocal        bool
	RetainAsPub    bool
}

// Cursor is the place of a session in one stream. Acked is the contiguous prefix that the client acknowledged; Sent is
// the highest that may have reached it, so that what lies between is sent again with DUP; it may lie beyond the log's end.
type Cursor struct {
	Stream Stream
	Acked  Seq
	Sent   Seq
}

// SentUnknown is Cursor.Sent while nobody writes down what is sent: anything may have been.
const SentUnknown Seq = math.MaxInt64

// Standing is the session as it is stored while its connection stands. Who reads that record again does so after a crash,
// and all that the log has by then may have been sent.
func (s Session) Standing() Session {
	s.Cursors = slices.Clone(s.Cursors)
	for i := range s.Cursors {
		s.Cursors[i].Sent = SentUnknown
	}
	return s
}

// Subscription is one filter of a SUBSCRIBE.
type Subscription struct {
	Filter            string
	QoS               byte
	Identifier        uint32 // MQTT 5 subscription identifier, 0 = none
	RetainHandling    byte
	NoLocal           bool
	RetainAsPublished bool
	After             *Seq // MQTT 5 user property "after": start behind this place; nil = at the head or where the session stood
}

// Connecting is a connection that has proven who it is and asks for its session.
type Connecting struct {
	Identity          Identity
	ClientID          string
	Clean             bool          // drop what was kept
	Expiry            time.Duration // how long to keep the session after this connection; 0 = not at all
	Version           byte          // of MQTT: 4 or 5 (3 counts as 4)
	ReceiveMaximum    uint16        // of the client, 0 = 65535
	MaximumPacketSize uint32        // of the client, 0 = no limit
	NoReasons         bool          // the client wants no words beside reason codes: Request Problem Information = 0
	AutoJoin          bool
	Kind              DeviceKind
}
