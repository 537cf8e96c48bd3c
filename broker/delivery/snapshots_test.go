package delivery_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pactwire/pactwire"
)

func TestSnapshotsComeBeforeReplayAndCarryRetain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.join("p", "alice")
		w.join("p", "bob")
		for range 3 {
			w.commit(feed)
		}
		h := newHub(t, w)
		defer stop(t, h)
		c, end, _ := connect(t, h, user("alice"))
		zero := pactwire.Seq(0)
		c.Subscribe(context.Background(), []pactwire.Subscription{{Filter: "pacts/p/#", QoS: 1, After: &zero}})
		c.AfterSuback()
		synctest.Wait()
		var order []string
		for _, pk := range end.take() {
			order = append(order, fmt.Sprintf("%s %v", pk.TopicName, pk.FixedHeader.Retain))
		}
		slices.Sort(order[1:3]) // presence comes in any order
		want := []string{"pacts/p/state true", "pacts/p/presence/alice true", "pacts/p/presence/bob true",
			"pacts/p/activity false", "pacts/p/activity false", "pacts/p/activity false"}
		if !slices.Equal(order, want) {
			t.Fatalf("order %v", order)
		}
	})
}

// One's own arrival is announced while SUBACK is being written, between it and the snapshots, or after them.
func TestOwnPresenceComesAfterStateAndOnce(t *testing.T) {
	for _, moment := range []string{"before SUBACK", "after SUBACK", "after the snapshots", "at all three"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.join("p", "alice")
			w.join("p", "bob")
			w.commit(feed)
			h := newHub(t, w)
			defer stop(t, h)
			c, end, _ := connect(t, h, user("alice"))
			arrive := func(now string) {
				if moment == now || moment == "at all three" {
					h.PresenceChanged(pactwire.Presence{PactID: "p", UserID: "alice", Version: 7})
				}
			}
			w.setVersion(7)
			c.Subscribe(context.Background(), []pactwire.Subscription{{Filter: "pacts/p/#", QoS: 1, After: seqPtr(0)}})
			arrive("before SUBACK")
			c.AfterSuback()
			arrive("after SUBACK")
			synctest.Wait()
			arrive("after the snapshots")
			synctest.Wait()
			var order []string
			for _, pk := range end.take() {
				order = append(order, fmt.Sprintf("%s %v", pk.TopicName, pk.FixedHeader.Retain))
			}
			slices.Sort(order[1:min(3, len(order))])
			want := []string{"pacts/p/state true", "pacts/p/presence/alice true", "pacts/p/presence/bob true", "pacts/p/activity false"}
			if !slices.Equal(order, want) {
				t.Errorf("%s: %v", moment, order)
			}
			h.PresenceChanged(pactwire.Presence{PactID: "p", UserID: "alice", Version: 8})
			synctest.Wait()
			if got := names(end.take()); !slices.Equal(got, []string{"pacts/p/presence/alice"}) {
				t.Errorf("%s: the next change: %v", moment, got)
			}
		})
	}
}

func TestStateIsToldAtMostOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.join("p", "alice")
		h := newHub(t, w)
		defer stop(t, h)
		c, end, _ := connect(t, h, user("alice"))
		subscribe(t, c, 0, "pacts/p/state")
		synctest.Wait()
		end.take()
		for range 30 {
			h.StateChanged("p")
			pass(100 * time.Millisecond)
		}
		pass(2 * time.Second)
		if n := len(end.take()); n < 3 || n > 5 {
			t.Fatalf("%d states in 3 seconds", n)
		}
	})
}

// Who joins a pact is told its state at once, and what made them a member changed that state: it is told them once.
func TestANewcomerIsToldTheStateOnce(t *testing.T) {
	for name, between := range map[string]func(){"at once": func() {}, "a moment later": func() { pass(5 * time.Millisecond) }} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.join("old", "alice")
			h := newHub(t, w)
			defer stop(t, h)
			c, end, _ := connect(t, h, user("alice"))
			subscribe(t, c, 0, "pacts/+/state")
			synctest.Wait()
			end.take()
			w.join("p", "alice")
			h.PactsChanged("alice", []pactwire.Membership{{Pact: "p", JoinedAt: 1}}, nil)
			between()
			h.StateChanged("p")
			pass(2 * time.Second)
			if got := names(end.take()); !slices.Equal(got, []string{"pacts/p/state"}) {
				t.Errorf("%s: %v", name, got)
			}
			h.StateChanged("p")
			pass(2 * time.Second)
			if got := names(end.take()); !slices.Equal(got, []string{"pacts/p/state"}) {
				t.Errorf("%s: the next change: %v", name, got)
			}
			h.PactsChanged("alice", nil, []pactwire.PactID{"p"})
			h.PactsChanged("alice", []pactwire.Membership{{Pact: "p", JoinedAt: 1}}, nil)
			pass(2 * time.Second)
			subscribe(t, c, 0, "pacts/p/state")
			pass(2 * time.Second)
			if got := names(end.take()); !slices.Equal(got, []string{"pacts/p/state", "pacts/p/state"}) {
				t.Errorf("%s: SUBSCRIBE after the welcome: %v", name, got)
			}
		})
	}
}

