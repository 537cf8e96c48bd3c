package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/bridge"
	"github.com/pactwire/pactwire/bridge/push"
	"github.com/pactwire/pactwire/broker/delivery"
	"github.com/pactwire/pactwire/devices"
	"github.com/pactwire/pactwire/habits"
	"github.com/pactwire/pactwire/internal/auth"
)

// Tx is a transaction with everything that its users ask of it.
type Tx interface {
	bridge.Tx
	habits.Tx
	habits.WebhookTx
	push.JobTx
}

// Store is a store with everything that its users ask of it.
type Store interface {
	Submit(ctx context.Context, fn func(Tx) error, done func(error)) error
	OnRollback(func(whole bool))

	ReadAfter(ctx context.Context, s pactwire.Stream, after pactwire.Seq, limit int) ([]pactwire.Entry, error)
	ReadBefore(ctx context.Context, s pactwire.Stream, before pactwire.Seq, limit int) ([]pactwire.Entry, error)
	PendingCommands(ctx context.Context, after int64, limit int) ([]pactwire.CommandRecord, error)
	PendingCommandsOf(ctx context.Context, u pactwire.UserID, after int64, limit int) ([]pactwire.CommandRecord, error)
	CountPending(ctx context.Context) (int, error)
	JoinedAt(ctx context.Context, users []pactwire.UserID) (map[pactwire.UserID]map[pactwire.PactID]pactwire.Seq, error)
	Prune(ctx context.Context, entriesBefore, commandsBefore time.Time) (int, error)

	bridge.SocialStore
	bridge.Seen
	habits.Store
	habits.WebhookStore
	habits.DueStore
	delivery.Log
	delivery.SessionStore
	delivery.Owners

	LastSeen(ctx context.Context, users []pactwire.UserID) (map[pactwire.UserID]pactwire.Seen, error)
	SaveSeen(ctx context.Context, seen []pactwire.Seen) error
	WereOnline(ctx context.Context) ([]pactwire.UserID, error)

	devices.Store
	auth.RevocationStore

	// Push runs fn in a transaction about what is pushed.
	Push(ctx context.Context, fn func(push.Tx) error) error
	PushWork(ctx context.Context, now time.Time) (jobs bool, channels []string, err error)
	Pushes(ctx context.Context, dead bool, after string, limit int) ([]pactwire.Push, error)
	PushTokens(ctx context.Context, u pactwire.UserID) ([]pactwire.PushToken, error)

	Ready(ctx context.Context) error
	Close() error

	// Reopen is the store as another process finds it after this one was killed. The old one is not used after it.
	Reopen(t *testing.T) Store
}

// Run runs the suite. open returns an empty store that closes itself at the end of the test.
func Run(t *testing.T, open func(t *testing.T) Store) {
	groups := []struct {
		name  string
		tests []test
	}{
		{"commit", commitTests}, {"log", logTests}, {"commands", commandTests}, {"habits", habitsTests},
		{"checkins", checkinTests}, {"due", dueTests}, {"sessions", sessionTests}, {"remote", remoteTests}, {"presence", presenceTests}, {"devices", deviceTests},
		{"push", pushTests}, {"prune", pruneTests}, {"social", socialTests}, {"properties", propertyTests},
	}
	for _, g := range groups {
		t.Run(g.name, func(t *testing.T) {
			for _, tt := range g.tests {
				t.Run(tt.name, func(t *testing.T) { tt.run(t, open) })
			}
		})
	}
}

// test is one promise of a store.
type test struct {
	name string
	run  func(t *testing.T, open func(t *testing.T) Store)
}

// on makes a test of what needs one store.
func on(f func(t *testing.T, s Store)) func(*testing.T, func(*testing.T) Store) {
	return func(t *testing.T, open func(*testing.T) Store) { f(t, open(t)) }
}

// do runs fn in a transaction and returns what its caller is told.
func do(t testing.TB, s Store, fn func(Tx) error) error {
	t.Helper()
	result := make(chan error, 1)
	if err := s.Submit(context.Background(), fn, func(err error) { result <- err }); err != nil {
		return err
	}
	select {
	case err := <-result:
		return err
	case <-time.After(30 * time.Second):
		t.Fatal("no answer from the store within 30 s")
		return nil
	}
}

// must is do where an error ends the test.
func must(t testing.TB, s Store, fn func(Tx) error) {
	t.Helper()
	if err := do(t, s, fn); err != nil {
		t.Fatalf("transaction: %v", err)
	}
}

// inParts runs fn for each of 0 to n-1, a hundred of them in a transaction: one that asks the database a thousand times takes longer, on a
// busy machine, than a transaction may.
func inParts(t testing.TB, s Store, n int, fn func(tx Tx, i int) error) {
	t.Helper()
	for from := 0; from < n; from += 100 {
		must(t, s, func(tx Tx) error {
			for i := from; i < min(from+100, n); i++ {
				if err := fn(tx, i); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

// appendNext appends payloads to a stream.
func appendNext(tx Tx, stream pactwire.Stream, at time.Time, payloads ...string) error {
	for _, p := range payloads {
		head, err := tx.Head(stream)
		if err != nil {
			return err
		}
		if err := tx.Append(pactwire.Entry{Stream: stream, Seq: head + 1, Payload: []byte(p)}, at); err != nil {
			return err
		}
	}
	return nil
}

// at is a point in time that survives being kept in milliseconds.
func at(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	return t.UTC()
}

func timePtr(t time.Time) *pactwire.Time {
	v := pactwire.Time(t)
	return &v
}

var noon = at("2026-05-01T12:00:00Z")

var ctx = context.Background()
