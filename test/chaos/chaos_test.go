package chaos_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/pactwire/pactwire/internal/testkit"
)

var (
	seeds = flag.Int("seeds", 1, "runs, each with a seed of its own")
	first = flag.Uint64("seed", 1, "the first seed")
	count = flag.Int("faults", 4, "what breaks in a run")
	hold  = flag.Duration("hold", 3*time.Second, "the longest that it stays broken")
	rate  = flag.Float64("rate", 30, "commands a second")
	size  = flag.Int("people", 8, "in a ring of as many pacts")
)

const (
	pause = time.Second // between faults
	grace = time.Second
	lease = 3 * time.Second
)

// TestPromises1To6OnOneNode: whatever breaks of a single node and its habits-service, every acked command is done once,
// everybody gets everything once and in order, nobody else anything, and presence is true in the end.
func TestPromises1To6OnOneNode(t *testing.T) {
	rounds(t, func(uint64) testkit.ClusterOptions {
		return testkit.ClusterOptions{Nodes: 1, SQLite: true, Habits: true}
	})
}

// rounds has one round for each seed.
func rounds(t *testing.T, options func(seed uint64) testkit.ClusterOptions) {
	for seed := *first; seed < *first+uint64(*seeds); seed++ {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { round(t, seed, options(seed)) })
	}
}

// round lets things break in the middle of a town's life, has them mended, and checks all that everybody saw.
func round(t *testing.T, seed uint64, o testkit.ClusterOptions) {
	random := func(stream uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, stream)) }
	o.Settings = settings()
	c := testkit.StartCluster(t, o)
	w := settle(t, c, *size)

	ctx, stop := context.WithCancel(t.Context())
	var acting sync.WaitGroup
	acting.Go(func() { w.live(ctx, random(1), *rate) })
	acting.Go(func() { w.comeAndGo(ctx, random(2)) })
	f := &faults{t: t, cluster: c, random: random(3), hold: *hold, started: time.Now()}
	f.run(t.Context(), *count/2, pause)
	moving, stopMoving := context.WithTimeout(t.Context(), limit)
	defer stopMoving()
	acting.Go(func() { w.move(moving) })
	f.run(t.Context(), *count-*count/2, pause)
	stop()
	acting.Wait()
	c.Heal()

	for _, n := range c.Nodes {
		n.WaitReady()
	}
	w.start(w.ctx, w.away...)
	w.quiet()
	t.Logf("seed %d: %v", seed, w.check())
	w.checkPresence(45 * time.Second)
}

func settings() map[string]string {
	return map[string]string{"presence.grace": grace.String(), "presence.lease": lease.String()}
}
