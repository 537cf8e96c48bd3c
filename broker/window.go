package broker

import (
	"encoding/binary"

	"github.com/pactwire/pactwire/broker/frame"
)

// window honours the Receive Maximum of a client whose messages the library sends: the library's own count of it deadlocks.
// What does not fit waits here as encoded bytes, in order. With one message that waits all later ones do, those of QoS 0
// too, since a topic alias may be told in one and used in the next.
type window struct {
	most int
	sent map[uint16]struct{} // not acknowledged; at most most
	held []byte              // whole PUBLISH packets
}

// SetWindow lets at most most messages of QoS 1 and 2 of the library's be under way to the client.
func (c *Conn) SetWindow(most uint16) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.window = &window{most: int(most), sent: map[uint16]struct{}{}}
}

// pass takes packets and returns those that may go now.
func (w *window) pass(p []byte) []byte {
	now := p[:0:0]
	for pk := range packetsOf(p) {
		switch {
		case pk[0]>>4 != frame.Publish:
			now = append(now, pk...)
		case len(w.held) > 0 || !w.admit(pk):
			w.held = append(w.held, pk...)
		default:
			now = append(now, pk...)
		}
	}
	return now
}

// admit reports whether a PUBLISH has room, and counts it.
func (w *window) admit(pk []byte) bool {
	if pk[0]&6 == 0 {
		return true
	}
	if len(w.sent) >= w.most {
		return false
	}
	w.sent[publishID(pk)] = struct{}{}
	return true
}

// publishID is the packet id of a PUBLISH of QoS 1 or 2.
func publishID(pk []byte) uint16 {
	_, n := binary.Uvarint(pk[1:]) // the same encoding of lengths
	topic := pk[1+n:]
	return binary.BigEndian.Uint16(topic[2+binary.BigEndian.Uint16(topic):])
}

// acked lets go of what an acknowledgement ends and returns what may go for it.
func (w *window) acked(f frame.Frame) []byte {
	switch {
	case f.Type == frame.Puback, f.Type == frame.Pubcomp, f.Type == frame.Pubrec && f.Reason >= 0x80:
		delete(w.sent, f.ID)
	default:
		return nil
	}
	n := 0
	for pk := range packetsOf(w.held) {
		if !w.admit(pk) {
			break
		}
		n += len(pk)
	}
	now := w.held[:n:n]
	if w.held = w.held[n:]; len(w.held) == 0 {
		w.held = nil
	}
	return now
}

// acknowledged tells the window of an acknowledgement that goes to the library.
func (c *Conn) acknowledged(f frame.Frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.window == nil || c.ended.Load() {
		return
	}
	if now := c.window.acked(f); len(now) > 0 {
		_ = c.put(now) // the reader sees the end
	}
}
