package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/habits"
	"github.com/pactwire/pactwire/internal/testkit"
	"github.com/pactwire/pactwire/postgres"
)

// TestAnAppointmentIsTakenByOneNode: a node neither takes nor waits for what another is taking, and what is moved meanwhile stays.
func TestAnAppointmentIsTakenByOneNode(t *testing.T) {
	url := testkit.Postgres(t).URL()
	a, b := open(t, postgres.Config{URL: url, Node: "a"}), open(t, postgres.Config{URL: url, Node: "b"})
	d := pactwire.Due{Key: "streak alice run", At: time.UnixMilli(1_000_000)}
	update(t, a, func(tx *postgres.Tx) error { return tx.PutDue(d.Key, d.At) })
	take := func(db *postgres.DB) (mine bool) {
		update(t, db, func(tx *postgres.Tx) (err error) {
			mine, err = tx.TakeDue(d)
			return err
		})
		return mine
	}
	during := func(fail error, meanwhile func()) {
		t.Helper()
		taken, end, done := make(chan bool, 9), make(chan struct{}), make(chan error, 1)
		err := a.Submit(t.Context(), func(tx *postgres.Tx) error {
			mine, err := tx.TakeDue(d)
			if err != nil {
				return err
			}
			taken <- mine
			<-end
			return fail
		}, func(err error) { done <- err })
		if err != nil {
			t.Fatal(err)
		}
		if !<-taken {
			t.Error("not taken")
		}
		meanwhile()
		close(end)
		if err := <-done; !errors.Is(err, fail) {
			t.Error(err)
		}
	}
	during(pactwire.Errorf(pactwire.Conflict, "no"), func() {
		if take(b) {
			t.Error("taken by two")
		}
	})
	during(nil, func() {
		update(t, b, func(tx *postgres.Tx) error { return tx.PutDue(d.Key, d.At.Add(time.Hour)) })
	})
	d.At = d.At.Add(time.Hour)
	if !take(b) || take(a) {
		t.Error("what was moved is lost, or taken twice")
	}
}

func update(t *testing.T, db *postgres.DB, fn func(*postgres.Tx) error) {
	t.Helper()
	if err := do(t.Context(), db, fn); err != nil {
		t.Fatal(err)
	}
}

func do(ctx context.Context, db *postgres.DB, fn func(*postgres.Tx) error) error {
	done := make(chan error, 1)
	if err := db.Submit(ctx, fn, func(err error) { done <- err }); err != nil {
		return err
	}
	return <-done
}

// node is a habits-service over the shared database that notes what it made known.
type node struct {
	*postgres.DB
	engine *habits.Embedded

	mu   *sync.Mutex
	told map[string]int
}

func (n node) Do(ctx context.Context, fn func(habits.Tx) ([]pactwire.Change, error)) error {
	var changes []pactwire.Change
	err := do(ctx, n.DB, func(tx *postgres.Tx) (err error) {
		changes, err = fn(tx)
		return err
	})
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range changes {
		n.told[fmt.Sprint(c.Kind, " ", c.User)]++
	}
	return nil
}

// TestNodesKeepEachAppointmentOnce: the schedulers of two nodes come upon the same appointments at the same moment, while a third node
// works off check-ins that begin new streaks.
func TestNodesKeepEachAppointmentOnce(t *testing.T) {
	const people = 40
	url := testkit.Postgres(t).URL()
	start := time.Now().AddDate(0, 0, -60)
	now := func() time.Time { return start }
	told, mu := map[string]int{}, &sync.Mutex{}
	newNode := func(name string, now func() time.Time) (node, *habits.Service) {
		db := open(t, postgres.Config{URL: url, Node: name})
		n := node{db, habits.NewEmbedded(db, habits.EngineOptions{NoCache: true}), mu, told}
		return n, habits.NewService(n, db, n.engine, habits.ServiceOptions{Now: now})
	}
	a, service := newNode("a", now)
	want := map[string]int{}
	var wg sync.WaitGroup
	pacts := make([]pactwire.PactID, people)
	for i := range people {
		me := pactwire.Identity{UserID: pactwire.UserID(fmt.Sprint("u", i)), UserName: "U"}
		want[fmt.Sprint(pactwire.ChangeStreakBroken, " ", me.UserID)] = 1
		want[fmt.Sprint(pactwire.ChangeCompleted, " ", me.UserID)] = 1
		wg.Go(func() {
			g, err := service.CreateGoal(t.Context(), me, pactwire.GoalInput{Name: "Run"})
			if err != nil {
				t.Error(err)
				return
			}
			p, err := service.CreatePact(t.Context(), me, pactwire.PactInput{HabitGoalID: g.ID, PartnerUserIDs: []pactwire.UserID{"bob"}})
			if err == nil {
				_, err = service.Act(t.Context(), pactwire.Identity{UserID: "bob"}, p.ID, pactwire.ActAccept)
			}
			if err == nil {
				err = do(t.Context(), a.DB, func(tx *postgres.Tx) error {
					_, err := a.engine.Checkin(t.Context(), tx, pactwire.CheckinRequest{UserID: me.UserID, PactID: p.ID,
						Status: pactwire.StatusCompleted, ReceivedAt: start})
					return err
				})
			}
			if err != nil {
				t.Error(err)
			}
			pacts[i] = p.ID
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	mu.Lock()
	clear(told)
	mu.Unlock()
	var schedulers []*habits.Scheduler
	for _, name := range []string{"b", "c"} {
		n, service := newNode(name, time.Now)
		s := habits.NewScheduler(service, n.DB, slog.New(slog.DiscardHandler), nil)
		s.Start()
		schedulers = append(schedulers, s)
	}
	for i := range people {
		wg.Go(func() {
			err := a.Do(t.Context(), func(tx habits.Tx) ([]pactwire.Change, error) {
				res, err := a.engine.Checkin(t.Context(), tx, pactwire.CheckinRequest{UserID: pactwire.UserID(fmt.Sprint("u", i)), PactID: pacts[i],
					Status: pactwire.StatusCompleted, ReceivedAt: time.Now()})
				return res.Broken, err
			})
			if err != nil && pactwire.CodeOf(err) != pactwire.Conflict { // the pact has ended meanwhile
				t.Error(err)
			}
		})
	}
	wg.Wait()
	testkit.Eventually(t, time.Minute, "nothing is due any more", func() bool {
		list, err := a.Due(t.Context(), time.Now(), 1)
		return err == nil && len(list) == 0
	})
	for _, s := range schedulers {
		s.Stop()
	}
	if fmt.Sprint(told) != fmt.Sprint(want) {
		t.Errorf("told %v, want %v", told, want)
	}
}
