package storetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/pactwire/pactwire"
)

var pruneTests = []test{
	{"old entries go and the floor says so", on(testPruneEntries)},
	{"a stream that is pruned empty goes on counting", on(testPruneAll)},
	{"entries that a clock dated ahead hold up nothing", on(testPruneEntriesAhead)},
	{"commands, webhooks and check-ins dated ahead hold up nothing", on(testPruneRestAhead)},
	{"old commands go, pending ones stay", on(testPruneCommands)},
	{"old webhook ids and codes go", on(testPruneRest)},
	{"what is about old activities and check-ins goes", on(testPruneLeftovers)},
}

func testPruneEntries(t *testing.T, s Store) {
	other := pactwire.ActivityOf("other")
	const n = 700 // more than one slice
	inParts(t, s, n, func(tx Tx, i int) error {
		return appendNext(tx, room, noon.Add(time.Duration(i)*time.Second), fmt.Sprint("-", i))
	})
	must(t, s, func(tx Tx) error { return appendNext(tx, other, noon.Add(n*time.Second), "x") })
	if got, err := s.Prune(ctx, noon.Add(600*time.Second), noon); got != 600 || err != nil {
		t.Fatalf("pruned %d, %v", got, err)
	}
	check := func() {
		t.Helper()
		b, err := s.Bounds(ctx, []pactwire.Stream{room, other})
		if err != nil || b[0] != (pactwire.Bounds{Floor: 600, Head: n}) || b[1] != (pactwire.Bounds{Head: 1}) {
			t.Fatalf("%v, %v", b, err)
		}
		got, err := s.ReadAfter(ctx, room, 0, 2)
		if err != nil || words(got) != "601-600 602-601" {
			t.Fatalf("%q, %v", words(got), err)
		}
	}
	check()
	s = s.Reopen(t)
	check()
	must(t, s, func(tx Tx) error { return appendNext(tx, room, noon, "next") })
	if got, err := s.ReadAfter(ctx, room, n, 2); err != nil || words(got) != "701next" {
		t.Fatalf("%q, %v", words(got), err)
	}
}

func testPruneAll(t *testing.T, s Store) {
	must(t, s, func(tx Tx) error { return appendNext(tx, room, noon, "a", "b") })
	if n, err := s.Prune(ctx, noon.Add(time.Hour), noon); n != 2 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	for range 2 {
		if b, err := s.Bounds(ctx, []pactwire.Stream{room}); err != nil || b[0] != (pactwire.Bounds{Floor: 2, Head: 2}) {
			t.Fatalf("%v, %v", b, err)
		}
		s = s.Reopen(t)
	}
	must(t, s, func(tx Tx) error { return appendNext(tx, room, noon, "c") })
	if got, err := s.ReadAfter(ctx, room, 0, 9); err != nil || words(got) != "3c" {
		t.Fatalf("%q, %v", words(got), err)
	}
	if n, err := s.Prune(ctx, noon, noon); n != 0 || err != nil {
		t.Fatalf("nothing is that old: %d, %v", n, err)
	}
}

