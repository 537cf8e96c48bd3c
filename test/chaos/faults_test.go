package chaos_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pactwire/pactwire/internal/testkit"
)

// fault is something that breaks and is mended.
type fault struct {
	name        string
	begin, mend func()
	hold        time.Duration // how long it lasts, at least
	rank        int           // what is mended first when two are broken: lower
}

const (
	rankServers = iota // PostgreSQL and Redis
	rankLinks
	rankNodes
)

// faults draws the schedule of one run: a list of what breaks, one after another, and sometimes two at once.
type faults struct {
	t       *testing.T
	cluster *testkit.Cluster
	random  *rand.Rand
	hold    time.Duration // the longest
	started time.Time
}

// next draws a fault that this cluster can have.
func (f *faults) next() fault {
	c := f.cluster
	n := c.Nodes[f.random.IntN(len(c.Nodes))]
	name := n.Setting("node.id")
	kinds := []func() fault{
		func() fault { return fault{"kill -9 of " + name, n.Kill, n.Restart, 0, rankNodes} },
		func() fault { return fault{"freeze " + name, n.Freeze, n.Thaw, 0, rankNodes} },
		func() fault { return fault{"restart " + name, n.Stop, n.Restart, 0, rankNodes} },
		f.link("clients", name, n.Clients),
	}
	if testkit.CanSetClock {
		kinds = append(kinds, f.clock(n, name))
	}
	if c.Postgres != nil {
		kinds = append(kinds, f.link("PostgreSQL", name, n.ToPostgres), func() fault {
			return fault{"PostgreSQL stopped at once", c.Postgres.Kill, c.Postgres.Start, 0, rankServers}
		})
	}
	if c.Redis != nil {
		kinds = append(kinds, f.link("Redis", name, n.ToRedis),
			func() fault { return fault{"Redis killed", c.Redis.Kill, c.Redis.Start, 0, rankServers} },
			func() fault { return fault{"Redis flushed", c.Redis.FlushAll, func() {}, 0, rankServers} },
			func() fault {
				return fault{"Redis flushed and killed", func() { c.Redis.FlushAll(); c.Redis.Kill() }, c.Redis.Start, 0, rankServers}
			})
	}
	if c.Habits != nil {
		kinds = append(kinds, f.link("habits-service", name, n.ToHabits), func() fault {
			return fault{"kill -9 of the habits-service", c.Habits.Kill, c.Habits.Restart, 0, rankServers}
		})
	}
	chosen := kinds[f.random.IntN(len(kinds))]()
	chosen.hold = f.hold/4 + time.Duration(f.random.Int64N(int64(f.hold*3/4)))
	return chosen
}

// link is one of the things that happen to a network between two parts.
func (f *faults) link(what, node string, p *testkit.Proxy) func() fault {
	return func() fault {
		between := " between " + node + " and " + what
		switch f.random.IntN(4) {
		case 0:
			return fault{"no network" + between, p.Down, p.Up, 0, rankLinks}
		case 1:
			return fault{"a silent network" + between, p.Pause, p.Resume, 0, rankLinks}
		case 2:
			return fault{"a slow network" + between, func() { p.Slow(50 * time.Millisecond) }, func() { p.Slow(0) }, 0, rankLinks}
		default:
			return fault{"a cut" + between, p.Cut, func() {}, 0, rankLinks}
		}
	}
}

func (f *faults) clock(n *testkit.Node, name string) func() fault {
	return func() fault {
		d := time.Duration(f.random.Int64N(int64(2*time.Minute))) - time.Minute
		return fault{fmt.Sprintf("the clock of %s off by %v", name, d.Round(time.Second)),
			func() { n.SetClock(d) }, func() { n.SetClock(0) }, 0, rankNodes}
	}
}

// run breaks and mends n times, with a pause between.
func (f *faults) run(ctx context.Context, n int, pause time.Duration) {
	for range n {
		broken := []fault{f.next()}
		if f.random.IntN(4) == 0 {
			if second := f.next(); second.rank != broken[0].rank {
				broken = append(broken, second)
			}
		}
		hold := time.Duration(0)
		for _, b := range broken {
			f.t.Logf("%5.1f s  %s, for %.1f s", time.Since(f.started).Seconds(), b.name, b.hold.Seconds())
			b.begin()
			hold = max(hold, b.hold)
		}
		after(ctx, hold)
		for rank := range rankNodes + 1 {
			for _, b := range broken {
				if b.rank == rank {
					b.mend()
				}
			}
		}
		if !after(ctx, pause) {
			return
		}
	}
}
