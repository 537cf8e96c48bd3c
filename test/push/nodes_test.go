package push_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/testkit"
)

// barrier holds requests until it is opened, or whoever made them is gone.
type barrier struct {
	mu   sync.Mutex
	open chan struct{}  // nil while it is open
	held map[string]int // by path
}

func (b *barrier) hold(ctx context.Context, path string) {
	open := b.enter(path)
	if open == nil {
		return
	}
	select {
	case <-open:
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held[path]--
}

func (b *barrier) enter(path string) chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open != nil {
		b.held[path]++
	}
	return b.open
}

func (b *barrier) shut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open = make(chan struct{})
}

// lift opens it for those who wait and for all who come.
func (b *barrier) lift() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open != nil {
		close(b.open)
		b.open = nil
	}
}

func (b *barrier) holds(path string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.held[path] > 0
}

// TestTwoNodesPushOnce: what is recorded is sent by whichever node is free, once; also when the node that was about to send some
// of it is killed.
func TestTwoNodesPushOnce(t *testing.T) {
	t.Parallel()
	gate := &barrier{held: map[string]int{}}
	r := receive(t)
	r.hold = gate.hold
	t.Cleanup(gate.lift)
	c := testkit.StartCluster(t, testkit.ClusterOptions{Nodes: 2, Settings: r.settings(0)})
	a, b := c.Nodes[0], c.Nodes[1]
	for i, path := range []string{"/a", "/b"} { // so that the receiver can tell them apart
		c.Nodes[i].Kill()
		c.Nodes[i].Set("push.webhook.url", r.url+path)
		c.Nodes[i].Restart()
	}
	invited := map[pactwire.UserID]bool{}
	invite := func(round string) {
		for i := range 8 {
			n := c.Nodes[i%2]
			in := pactwire.PactInput{HabitGoalID: n.NewGoal("alice")}
			for j := range 4 {
				u := pactwire.UserID(fmt.Sprintf("%s-%d-%d", round, i, j))
				in.PartnerUserIDs = append(in.PartnerUserIDs, u)
				invited[u] = true
			}
			n.Must("alice", http.MethodPost, "/v1/pacts", in, nil)
		}
	}
	pushed := func() bool {
		taken := map[pactwire.UserID]bool{}
		for _, x := range r.attempts(t) {
			if x.taken {
				taken[x.user] = true
			}
		}
		return maps.Equal(taken, invited)
	}

	gate.shut()
	invite("together")
	testkit.Eventually(t, limit, "both nodes are at it", func() bool { return gate.holds("/a") && gate.holds("/b") })
	gate.lift()
	testkit.Eventually(t, limit, "all are pushed", pushed)
	gate.shut()
	invite("killed")
	testkit.Eventually(t, limit, "both nodes are at it", func() bool { return gate.holds("/a") && gate.holds("/b") })
	a.Kill()
	start := time.Now()
	testkit.Eventually(t, limit, "what it was sending is lost", func() bool { return !gate.holds("/a") })
	gate.lift()
	testkit.Eventually(t, limit, "all are pushed", pushed)
	t.Logf("the other node had sent all after %v", time.Since(start))

	// Whatever is sent again comes with the next look, so once something newer was sent nothing is left.
	in := pactwire.PactInput{HabitGoalID: b.NewGoal("alice"), PartnerUserIDs: []pactwire.UserID{"last"}}
	b.Must("alice", http.MethodPost, "/v1/pacts", in, nil)
	invited["last"] = true
	testkit.Eventually(t, limit, "the last is pushed", pushed)
	ids, times := map[pactwire.UserID]map[string]bool{}, map[pactwire.UserID]int{}
	for _, x := range r.attempts(t) {
		if ids[x.user] == nil {
			ids[x.user] = map[string]bool{}
		}
		ids[x.user][x.id] = true
		if x.taken {
			times[x.user]++
		}
	}
	for u := range invited {
		if times[u] != 1 || len(ids[u]) != 1 {
			t.Errorf("%s: taken %d times, under the ids %v", u, times[u], ids[u])
		}
	}
}
