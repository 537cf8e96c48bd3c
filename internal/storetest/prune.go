package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/pactwire/pactwire"
)

var pruneTests = []test{
	{"old entries go and the floor says so", on(testPruneEntries)},
	{"a stream that is pruned empty goes on counting", on(testPruneAll)},
	{"old commands go, pending ones stay", on(testPruneCommands)},
	{"old webhook ids and codes go", on(testPruneRest)},
}

func testPruneEntries(t *testing.T, s Store) {
	other := pactwire.ActivityOf("other")
	const n = 700 // more than one slice
	must(t, s, func(tx Tx) error {
		for i := range n {
			if err := appendNext(tx, room, noon.Add(time.Duration(i)*time.Second), fmt.Sprint("-", i)); err != nil {
				return err
			}
		}
		return appendNext(tx, other, noon.Add(n*time.Second), "x")
	})
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

func testPruneCommands(t *testing.T, s Store) {
	var pending int64
	must(t, s, func(tx Tx) error {
		for i := range 600 {
			c := pactwire.CommandRecord{User: "alice", Key: fmt.Sprint(i), Answer: []byte("x"), AcceptedAt: noon.Add(time.Duration(i) * time.Second)}
			if i == 100 {
				c.Answer, c.Request = nil, []byte("x")
			}
			id, err := putCommand(tx, c)
			if err != nil {
				return err
			}
			if i == 100 {
				pending = id
			}
		}
		return nil
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
	must(t, s, func(tx Tx) error {
		for i := range 300 {
			if _, err := tx.SeenWebhook(fmt.Sprint("old", i), noon); err != nil {
				return err
			}
		}
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
