package delivery_test

import (
	"encoding/json"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
	"pgregory.net/rapid"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/broker/delivery"
)

// reader is a client that keeps account of what it is owed in each stream.
type reader struct {
	t      *testing.T
	c      *delivery.Client
	end    *wireEnd
	window int
	acked  map[string]int          // contiguous prefix by topic
	seen   map[string]int          // last that came on this connection
	sent   map[string]int          // highest that ever came
	done   map[string]map[int]bool // acknowledged
	under  []packets.Packet
	taken  bool   // over from a connection that stood
	gone   string // topic of the pact that was left, or ""
}

// look takes what came and checks it.
func (r *reader) look() {
	for _, pk := range r.end.take() {
		var body struct{ Seq int }
		if err := json.Unmarshal(pk.Payload, &body); err != nil {
			r.t.Fatalf("received %q on %s", pk.Payload, pk.TopicName)
		}
		topic := pk.TopicName
		if topic == r.gone {
			r.t.Fatalf("%d came of a pact that was left", body.Seq)
		}
		if body.Seq != r.seen[topic]+1 {
			r.t.Fatalf("%s: after %d came %d", topic, r.seen[topic], body.Seq)
		}
		// What was handed to a connection that was just taken over never came, and has DUP all the same.
		if before := body.Seq <= r.sent[topic]; before != pk.FixedHeader.Dup && (before || !r.taken) {
			r.t.Fatalf("%s: %d has DUP %v", topic, body.Seq, pk.FixedHeader.Dup)
		}
		r.seen[topic] = body.Seq
		r.sent[topic] = max(r.sent[topic], body.Seq)
		if slices.ContainsFunc(r.under, func(p packets.Packet) bool { return p.PacketID == pk.PacketID }) {
			r.t.Fatalf("packet id %d is in use", pk.PacketID)
		}
		r.under = append(r.under, pk)
	}
	if len(r.under) > r.window {
		r.t.Fatalf("%d under way with a window of %d", len(r.under), r.window)
	}
}

// ack acknowledges one of the messages under way.
func (r *reader) ack(i int) {
	if len(r.under) == 0 {
		return
	}
	i %= len(r.under)
	pk := r.under[i]
	r.under = slices.Delete(r.under, i, i+1)
	r.c.Puback(pk.PacketID, 0)
	var body struct{ Seq int }
	_ = json.Unmarshal(pk.Payload, &body)
	if pk.TopicName == r.gone || pk.TopicName == lastTime {
		return
	}
	if r.done[pk.TopicName] == nil {
		r.done[pk.TopicName] = map[int]bool{}
	}
	r.done[pk.TopicName][body.Seq] = true
	for r.done[pk.TopicName][r.acked[pk.TopicName]+1] {
		r.acked[pk.TopicName]++
	}
}

// lastTime stands for the topic of what is under way of a pact that was left and joined again.
const lastTime = "of the last time"

// leave notes that a pact was left: nothing more of it is to come.
func (r *reader) leave(topic string) {
	r.gone = topic
	delete(r.done, topic)
}

// join notes that it was joined again: everything from there on is.
func (r *reader) join(topic string, head int) {
	r.gone = ""
	for i := range r.under {
		if r.under[i].TopicName == topic {
			r.under[i].TopicName = lastTime
		}
	}
	r.seen[topic], r.acked[topic], r.sent[topic] = head, head, head
}

