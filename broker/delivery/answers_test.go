package delivery_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pactwire/pactwire"
)

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
			h.Direct("alice", "", "users/alice/replies/x", fmt.Append(nil, i), []byte{byte(i)})
			h.Direct("alice", "", "users/bob/replies/x", nil, nil)
			h.Direct("alice", "", "nonsense//", nil, nil)
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
		for range 2 + pactwire.MaxBatch + 64 {
			h.Direct("alice", "", "users/alice/replies/x", nil, nil)
		}
		if closed, reason := end.isClosed(); closed {
			t.Fatalf("closed with %#x while there is room", reason)
		}
		h.Direct("alice", "", "users/alice/replies/x", nil, nil)
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
		c.Tell(pactwire.Event{Type: pactwire.EventTokenExpiring})
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
		h.Direct("alice", "", "devices/d1/replies", []byte("{}"), nil)
		h.Publish(w.commit(feed))
		synctest.Wait()
		if got := names(end.take()); !slices.Equal(got, []string{"devices/d1/replies"}) {
			t.Fatalf("received %v", got)
		}
		c.Detach()
		_, end, present := connect(t, h, in)
		h.Direct("alice", "", "devices/d1/replies", []byte("{}"), nil)
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
		h.Direct("alice", "", "users/alice/replies/x", nil, nil)
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
