package bridge_test

import (
	"context"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/bridge"
	"github.com/pactwire/pactwire/habits"
	"github.com/pactwire/pactwire/sqlite"
)

func (n *node) takeBack(t testing.TB, id pactwire.Identity, checkin string) error {
	t.Helper()
	_, err := n.bridge.TakeBack(context.Background(), id, func(tx bridge.Tx) (pactwire.CheckinResult, error) {
		return n.engine.DeleteCheckin(context.Background(), tx.(habits.Tx), id.UserID, checkin, time.Now())
	})
	return err
}

func lastCheckin(t testing.TB, n *node, p pactwire.PactID) (pactwire.Activity, pactwire.CheckinData) {
	t.Helper()
	all := n.told.activities(t, p)
	a := all[len(all)-1]
	var data pactwire.CheckinData
	if err := json.Unmarshal(a.Data, &data); err != nil {
		t.Fatal(err)
	}
	return a, data
}

func TestDeletedCheckinIsCorrectedInEveryActivePactOnce(t *testing.T) {
	n := newNode(t)
	p := pactOf(t, n.service, alice, bob)
	q := pactAbout(t, n.service, p.HabitGoalID, alice, carol)
	n.hold(t, alice, bob, carol)
	if err := n.accept(t, done(alice, p.ID, "k", "a run")); err != nil {
		t.Fatal(err)
	}
	_, said := lastCheckin(t, n, p.ID)
	if err := n.takeBack(t, bob, said.CheckinID); pactwire.CodeOf(err) != pactwire.NotFound {
		t.Errorf("somebody else's: %v", err)
	}
	if err := n.takeBack(t, alice, said.CheckinID); err != nil {
		t.Fatal(err)
	}
	for _, pact := range []pactwire.PactID{p.ID, q.ID} {
		a, data := lastCheckin(t, n, pact)
		if a.Type != pactwire.CheckinCorrected || a.UserID != "alice" || data.Status != pactwire.StatusDeleted ||
			data.PreviousStatus != pactwire.StatusCompleted || data.CheckinID != said.CheckinID || data.StreakUpdate == nil ||
			data.StreakUpdate.Before != 1 || data.StreakUpdate.After != 0 || data.StreakUpdate.Longest != 0 {
			t.Errorf("%s: %s %+v, streak %+v", pact, a.Type, data, data.StreakUpdate)
		}
	}
	before := len(n.told.activities(t, p.ID))
	if err := n.takeBack(t, alice, said.CheckinID); pactwire.CodeOf(err) != pactwire.NotFound {
		t.Errorf("again: %v", err)
	}
	if after := len(n.told.activities(t, p.ID)); after != before {
		t.Errorf("%d activities more", after-before)
	}
	if err := n.accept(t, done(alice, p.ID, "k2", "a run")); err != nil {
		t.Fatal(err)
	}
	if a, data := lastCheckin(t, n, p.ID); a.Type != pactwire.CheckinCompleted || data.StreakUpdate.After != 1 {
		t.Errorf("said anew: %s %+v", a.Type, data)
	}
}

// TestBrokenStreakIsToldBeforeTheNextBegins: a check-in that comes before the scheduler does, after days on which nothing ran.
func TestBrokenStreakIsToldBeforeTheNextBegins(t *testing.T) {
	n := newNode(t)
	p := pactOf(t, n.service, alice, bob)
	n.hold(t, alice, bob)
	err := n.db.Update(t.Context(), func(tx *sqlite.Tx) error {
		_, err := n.engine.Checkin(t.Context(), tx, pactwire.CheckinRequest{UserID: "alice", PactID: p.ID, Status: pactwire.StatusCompleted,
			ReceivedAt: time.Now().AddDate(0, 0, -6)})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.accept(t, done(alice, p.ID, "k", "")); err != nil {
		t.Fatal(err)
	}
	var got []pactwire.ActivityType
	for _, a := range n.told.activities(t, p.ID)[2:] {
		got = append(got, a.Type)
	}
	if want := []pactwire.ActivityType{pactwire.StreakBroken, pactwire.CheckinCompleted}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
