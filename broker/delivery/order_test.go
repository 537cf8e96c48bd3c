package delivery_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/broker/delivery"
)

// pause lets housekeeping come round.
func pause() {
	pass(3 * time.Second)
	synctest.Wait()
}

// TestPromise3WhatWaitsIsNotOvertaken: an event of QoS 0 that came before SUBACK, and found no room after it, stays ahead of the next.
func TestPromise3WhatWaitsIsNotOvertaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.join("p", "alice")
		w.join("q", "alice")
		h := newHub(t, w)
		defer stop(t, h)
		in := user("alice")
		in.ReceiveMaximum = 1
		c, end, _ := connect(t, h, in)
		c.Subscribe(context.Background(), []pactwire.Subscription{
			{Filter: "users/alice/inbox", QoS: 1, RetainHandling: 2}, {Filter: "users/alice/replies/#", QoS: 1}, {Filter: "pacts/p/activity", RetainHandling: 2}})
		c.AfterSuback()
		h.Publish(w.commit(pactwire.InboxOf("alice")))
		h.Direct("alice", "", "users/alice/replies/x", []byte(`{}`), nil) // waits: the window is full
		synctest.Wait()
		inbox := end.take()
		h.Publish(w.commit(feed))
		c.Subscribe(context.Background(), []pactwire.Subscription{{Filter: "pacts/q/activity", RetainHandling: 2}})
		h.Publish(w.commit(feed))
		c.AfterSuback()
		h.Publish(w.commit(feed))
		c.Puback(inbox[0].PacketID, 0)
		pause()
		got := end.take()
		if len(got) != 4 || got[0].TopicName != "users/alice/replies/x" || !slices.Equal(seqs(t, got), upTo(3)) {
			t.Errorf("received %v", got)
		}
	})
}

// TestPromise4ARefusedSubscribeMovesNothing: the place that it asked for, and its identifier, are gone with it.
func TestPromise4ARefusedSubscribeMovesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.join("p", "alice")
		h := newHub(t, w)
		defer stop(t, h)
		in := user("alice")
		in.ReceiveMaximum = 1
		c, end, _ := connect(t, h, in)
		c.Subscribe(context.Background(), []pactwire.Subscription{{Filter: "pacts/p/activity", QoS: 1, RetainHandling: 2, Identifier: 3}})
		c.AfterSuback()
		for range 6 {
			h.Publish(w.commit(feed))
		}
		synctest.Wait()
		got := end.take()
		w.fail(true)
		after := pactwire.Seq(5)
		codes := c.Subscribe(context.Background(), []pactwire.Subscription{{Filter: "pacts/p/activity", QoS: 1, After: &after, RetainHandling: 2, Identifier: 9}})
		c.AfterSuback()
		w.fail(false)
		if codes[0] < 0x80 {
			t.Fatalf("granted %v while the store is away", codes)
		}
		var all []int
		for len(got) > 0 {
			all = append(all, seqs(t, got)...)
			for _, pk := range got {
				if !slices.Equal(pk.Properties.SubscriptionIdentifier, []int{3}) {
					t.Errorf("identifiers %v", pk.Properties.SubscriptionIdentifier)
				}
				c.Puback(pk.PacketID, 0)
			}
			pause()
			got = end.take()
		}
		if !slices.Equal(all, upTo(6)) {
			t.Errorf("received %v", all)
		}
	})
}

// TestPromise7AnswersWaitWithinABoundOfBytes: long answers to a client that takes none end its connection before they are many.
func TestPromise7AnswersWaitWithinABoundOfBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		h := newHub(t, w)
		defer stop(t, h)
		in := user("alice")
		in.ReceiveMaximum = 1
		c, end, _ := connect(t, h, in)
		subscribeQuietly(c, "users/alice/replies/#")
		n := 0
		for closed := false; n < 64 && !closed; n++ {
			h.Direct("alice", "", "users/alice/replies/x", make([]byte, 60<<10), nil)
			closed, _ = end.isClosed()
		}
		if n < 4 || n > 7 {
			t.Errorf("ended with answer %d of 60 KiB", n)
		}
	})
}

// TestAPlaceThatIsKeptOutlivesSubscribe: most clients subscribe again when they return, also at a node that has not heard of the pact.
func TestAPlaceThatIsKeptOutlivesSubscribe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.join("p", "alice")
		h := newHub(t, w)
		defer stop(t, h)
		c, end, _ := connect(t, h, user("alice"))
		subscribeQuietly(c, "pacts/+/activity")
		for range 5 {
			h.Publish(w.commit(feed))
		}
		synctest.Wait()
		for _, pk := range end.take() {
			c.Puback(pk.PacketID, 0)
		}
		c.Detach()
		w.leave("p", "alice")
		c, end, _ = connect(t, h, user("alice"))
		subscribeQuietly(c, "pacts/+/activity")
		w.members["p"] = map[pactwire.UserID]pactwire.Seq{"alice": 1}
		h.PactsChanged("alice", []pactwire.Membership{{Pact: "p", JoinedAt: 1}}, nil)
		h.Publish(w.commit(feed))
		pause()
		if got := seqs(t, end.take()); !slices.Equal(got, []int{6}) {
			t.Errorf("received %v", got)
		}
	})
}

