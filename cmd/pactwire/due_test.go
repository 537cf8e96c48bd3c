package main

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/testkit"
	"github.com/pactwire/pactwire/sqlite"
)

// TestWhatIsDueHappensByItself: a server keeps, from its start on, what came due while it was down, and members are told once.
func TestWhatIsDueHappensByItself(t *testing.T) {
	s := start(t, t.TempDir(), nil)
	goal := s.does(t, "goal", "create", "Morning run", "--user", "alice")
	pact := pactwire.PactID(s.does(t, "pact", "create", goal, "--partner", "bob", "--user", "alice"))
	s.does(t, "pact", "accept", string(pact), "--user", "bob")
	started, err := s.node.store.Due(t.Context(), time.Now().AddDate(1, 0, 0), 10)
	if err != nil || len(started) != 2 { // the last day and the end of the invitations
		t.Fatalf("%v, %v", started, err)
	}
	s.does(t, "checkin", string(pact), "--user", "alice")
	err = s.node.store.(sqliteStore).Update(t.Context(), func(tx *sqlite.Tx) error { // 40 days pass
		p, _, err := tx.Pact(pact)
		if err != nil {
			return err
		}
		start, end := pactwire.Time(p.StartDate.Std().AddDate(0, 0, -40)), pactwire.Time(p.EndDate.Std().AddDate(0, 0, -40))
		p.StartDate, p.EndDate = &start, &end
		for _, d := range started {
			if err := tx.PutDue(d.Key, d.At.AddDate(0, 0, -40)); err != nil {
				return err
			}
		}
		return tx.PutPact(p)
	})
	if err != nil {
		t.Fatal(err)
	}
	s.node.stopForTest()
	for range 2 {
		n := start(t, s.dir, nil).node
		var entries []pactwire.Entry
		testkit.Eventually(t, 30*time.Second, "nothing is due any more", func() bool {
			list, err := n.store.Due(t.Context(), time.Now(), 10)
			if err == nil && len(list) == 0 {
				entries, err = n.store.ReadAfter(t.Context(), pactwire.ActivityOf(pact), 0, 100)
			}
			return err == nil && len(list) == 0
		})
		ended := 0
		for _, e := range entries {
			var a pactwire.Activity
			if err := json.Unmarshal(e.Payload, &a); err != nil {
				t.Fatal(err)
			}
			if a.Type == pactwire.PactCompletedA || a.Type == pactwire.PactExpiredA {
				ended++
			}
		}
		if p, ok := n.members.Pact(pact); ok && !p.Status.Ended() || ended != 1 {
			t.Errorf("ended %d times, %+v", ended, p)
		}
		n.stopForTest()
	}
}
