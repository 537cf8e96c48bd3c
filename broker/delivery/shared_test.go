package delivery_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/broker/delivery"
)

// owned is a world that several hubs share, and the way in which they reach each other.
type owned struct {
	*world
	mu     sync.Mutex
	holder map[pactwire.SessionKey]string
	epochs uint64
	hubs   map[string]*delivery.Hub
	cut    bool // the hubs do not reach each other
	asks   gate // what claims of b wait at before they are served
	hears  gate // and after
	moved  func()
}

// gate lets through who comes once it is closed, or when it was never made.
type gate chan struct{}

func (g gate) pass() {
	if g != nil {
		<-g
	}
}

func (o *owned) ClaimSession(_ context.Context, c pactwire.SessionClaim) (out pactwire.SessionClaimed, err error) {
	if c.Node == "b" {
		o.asks.pass()
		defer o.hears.pass()
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.world.mu.Lock()
	defer o.world.mu.Unlock()
	s, ok := o.sessions[c.Key]
	if at := o.holder[c.Key]; ok && s.GoneAt.IsZero() && at != c.Node && !c.Force {
		return pactwire.SessionClaimed{Holder: at}, nil
	}
	o.epochs++
	out = pactwire.SessionClaimed{Session: s, Found: ok && s.Expiry > 0 && !c.Clean, Before: s.Epoch}
	if !out.Found {
		out.Session = pactwire.Session{Key: c.Key}
	}
	out.Session.Epoch, out.Session.GoneAt = o.epochs, time.Time{}
	o.sessions[c.Key] = out.Session.Standing()
	o.holder[c.Key] = c.Node
	return out, nil
}

func (o *owned) LostSessions(_ context.Context, list []pactwire.Session) (lost []pactwire.Session, err error) {
	for _, s := range list {
		if now, _ := o.stored(s.Key); now.Epoch != s.Epoch {
			lost = append(lost, s)
		}
	}
	return lost, nil
}

func (o *owned) Yield(ctx context.Context, node string, key pactwire.SessionKey) bool {
	o.mu.Lock()
	h, cut := o.hubs[node], o.cut
	o.mu.Unlock()
	return !cut && h.Yield(ctx, key) == nil
}

func (o *owned) Moved(pactwire.UserID) {
	if o.moved != nil {
		o.moved()
	}
}

// twoHubs are two nodes, a and b, on one store.
func twoHubs(t *testing.T) (o *owned, a, b *delivery.Hub) {
	o = &owned{world: newWorld(), holder: map[pactwire.SessionKey]string{}, hubs: map[string]*delivery.Hub{}}
	a, b = newHub(t, o.world), newHub(t, o.world)
	a.Share("a", o, o)
	b.Share("b", o, o)
	o.hubs["a"], o.hubs["b"] = a, b
	return o, a, b
}

func TestASessionGoesOnOnAnotherNodeWithoutAnythingTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, a, b := twoHubs(t)
		defer stop(t, a)
		defer stop(t, b)
		o.join("p", "alice")
		first, firstEnd, _ := connect(t, a, user("alice"))
		subscribe(t, first, 1, "pacts/+/activity")
		for range 3 {
			a.Publish(o.commit(feed))
		}
		synctest.Wait()
		for _, pk := range firstEnd.take() {
			first.Puback(pk.PacketID, 0)
		}
		second, secondEnd, present := connect(t, b, user("alice"))
		synctest.Wait()
		if !present {
			t.Error("the session was not found")
		}
		if closed, reason := firstEnd.isClosed(); !closed || reason != 0x8e {
			t.Errorf("the older connection: closed %v, reason %#x", closed, reason)
		}
		b.Publish(o.commit(feed))
		synctest.Wait()
		if got := seqs(t, secondEnd.take()); !slices.Equal(got, []int{4}) {
			t.Errorf("got %v, want 4 alone", got)
		}
		second.Detach()
	})
}

