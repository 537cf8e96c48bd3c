package delivery

import "github.com/pactwire/pactwire"

// maxWindow is the most unacknowledged messages of one client; its Receive Maximum may lower it.
const maxWindow = 64

// ring holds what was sent with QoS 1 and is not acknowledged, in order of packet ids, which are consecutive. Its bound is
// the client's window; who calls push has checked that there is room.
type ring struct {
	slots []slot // grows to the window
	head  int    // index of the oldest
	len   int
	first uint32 // counter behind the packet id of the oldest
}

// slot is one message under way; cur is nil for what is in no stream.
type slot struct {
	cur     *cursor
	seq     pactwire.Seq
	acked   bool
	matters bool // somebody wants to know when it is acknowledged
}

const packetIDs = 65535 // 1…65535

// push takes the next packet id.
func (r *ring) push(s slot, window int) uint16 {
	if r.len == len(r.slots) {
		grown := make([]slot, min(max(4, 2*len(r.slots)), window))
		for i := range r.len {
			grown[i] = *r.at(i)
		}
		r.slots, r.head = grown, 0
	}
	*r.at(r.len) = s
	id := (r.first+uint32(r.len))%packetIDs + 1 //nolint:gosec // at most maxWindow
	r.len++
	if s.cur != nil {
		s.cur.under++
	}
	return uint16(id) //nolint:gosec // below 65536
}

func (r *ring) at(i int) *slot { return &r.slots[(r.head+i)%len(r.slots)] }

// ack takes a packet id as acknowledged, moves the cursor of its stream to the end of what is acknowledged without a gap,
// and frees the front of the ring. It returns what was acknowledged; ok is false when the id was not under way.
func (r *ring) ack(id uint16) (was slot, ok bool) {
	if id == 0 || r.len == 0 {
		return slot{}, false
	}
	i := (int(id) - 1 - int(r.first%packetIDs) + packetIDs) % packetIDs
	if i >= r.len || r.at(i).acked {
		return slot{}, false
	}
	r.at(i).acked = true
	was = *r.at(i)
	if cur := r.at(i).cur; cur != nil {
		cur.under--
		r.advance(cur)
	}
	for r.len > 0 && r.slots[r.head].acked {
		r.slots[r.head] = slot{}
		r.head = (r.head + 1) % len(r.slots)
		r.first = (r.first + 1) % packetIDs
		r.len--
	}
	return was, true
}

// advance moves a cursor over its acknowledged messages, up to the first that is not.
func (r *ring) advance(cur *cursor) {
	if cur.under == 0 {
		cur.acked = cur.sent // also over what was too large for the client
		return
	}
	for i := range r.len {
		switch s := r.at(i); {
		case s.cur != cur:
		case !s.acked:
			return
		default:
			cur.acked = s.seq
		}
	}
}
