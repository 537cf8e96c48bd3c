package bridge

import (
	"context"
	"time"

	"github.com/pactwire/pactwire"
)

// Tx is one transaction of the store as the bridge needs it. Calls are made one at a time.
type Tx interface {
	SocialTx
	// Expect tells what commands that follow are about, so that a store for which each read is a round trip can lock and fetch at
	// once what they will ask for.
	Expect(x pactwire.Expected) error
	// ExpectOutcome tells likewise that what came of a user's journalled command follows: a refusal, with no check-in, or a
	// check-in that these pacts are told of.
	ExpectOutcome(u pactwire.UserID, command int64, c *pactwire.Checkin, pacts []pactwire.PactID) error
	// Pact and ActivePacts read what the habits-service in the same database has of pacts.
	Pact(id pactwire.PactID) (pactwire.Pact, bool, error)
	ActivePacts(u pactwire.UserID, g pactwire.GoalID) ([]pactwire.PactID, error)
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
	// PendingCommand reports whether a journalled command still has no answer.
	PendingCommand(id int64) (bool, error)
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
	// SeenPact stores a state of a pact of a remote habits-service if what is known of it has a revision, and returns what was
	// known before, which says where the stories of its members begin. Of another revision nothing is changed.
	SeenPact(p pactwire.Pact, revision uint64) (pactwire.SeenPact, error)
	// SeenCheckin stores the last known state of a check-in of a remote habits-service, by (user, goal, date), and returns
	// the former one.
	SeenCheckin(c pactwire.Checkin) (before pactwire.Checkin, known bool, err error)
	// SeenCheckinByID finds what SeenCheckin stored last under a check-in's id.
	SeenCheckinByID(id string) (pactwire.Checkin, bool, error)
	// SeenWebhook notes a webhook id and reports whether it is new.
	SeenWebhook(id string, at time.Time) (bool, error)
	// Bury notes when a check-in was deleted of which no more than the id is known; Buried tells, for as long as webhook ids are kept.
	Bury(checkin string, at time.Time) error
	Buried(checkin string) (at time.Time, ok bool, err error)
	// SaidMilestone notes a milestone of a remote habits-service for (user, habit, check-in, days) and reports whether it is new.
	SaidMilestone(u pactwire.UserID, g pactwire.GoalID, checkin string, days int) (bool, error)
	// TouchUser stores the name that a token gave, making the user when there is none.
	TouchUser(u pactwire.UserID, name string, at time.Time) error
	// User reads a person.
	User(id pactwire.UserID) (pactwire.User, bool, error)
	// CheckinByID finds a check-in of the embedded habits-service.
	CheckinByID(id string) (pactwire.Checkin, bool, error)
}

// SocialTx keeps what people say to each other. What is not there is (zero, false, nil).
type SocialTx interface {
	// Celebrated reports whether a person has celebrated a check-in.
	Celebrated(u pactwire.UserID, checkin string) (bool, error)
	PutCelebrated(u pactwire.UserID, checkin string, at time.Time) error
	// Encouragements counts those of a person for another on a local day; only the latest day is kept, and one before it counts as it.
	Encouragements(from, to pactwire.UserID, day pactwire.LocalDate) (int, error)
	PutEncouragements(from, to pactwire.UserID, day pactwire.LocalDate, n int) error
	// Reaction is a person's emoji on an activity, "" for none.
	Reaction(activity string, u pactwire.UserID) (string, error)
	PutReaction(activity string, u pactwire.UserID, emoji string) error // "" takes it away
	// Connection is u's side of how they stand to another; with the other's name.
	Connection(u, other pactwire.UserID) (pactwire.Connection, bool, error)
	PutConnection(u pactwire.UserID, c pactwire.Connection) error // insert or replace by (u, other)
	CountConnections(u pactwire.UserID) (pactwire.ConnectionCounts, error)
	// Notification finds one of a person's by its id, UnreadAbout the unread one about a subject.
	Notification(u pactwire.UserID, id string) (pactwire.Notification, bool, error)
	UnreadAbout(u pactwire.UserID, subject string) (pactwire.Notification, bool, error)
	// AddNotification puts one at the top of its owner's list, taking it away from where it stood; who counts the unread ones
	// then, has found it with UnreadAbout before. What exceeds pactwire.MaxNotifications goes at the bottom.
	AddNotification(n pactwire.Notification) error
	// MarkNotification changes whether one is unread, where it stands.
	MarkNotification(u pactwire.UserID, id string, unread bool, at time.Time) error
	// ReadAllNotifications marks all as read and tells how many were not.
	ReadAllNotifications(u pactwire.UserID, at time.Time) (int, error)
	CountUnread(u pactwire.UserID) (int, error)
}

// SocialStore reads what people said to each other: committed state.
type SocialStore interface {
	// ReadNotifications is a page of a person's notifications, the newest first, and how many are unread in all. A page
	// that begins behind an id that is not there is empty.
	ReadNotifications(ctx context.Context, u pactwire.UserID, q pactwire.NotificationQuery) (items []pactwire.Notification, unread int, err error)
	// ReadConnections are a person's sides, ascending by the other's id, after an id; "" = every status.
	ReadConnections(ctx context.Context, u pactwire.UserID, status pactwire.ConnectionStatus, after pactwire.UserID, limit int) ([]pactwire.Connection, error)
	// HaveConnections are those of the people who have an accepted connection.
	HaveConnections(ctx context.Context, users []pactwire.UserID) ([]pactwire.UserID, error)
}

// Store is the durable side of the bridge.
type Store interface {
	SocialStore
	// Submit runs fn in the next group commit; see the package documentation for the rules.
	Submit(ctx context.Context, fn func(Tx) error, done func(error)) error
	// OnRollback registers a function that clears what was cached inside transactions: whole says whether all of a transaction
	// was undone, or what one function wrote.
	OnRollback(func(whole bool))
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