// testPruneEntriesAhead: who was dated by a clock that ran ahead stays, and holds up at most what follows it in its own stream, and
// that only while its date is one that may be true.
func testPruneEntriesAhead(t *testing.T, s Store) {
	const many = 1100 // more than a slice
	ahead, doubtful, mixed, plain := pactwire.ActivityOf("ahead"), pactwire.ActivityOf("doubtful"), pactwire.ActivityOf("mixed"), pactwire.ActivityOf("plain")
	old, young, future := noon, noon.Add(time.Hour), time.Now().AddDate(10, 0, 0)
	repeat := func(stream pactwire.Stream, n int, at time.Time) {
		inParts(t, s, n, func(tx Tx, _ int) error { return appendNext(tx, stream, at, "x") })
	}
	repeat(ahead, many, future)
	repeat(doubtful, 1, young)
	repeat(doubtful, many, old)
	for _, at := range []time.Time{old, future, old, future, young, old} {
		repeat(mixed, 1, at)
	}
	inParts(t, s, many, func(tx Tx, i int) error { // streams that keep what is old
		each := pactwire.ActivityOf(pactwire.PactID(fmt.Sprint("doubtful", i)))
		return errors.Join(appendNext(tx, each, young, "x"), appendNext(tx, each, old, "x"))
	})
	repeat(plain, 3*many, old)
	repeat(plain, many, young)
	if n, err := s.Prune(ctx, noon.Add(time.Minute), noon); n != 3*many+3 || err != nil {
		t.Errorf("pruned %d, %v; want %d", n, err, 3*many+3)
	}
	got, err := s.Bounds(ctx, []pactwire.Stream{ahead, doubtful, mixed, plain})
	want := []pactwire.Bounds{{Head: many}, {Head: many + 1}, {Floor: 3, Head: 6}, {Floor: 3 * many, Head: 4 * many}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	if got, err := s.ReadAfter(ctx, mixed, 0, 9); err != nil || words(got) != "4x 5x 6x" {
		t.Errorf("%q, %v", words(got), err)
	}
	if n, err := s.Prune(ctx, noon.Add(time.Minute), noon); n != 0 || err != nil {
		t.Errorf("pruned again: %d, %v", n, err)
	}
	if n, err := s.Prune(ctx, noon.Add(2*time.Hour), noon); n != 4*many+4 || err != nil {
		t.Errorf("pruned %d later, %v; want %d", n, err, 4*many+4)
	}
}

func testPruneRestAhead(t *testing.T, s Store) {
	const many = 1100 // more than a slice
	seen := func(i int, day pactwire.LocalDate) pactwire.Checkin {
		goal := pactwire.GoalID(fmt.Sprint("g", i))
		return pactwire.Checkin{ID: fmt.Sprint(day, i), UserID: "alice", HabitGoalID: goal, LocalDate: day, Status: pactwire.StatusCompleted}
	}
	for _, old := range []bool{false, true} {
		name, at, day := "ahead", time.Now().AddDate(10, 0, 0), pactwire.LocalDate("2036-05-01")
		if old {
			name, at, day = "old", noon, "2026-05-01"
		}
		inParts(t, s, many, func(tx Tx, i int) error {
			key := fmt.Sprint(name, i)
			_, err1 := putCommand(tx, pactwire.CommandRecord{User: "alice", Key: key, Answer: []byte("x"), AcceptedAt: at})
			_, err2 := tx.SeenWebhook(key, at)
			_, _, err3 := tx.SeenCheckin(seen(i, day))
			return errors.Join(err1, err2, err3)
		})
	}
	soon := noon.AddDate(0, 0, 5)
	if n, err := s.Prune(ctx, soon, soon); n != many || err != nil {
		t.Errorf("pruned %d, %v", n, err)
	}
	must(t, s, func(tx Tx) error {
		for _, i := range []int{0, 1, 300, many - 1} {
			for name, want := range map[string]bool{"ahead": true, "old": false} {
				_, command, err1 := tx.Command("alice", fmt.Sprint(name, i))
				day := map[bool]pactwire.LocalDate{true: "2036-05-01", false: "2026-05-01"}[want]
				_, checkin, err2 := tx.SeenCheckinByID(seen(i, day).ID)
				fresh, err3 := tx.SeenWebhook(fmt.Sprint(name, i), noon)
				if err := errors.Join(err1, err2, err3); err != nil {
					return err
				}
				if command != want || checkin != want || fresh == want {
					t.Errorf("%s %d: command %v, check-in %v, webhook %v; want %v", name, i, command, checkin, !fresh, want)
				}
			}
		}
		return nil
	})
}

func testPruneCommands(t *testing.T, s Store) {
	var pending int64
	inParts(t, s, 600, func(tx Tx, i int) error {
		c := pactwire.CommandRecord{User: "alice", Key: fmt.Sprint(i), Answer: []byte("x"), AcceptedAt: noon.Add(time.Duration(i) * time.Second)}
		if i == 100 {
			c.Answer, c.Request = nil, []byte("x")
		}
		id, err := putCommand(tx, c)
		if i == 100 {
			pending = id
		}
		return err
	})
	if n, err := s.Prune(ctx, noon, noon.Add(500*time.Second)); n != 499 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	if got, err := s.PendingCommands(ctx, 0, 10); err != nil || len(got) != 1 || got[0].ID != pending {
		t.Fatalf("%v, %v", got, err)
	}
	must(t, s, func(tx Tx) error {
		for key, want := range map[string]bool{"0": false, "499": false, "100": true, "500": true} {
			if _, ok, err := tx.Command("alice", key); ok != want || err != nil {
				t.Errorf("key %s: %v, %v", key, ok, err)
			}
		}
		return nil
	})
}

func testPruneRest(t *testing.T, s Store) {
	inParts(t, s, 300, func(tx Tx, i int) error {
		_, err := tx.SeenWebhook(fmt.Sprint("old", i), noon)
		return err
	})
	must(t, s, func(tx Tx) error {
		if _, err := tx.SeenWebhook("new", noon.Add(time.Hour)); err != nil {
			return err
		}
		if err := tx.PutCode("PACT-OLD", "p", noon); err != nil {
			return err
		}
		return tx.PutCode("PACT-NEW", "p", noon.Add(time.Hour))
	})
	if _, err := s.Prune(ctx, noon, noon.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	must(t, s, func(tx Tx) error {
		for id, want := range map[string]bool{"old0": true, "old299": true, "new": false} {
			if fresh, err := tx.SeenWebhook(id, noon); fresh != want || err != nil {
				t.Errorf("webhook %s: new %v, %v", id, fresh, err)
			}
		}
		for code, want := range map[string]bool{"PACT-OLD": false, "PACT-NEW": true} {
			if _, _, ok, err := tx.Code(code); ok != want || err != nil {
				t.Errorf("code %s: %v, %v", code, ok, err)
			}
		}
		return nil
	})
}

// testPruneLeftovers: reactions go with their activities, what is about check-ins when entries and commands of those days have gone.
func testPruneLeftovers(t *testing.T, s Store) {
	const day = 24 * time.Hour
	activity := func(at time.Time, i int) string { // a UUIDv7
		return fmt.Sprintf("%08x-%04x-7000-8000-%012d", at.UnixMilli()>>16, at.UnixMilli()&0xffff, i)
	}
	seen := func(i int, at time.Time) pactwire.Checkin {
		return pactwire.Checkin{ID: fmt.Sprint("c", i, at.Unix()), UserID: "alice", HabitGoalID: pactwire.GoalID(fmt.Sprint("g", i)),
			LocalDate: pactwire.LocalDate(at.Format(time.DateOnly)), Status: pactwire.StatusCompleted}
	}
	const many = 1100 // more than a slice
	old, young := noon.Add(-10*day), noon.Add(-day)
	put := func(tx Tx, i int, at time.Time) error {
		_, _, err := tx.SeenCheckin(seen(i, at))
		return errors.Join(err, tx.PutReaction(activity(at, i), "bob", "👏"), tx.PutCelebrated("bob", seen(i, at).ID, at))
	}
	inParts(t, s, many, func(tx Tx, i int) error { return put(tx, i, old) })
	must(t, s, func(tx Tx) error { return put(tx, 0, young) })
	kept := func(at time.Time, i int, reactions, checkins bool) {
		t.Helper()
		must(t, s, func(tx Tx) error {
			emoji, err1 := tx.Reaction(activity(at, i), "bob")
			celebrated, err2 := tx.Celebrated("bob", seen(i, at).ID)
			_, known, err3 := tx.SeenCheckinByID(seen(i, at).ID)
			if (emoji != "") != reactions || celebrated != checkins || known != checkins {
				t.Errorf("%d of %s: reaction %q, celebrated %v, seen %v; want %v, %v", i, at, emoji, celebrated, known, reactions, checkins)
			}
			return errors.Join(err1, err2, err3)
		})
	}
	prune := func(entries, commands time.Time) {
		t.Helper()
		if n, err := s.Prune(ctx, entries, commands); n != 0 || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
	}
	prune(time.Time{}, noon)
	kept(old, 0, true, true)
	prune(old, noon)
	kept(old, 0, true, true) // clocks and zones differ
	prune(noon.Add(-5*day), noon.Add(-20*day))
	kept(old, 0, false, true) // a command of that day may yet be repeated
	prune(noon.Add(-5*day), noon.Add(-5*day))
	for _, i := range []int{0, 1, 500, many - 1} {
		kept(old, i, false, false)
	}
	kept(young, 0, true, true)
}
