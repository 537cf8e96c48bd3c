package postgres_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/testkit"
	"github.com/pactwire/pactwire/postgres"
)

// TestWhatPeopleSayGoesTogether: celebrations share a transaction, whoever they are for, and also when the sender does not say whom.
func TestWhatPeopleSayGoesTogether(t *testing.T) {
	reg := prometheus.NewRegistry()
	db, err := postgres.Open(t.Context(), postgres.Config{URL: testkit.Postgres(t).URL(), Node: "a"}, nil, reg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	const people = 40
	name := func(i int) pactwire.UserID { return pactwire.UserID(fmt.Sprint("u", i%people)) }
	day := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	together := func(fn func(*postgres.Tx, int) error) (transactions float64) {
		t.Helper()
		in, out, done := make(chan struct{}), make(chan struct{}), make(chan error, people+1)
		tell := func(err error) { done <- err }
		first := true
		if err := db.Submit(t.Context(), func(*postgres.Tx) error {
			if first {
				first = false
				close(in)
			}
			<-out
			return nil
		}, tell); err != nil {
			t.Fatal(err)
		}
		<-in // the committer is busy, so all others wait for it together
		before := transactionsOf(t, reg)
		for i := range people {
			if err := db.Submit(t.Context(), func(tx *postgres.Tx) error { return fn(tx, i) }, tell); err != nil {
				t.Fatal(err)
			}
		}
		close(out)
		for range people + 1 {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
		return transactionsOf(t, reg) - before
	}
	together(func(tx *postgres.Tx, i int) error {
		return tx.PutCheckin(pactwire.Checkin{ID: fmt.Sprint("c", i), PactID: "p", HabitGoalID: "g", UserID: name(i), Status: pactwire.StatusCompleted,
			LocalDate: "2026-05-01", CreatedAt: pactwire.Time(day), UpdatedAt: pactwire.Time(day)})
	})
	for round, says := range []bool{true, false} {
		n := together(func(tx *postgres.Tx, i int) error {
			from, to, id := name(i), name(i+1+round), fmt.Sprint("c", (i+1+round)%people)
			x := pactwire.Expected{User: from, Pact: "p", Checkin: id}
			if says {
				x.To = to
			}
			if err := tx.Expect(x); err != nil {
				return err
			}
			c, ok, err := tx.CheckinByID(id)
			if err != nil || !ok || c.UserID != to {
				return fmt.Errorf("found %+v, %v, %w", c, ok, err)
			}
			if _, _, err := tx.Connection(to, from); err != nil {
				return err
			}
			if again, err := tx.Celebrated(from, id); again || err != nil {
				return fmt.Errorf("celebrated before: %v, %w", again, err)
			}
			if err := tx.PutCelebrated(from, id, day); err != nil {
				return err
			}
			if err := tx.AddNotification(pactwire.Notification{ID: fmt.Sprint(round, i), UserID: to, Type: pactwire.NotifyCelebration, IsUnread: true,
				FromUserID: from, Count: 1, Data: []byte("{}"), CreatedAt: pactwire.Time(day), UpdatedAt: pactwire.Time(day)}); err != nil {
				return err
			}
			if unread, err := tx.CountUnread(to); unread != round+1 || err != nil {
				return fmt.Errorf("%d unread, %w", unread, err)
			}
			return nil
		})
		if n > 2 { // the one that held the others up, and theirs
			t.Errorf("%d celebrations took %v transactions, said whom: %v", people, n-1, says)
		}
	}
}

func transactionsOf(t *testing.T, reg *prometheus.Registry) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "pactwire_store_commit_round_trips" {
			return float64(f.GetMetric()[0].GetHistogram().GetSampleCount())
		}
	}
	t.Fatal("no such metric")
	return 0
}
