package delivery_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/broker/delivery"
)

// lastID is a transport that takes everything and remembers the packet id of the last PUBLISH of the feed.
type lastID struct {
	discard
	id uint16
}

func (l *lastID) Send(p []byte) error {
	// Fixed header of one or two bytes of length, topic, packet id.
	at := 2
	if p[1]&0x80 != 0 {
		at = 3
	}
	l.id = binary.BigEndian.Uint16(p[at+2+int(binary.BigEndian.Uint16(p[at:])):])
	return nil
}

func benchmarkPublish(b *testing.B, users []pactwire.UserID, each int) {
	w := newWorld()
	h := newHub(b, w)
	defer stop(b, h)
	var clients []*delivery.Client
	var ends []*lastID
	for _, u := range users {
		w.join("p", u)
		for i := range each {
			in := user(u)
			in.ClientID, in.Version, in.Expiry = fmt.Sprint(i), byte(4+i%2), 0
			end := &lastID{}
			c, _, err := h.Open(context.Background(), in, end)
			if err != nil {
				b.Fatal(err)
			}
			c.Start()
			subscribeQuietly(c, "pacts/+/activity")
			clients, ends = append(clients, c), append(ends, end)
		}
	}
	payload := bytes.Repeat([]byte("x"), 400)
	seq := pactwire.Seq(0)
	b.ReportAllocs()
	for b.Loop() {
		seq++
		h.Publish(pactwire.Entry{Stream: feed, Seq: seq, Payload: payload})
		for i, c := range clients {
			c.Puback(ends[i].id, 0)
		}
	}
	b.ReportMetric(float64(len(clients))*float64(b.N)/b.Elapsed().Seconds(), "deliveries/s")
	if int(ends[0].id) != int((seq-1)%65535)+1 {
		b.Fatalf("%d entries, last packet id %d", seq, ends[0].id)
	}
}

func BenchmarkPublishPair(b *testing.B) { benchmarkPublish(b, []pactwire.UserID{"alice", "bob"}, 1) }

func BenchmarkPublishThousandSubscribers(b *testing.B) {
	var users []pactwire.UserID
	for i := range 100 {
		users = append(users, pactwire.UserID(fmt.Sprint("u", i)))
	}
	benchmarkPublish(b, users, 10)
}

// TestIdleClientIsSmall holds the memory of a connection that has subscribed and sits still under a bound.
func TestIdleClientIsSmall(t *testing.T) {
	w := newWorld()
	h := newHub(t, w)
	defer stop(t, h)
	const clients = 3000
	names := make([]string, clients)
	for i := range names {
		names[i] = fmt.Sprintf("user-%05d", i)
		w.join(pactwire.PactID("pact-"+names[i][5:]), pactwire.UserID(names[i]))
	}
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	for _, name := range names {
		in := user(pactwire.UserID(name))
		in.Expiry, in.ClientID = 0, name
		c, _, err := h.Open(context.Background(), in, discard{})
		if err != nil {
			t.Fatal(err)
		}
		c.Start()
		subscribe(t, c, 1, "pacts/pact-"+name[5:]+"/activity", "pacts/+/state", "users/"+name+"/inbox")
	}
	eventually(t, func() bool { return h.Clients() == clients })
	each := (heap() - before) / clients
	t.Logf("%d bytes a client", each)
	if each > 3<<10 {
		t.Errorf("%d bytes a client, more than 3 KiB", each)
	}
	runtime.KeepAlive(h)
}

// TestConcurrentPublishAckTakeover runs what the property tests order one by one all at once: under the race detector it
// looks for what they cannot see. Each connection gets each stream in order and without a hole.
func TestConcurrentPublishAckTakeover(t *testing.T) {
	w := newWorld()
	h := newHub(t, w)
	defer stop(t, h)
	streams := []pactwire.Stream{pactwire.ActivityOf("p"), pactwire.ActivityOf("q")}
	users := []pactwire.UserID{"a", "b", "c", "d", "e", "f"}
	for _, u := range users {
		w.join("p", u)
		w.join("q", u)
		c, _, _ := connect(t, h, user(u))
		subscribe(t, c, 1, "pacts/+/activity", "pacts/p/#")
		c.Detach()
	}
	const entries = 3000
	var publishing, reading sync.WaitGroup
	for _, s := range streams {
		publishing.Go(func() {
			for i := range entries {
				h.Publish(w.commit(s))
				if i%7 == 0 {
					h.PresenceChanged(pactwire.Presence{PactID: s.Pact(), UserID: users[i%len(users)]})
					h.StateChanged(s.Pact())
				}
			}
		})
	}
	publishing.Go(func() { // a member comes and goes
		for range 200 {
			w.join("p", "x")
			h.PactsChanged("x", []pactwire.Membership{{Pact: "p"}}, nil)
			w.leave("p", "x")
			h.PactsChanged("x", nil, []pactwire.PactID{"p"})
		}
	})
	for i, u := range users {
		reading.Go(func() {
			rng := rand.New(rand.NewPCG(1, uint64(i)))
			acked := map[string]int{}
			for {
				in := user(u)
				in.ReceiveMaximum = uint16(1 + rng.IntN(64))
				c, end, present := connect(t, h, in)
				if !present {
					t.Errorf("%s: the session is gone", u)
					return
				}
				seen := map[string]int{}
				drop := rng.IntN(400)
				var under []packet
				eventually(t, func() bool {
					for _, pk := range end.take() {
						for _, n := range seqs(t, []packet{pk}) {
							if last := max(seen[pk.TopicName], acked[pk.TopicName]); seen[pk.TopicName] != 0 && n != last+1 || n > last+1 {
								t.Errorf("%s: %s: after %d came %d", u, pk.TopicName, last, n)
							}
							seen[pk.TopicName] = n
						}
						under = append(under, pk)
					}
					for len(under) > 0 && drop > 0 {
						pk := under[0]
						under = under[1:]
						c.Puback(pk.PacketID, 0)
						if s := seqs(t, []packet{pk}); len(s) > 0 {
							acked[pk.TopicName] = s[0]
						}
						drop--
					}
					return drop == 0 || len(acked) == 2 && acked["pacts/p/activity"] == entries && acked["pacts/q/activity"] == entries
				})
				if acked["pacts/p/activity"] == entries && acked["pacts/q/activity"] == entries {
					return
				}
				if rng.IntN(2) == 0 {
					c.Detach()
				}
			}
		})
	}
	publishing.Wait()
	reading.Wait()
	for _, s := range streams {
		if n := len(w.entries[s]); n != entries {
			t.Errorf("%d entries", n)
		}
	}
}