// TestWhoJoinsOnceMoreStartsThere: what was said while they were no member is not theirs, online or not.
func TestWhoJoinsOnceMoreStartsThere(t *testing.T) {
	for _, offline := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.join("p", "alice")
			h := newHub(t, w)
			defer stop(t, h)
			c, end, _ := connect(t, h, user("alice"))
			subscribeQuietly(c, "pacts/+/activity")
			if offline {
				c.Detach()
			}
			w.leave("p", "alice")
			h.PactsChanged("alice", nil, []pactwire.PactID{"p"})
			for range 4 {
				h.Publish(w.commit(feed))
			}
			e := w.commit(feed)
			w.members["p"] = map[pactwire.UserID]pactwire.Seq{"alice": e.Seq}
			h.PactsChanged("alice", []pactwire.Membership{{Pact: "p", JoinedAt: e.Seq}}, nil)
			h.Publish(e)
			if offline {
				_, end, _ = connect(t, h, user("alice"))
			}
			pause()
			if got := seqs(t, end.take()); !slices.Equal(got, []int{5}) {
				t.Errorf("offline %v: received %v", offline, got)
			}
		})
	}
}

// placedMeanwhile is a log in which something is committed just before its bounds are read.
type placedMeanwhile struct {
	*world
	before func()
}

func (l *placedMeanwhile) Bounds(ctx context.Context, streams []pactwire.Stream) ([]pactwire.Bounds, error) {
	if f := l.before; f != nil {
		l.before = nil
		f()
	}
	return l.world.Bounds(ctx, streams)
}

// TestPromise4FromQoS0ToQoS1NothingIsMissed: what comes while the place is read goes to who had the stream already, and not to
// who comes new.
func TestPromise4FromQoS0ToQoS1NothingIsMissed(t *testing.T) {
	for had, want := range map[bool][]int{true: {1, 2, 3, 4}, false: {4}} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.join("p", "alice")
			l := &placedMeanwhile{world: w}
			h := delivery.New(delivery.Config{}, l, w, w, w, quietLog, nil)
			defer stop(t, h)
			c, end, _ := connect(t, h, user("alice"))
			if had {
				c.Subscribe(context.Background(), []pactwire.Subscription{{Filter: "pacts/p/activity", RetainHandling: 2}})
				c.AfterSuback()
			}
			h.Publish(w.commit(feed))
			l.before = func() {
				h.Publish(w.commit(feed))
				h.Publish(w.commit(feed))
			}
			subscribeQuietly(c, "pacts/p/activity")
			h.Publish(w.commit(feed))
			pause()
			if got := seqs(t, end.take()); !slices.Equal(got, want) {
				t.Errorf("received %v, not %v", got, want)
			}
		})
	}
}

// TestPromise5AnswersThatWaitEndWithMembership: a page of a pact's history that waits for room is not for who has left since.
func TestPromise5AnswersThatWaitEndWithMembership(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.join("p", "alice")
		w.join("q", "alice")
		h := newHub(t, w)
		defer stop(t, h)
		in := user("alice")
		in.ReceiveMaximum = 1
		c, end, _ := connect(t, h, in)
		subscribeQuietly(c, "users/alice/#", "pacts/p/activity")
		h.Publish(w.commit(pactwire.InboxOf("alice"))) // fills the window
		synctest.Wait()
		inbox := end.take()
		h.Direct("alice", "p", "users/alice/replies/x", []byte("of p"), nil)
		h.Direct("alice", "q", "users/alice/replies/x", []byte("of q"), nil)
		w.leave("p", "alice")
		h.PactsChanged("alice", nil, []pactwire.PactID{"p"})
		c.Puback(inbox[0].PacketID, 0)
		pause()
		if got := end.take(); len(got) != 1 || string(got[0].Payload) != "of q" {
			t.Errorf("received %v", got)
		}
	})
}

// TestNoHistoryThatComesAfterLeaving: a page may be read while its reader leaves.
func TestNoHistoryThatComesAfterLeaving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.join("p", "alice")
		h := newHub(t, w)
		defer stop(t, h)
		c, end, _ := connect(t, h, user("alice"))
		subscribeQuietly(c, "users/alice/replies/#")
		h.Direct("alice", "p", "users/alice/replies/x", []byte("before"), nil)
		w.leave("p", "alice")
		h.PactsChanged("alice", nil, []pactwire.PactID{"p"})
		h.Direct("alice", "p", "users/alice/replies/x", []byte("after"), nil)
		h.Direct("alice", "", "users/alice/replies/x", []byte("about nothing"), nil)
		synctest.Wait()
		var got []string
		for _, pk := range end.take() {
			got = append(got, string(pk.Payload))
		}
		if !slices.Equal(got, []string{"before", "about nothing"}) {
			t.Errorf("received %q", got)
		}
	})
}
