package habits

import (
	"context"
	"time"

	"github.com/pactwire/pactwire"
)

// Tx is one transaction of the store as the engine needs it. Calls are made one at a time. A row that is not there is
// (zero, false, nil); errors are of the database.
type Tx interface {
	UserTx
	GoalTx
	PactTx
	CheckinTx
	DueTx
}

// DueTx makes and takes appointments.
type DueTx interface {
	PutDue(key string, at time.Time) error // insert or move; the zero time takes it away
	DueAt(key string) (at time.Time, ok bool, err error)
	// TakeDue takes an appointment away and reports whether it stood, at that very time.
	TakeDue(d pactwire.Due) (bool, error)
}

// UserTx reads and writes people.
type UserTx interface {
	User(id pactwire.UserID) (pactwire.User, bool, error)
	PutUser(u pactwire.User) error // insert or replace
}

// GoalTx reads and writes goals.
type GoalTx interface {
	Goal(id pactwire.GoalID) (pactwire.Goal, bool, error)
	PutGoal(g pactwire.Goal) error
}

// PactTx reads and writes pacts with their members, and the codes that let people in. HeadSeq is not its business.
type PactTx interface {
	Pact(id pactwire.PactID) (pactwire.Pact, bool, error) // with members, names and habit filled in
	PutPact(p pactwire.Pact) error                        // the pact and all its member rows
	ActivePacts(u pactwire.UserID, g pactwire.GoalID) ([]pactwire.PactID, error)
	PutCode(code string, p pactwire.PactID, expires time.Time) error // Conflict error when the code is taken
	Code(code string) (p pactwire.PactID, expires time.Time, ok bool, err error)
}

// CheckinTx reads and writes check-ins and what is derived from them.
type CheckinTx interface {
	Checkin(u pactwire.UserID, g pactwire.GoalID, d pactwire.LocalDate) (pactwire.Checkin, bool, error)
	CheckinByID(id string) (pactwire.Checkin, bool, error)
	PutCheckin(c pactwire.Checkin) error // by (user, goal, date); keeps the id that stands
	DeleteCheckin(id string) error
	CompletedDates(u pactwire.UserID, g pactwire.GoalID) ([]pactwire.LocalDate, error) // ascending
	// Announced tells the milestones that were said: run start date and length, for one person and habit.
	Announced(u pactwire.UserID, g pactwire.GoalID) ([]pactwire.AnnouncedMilestone, error)
	PutAnnounced(u pactwire.UserID, g pactwire.GoalID, a pactwire.AnnouncedMilestone) error
	PutStreak(u pactwire.UserID, s pactwire.StreakRow) error // what readers outside the engine need, written when it changes
}

// Store reads outside of transactions: committed state, possibly a moment old.
type Store interface {
	ReadUser(ctx context.Context, id pactwire.UserID) (pactwire.User, bool, error)
	ReadGoals(ctx context.Context, u pactwire.UserID) ([]pactwire.Goal, error) // own ones and those of own pacts
	ReadGoalsByID(ctx context.Context, ids []pactwire.GoalID) (map[pactwire.GoalID]pactwire.Goal, error)
	ReadPact(ctx context.Context, id pactwire.PactID) (pactwire.Pact, bool, error)
	ReadPactsOf(ctx context.Context, users []pactwire.UserID) (map[pactwire.UserID][]pactwire.Pact, error) // every status, batched
	ReadStreaks(ctx context.Context, u pactwire.UserID) ([]pactwire.StreakRow, error)
	ReadStreaksOf(ctx context.Context, g pactwire.GoalID, users []pactwire.UserID) (map[pactwire.UserID]pactwire.StreakRow, error)
}

// WebhookTx fills and empties the outbox of signed webhooks in the transaction of what they tell.
type WebhookTx interface {
	PutWebhook(w pactwire.Webhook) error // insert or replace by id
	DoneWebhook(id string) error         // forget it; one that is not there is fine
}

// WebhookStore reads the outbox.
type WebhookStore interface {
	// DueWebhooks are the webhooks of a target whose NextAt is not after until, ascending by NextAt and id.
	DueWebhooks(ctx context.Context, target string, until time.Time, limit int) ([]pactwire.Webhook, error)
}

// IdempotencyTx remembers the first result of a request by its key. The store's command journal is one.
type IdempotencyTx interface {
	Command(u pactwire.UserID, key string) (pactwire.CommandRecord, bool, error)
	PutCommand(c pactwire.CommandRecord) error
	NextCommandID() (int64, error)
}

// HostTx is a transaction of a habits-service that runs as a process of its own.
type HostTx interface {
	Tx
	WebhookTx
	IdempotencyTx
	TouchUser(u pactwire.UserID, name string, at time.Time) error // as the bridge does: make or rename
}

// HostStore is the store of a habits-service that runs as a process of its own.
type HostStore interface {
	Store
	DueStore
	WebhookStore
	// Submit runs fn in the next group commit; fn may run more than once, done runs after the commit and must not block.
	Submit(ctx context.Context, fn func(HostTx) error, done func(error)) error
	// OnRollback registers a function that clears what was cached inside transactions: it is called whenever anything that a
	// fn wrote was undone, also when only that one fn's writes were (not whole).
	OnRollback(func(whole bool))
	// Prune drops log entries and command records that are older than the given times, in bounded slices.
	Prune(ctx context.Context, entriesBefore, commandsBefore time.Time) (int, error)
}
