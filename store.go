package pactwire

import "time"

// The rows that stores and their users hand to each other. They stand here because neither side imports the other.

// CommandRecord is a journalled command. Request and Answer are the bridge's own encoding.
type CommandRecord struct {
	ID         int64
	User       UserID
	Key        string // idempotency key; "" = none
	Request    []byte // what is needed to work on it after a restart; nil once it is done
	Answer     []byte // nil while it is pending
	AcceptedAt time.Time
	Attempts   int
	NextAt     time.Time
	Told       bool // the sender was told that it is pending
}

// ReadRequest asks for entries of a stream after a place (exclusive), ascending, at most Limit.
type ReadRequest struct {
	Stream Stream
	After  Seq
	Limit  int
}

// Membership is one pact of a user.
type Membership struct {
	Pact     PactID
	JoinedAt Seq // of the user's own partner_joined; 0 for the creator or when unknown
}

// Seen is what is kept of a person's presence over restarts.
type Seen struct {
	User     UserID
	LastSeen time.Time // last sign of life; zero if never
	Version  uint64    // of the last announced presence; the next one is higher
	Online   bool      // whether the person was online when this was written
}

// Expected is what the commands of one packet are about, as far as it is known before their transaction. It decides nothing but what is
// fetched ahead.
type Expected struct {
	User       UserID   // who sent them
	Pact       PactID   // "" when they are about no pact
	Goal       GoalID   // what a check-in is for; "" when they are none, or when it is not known
	Shares     []PactID // the pacts that will show a check-in, as far as they are known
	Keys       []string // their idempotency keys
	To         UserID   // whom they speak to; "" for nobody, or when it is not known
	Subject    string   // of the notification that To will get
	Checkin    string   // what they celebrate
	Activity   string   // what they react to
	Encourages bool
}
