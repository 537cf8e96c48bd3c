package postgres_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/testkit"
	"github.com/pactwire/pactwire/postgres"
)

// TestOutcomesOfManyShareARoundTrip: what a remote habits-service answered to many people after an outage is recorded together,
// not each by statements of its own; and what one function of the batch recorded, the next one sees.
func TestOutcomesOfManyShareARoundTrip(t *testing.T) {
	const people = 100
	reg := prometheus.NewRegistry()
	db, err := postgres.Open(context.Background(), postgres.Config{URL: testkit.Postgres(t).URL(), Node: "a"}, nil, reg)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	ids := make([]int64, people)
	done := make(chan error, 2*people)
	together := func(n int, fn func(i int, tx *postgres.Tx) error) (trips float64) {
		t.Helper()
		hold := make(chan struct{})
		if err := db.Submit(t.Context(), func(*postgres.Tx) error { <-hold; return nil }, nil); err != nil {
			t.Fatal(err)
		}
		before := sum(t, reg, "pactwire_store_commit_round_trips")
		for i := range n {
			if err := db.Submit(t.Context(), func(tx *postgres.Tx) error { return fn(i, tx) }, func(err error) { done <- err }); err != nil {
				t.Fatal(err)
			}
		}
		close(hold)
		for range n {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
		return sum(t, reg, "pactwire_store_commit_round_trips") - before
	}
	user := func(i int) pactwire.UserID { return pactwire.UserID(fmt.Sprint("u", i%people)) }
	pact := func(i int) pactwire.PactID { return pactwire.PactID(fmt.Sprint("p", i%people)) }
	together(people, func(i int, tx *postgres.Tx) (err error) {
		if ids[i], err = tx.NextCommandID(); err != nil {
			return err
		}
		return tx.PutCommand(pactwire.CommandRecord{ID: ids[i], User: user(i), Key: "k", Request: []byte("{}"), AcceptedAt: time.Now()})
	})

	outcome := func(i int, tx *postgres.Tx, want bool) error {
		u := user(i)
		c := pactwire.Checkin{ID: fmt.Sprint("c", i), UserID: u, HabitGoalID: "run", LocalDate: "2026-05-01", Notes: fmt.Sprint(i)}
		if err := tx.ExpectOutcome(u, ids[i%people], &c, []pactwire.PactID{pact(i)}); err != nil {
			return err
		}
		if pending, err := tx.PendingCommand(ids[i%people]); err != nil || pending != want {
			return fmt.Errorf("%s: pending %v, %w", u, pending, err)
		}
		before, known, err := tx.SeenCheckin(c)
		if err != nil || known == want || known && before.Notes != fmt.Sprint(i-people) {
			return fmt.Errorf("%s: known %v, before %+v, %w", u, known, before, err)
		}
		if isNew, err := tx.SaidMilestone(u, "run", "c", 7); err != nil || isNew != want {
			return fmt.Errorf("%s: milestone new %v, %w", u, isNew, err)
		}
		head, err := tx.Head(pactwire.ActivityOf(pact(i)))
		if err != nil {
			return err
		}
		if err := tx.Append(pactwire.Entry{Stream: pactwire.ActivityOf(pact(i)), Seq: head + 1, Payload: []byte("{}")}, time.Now()); err != nil {
			return err
		}
		return tx.FinishCommand(ids[i%people], []byte("{}"), time.Now())
	}
	trips := together(2*people, func(i int, tx *postgres.Tx) error { return outcome(i, tx, i < people) })
	if trips > 12 { // of at most two batches; alone they would be more than a thousand
		t.Errorf("%v round trips for %d outcomes", trips, 2*people)
	}
	if n, err := db.CountPending(t.Context()); err != nil || n != 0 {
		t.Errorf("%d pending, %v", n, err)
	}
	if err := do(t.Context(), db, func(tx *postgres.Tx) error {
		c, ok, err := tx.SeenCheckinByID(fmt.Sprint("c", people))
		if !ok || c.Notes != fmt.Sprint(people) {
			return fmt.Errorf("found %+v %v %w", c, ok, err)
		}
		if _, ok, err := tx.SeenCheckinByID("c0"); ok || err != nil {
			return fmt.Errorf("what was replaced is found: %w", err)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

// sum adds up what a histogram has observed.
func sum(t *testing.T, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetHistogram().GetSampleSum()
		}
	}
	t.Fatalf("there is no %s", name)
	return 0
}
