package bridge_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/bridge"
	"github.com/pactwire/pactwire/internal/testkit"
)

// batch is what comes to the store in one transaction, in the order in which it is added.
type batch struct {
	n       *node
	release chan struct{}
}

func embeddedInBubble(t *testing.T, f func(t *testing.T, n *node)) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "n.db")
	testkit.Migrated(t, path, create)
	synctest.Test(t, func(t *testing.T) {
		n := openNode(t, path, nil, bridge.Config{})
		defer n.close(t)
		f(t, n)
	})
}

// newBatch keeps the store busy until the batch is let go.
func newBatch(t *testing.T, n *node) *batch {
	t.Helper()
	b := &batch{n, make(chan struct{})}
	first := true
	err := store{n.db}.Submit(t.Context(), func(bridge.Tx) error {
		if first {
			first = false
			<-b.release
		}
		return nil
	}, func(error) {})
	if err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	return b
}

// add runs fn up to where it waits for the store.
func (b *batch) add(fn func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- fn() }()
	synctest.Wait()
	return done
}

// refused adds a function that fails after it has written: its writes alone are undone.
func (b *batch) refused() <-chan error {
	return b.add(func() error {
		return b.n.bridge.Record(context.Background(), func(tx bridge.Tx) ([]pactwire.Change, error) {
			if err := tx.TouchUser("mallory", "Mallory", time.Now()); err != nil {
				return nil, err
			}
			return nil, pactwire.Errorf(pactwire.NotFound, "there is no such thing")
		})
	})
}

// TestARepeatedCommandIsCountedOnce although its transaction begins anew.
func TestARepeatedCommandIsCountedOnce(t *testing.T) {
	embeddedInBubble(t, func(t *testing.T, n *node) {
		p := pactOf(t, n.service, alice, bob)
		n.hold(t, alice)
		for _, key := range []string{"k", ""} {
			if err := n.accept(t, done(alice, p.ID, key, "x")); err != nil {
				t.Fatal(err)
			}
		}
		before := testutil.ToFloat64(n.bridge.Duplicates())
		b := newBatch(t, n)
		repeated := b.add(func() error { return n.accept(t, done(alice, p.ID, "k", "x")) })
		unnamed := b.add(func() error { return n.accept(t, done(alice, p.ID, "", "x")) })
		b.refused()
		close(b.release)
		if err := errors.Join(<-repeated, <-unnamed); err != nil {
			t.Fatal(err)
		}
		if got := testutil.ToFloat64(n.bridge.Duplicates()) - before; got != 2 {
			t.Errorf("%v are counted", got)
		}
	})
}

// TestARefusalLeavesOthersChangesOfPacts: what a transaction has done to a pact holds for what follows in it, although something
// in between is refused.
func TestARefusalLeavesOthersChangesOfPacts(t *testing.T) {
	t.Run("who has left is not heard", func(t *testing.T) {
		embeddedInBubble(t, func(t *testing.T, n *node) {
			p := pactOf(t, n.service, alice, bob, carol)
			n.hold(t, alice, bob, carol)
			b := newBatch(t, n)
			left := b.add(func() error {
				_, err := n.service.Act(context.Background(), bob, p.ID, pactwire.ActLeave)
				return err
			})
			no := b.refused()
			said := b.add(func() error {
				return n.accept(t, pactwire.Command{Kind: pactwire.CommandMessage, ID: "m1", Sender: bob, Pact: p.ID,
					ReceivedAt: time.Now(), Message: &pactwire.MessageCommand{Message: "still here"}})
			})
			close(b.release)
			if err := <-left; err != nil {
				t.Fatal(err)
			}
			if err := <-no; pactwire.CodeOf(err) != pactwire.NotFound {
				t.Fatalf("what is refused: %v", err)
			}
			if err := <-said; pactwire.CodeOf(err) != pactwire.Denied {
				t.Errorf("a message of who has left: %v", err)
			}
		})
	})
	t.Run("who has joined shares a check-in", func(t *testing.T) {
		embeddedInBubble(t, func(t *testing.T, n *node) {
			p := pactOf(t, n.service, alice, bob)
			q, err := n.service.CreatePact(t.Context(), alice, pactwire.PactInput{HabitGoalID: p.HabitGoalID, PartnerUserIDs: []pactwire.UserID{"carol"}})
			if err != nil {
				t.Fatal(err)
			}
			n.hold(t, alice, bob, carol)
			b := newBatch(t, n)
			joined := b.add(func() error {
				_, err := n.service.Act(context.Background(), carol, q.ID, pactwire.ActAccept)
				return err
			})
			no := b.refused()
			checked := b.add(func() error { return n.accept(t, done(alice, p.ID, "k", "")) })
			close(b.release)
			if err := <-joined; err != nil {
				t.Fatal(err)
			}
			<-no
			if err := <-checked; err != nil {
				t.Fatal(err)
			}
			if a, _ := lastCheckin(t, n, q.ID); a.Type != pactwire.CheckinCompleted {
				t.Errorf("the pact that has just begun ends with %s", a.Type)
			}
		})
	})
}
