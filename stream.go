package pactwire

// StreamKind tells the two kinds of durable streams apart.
type StreamKind uint8

// The kinds.
const (
	PactStream  StreamKind = iota + 1 // a pact's activity
	InboxStream                       // a person's inbox
)

// Stream names one durable, gap-free sequence of entries. It is comparable and serves as a map key.
type Stream struct {
	Kind StreamKind
	ID   string // the pact's or the user's id
}

// ActivityOf is the stream of a pact's activities.
func ActivityOf(p PactID) Stream { return Stream{PactStream, string(p)} }

// InboxOf is the stream of a person's events.
func InboxOf(u UserID) Stream { return Stream{InboxStream, string(u)} }

// Pact is the pact's id, or "" for an inbox.
func (s Stream) Pact() PactID {
	if s.Kind == PactStream {
		return PactID(s.ID)
	}
	return ""
}

// User is the owner's id, or "" for a pact's stream.
func (s Stream) User() UserID {
	if s.Kind == InboxStream {
		return UserID(s.ID)
	}
	return ""
}

// Entry is one committed entry of a stream: Payload is the JSON (an Activity or an Event) exactly as every reader gets
// it, live or replayed. It is never changed after the commit, so it may be shared.
type Entry struct {
	Stream  Stream
	Seq     Seq
	Payload []byte
}

// Bounds tells what of a stream is kept: entries Floor+1 … Head. Head 0 means that nothing was ever written.
type Bounds struct {
	Floor Seq
	Head  Seq
}
