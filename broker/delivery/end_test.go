package delivery_test

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// wireEnd is the far end of a connection: it decodes what was sent, and acknowledges when told.
type wireEnd struct {
	t       testing.TB
	version byte

	mu      sync.Mutex
	got     []packets.Packet
	stuck   bool // the kernel takes nothing
	pending int
	reason  byte
	closed  bool
	drained func()
	last    func() // what is still on its way of what the client has said
}

func (e *wireEnd) Send(p []byte) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return fmt.Errorf("closed")
	}
	if e.stuck {
		e.pending += len(p)
	}
	for r := bytes.NewReader(p); r.Len() > 0; {
		first, _ := r.ReadByte()
		var fh packets.FixedHeader
		if err := fh.Decode(first); err != nil {
			panic(err)
		}
		n, _, err := packets.DecodeLength(r)
		if err != nil {
			panic(err)
		}
		body := make([]byte, n)
		_, _ = r.Read(body)
		fh.Remaining = n
		pk := packets.Packet{FixedHeader: fh, ProtocolVersion: e.version}
		if fh.Type == packets.Publish {
			if err := pk.PublishDecode(body); err != nil {
				panic(err)
			}
		}
		e.got = append(e.got, pk)
	}
	return nil
}

func (e *wireEnd) Pending() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.pending
}

func (e *wireEnd) Disconnect(reason byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.closed {
		e.closed, e.reason = true, reason
	}
}

// aborted is what wireEnd notes as the reason of Abort.
const aborted = 0xff

func (e *wireEnd) HearOut(time.Duration) {
	if e.last != nil {
		e.last()
	}
}

func (e *wireEnd) Abort() { e.Disconnect(aborted) }

func (e *wireEnd) OnDrained(f func()) { e.drained = f }

func (e *wireEnd) isClosed() (bool, byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.closed, e.reason
}

// take returns the messages that came since the last take.
// count is how many packets of a type came since the last take.
func (e *wireEnd) count(kind byte) (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, pk := range e.got {
		if pk.FixedHeader.Type == kind {
			n++
		}
	}
	return n
}

func (e *wireEnd) take() []packets.Packet {
	e.mu.Lock()
	defer e.mu.Unlock()
	got := e.got
	e.got = nil
	return slices.DeleteFunc(got, func(p packets.Packet) bool { return p.FixedHeader.Type != packets.Publish })
}

// unstick lets the kernel take what waits, if it did not.
func (e *wireEnd) unstick() {
	e.mu.Lock()
	drained := e.drained
	if !e.stuck {
		drained = func() {}
	}
	e.stuck, e.pending = false, 0
	e.mu.Unlock()
	drained()
}

type packet = packets.Packet

// discard takes everything.
type discard struct{}

func (discard) Send([]byte) error     { return nil }
func (discard) Pending() int          { return 0 }
func (discard) Disconnect(byte)       {}
func (discard) Abort()                {}
func (discard) HearOut(time.Duration) {}
func (discard) OnDrained(func())      {}

// untouched is the transport of someone who has nothing to do with it.
type untouched struct{ t *testing.T }

func (u untouched) Send(p []byte) error   { u.t.Errorf("sent %q", p); return nil }
func (u untouched) Pending() int          { return 0 }
func (u untouched) Disconnect(byte)       {}
func (u untouched) Abort()                {}
func (u untouched) HearOut(time.Duration) {}
func (u untouched) OnDrained(func())      {}
