package delivery_test

import (
	"bytes"
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pactwire/pactwire"
)

var alicePhone = pactwire.SessionKey{User: "alice", ClientID: "phone"}

func TestSubscriptionsAreStoredBeforeTheSuback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.join("p", "alice")
		w.commit(feed)
		h := newHub(t, w)
		defer stop(t, h)
		c, _, _ := connect(t, h, user("alice"))
		c.Subscribe(context.Background(), []pactwire.Subscription{{Filter: "pacts/p/activity", QoS: 1}})
		s, ok := w.stored(alicePhone)
		if !ok || len(s.Filters) != 1 || len(s.Cursors) != 1 || s.Cursors[0].Acked != 1 || !s.GoneAt.IsZero() {
			t.Fatalf("stored %+v, %v", s, ok)
		}
		saves := w.written()
		subscribe(t, c, 1, "pacts/p/activity")
		if w.written() != saves {
			t.Error("the same SUBSCRIBE again was stored again")
		}
		c.Unsubscribe([]string{"pacts/p/activity"})
		if s, _ := w.stored(alicePhone); len(s.Filters) != 0 || len(s.Cursors) != 0 {
			t.Errorf("after UNSUBSCRIBE %+v", s)
		}
	})
}

func TestMovedCursorsAreStoredOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.join("p", "alice")
		h := newHub(t, w)
		defer stop(t, h)
		c, end, _ := connect(t, h, user("alice"))
		subscribe(t, c, 1, "pacts/p/activity")
		pass(1500 * time.Millisecond)
		saves := w.written()
		for range 20 {
			h.Publish(w.commit(feed))
			for _, pk := range end.take() {
				c.Puback(pk.PacketID, 0)
			}
			pass(100 * time.Millisecond)
		}
		if n := w.written() - saves; n < 1 || n > 3 {
			t.Errorf("%d writes in two seconds", n)
		}
		pass(time.Second)
		if s, _ := w.stored(alicePhone); s.Cursors[0].Acked != 20 || s.Cursors[0].Sent != pactwire.SentUnknown {
			t.Errorf("stored %+v", s.Cursors)
		}
	})
}

func TestUnavailableStoreRefusesTheSubscriptionAndKeepsTheOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.join("p", "alice")
		w.join("q", "alice")
		h := newHub(t, w)
		defer stop(t, h)
		c, end, _ := connect(t, h, user("alice"))
		subscribe(t, c, 1, "pacts/p/activity")
		w.fail(true)
		if got, want := subscribe(t, c, 1, "pacts/q/activity", "users/bob/inbox"), []byte{0x80, 0x87}; !bytes.Equal(got, want) {
			t.Fatalf("codes %x, want %x", got, want)
		}
		if got := subscribe(t, c, 0, "pacts/p/activity"); !bytes.Equal(got, []byte{0x80}) {
			t.Fatalf("codes %x", got)
		}
		if _, _, err := h.Open(context.Background(), user("carol"), &wireEnd{t: t, version: 5}); pactwire.CodeOf(err) != pactwire.Unavailable {
			t.Errorf("Open: %v", err)
		}
		h.Publish(w.commit(feed)) // who only listens goes on
		h.Publish(w.commit(pactwire.ActivityOf("q")))
		synctest.Wait()
		if got := end.take(); len(got) != 1 || got[0].TopicName != "pacts/p/activity" || got[0].FixedHeader.Qos != 1 {
			t.Fatalf("received %v", got)
		}
		w.fail(false)
		if got := subscribe(t, c, 1, "pacts/q/activity"); !bytes.Equal(got, []byte{1}) {
			t.Fatalf("codes %x", got)
		}
		c.Detach()
		_, _, present := connect(t, h, user("alice"))
		if !present {
			t.Error("the session is gone")
		}
	})
}

func TestPromise4SessionSurvivesACrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.join("p", "alice")
		h := newHub(t, w)
		c, end, _ := connect(t, h, user("alice"))
		subscribe(t, c, 1, "pacts/+/activity")
		for range 10 {
			h.Publish(w.commit(feed))
		}
		for _, pk := range end.take()[:4] {
			c.Puback(pk.PacketID, 0)
		}
		pass(1500 * time.Millisecond)
		w.mu.Lock() // what is on disk at the moment of the crash
		disk := w.sessions[alicePhone]
		w.mu.Unlock()
		stop(t, h)
		w.commit(feed)
		w.sessions[alicePhone] = disk

		h = newHub(t, w)
		defer stop(t, h)
		_, end, present := connect(t, h, user("alice"))
		synctest.Wait()
		got := end.take()
		if want := []int{5, 6, 7, 8, 9, 10, 11}; !present || !slices.Equal(seqs(t, got), want) {
			t.Fatalf("present %v, received %v, want %v", present, seqs(t, got), want)
		}
		h.Publish(w.commit(feed))
		for i, pk := range append(got, end.take()...) {
			if pk.FixedHeader.Dup != (i < 7) { // of 11 nobody knows whether it was sent before the crash
				t.Errorf("%d has DUP %v", i+5, pk.FixedHeader.Dup)
			}
		}
	})
}

