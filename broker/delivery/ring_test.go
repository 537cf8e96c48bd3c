package delivery

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/pactwire/pactwire"
)

// TestRingMovesEachCursorOverItsAcknowledgedPrefix compares the ring with the plain words: the cursor of a stream stands at
// the last of its messages that is acknowledged together with all before it.
func TestRingMovesEachCursorOverItsAcknowledgedPrefix(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		window := rapid.IntRange(1, maxWindow).Draw(t, "window")
		r := ring{first: uint32(rapid.IntRange(0, packetIDs-1).Draw(t, "first"))}
		cursors := []*cursor{{}, {}, nil}
		type message struct {
			cur   *cursor
			seq   pactwire.Seq
			acked bool
		}
		sent := map[uint16]*message{}
		var order []*message
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			if r.len < window && rapid.Bool().Draw(t, "push") {
				m := &message{cur: cursors[rapid.IntRange(0, 2).Draw(t, "stream")]}
				if m.cur != nil {
					m.cur.sent++
					m.seq = m.cur.sent
				}
				id := r.push(slot{cur: m.cur, seq: m.seq}, window)
				if old := sent[id]; id == 0 || old != nil && !old.acked {
					t.Fatalf("id %d is in use", id)
				}
				sent[id] = m
				order = append(order, m)
			} else {
				id := uint16(rapid.IntRange(0, packetIDs).Draw(t, "wild id"))
				if len(sent) > 0 && rapid.IntRange(0, 9).Draw(t, "known") > 0 {
					ids := make([]uint16, 0, len(sent))
					for i := range r.len {
						ids = append(ids, uint16((r.first+uint32(i))%packetIDs+1))
					}
					if len(ids) > 0 {
						id = rapid.SampledFrom(ids).Draw(t, "id")
					}
				}
				m := sent[id]
				was, got := r.ack(id)
				if want := m != nil && !m.acked; got != want {
					t.Fatalf("ack(%d) = %v, want %v", id, got, want)
				}
				if got && (was.cur != m.cur || was.seq != m.seq) {
					t.Fatalf("ack(%d) was %+v, want %+v", id, was, m)
				}
				if m != nil {
					m.acked = true
				}
			}
			for _, cur := range cursors[:2] {
				var want pactwire.Seq
				for _, m := range order {
					if m.cur != cur {
						continue
					}
					if !m.acked {
						break
					}
					want = m.seq
				}
				if cur.acked != want {
					t.Fatalf("a cursor stands at %d, want %d", cur.acked, want)
				}
			}
			if len(r.slots) > window || r.len > window {
				t.Fatalf("%d slots, %d under way, window %d", len(r.slots), r.len, window)
			}
		}
	})
}
