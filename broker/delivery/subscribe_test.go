package delivery_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/pactwire/pactwire"
)

func TestPactJoinedLaterFlowsIntoTheWildcard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		h := newHub(t, w)
		defer stop(t, h)
		bob, end, _ := connect(t, h, user("bob"))
		subscribe(t, bob, 1, "pacts/+/activity", "pacts/+/state")
		w.commit(feed) // before bob
		w.join("p", "bob")
		joined := w.commit(feed) // bob's own partner_joined
		h.PactsChanged("bob", []pactwire.Membership{{Pact: "p", JoinedAt: joined.Seq}}, nil)
		h.Publish(joined)
		h.Publish(w.commit(feed))
		synctest.Wait()
		if got := seqs(t, end.take()); !slices.Equal(got, []int{2, 3}) {
			t.Fatalf("received %v", got)
		}
	})
}

func TestOverlappingFiltersDeliverOnceWithAllIdentifiers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.join("p", "alice")
		h := newHub(t, w)
		defer stop(t, h)
		c, end, _ := connect(t, h, user("alice"))
		c.Subscribe(context.Background(), []pactwire.Subscription{
			{Filter: "pacts/p/activity", QoS: 0, Identifier: 1}, {Filter: "pacts/+/activity", QoS: 2, Identifier: 2},
			{Filter: "pacts/#", QoS: 0, Identifier: 3, RetainHandling: 2}, {Filter: "pacts/p/state", QoS: 1, Identifier: 4, RetainHandling: 2},
		})
		c.AfterSuback()
		h.Publish(w.commit(feed))
		synctest.Wait()
		got := end.take()
		if len(got) != 1 || got[0].FixedHeader.Qos != 1 || !slices.Equal(got[0].Properties.SubscriptionIdentifier, []int{1, 2, 3}) {
			t.Fatalf("received %+v", got)
		}
		c.Unsubscribe([]string{"pacts/+/activity"})
		h.Publish(w.commit(feed))
		synctest.Wait()
		got = end.take()
		if len(got) != 1 || got[0].FixedHeader.Qos != 0 || !slices.Equal(got[0].Properties.SubscriptionIdentifier, []int{1, 3}) {
			t.Fatalf("received %+v", got)
		}
	})
}

func TestAfterStartsAnywhereAndIsExclusive(t *testing.T) {
	for _, test := range []struct {
		after  pactwire.Seq
		filter string
		want   []int
	}{
		{0, "pacts/p/activity", []int{1, 2, 3, 4, 5, 6}}, {3, "pacts/p/activity", []int{4, 5, 6}}, {3, "pacts/p/#", []int{4, 5, 6}},
		{5, "pacts/p/activity", []int{6}}, {99, "pacts/p/activity", []int{6}}, {0, "pacts/+/activity", []int{6}},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.join("p", "alice")
			for range 5 {
				w.commit(feed)
			}
			h := newHub(t, w)
			defer stop(t, h)
			c, end, _ := connect(t, h, user("alice"))
			c.Subscribe(context.Background(), []pactwire.Subscription{{Filter: test.filter, QoS: 1, After: &test.after, RetainHandling: 2}})
			c.AfterSuback()
			synctest.Wait()
			h.Publish(w.commit(feed))
			synctest.Wait()
			if got := seqs(t, end.take()); !slices.Equal(got, test.want) {
				t.Errorf("after %d of %s: %v, want %v", test.after, test.filter, got, test.want)
			}
		})
	}
}