// TestPromise4CrashRightAfterTheReturn: what is stored dates from the end of the connection before.
func TestPromise4CrashRightAfterTheReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.join("p", "alice")
		h := newHub(t, w)
		c, _, _ := connect(t, h, user("alice"))
		subscribe(t, c, 1, "pacts/+/activity")
		pass(1500 * time.Millisecond)
		c.Detach()
		pass(1500 * time.Millisecond)
		disk, _ := w.stored(alicePhone)
		connect(t, h, user("alice"))
		h.Publish(w.commit(feed))
		stop(t, h)
		w.sessions[alicePhone] = disk
		pass(time.Second)

		h = newHub(t, w)
		defer stop(t, h)
		_, end, _ := connect(t, h, user("alice"))
		synctest.Wait()
		if got := end.take(); len(got) != 1 || !got[0].FixedHeader.Dup {
			t.Errorf("received %v", got)
		}
	})
}

func TestCleanStartDeletesWhatWasKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.join("p", "alice")
		h := newHub(t, w)
		defer stop(t, h)
		for _, wait := range []time.Duration{0, time.Minute} { // not yet written, and written
			c, _, _ := connect(t, h, user("alice"))
			subscribe(t, c, 1, "pacts/p/activity")
			c.Detach()
			pass(wait)
			in := user("alice")
			in.Clean, in.Expiry = true, 0
			c, end, present := connect(t, h, in)
			if _, ok := w.stored(alicePhone); present || ok {
				t.Fatalf("present %v, stored %v", present, ok)
			}
			h.Publish(w.commit(feed))
			c.Detach()
			pass(time.Minute)
			if got := end.take(); len(got) != 0 {
				t.Fatalf("received %v", got)
			}
			if _, _, present = connect(t, h, user("alice")); present {
				t.Fatal("a clean session was kept")
			}
		}
	})
}

func TestSessionExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.join("p", "alice")
		h := newHub(t, w)
		defer stop(t, h)
		in := user("alice")
		in.Expiry = 10 * time.Minute
		c, _, _ := connect(t, h, in)
		subscribe(t, c, 1, "pacts/p/activity")
		c.Detach()
		pass(5 * time.Minute)
		c, _, present := connect(t, h, in)
		if !present {
			t.Fatal("gone too early")
		}
		pass(2 * time.Hour) // a quiet connection keeps its session
		if len(w.expired) != 0 {
			t.Fatalf("expired while connected: %v", w.expired)
		}
		c.Detach()
		pass(12 * time.Minute)
		if len(w.expired) != 1 {
			t.Fatalf("expired %v", w.expired)
		}
		if _, _, present = connect(t, h, in); present {
			t.Fatal("back from the dead")
		}
	})
}

func TestExpirySetAtDisconnectHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.join("p", "alice")
		h := newHub(t, w)
		defer stop(t, h)
		c, _, _ := connect(t, h, user("alice"))
		subscribe(t, c, 1, "pacts/p/activity")
		c.SetExpiry(0)
		c.Detach()
		if _, _, present := connect(t, h, user("alice")); present {
			t.Error("the session was to end with its connection")
		}
	})
}

func TestReturningSessionsAreServedByFewReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		h := newHub(t, w)
		defer stop(t, h)
		const users, pacts = 100, 8
		var names []pactwire.UserID
		for i := range users {
			u := pactwire.UserID("u" + string(rune('a'+i/26)) + string(rune('a'+i%26)))
			names = append(names, u)
			for j := range pacts {
				w.join(pactwire.PactID(string(u)+string(rune('0'+j))), u)
			}
			c, _, _ := connect(t, h, user(u))
			subscribe(t, c, 1, "pacts/+/activity", "users/"+string(u)+"/inbox")
			c.Detach()
			for j := range pacts {
				w.commit(pactwire.ActivityOf(pactwire.PactID(string(u) + string(rune('0'+j)))))
			}
		}
		w.reads = 0
		w.held = make(gate) // so that all are back before the first read ends
		var ends []*wireEnd
		for _, u := range names {
			_, end, _ := connect(t, h, user(u))
			ends = append(ends, end)
		}
		close(w.held)
		synctest.Wait()
		for i, end := range ends {
			if n := len(end.take()); n != pacts {
				t.Fatalf("%s received %d of %d", names[i], n, pacts)
			}
		}
		if w.reads > users/4 {
			t.Errorf("%d reads for %d sessions", w.reads, users)
		}
	})
}

func TestStopLosesNothingWhileTheStoreIsAwayForAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.join("p", "alice")
		h := newHub(t, w)
		c, end, _ := connect(t, h, user("alice"))
		subscribe(t, c, 1, "pacts/p/activity")
		h.Publish(w.commit(feed))
		w.fail(true)
		c.Puback(end.take()[0].PacketID, 0)
		c.Detach()
		pass(5 * time.Second)
		w.fail(false)
		stop(t, h)
		if s, ok := w.stored(alicePhone); !ok || s.Cursors[0].Acked != 1 || s.GoneAt.IsZero() {
			t.Errorf("stored %+v, %v", s, ok)
		}
	})
}
