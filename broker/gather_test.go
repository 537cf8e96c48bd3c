package broker

import (
	"math"
	"testing"
)

// TestWhatGathersTakesNoMoreThanStandsThere, also while there is always something: what was taken is let go.
func TestWhatGathersTakesNoMoreThanStandsThere(t *testing.T) {
	g := gather{hands: math.MaxInt} // so that nobody else takes
	socks := []*sock{{}, {}, {}}
	for _, s := range socks {
		g.add(s)
	}
	for i := range 10_000 {
		s := g.take()
		if s != socks[i%len(socks)] {
			t.Fatalf("turn %d is another's", i)
		}
		g.add(s)
	}
	if n := cap(g.socks); n > 16 {
		t.Errorf("room for %d is held for %d", n, len(socks))
	}
}
