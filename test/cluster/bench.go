package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/bench"
	"github.com/pactwire/pactwire/internal/testkit"
)

// load is what a cluster is measured with.
type load struct {
	pacts int
	rate  float64
	time  time.Duration
}

// settling is how long a cluster is left alone before it is measured.
const settling = 3 * time.Second

// compare puts the same load on one node, two, and so on, each time on fresh data, and prints what an event costs.
func compare(ctx context.Context, t testing.TB, o testkit.ClusterOptions, l load) {
	t.Logf("%d pacts of two, %.0f check-ins a second for %v; CPU ms, operations and bytes are for one check-in", l.pacts, l.rate, l.time)
	t.Logf("%5s %8s %9s %9s %6s %8s %8s %8s %8s %9s %9s %9s %7s", "nodes", "acked/s", "p50 ms", "p99 ms", "lost", "nodes", "postgres", "redis", "all",
		"redis op", "commits", "WAL bytes", "fsyncs")
	most := o.Nodes
	for o.Nodes = 1; o.Nodes <= most && ctx.Err() == nil; o.Nodes++ {
		// What one size leaves behind does not weigh on the next.
		ok := testkit.Program(ctx, logger{t}, func(ctx context.Context, t testing.TB) { one(ctx, t, o, l) })
		if !ok {
			t.FailNow()
		}
	}
}

type logger struct{ testing.TB }

func (l logger) Write(b []byte) (int, error) {
	l.Log(strings.TrimSuffix(string(b), "\n"))
	return len(b), nil
}

func one(ctx context.Context, t testing.TB, o testkit.ClusterOptions, l load) {
	c := testkit.StartCluster(t, o)
	prepare := bench.Prepare{
		Server: "http://" + c.Nodes[0].HTTP, Pacts: l.pacts, Members: 2,
		Sign: func(u pactwire.UserID, _ string) (string, error) { return testkit.TokenFor(u, life), nil },
	}
	members, err := prepare.Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var fronts []string
	for _, n := range c.Nodes {
		fronts = append(fronts, n.Front)
	}
	var before, after used
	run := func(rate float64, d time.Duration, load func(bool)) bench.PairsReport {
		r, err := (&bench.Pairs{Target: bench.Target{Addr: strings.Join(fronts, ",")}, Members: members, Rate: rate, Duration: d, Load: load}).Run(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	run(l.rate/2, l.time/5, nil) // caches and plans are warm, as they are on all but the first day
	r := run(l.rate, l.time, func(begins bool) {
		if begins {
			<-time.After(settling) // what it took to connect everybody is done
			before = measure(t, c)
		} else {
			after = measure(t, c)
		}
	})
	per := func(f func(used) float64) float64 { return (f(after) - f(before)) / float64(r.Acked) }
	own, pg, redis := per(func(u used) float64 { return u.nodes })*1000, per(func(u used) float64 { return u.postgres })*1000, per(func(u used) float64 { return u.redis })*1000
	ceiling := ""
	if r.Ceiling {
		ceiling = fmt.Sprintf("  the generator was late: p99 %.1f ms", r.Late.P99)
	}
	t.Logf("%5d %8.0f %9.2f %9.2f %6d %8.3f %8.3f %8.3f %8.3f %9.2f %9.2f %9.0f %7.2f%s", o.Nodes, r.Rate, r.Delivery.P50, r.Delivery.P99, r.Lost+r.OrderError,
		own, pg, redis, own+pg+redis, per(func(u used) float64 { return u.commands }), per(func(u used) float64 { return u.commits }),
		per(func(u used) float64 { return u.walBytes }), per(func(u used) float64 { return u.syncs }), ceiling)
}
