package pactwire

import "time"

// Webhook is a message that waits in an outbox until another service has taken it. Its ID is the webhook-id of every
// attempt, so that the receiver can tell a repetition.
type Webhook struct {
	ID        string
	Target    string // which outbox it lies in
	Body      []byte // the envelope {"type","timestamp","data"} as it was written
	CreatedAt time.Time
	Attempts  int
	NextAt    time.Time // not before
}
