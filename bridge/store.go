package bridge

import (
	"context"
	"time"

	"github.com/pactwire/pactwire"
)

// Tx is one transaction of the store as the bridge needs it. Calls are made one at a time.
type Tx interface {
	// Append writes one entry of a stream. The sequence number is the writer's: Head + 1.
	Append(e pactwire.Entry, at time.Time) error
	// Head is the last sequence number of a stream, 0 when it is empty.
	Head(s pactwire.Stream) (pactwire.Seq, error)
	// Command finds what became of an idempotency key.
	Command(u pactwire.UserID, key string) (pactwire.CommandRecord, bool, error)
	// PutCommand journals a command: its key, when it has one, is unique for the user.
	PutCommand(c pactwire.CommandRecord) error
	// FinishCommand stores the final answer of a journalled command.
	FinishCommand(id int64, answer []byte, at time.Time) error
	// TellCommand notes that the sender was told that a command is pending, and reports whether this is the first time and
	// the command still has no answer.
	TellCommand(id int64) (first bool, err error)
	// RetryCommand notes a failed attempt.
	RetryCommand(id int64, attempts int, next time.Time) error
	// NextCommandID is an unused number for a command; numbers ascend in order of acceptance.
	NextCommandID() (int64, error)
	// Received reports whether a QoS 2 publish was taken in before and not yet released.
	Received(in pactwire.Inbound) (bool, error)
	// PutReceived notes that a QoS 2 publish is taken in. Of a session that is not stored nothing is noted.
	PutReceived(in pactwire.Inbound) error
	// Joined notes at which sequence number a member's own partner_joined stands, so that a wildcard's cursor can start before it.
	Joined(p pactwire.PactID, u pactwire.UserID, at pactwire.Seq) error
	// SeenPact stores the last known state of a pact of a remote habits-service and returns the former one.
	SeenPact(p pactwire.Pact) (before pactwire.Pact, known bool, err error)
	// SeenCheckin stores the last known state of a check-in of a remote habits-service, by (user, goal, date), and returns
	// the former one.
	SeenCheckin(c pactwire.Checkin) (before pactwire.Checkin, known bool, err error)
	// SeenCheckinByID finds what SeenCheckin stored last under a check-in's id.
	SeenCheckinByID(id string) (pactwire.Checkin, bool, error)
	// SeenWebhook notes a webhook id and reports whether it is new.
	SeenWebhook(id string, at time.Time) (bool, error)
	// SaidMilestone notes a milestone of a remote habits-service for (user, habit, check-in, days) and reports whether it is new.
	SaidMilestone(u pactwire.UserID, g pactwire.GoalID, checkin string, days int) (bool, error)
	// TouchUser stores the name that a token gave, making the user when there is none.
	TouchUser(u pactwire.UserID, name string, at time.Time) error
}

// Store is the durable side of the bridge.
type Store interface {
	// Submit runs fn in the next group commit; see the package documentation for the rules.
	Submit(ctx context.Context, fn func(Tx) error, done func(error)) error
	// OnRollback registers a function that clears what was cached inside transactions.
	OnRollback(func())
	// Read returns entries after (exclusive) or before a place, ascending, at most limit.
	ReadAfter(ctx context.Context, s pactwire.Stream, after pactwire.Seq, limit int) ([]pactwire.Entry, error)
	ReadBefore(ctx context.Context, s pactwire.Stream, before pactwire.Seq, limit int) ([]pactwire.Entry, error)
	// Bounds tells what is kept of each stream.
	Bounds(ctx context.Context, s []pactwire.Stream) ([]pactwire.Bounds, error)
	// PendingCommands are journalled commands without an answer, in order of acceptance, after an id.
	PendingCommands(ctx context.Context, after int64, limit int) ([]pactwire.CommandRecord, error)
	// PendingCommandsOf are one user's journalled commands without an answer, in order of acceptance, after an id.
	PendingCommandsOf(ctx context.Context, u pactwire.UserID, after int64, limit int) ([]pactwire.CommandRecord, error)
	// CountPending counts the journalled commands without an answer.
	CountPending(ctx context.Context) (int, error)
	// JoinedAt tells for each user at which sequence number of each pact their own partner_joined stands; pacts where none
	// is known, such as those they made, are left out.
	JoinedAt(ctx context.Context, users []pactwire.UserID) (map[pactwire.UserID]map[pactwire.PactID]pactwire.Seq, error)
	// Prune drops log entries and command records that are older than the given times, in bounded slices.
	Prune(ctx context.Context, entriesBefore, commandsBefore time.Time) (int, error)
}
