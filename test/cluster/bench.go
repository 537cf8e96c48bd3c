package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/bench"
	"github.com/pactwire/pactwire/internal/testkit"
)

// load is what a cluster is measured with.
type load struct {
	pacts  int
	rate   float64
	time   time.Duration
	rounds int
}

// settling is how long a cluster is left alone before it is measured.
const settling = 3 * time.Second

// row is what was measured of one size, by column.
type row [columns]float64

const (
	nodes   = iota
	rate    // acked a second
	p50     // ms from when it was due to the partner
	p99     // the same
	lost    // or out of order
	ownCPU  // of all nodes; CPU is in ms, and it and all below are for one check-in
	pgCPU   // of PostgreSQL
	busCPU  // of Redis
	allCPU  // of all three
	busOps  // of Redis
	commits // of PostgreSQL
	walSize // bytes
	syncs
	columns
)

func (r row) String() string {
	return fmt.Sprintf("%5.0f %8.0f %9.2f %9.2f %6.0f %8.3f %8.3f %8.3f %8.3f %9.2f %9.2f %9.0f %7.2f", r[nodes], r[rate], r[p50], r[p99],
		r[lost], r[ownCPU], r[pgCPU], r[busCPU], r[allCPU], r[busOps], r[commits], r[walSize], r[syncs])
}

// compare puts the same load on one node, two, and so on, each time on fresh data, and prints what an event costs. The sizes take
// turns, since the speed of a machine changes from one minute to the next.
func compare(ctx context.Context, t testing.TB, o testkit.ClusterOptions, l load) {
	t.Logf("%d pacts of two, %.0f check-ins a second for %v; CPU ms, operations and bytes are for one check-in", l.pacts, l.rate, l.time)
	t.Logf("%5s %8s %9s %9s %6s %8s %8s %8s %8s %9s %9s %9s %7s", "nodes", "acked/s", "p50 ms", "p99 ms", "lost", "nodes", "postgres", "redis", "all",
		"redis op", "commits", "WAL bytes", "fsyncs")
	// People are limited as they are by default. All come from one address, so connects are not.
	o.Settings = map[string]string{"limits.commands_per_second": "10"}
	most := o.Nodes
	rows := make([][]row, most+1)
	for range l.rounds {
		for o.Nodes = 1; o.Nodes <= most && ctx.Err() == nil; o.Nodes++ {
			// What one size leaves behind does not weigh on the next.
			ok := testkit.Program(ctx, logger{t}, func(ctx context.Context, t testing.TB) { rows[o.Nodes] = append(rows[o.Nodes], one(ctx, t, o, l)) })
			if !ok {
				t.FailNow()
			}
		}
	}
	if l.rounds < 2 || ctx.Err() != nil {
		return
	}
	t.Logf("medians of %d rounds", l.rounds)
	alone := medians(rows[1])
	for n := 1; n <= most; n++ {
		m := medians(rows[n])
		t.Logf("%v  %.2f times the CPU of one", m, m[allCPU]/alone[allCPU])
	}
}

// medians takes the median of each column.
func medians(rows []row) (m row) {
	list := make([]float64, len(rows))
	for c := range m {
		for i := range rows {
			list[i] = rows[i][c]
		}
		slices.Sort(list)
		m[c] = list[len(list)/2]
	}
	return m
}

type logger struct{ testing.TB }

func (l logger) Write(b []byte) (int, error) {
	l.Log(strings.TrimSuffix(string(b), "\n"))
	return len(b), nil
}

func one(ctx context.Context, t testing.TB, o testkit.ClusterOptions, l load) row {
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
	// Caches and plans are warm, as they are on all but the first day: everybody has checked in, and from more than one node.
	for range o.Nodes {
		run(l.rate, time.Duration(2*float64(l.pacts)/l.rate*float64(time.Second)), nil)
	}
	r := run(l.rate, l.time, func(begins bool) {
		if begins {
			<-time.After(settling) // what it took to connect everybody is done
			before = measure(t, c)
		} else {
			after = measure(t, c)
		}
	})
	if r.Ceiling {
		t.Logf("the generator was late: p99 %.1f ms", r.Late.P99)
	}
	per := func(f func(used) float64) float64 { return (f(after) - f(before)) / float64(r.Acked) }
	out := row{
		nodes: float64(o.Nodes), rate: r.Rate, p50: r.Delivery.P50, p99: r.Delivery.P99, lost: float64(r.Lost + r.OrderError),
		ownCPU: 1000 * per(func(u used) float64 { return u.nodes }), pgCPU: 1000 * per(func(u used) float64 { return u.postgres }),
		busCPU: 1000 * per(func(u used) float64 { return u.redis }), busOps: per(func(u used) float64 { return u.commands }),
		commits: per(func(u used) float64 { return u.commits }), walSize: per(func(u used) float64 { return u.walBytes }),
		syncs: per(func(u used) float64 { return u.syncs }),
	}
	out[allCPU] = out[ownCPU] + out[pgCPU] + out[busCPU]
	t.Log(out)
	return out
}
