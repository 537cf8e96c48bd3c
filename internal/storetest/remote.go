package storetest

import (
	"slices"
	"testing"
	"time"

	"github.com/pactwire/pactwire"
)

var remoteTests = []test{
	{"the last known state of a pact", on(testSeenPact)},
	{"the last known state of a check-in", on(testSeenCheckin)},
	{"webhooks wait in the outbox", on(testOutbox)},
	{"a webhook is new once", on(testSeenWebhook)},
	{"the end of an unknown check-in is remembered", on(testBury)},
	{"a milestone is said once", on(testSaidMilestone)},
}

func testSeenPact(t *testing.T, s Store) {
	p := pact("p", "run", "alice", "bob")
	p.HabitName, p.Members[0].UserName = "Run", "Alice"
	see := func(p pactwire.Pact, revision uint64, want pactwire.SeenPact) {
		t.Helper()
		must(t, s, func(tx Tx) error {
			got, err := tx.SeenPact(p, revision)
			same(t, "seen", want, got)
			return err
		})
	}
	see(p, 1, pactwire.SeenPact{}) // it was never seen, so this is not stored
	see(p, 0, pactwire.SeenPact{Now: 1})
	q := p
	q.Status = pactwire.PactCompleted
	s = s.Reopen(t)
	see(p, 1, pactwire.SeenPact{Before: p, Was: 1, Now: 1}) // nothing new
	see(q, 0, pactwire.SeenPact{Before: p, Was: 1, Now: 1}) // by who knows nothing
	see(q, 1, pactwire.SeenPact{Before: p, Was: 1, Now: 2})
	see(p, 1, pactwire.SeenPact{Before: q, Was: 2, Now: 2}) // by who knows what was
	must(t, s, func(tx Tx) error { return tx.Joined("p", "bob", 7) })
	q.Members = slices.Clone(q.Members)
	q.Members[1].JoinedSeq = 7
	see(p, 2, pactwire.SeenPact{Before: q, Was: 2, Now: 3})
	if _, ok, err := s.ReadPact(ctx, "p"); ok || err != nil {
		t.Errorf("a pact of a remote service is taken for an own one: %v, %v", ok, err)
	}
}

func testSeenCheckin(t *testing.T, s Store) {
	c := pactwire.Checkin{ID: "c1", PactID: "p", HabitGoalID: "run", UserID: "alice", Status: pactwire.StatusPartial,
		LocalDate: "2026-05-01", Notes: "n", ProofMedia: []pactwire.Media{}, CreatedAt: pactwire.Time(noon), UpdatedAt: pactwire.Time(noon)}
	see := func(c pactwire.Checkin, want *pactwire.Checkin) {
		t.Helper()
		must(t, s, func(tx Tx) error {
			before, known, err := tx.SeenCheckin(c)
			if known != (want != nil) {
				t.Errorf("known: %v", known)
			} else if known {
				same(t, "before", *want, before)
			}
			return err
		})
	}
	byID := func(id string, want *pactwire.Checkin) {
		t.Helper()
		must(t, s, func(tx Tx) error {
			got, ok, err := tx.SeenCheckinByID(id)
			if ok != (want != nil) {
				t.Errorf("id %s: %v", id, ok)
			} else if ok {
				same(t, "by id", *want, got)
			}
			return err
		})
	}
	byID("c1", nil)
	see(c, nil)
	byID("c1", &c)
	s = s.Reopen(t)
	corrected := c
	corrected.Status = pactwire.StatusCompleted
	see(corrected, &c)
	byID("c1", &corrected)

	moved := corrected // the same id on another day
	moved.LocalDate = "2026-05-02"
	see(moved, nil)
	byID("c1", &moved)

	other := moved // another id on the same day
	other.ID = "c2"
	see(other, &moved)
	byID("c2", &other)
	byID("c1", nil)
	byID("", nil)
	must(t, s, func(tx Tx) error {
		if _, ok, err := tx.CheckinByID("c2"); ok || err != nil {
			t.Errorf("a check-in of a remote service is taken for an own one: %v, %v", ok, err)
		}
		return nil
	})
}

