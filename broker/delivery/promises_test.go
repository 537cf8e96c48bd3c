package delivery_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pactwire/pactwire"
)

func TestPromise5OutsidersReceiveNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.join("p", "alice")
		h := newHub(t, w)
		defer stop(t, h)
		mallory, end, _ := connect(t, h, user("mallory"))
		codes := subscribe(t, mallory, 1, "pacts/p/activity", "pacts/p/#", "pacts/+/activity", "pacts/p/presence/alice",
			"users/alice/inbox", "$share/g/pacts/p/activity", "pacts/+/#", "a+")
		if want := []byte{0x87, 0x87, 1, 0x87, 0x87, 0x9e, 0x87, 0x8f}; !bytes.Equal(codes, want) {
			t.Fatalf("codes %x, want %x", codes, want)
		}
		alice, aliceEnd, _ := connect(t, h, user("alice"))
		subscribe(t, alice, 1, "pacts/+/activity")
		for range 5 {
			h.Publish(w.commit(feed))
			h.Publish(w.commit(pactwire.InboxOf("alice")))
			h.PresenceChanged(pactwire.Presence{PactID: "p", UserID: "alice"})
			h.StateChanged("p")
		}
		pass(3 * time.Second)
		if got := end.take(); len(got) != 0 {
			t.Fatalf("mallory received %v", got)
		}
		if got := seqs(t, aliceEnd.take()); !slices.Equal(got, upTo(5)) {
			t.Fatalf("alice received %v", got)
		}
	})
}

// TestPromise5NobodySubscribesByWhatIsTooOld while feeds that are open go on.
func TestPromise5NobodySubscribesByWhatIsTooOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.join("p", "alice")
		h := newHub(t, w)
		defer stop(t, h)
		alice, end, _ := connect(t, h, user("alice"))
		subscribe(t, alice, 1, "pacts/p/activity")
		w.stale.Store(true)
		codes := subscribe(t, alice, 1, "pacts/p/state", "pacts/+/activity", "pacts/p/activity", "users/alice/inbox", "pacts/q/activity")
		if want := []byte{0x80, 0x80, 0x80, 1, 0x87}; !bytes.Equal(codes, want) {
			t.Errorf("codes %x, want %x", codes, want)
		}
		h.Publish(w.commit(feed))
		synctest.Wait()
		if got := seqs(t, end.take()); !slices.Equal(got, upTo(1)) {
			t.Errorf("alice received %v", got)
		}
		w.stale.Store(false)
		if codes := subscribe(t, alice, 1, "pacts/+/activity"); !bytes.Equal(codes, []byte{1}) {
			t.Errorf("codes %x", codes)
		}
	})
}

func TestPromise5WhoLeavesReceivesNothingMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.join("p", "alice")
		w.join("p", "bob")
		h := newHub(t, w)
		defer stop(t, h)
		bob, end, _ := connect(t, h, user("bob"))
		subscribe(t, bob, 1, "pacts/p/activity", "pacts/+/activity", "pacts/p/presence/+")
		h.Publish(w.commit(feed))
		synctest.Wait()
		end.take()
		w.leave("p", "bob")
		h.PactsChanged("bob", nil, []pactwire.PactID{"p"})
		h.Publish(w.commit(feed))
		h.PresenceChanged(pactwire.Presence{PactID: "p", UserID: "alice"})
		pass(2 * time.Second)
		if got := end.take(); len(got) != 0 {
			t.Fatalf("bob received %v", got)
		}
		bob.Detach()
		_, end, present := connect(t, h, user("bob"))
		pass(2 * time.Second)
		if got := end.take(); !present || len(got) != 0 {
			t.Fatalf("on return (present %v) bob received %v", present, got)
		}
	})
}

func TestRevocationCutsWhoHasBytesWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.join("p", "bob")
		h := newHub(t, w)
		defer stop(t, h)
		bob, end, _ := connect(t, h, user("bob"))
		subscribe(t, bob, 1, "pacts/p/activity")
		synctest.Wait()
		end.stuck = true
		h.Publish(w.commit(feed))
		w.leave("p", "bob")
		h.PactsChanged("bob", nil, []pactwire.PactID{"p"})
		if closed, reason := end.isClosed(); !closed || reason != aborted {
			t.Fatalf("closed %v, reason %#x", closed, reason)
		}
	})
}

func TestPromise7WhoTakesNothingIsEndedAndNobodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.join("p", "alice")
		w.join("p", "bob")
		h := newHub(t, w)
		defer stop(t, h)
		alice, aliceEnd, _ := connect(t, h, user("alice"))
		subscribe(t, alice, 1, "pacts/p/activity")
		bob, bobEnd, _ := connect(t, h, user("bob"))
		subscribe(t, bob, 0, "pacts/p/activity")
		for range 500 {
			h.Publish(w.commit(feed))
		}
		pass(time.Second)
		if n := len(aliceEnd.take()); n != 64 {
			t.Fatalf("a window of 64 let %d through", n)
		}
		if got := seqs(t, bobEnd.take()); !slices.Equal(got, upTo(500)) {
			t.Fatalf("bob has %d of 500", len(got))
		}
		pass(15 * time.Second)
		if closed, reason := aliceEnd.isClosed(); !closed || reason != 0x97 {
			t.Fatalf("closed %v, reason %#x", closed, reason)
		}
		alice.Detach()
		_, end, _ := connect(t, h, user("alice"))
		synctest.Wait()
		if got := seqs(t, end.take()); !slices.Equal(got, upTo(64)) {
			t.Fatalf("on return %v", got)
		}
	})
}

