package delivery_test

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/broker/delivery"
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
		if s, _ := w.stored(alicePhone); s.Cursors[0].Acked != 20 || s.Cursors[0].Sent != 20 {
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
		for i, pk := range got {
			if pk.FixedHeader.Dup != (i < 6) {
				t.Errorf("%d has DUP %v", i+5, pk.FixedHeader.Dup)
			}
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
		var ends []*wireEnd
		for _, u := range names {
			_, end, _ := connect(t, h, user(u))
			ends = append(ends, end)
		}
		synctest.Wait()
		for i, end := range ends {
			if n := len(end.take()); n != pacts {
				t.Fatalf("%s received %d of %d", names[i], n, pacts)
			}
		}
		if w.reads > users {
			t.Errorf("%d reads for %d sessions", w.reads, users)
		}
	})
}

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
		old := c
		c.Detach()
		old.Ack(7, 2, 0, "") // the commit came true after the connection had ended
		c, _, _ = connect(t, h, user("alice"))
		if !c.Received(7) {
			t.Fatal("7 was committed")
		}
		other, _, _ := connect(t, h, user("alice"))
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
		other.Detach()
		stop(t, h)
		if s, ok := w.stored(alicePhone); !ok || !slices.Equal(s.Received, []uint16{8}) {
			t.Errorf("stored %+v", s)
		}
		h = newHub(t, w)
		if c, _, _ := connect(t, h, user("alice")); !c.Received(8) {
			t.Error("forgotten over a restart")
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
