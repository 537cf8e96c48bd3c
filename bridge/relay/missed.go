package relay

import (
	"sync"
	"time"
)

// missed says when presence is to be told again because changes of it may not have come here. Events are looked for in the
// log; presence is in none, but what has become of it is known as soon as each node has said its part.
type missed struct {
	mu sync.Mutex
	at time.Time // zero: nothing was missed
}

// all is called when Redis may have forgotten all, and it is being said again from now on.
func (m *missed) all(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.at = now.Add(repeatTime)
}

// some is called when words of another node are missing. They are known already, so what is about to be told will have them,
// and what goes missing again and again does not put it off.
func (m *missed) some(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.at.IsZero() {
		m.at = now.Add(repeatTime)
	}
}

// due reports, once, that it is time.
func (m *missed) due(now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.at.IsZero() || now.Before(m.at) {
		return false
	}
	m.at = time.Time{}
	return true
}

// warn sends each node a message without items when this node has learnt of it, and when something was left out since its last one: the header
// says so. The first makes a node that has started known at once: until others know of it they tell it nothing that is in no log.
func (r *Relay) warn() {
	lost := r.lost.Load()
	nodes := *r.nodes.Load()
	for addr, n := range nodes {
		if before, met := r.warned[addr]; addr != r.cfg.Addr && !n.Lapsed && (!met || before != lost) {
			r.warned[addr] = lost
			r.enqueue(item{to: addr})
		}
	}
	for addr := range r.warned {
		if _, ok := nodes[addr]; !ok {
			delete(r.warned, addr)
		}
	}
}