func TestPromise5ReplayAsksPermission(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.join("p", "bob")
		h := newHub(t, w)
		defer stop(t, h)
		c, end, _ := connect(t, h, user("bob"))
		subscribe(t, c, 1, "pacts/+/activity")
		for range 200 {
			h.Publish(w.commit(feed))
		}
		got := end.take() // a window full; the rest is to be replayed
		w.leave("p", "bob")
		for _, pk := range got {
			c.Puback(pk.PacketID, 0)
		}
		pass(5 * time.Second)
		if got := end.take(); len(got) != 0 {
			t.Fatalf("%d entries of a pact that was left", len(got))
		}
		if closed, _ := end.isClosed(); closed {
			t.Fatal("the connection is to stay")
		}
		w.members["p"]["bob"] = 1 // and is a member again
		h.Publish(w.commit(feed))
		synctest.Wait()
		if got := seqs(t, end.take()); len(got) != 64 || got[0] != 65 {
			t.Fatalf("received %v", got)
		}
	})
}

func TestPromise7StuckTransportIsEndedAndQoS0IsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.join("p", "alice")
		w.join("p", "bob")
		h := newHub(t, w)
		defer stop(t, h)
		alice, aliceEnd, _ := connect(t, h, user("alice"))
		subscribe(t, alice, 0, "pacts/p/activity")
		bob, bobEnd, _ := connect(t, h, user("bob"))
		subscribe(t, bob, 1, "pacts/p/activity")
		aliceEnd.stuck, bobEnd.stuck = true, true
		big := bytes.Repeat([]byte("x"), 8<<10)
		for range 100 {
			e := w.commit(feed)
			e.Payload = fmt.Appendf(nil, `{"seq":%d,"x":%q}`, e.Seq, big)
			h.Publish(e)
		}
		if p := max(aliceEnd.Pending(), bobEnd.Pending()); p > 256<<10 {
			t.Fatalf("%d bytes wait", p)
		}
		pass(8 * time.Second)
		aliceEnd.mu.Lock()
		aliceEnd.pending-- // something moves
		aliceEnd.mu.Unlock()
		pass(4 * time.Second)
		if closed, reason := bobEnd.isClosed(); !closed || reason != 0x97 {
			t.Errorf("bob takes nothing: closed %v with %#x", closed, reason)
		}
		if closed, _ := aliceEnd.isClosed(); closed {
			t.Errorf("alice takes a little")
		}
		pass(8 * time.Second)
		if closed, _ := aliceEnd.isClosed(); !closed {
			t.Error("then alice takes nothing")
		}
	})
}

func TestWhoOnlyDoesNotAcknowledgeIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.join("p", "alice")
		h := newHub(t, w)
		defer stop(t, h)
		c, end, _ := connect(t, h, user("alice"))
		subscribe(t, c, 1, "pacts/p/activity")
		for range 64 {
			h.Publish(w.commit(feed))
		}
		pass(time.Minute)
		if closed, _ := end.isClosed(); closed {
			t.Error("nothing waited for this client")
		}
	})
}

func TestPromise5CostOfAnEventIsThatOfItsMembers(t *testing.T) {
	w := newWorld()
	w.join("p", "alice")
	h := newHub(t, w)
	defer stop(t, h)
	for i := range 500 {
		u := pactwire.UserID(fmt.Sprint("u", i))
		w.join(pactwire.PactID("q"+string(u)), u)
		c, _, err := h.Open(context.Background(), user(u), untouched{t})
		if err != nil {
			t.Fatal(err)
		}
		c.Start()
		subscribeQuietly(c, "pacts/+/activity")
	}
	c, end, _ := connect(t, h, user("alice"))
	subscribe(t, c, 1, "pacts/+/activity")
	h.Publish(w.commit(feed))
	eventually(t, func() bool { return len(seqs(t, end.take())) == 1 })
}

func TestPromise5RevocationIsFeltAtOnceInEveryWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.join("p", "bob")
		w.join("p", "alice")
		w.join("q", "bob")
		h := newHub(t, w)
		defer stop(t, h)
		in := user("bob")
		in.ReceiveMaximum = 4
		c, end, _ := connect(t, h, in)
		subscribe(t, c, 1, "pacts/p/#", "pacts/+/activity", "users/bob/pacts")
		synctest.Wait()
		got := end.take()
		for range 20 { // window full: entries, snapshots and a state are owed
			h.Publish(w.commit(feed))
		}
		h.StateChanged("p")
		h.PresenceChanged(pactwire.Presence{PactID: "p", UserID: "alice"})
		pass(10 * time.Millisecond)
		got = append(got, end.take()...)
		w.leave("p", "bob")
		h.PactsChanged("bob", nil, []pactwire.PactID{"p"})
		for range 20 {
			for _, pk := range got {
				c.Puback(pk.PacketID, 0)
			}
			pass(100 * time.Millisecond)
			h.Publish(w.commit(feed))
			h.StateChanged("p")
			got = end.take()
			for _, name := range names(got) {
				if strings.HasPrefix(name, "pacts/p/") {
					t.Fatalf("received %s", name)
				}
			}
		}
		h.Publish(w.commit(pactwire.ActivityOf("q")))
		synctest.Wait()
		if got := names(end.take()); !slices.Equal(got, []string{"pacts/q/activity"}) {
			t.Fatalf("of what stays came %v", got)
		}
		w.join("p", "bob") // returns to the pact: the wildcard takes it in, the exact filter is dead
		h.PactsChanged("bob", []pactwire.Membership{{Pact: "p", JoinedAt: w.members["p"]["bob"]}}, nil)
		c.Puback(0, 0)
		h.Publish(w.commit(feed))
		pass(time.Second)
		got = end.take()
		if n := len(w.entries[feed]); !slices.Equal(seqs(t, got), []int{n}) || slices.Contains(names(got), "pacts/p/state") {
			t.Fatalf("after the return %v", names(got))
		}
	})
}
