package broker

import (
	"runtime"
	"sync"
)

// gather is where connections stand with bytes that are to be written a moment after they came. Each stands there once, so
// their number bounds it. As many goroutines as there are processors take them in turn, and end when none is left.
type gather struct {
	mu    sync.Mutex
	socks []*sock
	next  int
	hands int
}

func (g *gather) add(s *sock) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.socks = append(g.socks, s)
	if g.hands < runtime.GOMAXPROCS(0) {
		g.hands++
		go g.run()
	}
}

func (g *gather) run() {
	for s := g.take(); s != nil; s = g.take() {
		s.writeGathered()
	}
}

// take returns the one that has stood there longest; nil, when there is none, ends the goroutine that asks.
func (g *gather) take() *sock {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.socks) == 0 { // what was taken never fills more than half
		g.hands--
		return nil
	}
	s := g.socks[g.next]
	g.socks[g.next] = nil
	if g.next++; g.next > len(g.socks)/2 {
		g.socks = g.socks[:copy(g.socks, g.socks[g.next:])]
		g.next = 0
	}
	return s
}