// TestASessionGoesOnOnANodeThatHasNotHeardOfAPact: its place is kept until the node hears that the user has joined.
func TestASessionGoesOnOnANodeThatHasNotHeardOfAPact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, a, b := twoHubs(t)
		defer stop(t, a)
		defer stop(t, b)
		o.join("p", "alice")
		first, firstEnd, _ := connect(t, a, user("alice"))
		subscribe(t, first, 1, "pacts/+/activity")
		for range 3 {
			a.Publish(o.commit(feed))
		}
		synctest.Wait()
		for _, pk := range firstEnd.take()[:2] {
			first.Puback(pk.PacketID, 0)
		}
		o.leave("p", "alice")
		second, secondEnd, _ := connect(t, b, user("alice"))
		b.Publish(o.commit(feed))
		synctest.Wait()
		if got := seqs(t, secondEnd.take()); len(got) != 0 {
			t.Errorf("got %v of a pact that is not theirs", got)
		}
		o.join("p", "alice")
		b.PactsChanged("alice", []pactwire.Membership{{Pact: "p", JoinedAt: 1}}, nil)
		synctest.Wait()
		got := secondEnd.take()
		if s := seqs(t, got); !slices.Equal(s, []int{3, 4}) || !got[0].FixedHeader.Dup || got[1].FixedHeader.Dup {
			t.Errorf("got %v, want 3 with DUP, and 4", s)
		}
		second.Detach()
	})
}

func TestANodeThatCannotBeAskedLosesTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, a, b := twoHubs(t)
		defer stop(t, a)
		defer stop(t, b)
		o.cut = true
		o.join("p", "alice")
		first, firstEnd, _ := connect(t, a, user("alice"))
		subscribe(t, first, 1, "pacts/+/activity")
		_, _, present := connect(t, b, user("alice"))
		if !present {
			t.Error("the session was not found")
		}
		if closed, _ := firstEnd.isClosed(); closed {
			t.Fatal("closed by whom?")
		}
		held, _ := o.stored(pactwire.SessionKey{User: "alice", ClientID: "phone"})
		if err := a.CheckSessions(context.Background()); err != nil {
			t.Fatal(err)
		}
		if closed, reason := firstEnd.isClosed(); !closed || reason != 0x8e {
			t.Errorf("after a look: closed %v, reason %#x", closed, reason)
		}
		first.Detach()
		pass(3 * time.Second)
		if now, _ := o.stored(held.Key); now.Epoch != held.Epoch || !now.GoneAt.IsZero() {
			t.Errorf("the older node wrote over the newer: %+v", now)
		}
	})
}

func TestAFencedSaveEndsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, a, b := twoHubs(t)
		defer stop(t, a)
		defer stop(t, b)
		o.cut = true
		o.join("p", "alice")
		first, firstEnd, _ := connect(t, a, user("alice"))
		subscribe(t, first, 1, "pacts/+/activity")
		connect(t, b, user("alice"))
		a.Publish(o.commit(feed)) // moves the cursor, so the session is saved
		pass(2 * time.Second)
		if closed, reason := firstEnd.isClosed(); !closed || reason != 0x8e {
			t.Errorf("closed %v, reason %#x", closed, reason)
		}
	})
}

func TestAClientThatComesBackToItsNodeGoesOnFromWhatWasNotWrittenYet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, a, b := twoHubs(t)
		defer stop(t, a)
		defer stop(t, b)
		o.join("p", "alice")
		c, end, _ := connect(t, a, user("alice"))
		subscribe(t, c, 1, "pacts/+/activity")
		a.Publish(o.commit(feed))
		synctest.Wait()
		for _, pk := range end.take() {
			c.Puback(pk.PacketID, 0)
		}
		c.Detach()
		_, end, present := connect(t, a, user("alice"))
		pass(2 * time.Second)
		if got := seqs(t, end.take()); !present || len(got) != 0 {
			t.Errorf("present %v, got %v", present, got)
		}
		if closed, _ := end.isClosed(); closed {
			t.Error("fenced by its own past")
		}
	})
}

// TestWhatWasNotWrittenOutlivesTheClaim: the claim of who comes back fences off the writing of what is kept here for them, which may
// come before they take it up.
func TestWhatWasNotWrittenOutlivesTheClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, a, b := twoHubs(t)
		defer stop(t, a)
		defer stop(t, b)
		o.join("p", "alice")
		c, end, _ := connect(t, b, user("alice"))
		subscribe(t, c, 1, "pacts/+/activity")
		b.Publish(o.commit(feed))
		synctest.Wait()
		for _, pk := range end.take() {
			c.Puback(pk.PacketID, 0)
		}
		o.fail(true)
		c.Detach()
		o.hears = make(gate)
		back := make(chan *wireEnd)
		go func() {
			_, end, _ := connect(t, b, user("alice"))
			back <- end
		}()
		synctest.Wait() // it is claimed
		o.fail(false)
		pass(2 * time.Second) // and written, in vain
		close(o.hears)
		end = <-back
		synctest.Wait()
		if got := seqs(t, end.take()); len(got) != 0 {
			t.Errorf("got %v once more", got)
		}
	})
}

func TestBehindMakesCursorsReadTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.join("p", "alice")
		h := newHub(t, w)
		defer stop(t, h)
		c, end, _ := connect(t, h, user("alice"))
		subscribe(t, c, 1, "pacts/+/activity")
		for range 3 {
			w.commit(feed) // by another node
		}
		h.Behind(feed, 3)
		synctest.Wait()
		if got := seqs(t, end.take()); !slices.Equal(got, upTo(3)) {
			t.Errorf("got %v", got)
		}
		h.Behind(feed, 2)
		synctest.Wait()
		if got := seqs(t, end.take()); len(got) != 0 {
			t.Errorf("again: %v", got)
		}
	})
}

// away is alice's session as it was kept when her connection to a hub ended.
func away(t *testing.T, w *world, h *delivery.Hub) pactwire.Session {
	t.Helper()
	w.join("p", "alice")
	c, _, _ := connect(t, h, user("alice"))
	subscribe(t, c, 1, "pacts/+/activity", "users/alice/inbox")
	c.Detach()
	pass(2 * time.Second)
	s, ok := w.stored(alicePhone)
	if !ok || len(s.Filters) != 2 || len(s.Cursors) != 2 {
		t.Fatalf("stored %+v, %v", s, ok)
	}
	return s
}

// opening opens alice's session, which takes its time, and returns how it went.
func opening(t *testing.T, h *delivery.Hub) func() (present bool, err error) {
	t.Helper()
	in := user("alice")
	in.ClientID = "phone"
	var present bool
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, present, err = h.Open(context.Background(), in, &wireEnd{t: t, version: 5})
	}()
	synctest.Wait()
	return func() (bool, error) {
		<-done
		return present, err
	}
}

// Who joins a pact while their session is being read from a slow store has a session that has changed, and of which nothing is known yet.
func TestPromise4NothingIsSavedOverASessionThatIsNotReadYet(t *testing.T) {
	joins := func(t *testing.T, w *world, h *delivery.Hub, read chan struct{}) {
		t.Helper()
		opened := opening(t, h)
		w.join("q", "alice")
		h.PactsChanged("alice", []pactwire.Membership{{Pact: "q", JoinedAt: 1}}, nil)
		pass(5 * time.Second)
		if s, _ := w.stored(alicePhone); len(s.Filters) != 2 {
			t.Errorf("stored meanwhile: %+v", s)
		}
		close(read)
		if present, err := opened(); err != nil || !present {
			t.Errorf("present %v, %v", present, err)
		}
		pass(2 * time.Second)
		if s, _ := w.stored(alicePhone); len(s.Filters) != 2 || len(s.Cursors) != 3 {
			t.Errorf("stored at last: %+v", s)
		}
	}
	t.Run("one node", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			h := newHub(t, w)
			defer stop(t, h)
			away(t, w, h)
			w.slow = make(chan struct{})
			joins(t, w, h, w.slow)
		})
	})
	t.Run("several", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			o, a, b := twoHubs(t)
			defer stop(t, a)
			defer stop(t, b)
			away(t, o.world, a)
			o.asks = make(gate)
			joins(t, o.world, b, o.asks)
		})
	})
}

// A node that is asked for a session which it has claimed and not yet read lets it go as it was.
func TestPromise4ASessionLetGoBeforeItIsReadIsWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, a, b := twoHubs(t)
		defer stop(t, a)
		defer stop(t, b)
		away(t, o.world, a)
		o.hears = make(gate)
		late := opening(t, b)
		c, _, present := connect(t, a, user("alice"))
		if !present {
			t.Error("the session is not there")
		}
		pass(5 * time.Second)
		close(o.hears)
		if _, err := late(); pactwire.CodeOf(err) != pactwire.Unavailable {
			t.Errorf("b has it as well: %v", err)
		}
		pass(5 * time.Second)
		c.Detach()
		pass(2 * time.Second)
		if s, _ := o.stored(alicePhone); len(s.Filters) != 2 || len(s.Cursors) != 2 {
			t.Errorf("stored %+v", s)
		}
	})
}
