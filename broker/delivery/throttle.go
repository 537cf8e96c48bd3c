package delivery

import (
	"context"
	"sync"
	"time"

	"github.com/pactwire/pactwire"
)

// throttle lets each pact through at most once a period; what comes in between is let through at its end, once. Its size
// is bounded by the pacts that changed within the last period and have subscribers.
type throttle struct {
	every  time.Duration
	signal chan struct{} // of size 1

	mu    sync.Mutex
	pacts map[pactwire.PactID]*turn
	ready []pactwire.PactID // to be let through now
	later []*turn           // let through within the last period, oldest first
}

// turn is a pact that was let through a moment ago.
type turn struct {
	pact pactwire.PactID
	next time.Time // when it may be let through again; zero while it stands in ready
	due  bool      // it changed again
}

func newThrottle(every time.Duration) *throttle {
	return &throttle{every: every, signal: make(chan struct{}, 1), pacts: make(map[pactwire.PactID]*turn)}
}

// due reports whether a pact is to be let through anyway.
func (t *throttle) due(p pactwire.PactID) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	x := t.pacts[p]
	return x != nil && x.due
}

// mark has a pact let through.
func (t *throttle) mark(p pactwire.PactID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if x := t.pacts[p]; x != nil {
		x.due = true
		return
	}
	t.pacts[p] = &turn{pact: p, due: true}
	t.ready = append(t.ready, p)
	select {
	case t.signal <- struct{}{}:
	default:
	}
}

// wait returns the pacts whose time has come; nil when ctx ends.
func (t *throttle) wait(ctx context.Context) []pactwire.PactID {
	for {
		due, next := t.take(time.Now())
		if len(due) > 0 {
			return due
		}
		var timer <-chan time.Time
		if next > 0 {
			timer = time.After(next)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.signal:
		case <-timer:
		}
	}
}

// take returns what is due now, and how long to wait for the next: several are taken together, so that many pacts cost few
// wake-ups.
func (t *throttle) take(now time.Time) (due []pactwire.PactID, next time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	let := func(x *turn) {
		due = append(due, x.pact)
		x.due, x.next = false, now.Add(t.every)
		t.later = append(t.later, x)
	}
	n := 0
	for n < len(t.later) && !t.later[n].next.After(now) {
		n++
	}
	over := t.later[:n:n]
	t.later = t.later[n:]
	for _, x := range over {
		if x.due {
			let(x)
		} else {
			delete(t.pacts, x.pact)
		}
	}
	for _, p := range t.ready {
		let(t.pacts[p])
	}
	t.ready = nil
	if len(t.later) == 0 {
		t.later = nil
		return due, 0
	}
	return due, max(t.later[0].next.Sub(now), t.every/10)
}
