package storetest

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pactwire/pactwire"
)

var dueTests = []test{
	{"appointments are made, moved and taken away", on(testDue)},
	{"an appointment is taken once", on(testTakeDue)},
	{"appointments survive a kill", on(testDueReopen)},
}

func keysOf(list []pactwire.Due) (keys []string) {
	for _, d := range list {
		keys = append(keys, fmt.Sprintf("%s +%s", d.Key, d.At.Sub(noon)))
	}
	return keys
}

func wantDue(t *testing.T, s Store, until time.Time, limit int, want ...string) {
	t.Helper()
	list, err := s.Due(ctx, until, limit)
	if err != nil || !slices.Equal(keysOf(list), want) {
		t.Errorf("due: %q, %v; want %q", keysOf(list), err, want)
	}
}

func testDue(t *testing.T, s Store) {
	must(t, s, func(tx Tx) error {
		for i, key := range []string{"b", "c", "a", "d"} {
			if err := tx.PutDue(key, noon.Add(time.Duration(i/2)*time.Hour)); err != nil {
				return err
			}
		}
		return nil
	})
	wantDue(t, s, noon.Add(-time.Millisecond), 9)
	wantDue(t, s, noon, 9, "b +0s", "c +0s")
	wantDue(t, s, noon.Add(time.Hour), 9, "b +0s", "c +0s", "a +1h0m0s", "d +1h0m0s")
	wantDue(t, s, noon.Add(time.Hour), 3, "b +0s", "c +0s", "a +1h0m0s")
	must(t, s, func(tx Tx) error {
		for key, at := range map[string]time.Time{"b": noon.Add(2 * time.Hour), "c": {}, "never": {}, "d": noon.Add(time.Hour)} {
			if err := tx.PutDue(key, at); err != nil {
				return err
			}
		}
		return nil
	})
	wantDue(t, s, noon.Add(24*time.Hour), 9, "a +1h0m0s", "d +1h0m0s", "b +2h0m0s")
	must(t, s, func(tx Tx) error {
		if at, ok, err := tx.DueAt("b"); err != nil || !ok || !at.Equal(noon.Add(2*time.Hour)) {
			t.Errorf("b is due at %v, %v, %v", at, ok, err)
		}
		if err := tx.PutDue("b", noon); err != nil {
			return err
		}
		if at, ok, err := tx.DueAt("b"); err != nil || !ok || !at.Equal(noon) {
			t.Errorf("b is due at %v, %v, %v", at, ok, err)
		}
		if err := tx.PutDue("b", time.Time{}); err != nil {
			return err
		}
		for _, key := range []string{"b", "never"} {
			if at, ok, err := tx.DueAt(key); err != nil || ok {
				t.Errorf("%s is due at %v, %v", key, at, err)
			}
		}
		return nil
	})
}

// testTakeDue: of many that want one appointment, a single one gets it, and nobody after it was moved.
func testTakeDue(t *testing.T, s Store) {
	const rivals = 8
	must(t, s, func(tx Tx) error { return tx.PutDue("a", noon) })
	var got [rivals]bool
	var wg sync.WaitGroup
	for i := range rivals {
		wg.Go(func() {
			err := do(t, s, func(tx Tx) (err error) {
				got[i], err = tx.TakeDue(pactwire.Due{Key: "a", At: noon})
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := len(slices.DeleteFunc(got[:], func(mine bool) bool { return !mine })); n != 1 {
		t.Errorf("%d took it", n)
	}
	wantDue(t, s, noon, 9)
	must(t, s, func(tx Tx) error {
		if err := tx.PutDue("a", noon.Add(time.Minute)); err != nil {
			return err
		}
		if mine, err := tx.TakeDue(pactwire.Due{Key: "a", At: noon}); mine || err != nil {
			t.Errorf("taken at a time at which it does not stand: %v, %v", mine, err)
		}
		return nil
	})
	err := do(t, s, func(tx Tx) error {
		if mine, err := tx.TakeDue(pactwire.Due{Key: "a", At: noon.Add(time.Minute)}); !mine || err != nil {
			t.Errorf("%v, %v", mine, err)
		}
		return pactwire.Errorf(pactwire.Conflict, "no")
	})
	if pactwire.CodeOf(err) != pactwire.Conflict {
		t.Error(err)
	}
	wantDue(t, s, noon.Add(time.Hour), 9, "a +1m0s") // what was undone took nothing
}

func testDueReopen(t *testing.T, s Store) {
	must(t, s, func(tx Tx) error { return tx.PutDue("streak alice run", noon) })
	wantDue(t, s.Reopen(t), noon, 9, "streak alice run +0s")
}
