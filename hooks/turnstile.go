package hooks

import (
	"context"
	"sync"

	"github.com/mochi-mqtt/server/v2/packets"
)

// turnstile lets connections with one client id in one at a time. Whoever comes pushes the one before out and waits
// until it has gone.
type turnstile struct {
	mu   sync.Mutex
	gate map[string]*passage
}

type passage struct {
	holder Conn          // who is inside, or on the way in
	gone   chan struct{} // closed when holder has left
}

func newTurnstile() *turnstile { return &turnstile{gate: make(map[string]*passage)} }

// enter makes c the holder of id, once the holder before has left or ctx ends.
func (t *turnstile) enter(ctx context.Context, id string, c Conn) error {
	for {
		t.mu.Lock()
		before := t.gate[id]
		if before == nil {
			t.gate[id] = &passage{holder: c, gone: make(chan struct{})}
			t.mu.Unlock()
			return nil
		}
		t.mu.Unlock()
		before.holder.Disconnect(packets.ErrSessionTakenOver.Code)
		select {
		case <-before.gone:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// leave says that c has gone; it is no error when c was not the holder.
func (t *turnstile) leave(id string, c Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.gate[id]; p != nil && p.holder == c {
		delete(t.gate, id)
		close(p.gone)
	}
}
