package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pactwire/pactwire"
)

var commandTests = []test{
	{"a command from acceptance to answer", on(testCommandLife)},
	{"a key is unique for its user", on(testKeyUnique)},
	{"a command that has its answer is pending no more, in the same transaction too", on(testFinished)},
	{"pending commands come in order of acceptance", on(testPending)},
	{"numbers ascend over restarts", on(testCommandNumbers)},
}

// putCommand journals a command under the next number.
func putCommand(tx Tx, c pactwire.CommandRecord) (id int64, err error) {
	if c.ID, err = tx.NextCommandID(); err != nil {
		return 0, err
	}
	return c.ID, tx.PutCommand(c)
}

func testCommandLife(t *testing.T, s Store) {
	var id int64
	must(t, s, func(tx Tx) (err error) {
		if _, ok, err := tx.Command("alice", "k1"); ok || err != nil {
			t.Errorf("unknown user: %v, %v", ok, err)
		}
		id, err = putCommand(tx, pactwire.CommandRecord{User: "alice", Key: "k1", Request: []byte("do it"), AcceptedAt: noon})
		return err
	})
	check := func(want pactwire.CommandRecord) {
		t.Helper()
		must(t, s, func(tx Tx) error {
			got, ok, err := tx.Command("alice", "k1")
			if !ok || err != nil {
				t.Errorf("known key: %v, %v", ok, err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			return err
		})
	}
	want := pactwire.CommandRecord{ID: id, User: "alice", Key: "k1", Request: []byte("do it"), AcceptedAt: noon}
	check(want)

	pending := func(id int64, want bool) {
		t.Helper()
		must(t, s, func(tx Tx) error {
			got, err := tx.PendingCommand(id)
			if got != want {
				t.Errorf("pending: %v", got)
			}
			return err
		})
	}
	pending(id, true)
	pending(id+1, false)
	next := noon.Add(time.Second)
	must(t, s, func(tx Tx) error { return tx.RetryCommand(id, 3, next) })
	want.Attempts, want.NextAt = 3, next
	check(want)
	if got, err := s.PendingCommands(ctx, 0, 10); err != nil || len(got) != 1 || !cmp.Equal(got[0], want) {
		t.Errorf("pending: %v, %v", got, err)
	}

	for i := range 2 {
		must(t, s, func(tx Tx) error {
			first, err := tx.TellCommand(id)
			if first != (i == 0) {
				t.Errorf("told for the first time at time %d: %v", i, first)
			}
			return err
		})
	}
	want.Told = true
	check(want)

	must(t, s, func(tx Tx) error { return tx.FinishCommand(id, []byte("done"), noon.Add(time.Minute)) })
	pending(id, false)
	if got, err := s.PendingCommands(ctx, 0, 10); err != nil || len(got) != 0 {
		t.Errorf("pending after the answer: %v, %v", got, err)
	}
	must(t, s, func(tx Tx) error {
		late, err := putCommand(tx, pactwire.CommandRecord{User: "alice", Answer: []byte{}, AcceptedAt: noon})
		if err != nil {
			return err
		}
		for _, id := range []int64{late, 1 << 40} {
			if first, err := tx.TellCommand(id); first || err != nil {
				t.Errorf("a command without need of it is told of: %v, %v", first, err)
			}
		}
		return nil
	})
	s = s.Reopen(t)
	must(t, s, func(tx Tx) error {
		got, ok, err := tx.Command("alice", "k1")
		if !ok || string(got.Answer) != "done" || got.Request != nil {
			t.Errorf("answered: %+v, %v", got, ok)
		}
		return err
	})
}

func testKeyUnique(t *testing.T, s Store) {
	put := func(u pactwire.UserID, key string) error {
		return do(t, s, func(tx Tx) error {
			_, err := putCommand(tx, pactwire.CommandRecord{User: u, Key: key, Answer: []byte{}, AcceptedAt: noon})
			return err
		})
	}
	for _, tt := range []struct {
		user pactwire.UserID
		key  string
		code pactwire.Code
	}{
		{"alice", "k", ""}, {"alice", "k", pactwire.Conflict}, {"bob", "k", ""}, {"alice", "K", ""},
		{"alice", "", ""}, {"alice", "", ""}, {"alice", "k", pactwire.Conflict},
	} {
		if err := put(tt.user, tt.key); pactwire.CodeOf(err) != tt.code {
			t.Errorf("%s %q: %v", tt.user, tt.key, err)
		}
	}
	if got, err := s.PendingCommands(ctx, 0, 10); err != nil || len(got) != 0 {
		t.Errorf("commands that came with their answer are pending: %v, %v", got, err)
	}
}

func testFinished(t *testing.T, s Store) {
	var id int64
	must(t, s, func(tx Tx) (err error) {
		id, err = putCommand(tx, pactwire.CommandRecord{User: "alice", Key: "k1", Request: []byte("do it"), AcceptedAt: noon})
		return err
	})
	must(t, s, func(tx Tx) error {
		if err := tx.FinishCommand(id, []byte("done"), noon); err != nil {
			return err
		}
		if pending, err := tx.PendingCommand(id); pending || err != nil {
			t.Errorf("pending: %v, %v", pending, err)
		}
		if first, err := tx.TellCommand(id); first || err != nil {
			t.Errorf("to be told of: %v, %v", first, err)
		}
		return nil
	})
}

func testPending(t *testing.T, s Store) {
	var ids []int64
	must(t, s, func(tx Tx) error {
		ids = nil // a function may run again
		for i := range 10 {
			id, err := putCommand(tx, pactwire.CommandRecord{User: "alice", Request: fmt.Append(nil, i), AcceptedAt: noon})
			if err != nil {
				return err
			}
			ids = append(ids, id)
		}
		if _, err := putCommand(tx, pactwire.CommandRecord{User: "bob", Request: []byte("b"), AcceptedAt: noon}); err != nil {
			return err
		}
		return tx.FinishCommand(ids[4], []byte("x"), noon)
	})
	if n, err := s.CountPending(ctx); n != 10 || err != nil {
		t.Errorf("%d pending, %v", n, err)
	}
	if got, err := s.PendingCommandsOf(ctx, "bob", 0, 10); err != nil || len(got) != 1 || string(got[0].Request) != "b" || got[0].User != "bob" {
		t.Errorf("bob's: %v, %v", got, err)
	}
	if got, err := s.PendingCommandsOf(ctx, "nobody", 0, 10); err != nil || len(got) != 0 {
		t.Errorf("nobody's: %v, %v", got, err)
	}
	var got []int64
	for after := int64(0); ; {
		page, err := s.PendingCommandsOf(ctx, "alice", after, 4)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, c := range page {
			got = append(got, c.ID)
			after = c.ID
		}
	}
	want := append(append([]int64{}, ids[:4]...), ids[5:]...)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
	all, err := s.PendingCommands(ctx, ids[0], 4)
	if err != nil || len(all) != 4 || all[0].ID != ids[1] || all[3].ID != ids[5] {
		t.Fatalf("everybody's: %v, %v", all, err)
	}
}

func testCommandNumbers(t *testing.T, s Store) {
	last := int64(0)
	next := func() {
		t.Helper()
		must(t, s, func(tx Tx) error {
			id, err := putCommand(tx, pactwire.CommandRecord{User: "alice", Answer: []byte{}, AcceptedAt: noon})
			if id <= last {
				t.Errorf("number %d after %d", id, last)
			}
			last = id
			return err
		})
	}
	next()
	next()
	s = s.Reopen(t)
	next()
	if _, err := s.Prune(ctx, noon.Add(time.Hour), noon.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	s = s.Reopen(t)
	next()
}
