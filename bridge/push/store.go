package push

import (
	"context"
	"time"

	"github.com/pactwire/pactwire"
)

// JobTx is the part of a transaction in which jobs are written, beside what they tell of.
type JobTx interface {
	// PutPushJob writes a job for (user, cause), or finds the one that waits, which takes kind and event from j when replace
	// is set. The entry (stream, seq) is one whose acknowledgement cancels it.
	PutPushJob(j pactwire.PushJob, of pactwire.Stream, seq pactwire.Seq, replace bool) error
	// CancelPushJob cancels a person's job for a cause, with what is still on its way for it.
	CancelPushJob(u pactwire.UserID, cause string) error
	// DropPushesOf forgets what a person was to be pushed about a pact.
	DropPushesOf(u pactwire.UserID, p pactwire.PactID) error
}

// Tx is a transaction of the store as the Pusher needs it.
type Tx interface {
	JobTx
	User(u pactwire.UserID) (pactwire.User, bool, error)

	// SeenPush cancels the job that an entry tells of, with what is still on its way for it.
	SeenPush(u pactwire.UserID, of pactwire.Stream, seq pactwire.Seq) (bool, error)
	// DuePushJobs are all due jobs of at most limit people, those of one person together. Other nodes do not get them
	// before the transaction is over.
	DuePushJobs(now time.Time, limit int) ([]pactwire.PushJob, error)
	DelayPushJob(id int64, due time.Time) error
	BatchPushJob(id int64, batch string) error
	DropPushJob(id int64) error
	// PushCount and CountPush keep how many pushes a person got on their latest local day.
	PushCount(u pactwire.UserID, day pactwire.LocalDate) (int, error)
	CountPush(u pactwire.UserID, day pactwire.LocalDate) error

	PutPush(p pactwire.Push) error
	// ClaimPushes takes due pushes of a channel; nobody else gets them until the lease is over.
	ClaimPushes(channel string, now, lease time.Time, limit int) ([]pactwire.Push, error)
	// DonePush forgets a push, and with the last of its batch the jobs.
	DonePush(id string) error
	// FailPush stores Attempts, NextAt, Dead and Error of p.
	FailPush(p pactwire.Push) error
	// RevivePush gives a dead push another day.
	RevivePush(id string, now time.Time) (bool, error)
	// PrunePushes forgets at most limit pushes that were made before a time.
	PrunePushes(before time.Time, limit int) (int, error)

	// PutPushToken keeps a token; a known one belongs to whoever registered it last, and keeps its id.
	PutPushToken(t pactwire.PushToken) (pactwire.PushToken, error)
	PushTokensOf(u pactwire.UserID) ([]pactwire.PushToken, error)
	DropPushToken(u pactwire.UserID, id string) (bool, error)
}

// Store is the durable side of push.
type Store interface {
	// Push runs fn in a transaction and returns when it is committed. fn may run again.
	Push(ctx context.Context, fn func(Tx) error) error
	// PushWork tells whether jobs are due, and which channels have pushes that are.
	PushWork(ctx context.Context, now time.Time) (jobs bool, channels []string, err error)
	// Pushes lists pushes after an id: those that were given up, or all.
	Pushes(ctx context.Context, dead bool, after string, limit int) ([]pactwire.Push, error)
	PushTokens(ctx context.Context, u pactwire.UserID) ([]pactwire.PushToken, error)
}
