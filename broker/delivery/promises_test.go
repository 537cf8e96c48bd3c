package delivery_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pactwire/pactwire"
)

func names(pks []packet) (list []string) {
	for _, pk := range pks {
		list = append(list, pk.TopicName)
	}
	return list
}

func seqPtr(n pactwire.Seq) *pactwire.Seq { return &n }

func TestPromise3EveryMemberSeesTheSameOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		h := newHub(t, w)
		defer stop(t, h)
		var ends []*wireEnd
		var ackers sync.WaitGroup
		for i := range 6 {
			u := pactwire.UserID(fmt.Sprint("u", i))
			w.join("p", u)
			in := user(u)
			in.Version = byte(4 + i%2)
			in.ReceiveMaximum = uint16(5 * i)
			c, end, _ := connect(t, h, in)
			subscribe(t, c, 1, "pacts/+/activity")
			ends = append(ends, end)
			ackers.Go(func() { // until the connection is cut
				for closed := false; !closed; closed, _ = end.isClosed() {
					end.mu.Lock()
					got := slices.Clone(end.got)
					end.mu.Unlock()
					for _, pk := range got {
						c.Puback(pk.PacketID, 0)
					}
					pass(time.Millisecond)
				}
			})
		}
		for i := range 300 {
			h.Publish(w.commit(feed))
			if i%10 == 0 {
				pass(time.Millisecond)
			}
		}
		pass(time.Second)
		for i, end := range ends {
			if got := seqs(t, end.take()); !slices.Equal(got, upTo(300)) {
				t.Errorf("member %d received %d: %v", i, len(got), got)
			}
			end.Disconnect(0)
		}
		ackers.Wait()
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

func TestFeedResetIsRepeatedUntilAcknowledged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.join("p", "alice")
		h := newHub(t, w)
		defer stop(t, h)
		c, _, _ := connect(t, h, user("alice"))
		subscribe(t, c, 1, "pacts/+/activity")
		c.Detach()
		for range 10 {
			w.commit(feed)
		}
		w.floor[feed] = 10 // everything is gone
		for range 2 {
			c, end, _ := connect(t, h, user("alice"))
			synctest.Wait()
			got := end.take()
			if len(got) != 1 || got[0].TopicName != "users/alice/inbox" || !bytes.Contains(got[0].Payload,
				[]byte(`"type":"SERVER:FEED_RESET","commandId":null,"data":{"stream":"pacts/p/activity","fromSeq":11,"headSeq":10}`)) {
				t.Fatalf("received %v", got)
			}
			h.Publish(w.commit(feed))
			w.mu.Lock()
			w.floor[feed] = pactwire.Seq(len(w.entries[feed]))
			w.mu.Unlock()
			if got := end.take(); len(got) != 1 {
				t.Fatalf("then %v", got)
			}
			w.floor[feed] = 10
			w.entries[feed] = w.entries[feed][:10]
			c.Detach()
		}
		c, end, _ := connect(t, h, user("alice"))
		synctest.Wait()
		c.Puback(end.take()[0].PacketID, 0)
		c.Detach()
		_, end, _ = connect(t, h, user("alice"))
		h.Publish(w.commit(feed))
		synctest.Wait()
		if got := seqs(t, end.take()); !slices.Equal(got, []int{11}) {
			t.Fatalf("received %v", got)
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

func TestPromise8ReplayGoesOnWhenTheDatabaseIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.join("p", "alice")
		h := newHub(t, w)
		defer stop(t, h)
		c, end, _ := connect(t, h, user("alice"))
		subscribe(t, c, 1, "pacts/#")
		synctest.Wait()
		end.take()
		w.fail(true)
		a, b := w.commit(feed), w.commit(feed)
		h.Publish(b) // a gap: the log is to be read
		h.StateChanged("p")
		pass(5 * time.Second)
		if got := end.take(); len(got) != 0 {
			t.Fatalf("received %v", got)
		}
		w.fail(false)
		_ = a
		pass(5 * time.Second)
		got := end.take()
		if !slices.Equal(seqs(t, got), []int{1, 2}) || !slices.Contains(names(got), "pacts/p/state") {
			t.Fatalf("received %v", names(got))
		}
	})
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

func TestAnswersWaitForRoomWithinABound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		h := newHub(t, w)
		defer stop(t, h)
		in := user("alice")
		in.ReceiveMaximum = 2
		c, end, _ := connect(t, h, in)
		subscribe(t, c, 1, "users/alice/replies/#", "users/alice/replies/x")
		for i := range 10 {
			h.Direct("alice", "users/alice/replies/x", fmt.Append(nil, i), []byte{byte(i)})
			h.Direct("alice", "users/bob/replies/x", nil, nil)
			h.Direct("alice", "nonsense//", nil, nil)
		}
		for i := range 10 {
			if i%2 == 0 && len(end.got) != 2 {
				t.Fatalf("%d answers with a window of 2", len(end.got))
			}
			pk := end.got[0]
			end.got = end.got[1:]
			if string(pk.Payload) != fmt.Sprint(i) || !bytes.Equal(pk.Properties.CorrelationData, []byte{byte(i)}) || pk.FixedHeader.Qos != 1 {
				t.Fatalf("answer %d is %+v", i, pk)
			}
			c.Puback(pk.PacketID, 0)
		}
		for range 67 {
			h.Direct("alice", "users/alice/replies/x", nil, nil)
		}
		if closed, reason := end.isClosed(); !closed || reason != 0x97 {
			t.Errorf("closed %v with %#x", closed, reason)
		}
	})
}

func TestAnswersBeforeConnackAndSubackWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.join("p", "alice")
		h := newHub(t, w)
		defer stop(t, h)
		c, _, _ := connect(t, h, user("alice"))
		subscribe(t, c, 1, "users/alice/inbox")
		c.Detach()
		end := &wireEnd{t: t, version: 5}
		in := user("alice")
		in.ClientID, in.Version = "phone", 5
		c, _, err := h.Open(context.Background(), in, end)
		if err != nil {
			t.Fatal(err)
		}
		h.Event("alice", pactwire.Event{Type: pactwire.EventTokenExpiring})
		h.Publish(w.commit(pactwire.InboxOf("alice")))
		h.PresenceChanged(pactwire.Presence{PactID: "p", UserID: "alice"})
		synctest.Wait()
		if got := end.take(); len(got) != 0 {
			t.Fatalf("before CONNACK %v", got)
		}
		c.Start()
		synctest.Wait()
		if got := end.take(); len(got) != 2 {
			t.Fatalf("after CONNACK %v", got)
		}
		c.Subscribe(context.Background(), []pactwire.Subscription{{Filter: "pacts/p/activity"}, {Filter: "pacts/p/state", QoS: 1}})
		h.Publish(w.commit(feed))
		h.StateChanged("p")
		synctest.Wait()
		if got := end.take(); len(got) != 0 {
			t.Fatalf("before SUBACK %v", names(got))
		}
		c.AfterSuback()
		synctest.Wait()
		if got := names(end.take()); !slices.Equal(got, []string{"pacts/p/state", "pacts/p/activity"}) {
			t.Fatalf("after SUBACK %v", got)
		}
	})
}

func TestDeviceSubscribesToItsRepliesAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.join("p", "alice")
		h := newHub(t, w)
		defer stop(t, h)
		in := user("alice")
		in.Identity.Device, in.ClientID, in.AutoJoin = "d1", "button", true
		c, end, _ := connect(t, h, in)
		if got, want := subscribe(t, c, 1, "devices/d1/replies", "devices/d2/replies", "pacts/+/activity", "users/alice/inbox"),
			[]byte{1, 0x87, 0x87, 0x87}; !bytes.Equal(got, want) {
			t.Fatalf("codes %x", got)
		}
		h.Direct("alice", "devices/d1/replies", []byte("{}"), nil)
		h.Publish(w.commit(feed))
		synctest.Wait()
		if got := names(end.take()); !slices.Equal(got, []string{"devices/d1/replies"}) {
			t.Fatalf("received %v", got)
		}
		c.Detach()
		_, end, present := connect(t, h, in)
		h.Direct("alice", "devices/d1/replies", []byte("{}"), nil)
		synctest.Wait()
		if got := end.take(); !present || len(got) != 1 {
			t.Fatalf("on return (%v) %v", present, got)
		}
	})
}

func TestOperatorReadsEverythingLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.join("p", "alice")
		w.commit(feed)
		h := newHub(t, w)
		defer stop(t, h)
		in := user("ops")
		in.Identity.Roles = pactwire.RoleOperator
		c, end, _ := connect(t, h, in)
		if got, want := subscribe(t, c, 2, "pacts/+/activity", "users/+/inbox", "pacts/p/state", "#"), []byte{1, 1, 1, 1}; !bytes.Equal(got, want) {
			t.Fatalf("codes %x", got)
		}
		for range 100 {
			h.Publish(w.commit(feed))
		}
		synctest.Wait()
		if got := end.take(); len(got) != 64 || !slices.Equal(seqs(t, got)[:2], []int{2, 3}) {
			t.Fatalf("%d received", len(got))
		}
		for id := range 64 {
			c.Puback(uint16(id+1), 0)
		}
		h.Publish(w.commit(pactwire.InboxOf("alice")))
		h.Direct("alice", "users/alice/replies/x", nil, nil)
		h.StateChanged("p")
		h.PresenceChanged(pactwire.Presence{PactID: "p", UserID: "alice"})
		pass(2 * time.Second)
		got := names(end.take())
		slices.Sort(got)
		if want := []string{"pacts/p/presence/alice", "pacts/p/state", "users/alice/inbox", "users/alice/replies/x"}; !slices.Equal(got, want) {
			t.Fatalf("received %v", got)
		}
		c.Detach()
		if _, _, present := connect(t, h, in); present {
			t.Error("an operator has no session to keep")
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

// untouched is the transport of someone who has nothing to do with it.
type untouched struct{ t *testing.T }

func (u untouched) Send(p []byte) error { u.t.Errorf("sent %q", p); return nil }
func (u untouched) Pending() int        { return 0 }
func (u untouched) Disconnect(byte)     {}
func (u untouched) Abort()              {}
func (u untouched) OnDrained(func())    {}

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
