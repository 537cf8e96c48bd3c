package delivery

import "github.com/pactwire/pactwire"

// maxWindow is the most unacknowledged messages of one client; its Receive Maximum may lower it.
const maxWindow = 64

// ring holds what was sent with QoS 1 and is not acknowledged, in order of packet ids. Its bound is the client's window.
type ring struct {
	slots []slot // grows to the window
	head  int    // index of the oldest
	len   int
	first uint32 // counter behind the packet id of the oldest
}

// slot is one message under way; cur is nil for what is in no stream.
type slot struct {
	cur   *cursor
	seq   pactwire.Seq
	acked bool
}

// packetID turns the running counter into 1…65535.
func packetID(n uint32) uint16 { return uint16(n%65535 + 1) } //nolint:gosec // below 65536

// push takes the next packet id. The caller has checked that there is room.
func (r *ring) push(s slot, window int) uint16 {
	if r.len == len(r.slots) {
		grown := make([]slot, min(max(4, 2*len(r.slots)), window))
		for i := range r.len {
			grown[i] = r.slots[(r.head+i)%len(r.slots)]
		}
		r.slots, r.head = grown, 0
	}
	r.slots[(r.head+r.len)%len(r.slots)] = s
	id := packetID(r.first + uint32(r.len)) //nolint:gosec // at most maxWindow
	r.len++
	return id
}

// ack marks a packet id as acknowledged and calls done for each message of the acknowledged front, oldest first. It
// reports whether the id was under way.
func (r *ring) ack(id uint16, done func(slot)) bool {
	if id == 0 || r.len == 0 {
		return false
	}
	i := (int(id) - 1 - int(r.first%65535) + 65535) % 65535
	if i >= r.len {
		return false
	}
	r.slots[(r.head+i)%len(r.slots)].acked = true
	for r.len > 0 && r.slots[r.head].acked {
		done(r.slots[r.head])
		r.slots[r.head] = slot{}
		r.head = (r.head + 1) % len(r.slots)
		r.first++
		r.len--
	}
	return true
}
