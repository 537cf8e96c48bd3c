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

// TestAnExactFilterGoesOnOnANodeThatHasNotHeardOfThePact: nobody loses a subscription to the time that news take, also when
// the news cannot be asked for at first.
func TestAnExactFilterGoesOnOnANodeThatHasNotHeardOfThePact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, a, b := twoHubs(t)
		defer stop(t, a)
		defer stop(t, b)
		o.join("p", "alice")
		first, firstEnd, _ := connect(t, a, user("alice"))
		subscribe(t, first, 1, "pacts/p/activity", "pacts/p/state")
		for range 3 {
			a.Publish(o.commit(feed))
		}
		synctest.Wait()
		for _, pk := range firstEnd.take()[1:3] {
			first.Puback(pk.PacketID, 0)
		}
		first.Detach()

		o.leave("p", "alice")
		o.news = func([]pactwire.PactID) error { return errAway }
		in := user("alice")
		in.ClientID = "phone"
		if _, _, err := b.Open(context.Background(), in, &wireEnd{t: t, version: 5}); pactwire.CodeOf(err) != pactwire.Unavailable {
			t.Fatalf("while nobody can say whether alice may read it: %v", err)
		}
		o.news = func(pacts []pactwire.PactID) error {
			if !slices.Equal(pacts, []pactwire.PactID{"p"}) {
				t.Errorf("asked for %v", pacts)
			}
			o.join("p", "alice")
			b.PactsChanged("alice", []pactwire.Membership{{Pact: "p", JoinedAt: 1}}, nil)
			return nil
		}
		_, secondEnd, present := connect(t, b, user("alice"))
		b.Publish(o.commit(feed))
		synctest.Wait()
		got := secondEnd.take()
		if !present || !slices.Equal(seqs(t, got), []int{3, 4}) {
			t.Errorf("present %v, got %v, want 3 and 4", present, seqs(t, got))
		}
		if !slices.ContainsFunc(got, func(pk packet) bool { return pk.TopicName == "pacts/p/state" }) {
			t.Error("the state was not sent")
		}
	})
}

// TestWhoLeftWhileAwayLosesTheExactFilter although the node asks first.
func TestWhoLeftWhileAwayLosesTheExactFilter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.join("p", "alice")
		h := newHub(t, w)
		defer stop(t, h)
		c, _, _ := connect(t, h, user("alice"))
		subscribe(t, c, 1, "pacts/p/activity")
		c.Detach()
		w.leave("p", "alice")
		asked := 0
		w.news = func([]pactwire.PactID) error { asked++; return nil }
		c, end, present := connect(t, h, user("alice"))
		h.Publish(w.commit(feed))
		synctest.Wait()
		if got := end.take(); !present || asked != 1 || len(got) != 0 {
			t.Errorf("present %v, asked %d times, got %v", present, asked, got)
		}
		c.Detach()
		if connect(t, h, user("alice")); asked != 1 {
			t.Error("asked again for a filter that is no more")
		}
	})
}

func TestWhoHasJustJoinedElsewhereMaySubscribeHere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		h := newHub(t, w)
		defer stop(t, h)
		c, end, _ := connect(t, h, user("alice"))
		w.news = func([]pactwire.PactID) error { return errAway }
		if got, want := subscribe(t, c, 1, "pacts/p/activity", "users/bob/inbox"), []byte{0x80, 0x87}; !bytes.Equal(got, want) {
			t.Errorf("while nobody can say: codes %x, want %x", got, want)
		}
		w.news = func(pacts []pactwire.PactID) error {
			if slices.Contains(pacts, "p") {
				w.join("p", "alice")
				h.PactsChanged("alice", []pactwire.Membership{{Pact: "p", JoinedAt: 1}}, nil)
			}
			return nil
		}
		if got, want := subscribe(t, c, 1, "pacts/p/activity", "pacts/q/activity"), []byte{1, 0x87}; !bytes.Equal(got, want) {
			t.Errorf("codes %x, want %x", got, want)
		}
		h.Publish(w.commit(feed))
		synctest.Wait()
		if got := seqs(t, end.take()); !slices.Equal(got, []int{1}) {
			t.Errorf("got %v", got)
		}
	})
}

// TestASessionIsNotHeldUpByNewsThatItCanDoWithout: whether a pact that was joined meanwhile is still there is asked, and waited for a moment.
func TestASessionIsNotHeldUpByNewsThatItCanDoWithout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, a, b := twoHubs(t)
		defer stop(t, a)
		defer stop(t, b)
		in := user("alice")
		in.ClientID = "laptop"
		connect(t, b, in)
		c, _, _ := connect(t, a, user("alice"))
		subscribe(t, c, 1, "pacts/+/activity")
		c.Detach()
		o.join("p", "alice")
		o.commit(feed)
		o.mute = true
		began := time.Now()
		patient, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		in.ClientID = "phone"
		end := &wireEnd{t: t, version: 5}
		c, present, err := b.Open(patient, in, end)
		if took := time.Since(began); err != nil || !present || took > time.Second {
			t.Fatalf("present %v, error %v, after %v", present, err, took)
		}
		c.Start()
		synctest.Wait()
		if got := seqs(t, end.take()); !slices.Equal(got, []int{1}) {
			t.Errorf("got %v", got)
		}
	})
}