func testOutbox(t *testing.T, s Store) {
	a := pactwire.Webhook{ID: "a", Target: "bridge", Body: []byte("{}"), CreatedAt: noon, NextAt: noon.Add(time.Minute)}
	b := pactwire.Webhook{ID: "b", Target: "bridge", Body: []byte("{\"b\":1}"), CreatedAt: noon, NextAt: noon, Attempts: 2}
	c := pactwire.Webhook{ID: "c", Target: "push", Body: []byte("{}"), CreatedAt: noon, NextAt: noon}
	d := pactwire.Webhook{ID: "0", Target: "bridge", Body: []byte("{}"), CreatedAt: noon, NextAt: noon}
	must(t, s, func(tx Tx) error {
		for _, w := range []pactwire.Webhook{a, b, c, d} {
			if err := tx.PutWebhook(w); err != nil {
				return err
			}
		}
		return nil
	})
	s = s.Reopen(t)
	due := func(target string, until time.Time, limit int, want ...pactwire.Webhook) {
		t.Helper()
		got, err := s.DueWebhooks(ctx, target, until, limit)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "due", want, got)
	}
	due("bridge", noon, 10, d, b)
	due("bridge", noon.Add(time.Hour), 10, d, b, a)
	due("bridge", noon.Add(time.Hour), 2, d, b)
	due("push", noon, 10, c)
	due("nobody", noon, 10)
	due("bridge", noon.Add(-time.Second), 10)
	b.Attempts, b.NextAt = 3, noon.Add(time.Hour)
	must(t, s, func(tx Tx) error {
		if err := tx.PutWebhook(b); err != nil {
			return err
		}
		if err := tx.DoneWebhook("unknown"); err != nil {
			return err
		}
		return tx.DoneWebhook("0")
	})
	due("bridge", noon.Add(time.Hour), 10, a, b)
}

// isNew runs a test-and-set twice, the second time after a restart.
func isNew(t *testing.T, s Store, ask func(Tx) (bool, error)) {
	t.Helper()
	for i := range 2 {
		must(t, s, func(tx Tx) error {
			fresh, err := ask(tx)
			if fresh != (i == 0) {
				t.Errorf("time %d: new %v", i, fresh)
			}
			return err
		})
		s = s.Reopen(t)
	}
}

func testSeenWebhook(t *testing.T, s Store) {
	must(t, s, func(tx Tx) error { _, err := tx.SeenWebhook("other", noon); return err })
	isNew(t, s, func(tx Tx) (bool, error) { return tx.SeenWebhook("msg_1", noon) })
}

func testBury(t *testing.T, s Store) {
	must(t, s, func(tx Tx) error {
		if at, ok, err := tx.Buried("c1"); ok || err != nil {
			t.Errorf("before: %v, %v, %v", at, ok, err)
		}
		for _, at := range []time.Time{noon.Add(time.Minute), noon} { // told of twice, in any order
			if err := tx.Bury("c1", at); err != nil {
				return err
			}
		}
		fresh, err := tx.SeenWebhook("c1", noon) // is something else
		if !fresh {
			t.Error("the webhook of that name was seen")
		}
		return err
	})
	s = s.Reopen(t)
	buried := func(want bool) {
		t.Helper()
		must(t, s, func(tx Tx) error {
			at, ok, err := tx.Buried("c1")
			if ok != want || ok && !at.Equal(noon.Add(time.Minute)) {
				t.Errorf("%v, %v; want %v", at, ok, want)
			}
			return err
		})
	}
	buried(true)
	for _, prune := range []struct {
		before time.Duration
		keeps  bool
	}{{time.Minute, true}, {time.Hour, false}} {
		if _, err := s.Prune(ctx, noon, noon.Add(prune.before)); err != nil {
			t.Fatal(err)
		}
		buried(prune.keeps)
	}
}

func testSaidMilestone(t *testing.T, s Store) {
	must(t, s, func(tx Tx) error {
		for _, days := range []int{3, 14} {
			if fresh, err := tx.SaidMilestone("alice", "run", "c1", days); !fresh || err != nil {
				t.Errorf("%v, %v", fresh, err)
			}
		}
		return nil
	})
	isNew(t, s, func(tx Tx) (bool, error) { return tx.SaidMilestone("alice", "run", "c1", 7) })
}
