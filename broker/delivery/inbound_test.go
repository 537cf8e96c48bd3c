package delivery_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/broker/delivery"
)

func TestQoS2IsTakenInOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		h := newHub(t, w)
		defer func() { stop(t, h) }()
		c, _, _ := connect(t, h, user("alice"))
		if c.Received(7) {
			t.Fatal("7 never came")
		}
		c.Detach() // dropped before the commit: to be taken in when it comes again
		c, _, _ = connect(t, h, user("alice"))
		if c.Received(7) {
			t.Fatal("7 was never committed")
		}
		old, in := c, inbound(t, c, 7)
		c.Detach()
		w.receive(in)
		old.Ack(7, 2, 0, "") // the commit came true after the connection had ended
		c, _, _ = connect(t, h, user("alice"))
		if !c.Received(7) {
			t.Fatal("7 was committed")
		}
		in = inbound(t, c, 8)
		other, _, _ := connect(t, h, user("alice"))
		w.receive(in)
		c.Ack(8, 2, 0, "") // and here after it was taken over
		if !other.Received(8) || !other.Received(7) {
			t.Fatal("8 was committed")
		}
		other.Ack(9, 2, 0x87, "no")
		if other.Received(9) {
			t.Error("an error ends the exchange")
		}
		other.Pubrel(7)
		if other.Received(7) {
			t.Error("7 was released")
		}
	})
}

func inbound(t *testing.T, c *delivery.Client, id uint16) *pactwire.Inbound {
	t.Helper()
	in, err := c.Inbound(context.Background(), id)
	if err != nil || in == nil {
		t.Fatalf("inbound %v, %v", in, err)
	}
	return in
}

// takeIn does with a QoS 2 publish what a command does.
func takeIn(t *testing.T, w *world, c *delivery.Client, id uint16) {
	t.Helper()
	w.receive(inbound(t, c, id))
	c.Ack(id, 2, 0, "")
}

func TestPromise2QoS2IsTakenInOnceOverAKill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		killed := newHub(t, w)
		defer stop(t, killed)
		c, end, _ := connect(t, killed, user("alice"))
		takeIn(t, w, c, 8) // the session was never saved before
		takeIn(t, w, c, 9)
		c.Pubrel(9)
		if n := end.count(packets.Pubcomp); n != 1 {
			t.Fatalf("%d PUBCOMP", n)
		}
		stored, ok := w.stored(alicePhone)
		if !ok || !slices.Equal(stored.Received, []uint16{8}) {
			t.Fatalf("stored %+v", stored)
		}
		h := newHub(t, w)
		defer stop(t, h)
		next, _, present := connect(t, h, user("alice"))
		if !present || !next.Received(8) || next.Received(9) {
			t.Errorf("after the kill: present %v, 8 %v, 9 %v", present, next.Received(8), next.Received(9))
		}
	})
}

func TestPubcompWaitsForTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		h := newHub(t, w)
		defer stop(t, h)
		c, end, _ := connect(t, h, user("alice"))
		takeIn(t, w, c, 8)
		end.take()
		w.fail(true)
		c.Pubrel(8)
		if closed, reason := end.isClosed(); !closed || reason != 0x89 || end.count(packets.Pubcomp) != 0 {
			t.Errorf("closed %v with %#x, %d PUBCOMP", closed, reason, end.count(packets.Pubcomp))
		}
		if !c.Received(8) {
			t.Error("given free without the store's word")
		}
		w.fail(false)
	})
}

// TestWhatWasNotTakenInNeedsNoRelease: else whoever says PUBREL all the time has the store write for each.
func TestWhatWasNotTakenInNeedsNoRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		h := newHub(t, w)
		defer stop(t, h)
		c, end, _ := connect(t, h, user("alice"))
		takeIn(t, w, c, 8)
		c.Pubrel(8)
		end.take()
		w.fail(true)
		for range 3 {
			c.Pubrel(8)
			c.Pubrel(9)
		}
		if closed, reason := end.isClosed(); closed || end.count(packets.Pubcomp) != 6 {
			t.Errorf("closed %v with %#x, %d PUBCOMP", closed, reason, end.count(packets.Pubcomp))
		}
		w.fail(false)
	})
}

