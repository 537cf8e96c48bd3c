package broker

import (
	"bytes"
	"encoding/binary"
	"net"
	"time"

	"github.com/pactwire/pactwire/broker/frame"
)

// maxHeld bounds what may wait for the library's CONNACK.
const maxHeld = 64 << 10

// Write takes whole packets from the library. It mends what the library gets wrong on the wire: a PUBLISH does not go
// before CONNACK, an MQTT 5 code not into an older CONNACK, and DISCONNECT not to who knows no such packet from a server.
// When the outbound limit is near, QoS 0 messages are dropped, so that only who would lose more is disconnected.
func (c *Conn) Write(p []byte) (int, error) { return c.write(p, true) }

// WriteSurely is Write for a packet to which later ones refer, since it tells a topic alias: it is not dropped.
func (c *Conn) WriteSurely(p []byte) (int, error) { return c.write(p, false) }

func (c *Conn) write(p []byte, mayDrop bool) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended.Load() {
		return 0, net.ErrClosed
	}
	q := p
	if !c.greeted {
		if q = c.greet(q); q == nil {
			if len(c.held) > maxHeld {
				c.cause = errOverflow
				c.shut()
				return 0, errOverflow
			}
			return len(p), nil
		}
	}
	if c.version.Load() < 5 && bytes.HasSuffix(q, []byte{frame.Disconnect << 4, 0}) {
		q = without(q, func(pk []byte) bool { return pk[0]>>4 == frame.Disconnect })
	}
	if c.window != nil {
		q = c.window.pass(q)
		if len(c.window.held) > c.srv.cfg.Limits.OutboundBytes {
			c.cause = errOverflow
			c.srv.metrics.overflows.Inc()
			c.shut()
			return 0, errOverflow
		}
	}
	if mayDrop && c.Pending()+len(q) > c.srv.cfg.Limits.OutboundBytes {
		q = without(q, func(pk []byte) bool {
			drop := pk[0]&0xF6 == frame.Publish<<4
			if drop {
				c.srv.metrics.dropped.Inc()
			}
			return drop
		})
	}
	if len(q) > 0 {
		if err := c.put(q); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// WriteLater is Write for a message that goes to very many: the bytes go a moment later, with what comes for the connection
// until then. Each system call costs more than all else that is done for one of the many.
func (c *Conn) WriteLater(p []byte) (int, error) {
	c.sock.later.Add(1)
	defer c.sock.later.Add(-1)
	return c.Write(p)
}

// greet holds packets back until there is a CONNACK among them and returns them with that in front; nil before.
func (c *Conn) greet(p []byte) []byte {
	var connack []byte
	for pk := range packetsOf(p) {
		switch pk[0] >> 4 {
		case frame.Connack:
			connack = pk
		case frame.Disconnect: // nothing may end what has not begun
		default:
			c.held = append(c.held, pk...)
		}
	}
	if connack == nil {
		return nil
	}
	c.greeted = true
	out := append(bytes.Clone(connack), c.held...)
	c.held = nil
	if c.version.Load() < 5 && len(connack) == 4 && connack[3] > 5 {
		out[3] = returnCode(connack[3])
	}
	return out
}

// Send writes whole packets; see delivery's Transport.
func (c *Conn) Send(p []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended.Load() {
		return net.ErrClosed
	}
	return c.put(p)
}

// put writes under c.mu.
func (c *Conn) put(p []byte) error {
	if _, err := c.stream.Write(p); err != nil {
		if c.cause == nil {
			c.cause = err
		}
		c.ended.Store(true)
		_ = c.sock.Close()
		return err
	}
	c.srv.metrics.bytesOut.Add(int64(len(p)))
	return nil
}

// Pending is how many bytes wait for the kernel.
func (c *Conn) Pending() int { return int(c.sock.pending.Load()) }

// OnDrained names what to call, on a goroutine of the connection's own, each time nothing waits for the kernel any more.
func (c *Conn) OnDrained(f func()) { c.sock.onDrained(f) }

// HearOut returns when all that the client has said by now has been dealt with, also a DISCONNECT, or after a time. It is for who ends
// the connection next, and is not called on its reading goroutine.
func (c *Conn) HearOut(within time.Duration) {
	over := make(chan struct{})
	c.OnGone(func() { close(over) })
	late := time.NewTimer(within)
	defer late.Stop()
	select {
	case <-c.sock.hearOut():
	case <-over:
	case <-late.C:
	}
}

// Disconnect sends DISCONNECT with the reason, to who speaks MQTT 5 and has had its CONNACK, and closes.
func (c *Conn) Disconnect(reason byte) { c.end(reason, nil) }

func (c *Conn) end(reason byte, cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended.Load() {
		return
	}
	if cause != nil {
		c.cause = cause
	}
	if c.greeted && c.version.Load() == 5 {
		_ = c.put([]byte{frame.Disconnect << 4, 2, reason, 0})
	}
	c.shut()
}

// Close ends the connection. What already waits for the kernel is still sent, within a short time.
func (c *Conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shut()
	return nil
}

// Abort ends the connection at once. What waits for the kernel is not sent.
func (c *Conn) Abort() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended.Store(true)
	c.held = nil
	_ = c.sock.Close() // it is over either way
}

func (c *Conn) shut() {
	if c.ended.Swap(true) {
		return
	}
	c.held = nil
	if s, ok := c.stream.(interface{ goodbye() }); ok {
		s.goodbye()
	}
	c.sock.CloseSoon()
}

// packetsOf yields each of the whole packets in p. What does not look like one is yielded as it is, to the end.
func packetsOf(p []byte) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for len(p) > 0 {
			n := len(p)
			if v, k := binary.Uvarint(p[1:]); k > 0 && v < uint64(len(p)) { // the same encoding of lengths
				n = min(1+k+int(v), len(p))
			}
			if !yield(p[:n:n]) {
				return
			}
			p = p[n:]
		}
	}
}

// without copies p, leaving out packets.
func without(p []byte, drop func([]byte) bool) []byte {
	kept := make([]byte, 0, len(p))
	for pk := range packetsOf(p) {
		if !drop(pk) {
			kept = append(kept, pk...)
		}
	}
	return kept
}

// connackOf is the CONNACK that refuses a CONNECT, or nil where a bare close is all that the client can be told.
func connackOf(v *frame.Violation) []byte {
	switch {
	case v.Version == 5:
		return []byte{frame.Connack << 4, 3, 0, v.Reason, 0}
	case v.Version == 0:
		return nil
	case v.Reason == frame.UnsupportedVersion && v.Version > 5:
		return []byte{frame.Connack << 4, 3, 0, v.Reason, 0}
	case v.Reason == frame.UnsupportedVersion || v.Reason == frame.ClientIDInvalid:
		return []byte{frame.Connack << 4, 2, 0, returnCode(v.Reason)}
	}
	return nil
}

// returnCode is the CONNACK return code of MQTT 3.1.1 that comes nearest to a reason code.
func returnCode(reason byte) byte {
	switch reason {
	case 0x84:
		return 1
	case 0x85:
		return 2
	case 0x80, 0x83, 0x88, 0x89, 0x97, 0x9C, 0x9D, 0x9F: // of the server or the moment, not of the client
		return 3
	}
	return 5
}