// TestPromise4NothingMissedInAnyStream lets a client of several streams acknowledge in any order, stall, be taken over, leave a pact and
// join it again, and come back to another process, while entries are committed and told late, and the store is away at times. In each stream it gets every entry in
// order, starting behind what it acknowledged, with DUP on what came before, and in the end all; and nothing of what it has left.
func TestPromise4NothingMissedInAnyStream(t *testing.T) {
	streams := []pactwire.Stream{pactwire.ActivityOf("p"), pactwire.ActivityOf("q"), pactwire.ActivityOf("r"), pactwire.InboxOf("alice")}
	rapid.Check(t, func(rt *rapid.T) {
		type step struct{ Do, N int }
		script := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
			return step{rapid.IntRange(0, 12).Draw(t, "do"), rapid.IntRange(0, 99).Draw(t, "n")}
		}), 5, 120).Draw(rt, "script")
		window := rapid.IntRange(1, 70).Draw(rt, "window")
		version := rapid.SampledFrom([]byte{4, 5}).Draw(rt, "version")
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			for _, p := range []pactwire.PactID{"p", "q", "r"} {
				w.join(p, "alice")
			}
			h := newHub(t, w)
			defer func() { stop(t, h) }()
			in := user("alice")
			in.ReceiveMaximum, in.Version = uint16(window), version
			r := &reader{t: t, window: min(window, 64), acked: map[string]int{}, seen: map[string]int{}, sent: map[string]int{},
				done: map[string]map[int]bool{}}
			r.c, r.end, _ = connect(t, h, in)
			subscribe(t, r.c, 1, "pacts/+/activity", "pacts/p/activity", "users/alice/inbox")
			var late []pactwire.Entry
			tell := func() {
				for _, e := range late {
					h.Publish(e)
				}
				late = nil
			}
			back := func() {
				c, end, present := connect(t, h, in)
				if !present {
					t.Fatal("the session is gone")
				}
				r.look() // what the old connection still received
				r.c, r.end, r.under = c, end, nil
				r.seen = map[string]int{}
				for topic, n := range r.acked {
					r.seen[topic] = n
				}
				for topic := range r.done { // beyond the prefix nothing is remembered
					for n := range r.done[topic] {
						if n > r.acked[topic] {
							delete(r.done[topic], n)
						}
					}
				}
			}
			again := func() { // once it was disconnected for taking nothing
				if closed, _ := r.end.isClosed(); closed {
					r.look()
					r.c.Detach()
					back()
				}
			}
			failing := false
			for _, s := range script {
				if failing && (s.Do == 6 || s.Do == 8 || s.Do == 10) {
					continue // nobody comes back just now
				}
				switch s.Do {
				case 0, 1, 2:
					tell()
					for range s.N/10 + 1 {
						h.Publish(w.commit(streams[s.N%4]))
					}
				case 3:
					late = append(late, w.commit(streams[s.N%4]))
				case 4, 5:
					r.look()
					for i := range s.N {
						r.ack(s.N * (i + 1))
					}
				case 6: // drops, or is taken over
					r.look()
					if s.N%2 == 0 {
						r.c.Detach()
					} else {
						r.taken = true
					}
					tell()
					if s.N%3 == 0 {
						h.Publish(w.commit(streams[s.N%4]))
					}
					back()
				case 7:
					r.end.mu.Lock()
					r.end.stuck = s.N%2 == 0
					r.end.mu.Unlock()
					if s.N%2 != 0 {
						r.end.unstick()
					}
				case 8: // the process ends and another takes over
					r.look()
					r.c.Detach()
					stop(t, h)
					tell()
					h = newHub(t, w)
					back()
				case 9:
					synctest.Wait()
				case 10: // leaves a pact, or joins it again
					const topic = "pacts/r/activity"
					r.look()
					if r.gone == "" {
						w.leave("r", "alice")
						h.PactsChanged("alice", nil, []pactwire.PactID{"r"})
						r.look() // what came until then
						r.leave(topic)
						if closed, _ := r.end.isClosed(); closed { // with something of it on the way
							r.c.Detach()
							back()
						}
						continue
					}
					tell()
					w.join("r", "alice")
					head := len(w.entries[pactwire.ActivityOf("r")])
					r.join(topic, head)
					if s.N%2 == 0 {
						h.PactsChanged("alice", []pactwire.Membership{{Pact: "r", JoinedAt: pactwire.Seq(head + 1)}}, nil)
					} else { // while it was away
						r.c.Detach()
						back()
					}
				case 11: // the store cannot be read, or can again
					failing = !failing
					w.fail(failing)
				case 12:
					pass(time.Duration(s.N) * 40 * time.Millisecond)
					if !failing {
						again()
					}
				}
			}
			tell()
			w.fail(false)
			again()
			r.end.unstick()
			for n, idle := 0, 0; n < 4000 && idle < 3; n++ {
				synctest.Wait()
				r.look()
				if idle++; len(r.under) > 0 {
					idle = 0
				} else {
					pass(time.Second) // in which what could not be read is tried again
				}
				for len(r.under) > 0 {
					r.ack(0)
				}
			}
			for _, s := range streams {
				topic := "pacts/" + s.ID + "/activity"
				if s.Kind == pactwire.InboxStream {
					topic = "users/" + s.ID + "/inbox"
				}
				if n := len(w.entries[s]); topic != r.gone && r.acked[topic] != n {
					t.Fatalf("%s: %d of %d came", topic, r.acked[topic], n)
				}
			}
		})
	})
}
