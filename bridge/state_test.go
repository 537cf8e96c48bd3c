package bridge_test

import (
	"testing"

	"github.com/pactwire/pactwire"
)

// TestEachActivityChangesTheState: a State tells the last number of its pact, so each activity makes it another, told once.
func TestEachActivityChangesTheState(t *testing.T) {
	n := newNode(t)
	p := pactOf(t, n.service, alice, bob)
	checkin := n.checkedIn(t, bob, p.ID)
	feed := n.told.activities(t, p.ID)
	for _, cmd := range []pactwire.Command{
		say(alice, p.ID, "m", "well"),
		celebrate(alice, p.ID, "c", checkin),
		encourage(alice, p.ID, "e", "bob"),
		react(alice, p.ID, feed[len(feed)-1].ID, "👏"),
		done(alice, p.ID, "1", "mine"),
		done(alice, p.ID, "2", "mine, put better"), // a correction that leaves the streak as it is
	} {
		activities, states := len(n.told.activities(t, p.ID)), n.told.stated(p.ID)
		if err := n.accept(t, cmd); err != nil {
			t.Fatal(err)
		}
		activities, states = len(n.told.activities(t, p.ID))-activities, n.told.stated(p.ID)-states
		if activities == 0 || states != 1 {
			t.Errorf("%s: %d activities, the state told %d times", cmd.Kind, activities, states)
		}
	}
}

// TestAChangedPactChangesTheListsOfItsReaders: also when somebody else joined, left or has another name.
func TestAChangedPactChangesTheListsOfItsReaders(t *testing.T) {
	n := newNode(t)
	p := pactOf(t, n.service, alice, bob, carol)
	n.hold(t, alice, bob, carol)
	change := func(what string, f func() error) {
		t.Helper()
		before := n.told.listed("alice")
		if err := f(); err != nil {
			t.Fatal(err)
		}
		if got := n.told.listed("alice") - before; got != 1 {
			t.Errorf("%s: the list of alice was told %d times", what, got)
		}
	}
	change("a partner's new name", func() error {
		renamed := bob
		renamed.UserName = "Robert"
		return n.accept(t, say(renamed, p.ID, "n", "it is me"))
	})
	change("a partner left", func() error {
		_, err := n.service.Act(t.Context(), carol, p.ID, pactwire.ActLeave)
		return err
	})
	before := n.told.listed("alice")
	n.must(t, say(alice, p.ID, "m", "well"))
	if got := n.told.listed("alice"); got != before {
		t.Error("a message, which changes nothing of the list but a number, was told")
	}
}
