package bridge_test

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/bridge"
)

// slowly answers check-ins after half a second.
func slowly(p pactwire.Pact) *script {
	s := newScript(p)
	s.answer = func(context.Context, pactwire.CheckinRequest) error { <-time.After(500 * time.Millisecond); return nil }
	return s
}

// ask checks in over HTTP at a node, which must have the answer in time, and reports whether it is that of a duplicate.
func ask(t *testing.T, n *node, cmd pactwire.Command) (duplicate bool) {
	t.Helper()
	res, err := n.bridge.Do(t.Context(), []pactwire.Command{cmd})
	if err != nil || res[0].Pending {
		t.Errorf("no answer: %+v %v", res, err)
		return false
	}
	var logged pactwire.CheckinLogged
	if err := json.Unmarshal(res[0].Answer.Data, &logged); err != nil || logged.Checkin.ID == "" || res[0].Answer.CommandID == nil {
		t.Errorf("%+v %v", res[0].Answer, err)
	}
	return logged.Duplicate
}

// TestWhoWaitsOverHTTPIsAnsweredWhicheverNodeDidIt: another node has the person's turn, and carries out what came here.
func TestWhoWaitsOverHTTPIsAnsweredWhicheverNodeDidIt(t *testing.T) {
	p := activePact("p1", "g1", alice, bob)
	twoNodes(t, slowly(p), func(t *testing.T, a, b *node, _ [2]*nodeTurns) {
		a.hold(t, alice, bob)
		b.hold(t, alice, bob)
		if err := a.accept(t, done(alice, p.ID, "k1", "over MQTT")); err != nil {
			t.Fatal(err)
		}
		if ask(t, b, done(alice, p.ID, "k2", "over HTTP")) {
			t.Error("the first answer is said to be a duplicate's")
		}
	})
}

// TestPromise2OfThoseWhoAskTheSameAtOnceOneIsFirst, at whichever nodes they ask.
func TestPromise2OfThoseWhoAskTheSameAtOnceOneIsFirst(t *testing.T) {
	p := activePact("p1", "g1", alice, bob)
	all := func(t *testing.T, nodes ...*node) {
		var mu sync.Mutex
		var duplicates []bool
		var asking sync.WaitGroup
		for _, n := range nodes {
			asking.Go(func() {
				again := ask(t, n, done(alice, p.ID, "k1", "over HTTP"))
				mu.Lock()
				defer mu.Unlock()
				duplicates = append(duplicates, again)
			})
		}
		asking.Wait()
		if first := slices.DeleteFunc(duplicates, func(again bool) bool { return again }); len(first) != 1 {
			t.Errorf("%d are told that they were first", len(first))
		}
	}
	t.Run("one node", func(t *testing.T) {
		inBubble(t, slowly(p), bridge.Config{}, func(t *testing.T, n *node) {
			n.hold(t, alice, bob)
			all(t, n, n, n)
		})
	})
	t.Run("two nodes", func(t *testing.T) {
		twoNodes(t, slowly(p), func(t *testing.T, a, b *node, _ [2]*nodeTurns) {
			a.hold(t, alice, bob)
			b.hold(t, alice, bob)
			all(t, a, b, a, b)
		})
	})
}