func TestAfterMovesAKnownCursor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.join("p", "alice")
		h := newHub(t, w)
		defer stop(t, h)
		c, end, _ := connect(t, h, user("alice"))
		subscribe(t, c, 1, "pacts/p/activity")
		for range 4 {
			h.Publish(w.commit(feed))
		}
		first := end.take()
		subscribe(t, c, 1, "pacts/p/activity") // keeps its cursor
		synctest.Wait()
		if got := end.take(); len(got) != 0 {
			t.Fatalf("the same SUBSCRIBE brought %v", seqs(t, got))
		}
		c.Subscribe(context.Background(), []pactwire.Subscription{{Filter: "pacts/p/activity", QoS: 1, After: seqPtr(1)}})
		c.AfterSuback()
		synctest.Wait()
		if got := seqs(t, end.take()); !slices.Equal(got, []int{2, 3, 4}) {
			t.Fatalf("received %v", got)
		}
		for _, pk := range first { // these speak of the place before
			c.Puback(pk.PacketID, 0)
		}
		c.Detach()
		_, end, _ = connect(t, h, user("alice"))
		synctest.Wait()
		if got := seqs(t, end.take()); !slices.Equal(got, []int{2, 3, 4}) {
			t.Fatalf("on return %v", got)
		}
	})
}

func TestPactJoinedWhileAwayStartsBeforeItsOwnPartnerJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		h := newHub(t, w)
		defer stop(t, h)
		c, _, _ := connect(t, h, user("bob"))
		subscribe(t, c, 1, "pacts/+/activity")
		c.Detach()
		w.commit(feed)
		w.join("p", "bob") // joined at 2
		w.commit(feed)
		w.commit(feed)
		_, end, _ := connect(t, h, user("bob"))
		synctest.Wait()
		if got := seqs(t, end.take()); !slices.Equal(got, []int{2, 3}) {
			t.Fatalf("received %v", got)
		}
	})
}

func TestEntryThatOvertakesTheNewsOfMembershipIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		h := newHub(t, w)
		defer stop(t, h)
		c, end, _ := connect(t, h, user("bob"))
		subscribe(t, c, 1, "pacts/+/activity")
		w.commit(feed)
		w.join("p", "bob")
		w.commit(feed)
		h.Publish(w.commit(feed)) // 3, before PactsChanged
		synctest.Wait()
		h.PactsChanged("bob", []pactwire.Membership{{Pact: "p", JoinedAt: 2}}, nil)
		synctest.Wait()
		if got := seqs(t, end.take()); !slices.Equal(got, []int{2, 3}) {
			t.Fatalf("received %v", got)
		}
	})
}

func TestMaximumPacketSizeSkipsAndGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.join("p", "alice")
		h := newHub(t, w)
		defer stop(t, h)
		in := user("alice")
		in.MaximumPacketSize = 100
		c, end, _ := connect(t, h, in)
		subscribe(t, c, 1, "pacts/p/activity")
		publish := func(size int) {
			e := w.commit(feed)
			e.Payload = append(e.Payload, bytes.Repeat([]byte(" "), size)...)
			w.entries[feed][e.Seq-1] = e
			h.Publish(e)
		}
		for _, size := range []int{0, 200, 0, 200} {
			publish(size)
		}
		got := end.take()
		if !slices.Equal(seqs(t, got), []int{1, 3}) {
			t.Fatalf("received %v", seqs(t, got))
		}
		c.Puback(got[0].PacketID, 0)
		c.Puback(got[1].PacketID, 0)
		c.Detach()
		publish(200)
		publish(0)
		_, end, _ = connect(t, h, in)
		synctest.Wait()
		if got := seqs(t, end.take()); !slices.Equal(got, []int{6}) {
			t.Fatalf("on return %v", got)
		}
	})
}

func TestSixtyFifthSubscriptionIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		h := newHub(t, w)
		defer stop(t, h)
		c, _, _ := connect(t, h, user("alice"))
		for i := range 64 {
			if got := subscribe(t, c, 1, fmt.Sprint("users/alice/replies/", i)); got[0] != 1 {
				t.Fatalf("number %d: %x", i+1, got)
			}
		}
		if got := subscribe(t, c, 1, "users/alice/inbox", "users/alice/replies/7"); !bytes.Equal(got, []byte{0x97, 1}) {
			t.Errorf("codes %x", got)
		}
		if got := c.Unsubscribe([]string{"users/alice/replies/3", "users/alice/replies/x"}); !bytes.Equal(got, []byte{0, 0x11}) {
			t.Errorf("codes %x", got)
		}
		if got := subscribe(t, c, 1, "users/alice/inbox"); got[0] != 1 {
			t.Errorf("codes %x", got)
		}
	})
}
