package delivery_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pactwire/pactwire"
)

func TestFeedResetIsSaidWhenEntriesAreGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.join("p", "alice")
		h := newHub(t, w)
		defer stop(t, h)
		c, _, _ := connect(t, h, user("alice"))
		subscribe(t, c, 1, "pacts/p/activity", "users/alice/inbox")
		c.Detach()
		for range 10 {
			w.commit(feed)
		}
		w.floor[feed] = 6
		_, end, _ := connect(t, h, user("alice"))
		synctest.Wait()
		got := end.take()
		if len(got) != 5 || got[0].TopicName != "users/alice/inbox" || !strings.Contains(string(got[0].Payload), `"fromSeq":7,"headSeq":10`) {
			t.Fatalf("received %v", got)
		}
		if !slices.Equal(seqs(t, got), []int{7, 8, 9, 10}) {
			t.Fatalf("then %v", seqs(t, got))
		}
	})
}

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
