package relay

import (
	"context"
	"sync"
	"time"

	"github.com/pactwire/pactwire"
)

// asks are the questions to other nodes that wait for an answer.
type asks struct {
	mu      sync.Mutex
	last    uint64
	waiting map[uint64]chan bool
}

func (a *asks) begin() (uint64, chan bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last++
	c := make(chan bool, 1)
	a.waiting[a.last] = c
	return a.last, c
}

func (a *asks) end(n uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.waiting, n)
}

func (a *asks) answer(n uint64, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if c := a.waiting[n]; c != nil {
		c <- ok
		delete(a.waiting, n) // one answer alone has room
	}
}

// Yield asks the node at an address to end its connection of a session and to save it. True means that nothing more is to be
// expected of that node: it has, or it is gone.
func (r *Relay) Yield(ctx context.Context, node string, key pactwire.SessionKey) bool {
	ctx, cancel := context.WithTimeout(ctx, yieldTime)
	defer cancel()
	id := pactwire.NodeOf(node)
	if id == pactwire.NodeOf(r.cfg.Addr) {
		return true // an earlier start of this node: there is one process of a name
	}
	if r.bus != nil && !r.cut() && !r.dead(node) && r.ask(ctx, node, key) {
		return true
	}
	if r.shared == nil {
		return false
	}
	look, done := context.WithTimeout(context.WithoutCancel(ctx), yieldTime)
	defer done()
	alive, err := r.shared.NodeAlive(look, id)
	return err == nil && !alive
}

func (r *Relay) ask(ctx context.Context, node string, key pactwire.SessionKey) bool {
	n, answer := r.asks.begin()
	defer r.asks.end(n)
	start := time.Now()
	defer func() { r.metrics.yields.Observe(time.Since(start).Seconds()) }()
	r.enqueue(item{kind: kindYield, to: node, user: key.User, text: key.ClientID, number: n})
	select {
	case ok := <-answer:
		return ok
	case <-ctx.Done():
		return false
	}
}
