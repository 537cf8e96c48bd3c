package broker

import (
	"context"
	"sync"
)

// ledger knows every open socket and counts the goroutines that serve them, so that the server can end all and tell when
// they are gone: those too that have not said CONNECT, which the library knows nothing of.
type ledger struct {
	mu      sync.Mutex
	socks   map[*sock]struct{}
	running int
	closed  bool
	empty   chan struct{} // closed when the ledger is, and nothing is left
}

func newLedger() *ledger {
	return &ledger{socks: map[*sock]struct{}{}, empty: make(chan struct{})}
}

// add enters a socket, unless the ledger is closed.
func (l *ledger) add(s *sock) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.socks[s] = struct{}{}
	s.accepted.openNow.Inc()
	return true
}

func (l *ledger) remove(s *sock) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.socks[s]; ok {
		delete(l.socks, s)
		s.accepted.openNow.Dec()
		l.check()
	}
}

// run starts f on a goroutine of its own and counts it until it ends.
func (l *ledger) run(f func()) {
	l.mu.Lock()
	l.running++
	l.mu.Unlock()
	go func() {
		defer func() {
			l.mu.Lock()
			l.running--
			l.check()
			l.mu.Unlock()
		}()
		f()
	}()
}

func (l *ledger) check() {
	if !l.closed || l.running > 0 || len(l.socks) > 0 {
		return
	}
	select {
	case <-l.empty:
	default:
		close(l.empty)
	}
}

// close admits no more sockets.
func (l *ledger) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.check()
}

// all is a snapshot of the open sockets.
func (l *ledger) all() []*sock {
	l.mu.Lock()
	defer l.mu.Unlock()
	socks := make([]*sock, 0, len(l.socks))
	for s := range l.socks {
		socks = append(socks, s)
	}
	return socks
}

// wait returns when a closed ledger is empty, or ctx's error.
func (l *ledger) wait(ctx context.Context) error {
	select {
	case <-l.empty:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