// TestAFailedReturnLosesNothingOfQoS2: what was committed while a connection came back that then could not be served.
func TestAFailedReturnLosesNothingOfQoS2(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.join("p", "alice")
		h := newHub(t, w)
		defer stop(t, h)
		old, _, _ := connect(t, h, user("alice"))
		subscribe(t, old, 1, "pacts/p/activity")
		in := inbound(t, old, 7)
		w.fail(true) // so that the session is not written yet
		old.Detach()
		w.leave("p", "alice")
		w.news = func([]pactwire.PactID) error {
			w.receive(in)
			old.Ack(7, 2, 0, "")
			return errAway
		}
		again := user("alice")
		again.ClientID = "phone"
		if _, _, err := h.Open(context.Background(), again, &wireEnd{t: t, version: 5}); err == nil {
			t.Fatal("it was to fail")
		}
		w.news = nil
		next, _, present := connect(t, h, user("alice"))
		if !present || !next.Received(7) {
			t.Errorf("present %v, 7 %v", present, next.Received(7))
		}
		w.fail(false)
	})
}

func TestAnewSessionKnowsNothingOfQoS2Before(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		h := newHub(t, w)
		defer stop(t, h)
		old, _, _ := connect(t, h, user("alice"))
		takeIn(t, w, old, 7)
		clean := user("alice")
		clean.Clean = true
		anew, _, present := connect(t, h, clean)
		old.Ack(8, 2, 0, "") // the commit came true after the new session had begun
		if present || anew.Received(7) || anew.Received(8) {
			t.Errorf("present %v, 7 %v, 8 %v", present, anew.Received(7), anew.Received(8))
		}
	})
}

func TestUnreleasedQoS2IsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t, newWorld())
		defer stop(t, h)
		c, end, _ := connect(t, h, user("alice"))
		for id := range 1025 {
			c.Ack(uint16(id+1), 2, 0, "")
		}
		if closed, reason := end.isClosed(); !closed || reason != 0x93 {
			t.Errorf("closed %v with %#x", closed, reason)
		}
	})
}

func TestAutoJoinSubscribesAndIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.join("p", "alice")
		h := newHub(t, w)
		defer stop(t, h)
		in := user("alice")
		in.AutoJoin = true
		c, end, _ := connect(t, h, in)
		h.Publish(w.commit(feed))
		h.Publish(w.commit(pactwire.InboxOf("alice")))
		synctest.Wait()
		var names []string
		for _, pk := range end.take() {
			names = append(names, pk.TopicName)
		}
		for _, want := range []string{"pacts/p/state", "pacts/p/presence/alice", "pacts/p/activity", "users/alice/inbox"} {
			if !slices.Contains(names, want) {
				t.Errorf("no %s among %v", want, names)
			}
		}
		c.Detach()
		h.Publish(w.commit(feed))
		_, end, present := connect(t, h, in)
		synctest.Wait()
		states := 0
		got := end.take()
		for _, pk := range got {
			if strings.HasSuffix(pk.TopicName, "/state") {
				states++
			}
		}
		if !present || states != 1 || !slices.Equal(seqs(t, got), []int{1, 2}) {
			t.Errorf("present %v, %d states, %v", present, states, seqs(t, got))
		}

		in.ClientID, in.Expiry = "watch", 0
		end = &wireEnd{t: t, version: 5}
		c, _, err := h.Open(context.Background(), in, end)
		if err != nil {
			t.Fatal(err)
		}
		w.fail(true)
		c.Start()
		if closed, reason := end.isClosed(); !closed || reason != 0x89 {
			t.Errorf("auto-join failed and the connection stands: %v %#x", closed, reason)
		}
		w.fail(false)
	})
}

func TestOpenGivesUpWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		block := make(chan struct{})
		h := delivery.New(delivery.Config{}, w, slowStore{w, block}, w, w, quietLog, nil)
		var wg sync.WaitGroup
		wg.Go(func() { _, _, _ = h.Open(context.Background(), user("alice"), &wireEnd{t: t, version: 5}) })
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if _, _, err := h.Open(ctx, user("alice"), &wireEnd{t: t, version: 5}); pactwire.CodeOf(err) != pactwire.Unavailable {
			t.Errorf("Open: %v", err)
		}
		close(block)
		wg.Wait()
		stop(t, h)
	})
}

// slowStore holds LoadSession until told.
type slowStore struct {
	*world
	block chan struct{}
}

func (s slowStore) LoadSession(ctx context.Context, k pactwire.SessionKey) (pactwire.Session, bool, error) {
	<-s.block
	return s.world.LoadSession(ctx, k)
}
