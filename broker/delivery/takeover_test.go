package delivery_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/broker/delivery"
)

func TestTakeoverServesOneAtATime(t *testing.T) {
	w := newWorld()
	h := newHub(t, w)
	defer stop(t, h)
	var served sync.Map
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			end := &wireEnd{t: t, version: 5}
			c, _, err := h.Open(context.Background(), pactwire.Connecting{Identity: pactwire.Identity{UserID: "a"}, ClientID: "x", Version: 5}, end)
			if err != nil {
				t.Error(err)
				return
			}
			c.Start()
			served.Store(end, true)
			if n := h.Connections("a"); n > 1 {
				t.Errorf("%d connections at once", n)
			}
		})
	}
	wg.Wait()
	open := 0
	served.Range(func(k, _ any) bool {
		if closed, reason := k.(*wireEnd).isClosed(); !closed {
			open++
		} else if reason != 0x8e {
			t.Errorf("ended with %#x", reason)
		}
		return true
	})
	if open != 1 || h.Connections("a") != 1 {
		t.Errorf("%d stand, the hub knows %d", open, h.Connections("a"))
	}
}

func TestSeventeenthConnectionIsRefused(t *testing.T) {
	w := newWorld()
	h := newHub(t, w)
	defer stop(t, h)
	open := func(i int) error {
		_, _, err := h.Open(context.Background(), pactwire.Connecting{Identity: pactwire.Identity{UserID: "a"},
			ClientID: fmt.Sprint(i), Version: 5}, &wireEnd{t: t, version: 5})
		return err
	}
	for i := range 16 {
		if err := open(i); err != nil {
			t.Fatal(err)
		}
	}
	if err := open(16); pactwire.CodeOf(err) != pactwire.TooMany {
		t.Errorf("the 17th: %v", err)
	}
	if err := open(3); err != nil {
		t.Errorf("one's own id again: %v", err)
	}
}

func TestTakeoverGoesOnWhereTheOldConnectionStood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.join("p", "alice")
		h := newHub(t, w)
		defer stop(t, h)
		first, firstEnd, _ := connect(t, h, user("alice"))
		subscribe(t, first, 1, "pacts/+/activity")
		for range 3 {
			h.Publish(w.commit(feed))
		}
		first.Puback(firstEnd.take()[0].PacketID, 0)
		_, end, present := connect(t, h, user("alice"))
		if closed, reason := firstEnd.isClosed(); !present || !closed || reason != 0x8e {
			t.Fatalf("present %v, old closed %v with %#x", present, closed, reason)
		}
		h.Publish(w.commit(feed))
		synctest.Wait()
		if got := seqs(t, end.take()); !slices.Equal(got, []int{2, 3, 4}) {
			t.Errorf("received %v", got)
		}
		first.Puback(2, 0) // too late to count
		if codes := subscribe(t, first, 1, "users/alice/inbox"); !bytes.Equal(codes, []byte{0x80}) {
			t.Errorf("the old connection subscribed: %x", codes)
		}
		if got := firstEnd.take(); len(got) != 0 {
			t.Errorf("the old connection received %v", got)
		}
	})
}

// TestLastWordsCountBeforeTheNextConnection: who left saying how long the session is to be kept finds it so, however fast they are back.
func TestLastWordsCountBeforeTheNextConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		h := newHub(t, w)
		defer stop(t, h)
		shared := delivery.New(delivery.Config{}, w, w, w, w, quietLog, nil)
		defer stop(t, shared)
		for name, take := range map[string]func() bool{
			"here": func() bool {
				_, _, present := connect(t, h, user("alice"))
				return present
			},
			"by another node": func() bool {
				if err := h.Yield(t.Context(), alicePhone); err != nil {
					t.Fatal(err)
				}
				_, _, present := connect(t, shared, user("alice"))
				return present
			},
		} {
			leaving, end, _ := connect(t, h, user("alice"))
			subscribe(t, leaving, 1, "users/alice/inbox")
			end.last = func() { leaving.SetExpiry(0); leaving.Detach() }
			if take() {
				t.Errorf("%s: the session goes on that was to end", name)
			}
		}
	})
}

// TestTakeoverStormUnderLoad has many connections of one persistent session follow each other while entries are committed.
// Acknowledgements survive each takeover.
func TestTakeoverStormUnderLoad(t *testing.T) {
	w := newWorld()
	w.join("p", "alice")
	h := newHub(t, w)
	defer stop(t, h)
	c, _, _ := connect(t, h, user("alice"))
	subscribe(t, c, 1, "pacts/+/activity")
	const entries = 2000
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(done)
		for range entries {
			h.Publish(w.commit(feed))
		}
	})
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				end := &wireEnd{t: t, version: 5}
				in := user("alice")
				in.ClientID = alicePhone.ClientID
				c, present, err := h.Open(context.Background(), in, end)
				if err != nil || !present {
					t.Errorf("present %v, %v", present, err)
					return
				}
				c.Start()
				for _, pk := range end.take() {
					c.Puback(pk.PacketID, 0)
				}
				c.Closed(nil) // races with the next takeover
			}
		})
	}
	wg.Wait()
	c, end, present := connect(t, h, user("alice"))
	if !present {
		t.Fatal("the session is gone")
	}
	seen := 0
	eventually(t, func() bool {
		for _, pk := range end.take() {
			n := seqs(t, []packet{pk})[0]
			if seen != 0 && n != seen+1 {
				t.Fatalf("after %d came %d", seen, n)
			}
			seen = n
			c.Puback(pk.PacketID, 0)
		}
		return seen == entries
	})
}

// TestWhoCanBeFoundHasTheSeat: another node may ask for the session in any moment after, and what ends the connection then gives
// the seat back.
func TestWhoCanBeFoundHasTheSeat(t *testing.T) {
	o, h, other := twoHubs(t)
	defer stop(t, other)
	defer stop(t, h)
	found := 0
	o.moved = func() {
		if found++; found == 1 && !h.Held(alicePhone) {
			t.Error("the connection can be found and has no seat")
		}
	}
	c, _, _ := connect(t, h, user("alice"))
	c.Detach()
	if n := h.Seats(); n != 0 || found != 2 {
		t.Errorf("%d seats are taken by nobody; %d moves", n, found)
	}
}
