package bridge

import (
	"context"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pactwire/pactwire"
)

// NobodysPact is asked for to see whether a remote service is there.
const NobodysPact = nobodysPact

// Idle counts the users who are known and not held, and NoticesHeld the pacts whose last reading is remembered.
func (m *Membership) Idle() (n int) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, h := range m.users {
		if h.refs == 0 {
			n++
		}
	}
	return n
}

// The bounds of the two.
const (
	IdleUsers   = idleUsers
	NoticesHeld = noticesHeld
)

// Notices notes readings of as many pacts, and returns how many are remembered, and whether the last one is, and one that was
// asked for all the time.
func Notices(count int) (held int, last, asked bool) {
	var n notices
	for i := range count {
		n.put(pactwire.PactID(strconv.Itoa(i)), notice{since: reading{at: time.Now()}})
		n.known("0")
	}
	_, last = n.known(pactwire.PactID(strconv.Itoa(count - 1)))
	_, asked = n.known("0")
	return len(n.last) + len(n.older), last, asked
}

// Duplicates counts the commands that had been done before.
func (b *Bridge) Duplicates() prometheus.Counter { return b.metrics.duplicates }

// Reading begins a reading of a remote service; what it returns records what was read.
func (b *Bridge) Reading() func(ctx context.Context, p pactwire.Pact) error {
	read := b.members.begin()
	return func(ctx context.Context, p pactwire.Pact) error { return b.sawAll(ctx, []pactwire.Pact{p}, read) }
}