func TestSnapshotsFollowRetainHandling(t *testing.T) {
	for _, test := range []struct {
		handling    byte
		first, then int
	}{{0, 2, 2}, {1, 2, 0}, {2, 0, 0}} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.join("p", "alice")
			h := newHub(t, w)
			defer stop(t, h)
			c, end, _ := connect(t, h, user("alice"))
			for i, want := range []int{test.first, test.then} {
				c.Subscribe(context.Background(), []pactwire.Subscription{{Filter: "pacts/+/state", RetainHandling: test.handling},
					{Filter: "users/alice/pacts", RetainHandling: test.handling}})
				c.AfterSuback()
				synctest.Wait()
				got := end.take()
				if len(got) != want {
					t.Errorf("retain handling %d, SUBSCRIBE %d: %v", test.handling, i+1, names(got))
				}
				for _, pk := range got {
					if !pk.FixedHeader.Retain || pk.FixedHeader.Qos != 0 {
						t.Errorf("snapshot with retain %v, QoS %d", pk.FixedHeader.Retain, pk.FixedHeader.Qos)
					}
				}
			}
		})
	}
}

func TestSnapshotsAreConflatedWhileThereIsNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.join("p", "alice")
		w.join("p", "bob")
		h := newHub(t, w)
		defer stop(t, h)
		in := user("alice")
		in.ReceiveMaximum = 1
		c, end, _ := connect(t, h, in)
		subscribe(t, c, 1, "pacts/p/activity")
		c.Subscribe(context.Background(), []pactwire.Subscription{{Filter: "pacts/p/presence/+", QoS: 1, RetainHandling: 2}})
		c.AfterSuback()
		h.Publish(w.commit(feed)) // fills the window
		for range 50 {
			for _, u := range []pactwire.UserID{"alice", "bob"} {
				h.PresenceChanged(pactwire.Presence{PactID: "p", UserID: u})
			}
			pass(10 * time.Millisecond)
		}
		all := end.take()
		for range 10 {
			for _, pk := range all {
				c.Puback(pk.PacketID, 0)
			}
			synctest.Wait()
			next := end.take()
			if all = next; len(next) == 0 {
				break
			}
			if len(next) > 1 || next[0].FixedHeader.Retain {
				t.Fatalf("%d at once, retain %v", len(next), next[0].FixedHeader.Retain)
			}
		}
		h.PresenceChanged(pactwire.Presence{PactID: "p", UserID: "bob"})
		if got := end.take(); len(got) != 1 || got[0].FixedHeader.Retain {
			t.Errorf("the next change: %v", got)
		}
	})
}

func TestResumedSessionGetsItsSnapshots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.join("p", "alice")
		h := newHub(t, w)
		defer stop(t, h)
		c, _, _ := connect(t, h, user("alice"))
		subscribe(t, c, 1, "pacts/p/#", "users/alice/pacts")
		c.Detach()
		h.Publish(w.commit(feed))
		_, end, _ := connect(t, h, user("alice"))
		synctest.Wait()
		got := names(end.take())
		slices.Sort(got[:3])
		if want := []string{"pacts/p/presence/alice", "pacts/p/state", "users/alice/pacts", "pacts/p/activity"}; !slices.Equal(got, want) {
			t.Errorf("received %v", got)
		}
	})
}

// TestWhatCannotBeReadHoldsNobodyUp: many clients' snapshots are read together, and one that fails comes when it can.
func TestWhatCannotBeReadHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.join("p", "alice")
		w.join("q", "alice")
		w.mu.Lock()
		w.unread = "q"
		w.mu.Unlock()
		h := newHub(t, w)
		defer stop(t, h)
		c, end, _ := connect(t, h, user("alice"))
		subscribe(t, c, 1, "pacts/+/presence/+")
		synctest.Wait()
		if got := names(end.take()); !slices.Equal(got, []string{"pacts/p/presence/alice"}) {
			t.Fatalf("while one cannot be read: %v", got)
		}
		w.mu.Lock()
		w.unread = ""
		w.mu.Unlock()
		<-time.After(time.Minute)
		synctest.Wait()
		if got := names(end.take()); !slices.Equal(got, []string{"pacts/q/presence/alice"}) {
			t.Errorf("after that: %v", got)
		}
	})
}

// TestNoSnapshotAfterWhoLeft has somebody leave a pact while their snapshots of several are being sent.
func TestNoSnapshotAfterWhoLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.join("p", "alice")
		w.join("q", "alice")
		h := newHub(t, w)
		defer stop(t, h)
		c, end, _ := connect(t, h, user("alice"))
		c.Subscribe(t.Context(), []pactwire.Subscription{{Filter: "pacts/p/presence/+", QoS: 1}, {Filter: "pacts/q/presence/+", QoS: 1}})
		var once sync.Once
		left := make(chan []string)
		leave := func(p pactwire.PactID) {
			if p != "q" {
				return
			}
			once.Do(func() { // p has been shown, q has not
				go func() {
					w.leave("p", "alice")
					h.PactsChanged("alice", nil, []pactwire.PactID{"p"})
					left <- names(end.take())
				}()
				for range 10_000 {
					runtime.Gosched() // it is done, unless what is under way is finished first
				}
			})
		}
		w.asked.Store(&leave)
		c.AfterSuback()
		before := <-left
		synctest.Wait()
		after := names(end.take())
		if slices.Contains(after, "pacts/p/presence/alice") {
			t.Errorf("after leaving: %v, before: %v", after, before)
		}
		if all := append(before, after...); !slices.Contains(all, "pacts/q/presence/alice") {
			t.Errorf("not told of the other pact: %v", all)
		}
	})
}
