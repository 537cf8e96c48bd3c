// Command cluster runs a whole service on loopback: PostgreSQL, Redis, a habits-service and three nodes behind a TCP load
// balancer. It is the test kit's cluster with people who may type, on data that is gone when it ends.
//
//	make cluster
//
// With -bench it measures what an event costs on one node, two and three: scripts/bench-cluster.sh.
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/pactwire/pactwire/internal/testkit"
)

func main() {
	binary := flag.String("binary", "bin/pactwire", "the program to run")
	nodes := flag.Int("nodes", 3, "how many")
	mqtt := flag.String("mqtt", "127.0.0.1:1883", "where MQTT is")
	http := flag.String("http", "127.0.0.1:8080", "where HTTP is")
	measured := flag.Bool("bench", false, "measure one node, two, … up to -nodes instead, and end")
	noRedis := flag.Bool("no-redis", false, "join the nodes by PostgreSQL alone")
	var l load
	flag.IntVar(&l.pacts, "pacts", 1000, "of -bench")
	flag.Float64Var(&l.rate, "rate", 1000, "check-ins a second of -bench")
	flag.DurationVar(&l.time, "for", 20*time.Second, "how long -bench takes for each size")
	flag.IntVar(&l.rounds, "rounds", 1, "of -bench, by turns; with more than one it prints medians too")
	flag.Parse()
	path, err := filepath.Abs(*binary)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	testkit.UseBinary(path)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o := testkit.ClusterOptions{Nodes: *nodes, NoRedis: *noRedis, Habits: true, MQTT: *mqtt, HTTP: *http}
	ok := testkit.Program(ctx, os.Stdout, func(ctx context.Context, t testing.TB) {
		if *measured {
			compare(ctx, t, testkit.ClusterOptions{Nodes: *nodes, NoRedis: *noRedis, Direct: true}, l)
		} else {
			run(ctx, t, o)
		}
	})
	if !ok {
		os.Exit(1) //nolint:gocritic // nothing is left to stop
	}
}

// life is how long the printed tokens are good.
const life = 7 * 24 * time.Hour

func run(ctx context.Context, t testing.TB, o testkit.ClusterOptions) {
	t.Logf("Starting %d nodes, and what they need …", o.Nodes)
	c := testkit.StartCluster(t, o)
	pact := c.Nodes[0].NewPact("alice", "bob")
	t.Logf(`
Pactwire runs on loopback, as one service. Alice and Bob have a pact.
`)
	for _, n := range c.Nodes {
		t.Logf("  %-15s process %-7d MQTT %s  HTTP %s", n.Setting("node.id"), n.PID(), n.TCP, n.HTTP)
	}
	t.Logf("  %-15s process %-7d HTTP %s", "habits-service", c.Habits.PID(), c.Habits.HTTP)
	t.Logf("  %-15s process %-7d %s", "PostgreSQL", c.Postgres.PID(), c.Postgres.URL())
	if c.Redis != nil {
		t.Logf("  %-15s process %-7d %s", "Redis", c.Redis.PID(), c.Redis.URL())
	}
	t.Logf("  %-15s %23s %s  HTTP %s", "load balancer", "MQTT", c.MQTT.Addr, c.HTTP.Addr)
	host, port := split(t, c.MQTT.Addr)
	t.Logf(`
  Terminal 1: Bob watches.

    mosquitto_sub -h %[1]s -p %[2]s -i bob-phone -c -u bob -P '%[3]s' -t 'pacts/+/activity' -q 1 -v

  Terminal 2: Alice checks in, on whichever node the balancer chooses.

    mosquitto_pub -h %[1]s -p %[2]s -u alice -P '%[4]s' -t 'pacts/%[5]s/checkins' -q 1 -m done

  Without mosquitto:

    export PACTWIRE_AUTH__JWT__SECRET=%[6]s PACTWIRE_SERVER=http://%[7]s
    bin/pactwire watch --user bob --mqtt %[8]s
    bin/pactwire checkin %[5]s done --user alice --notes 'before breakfast'

  Kill a node (kill -9 …): Bob's client is back on another one within seconds, and misses nothing. The node is started again.

  Ctrl-C ends all of it, and removes its data.
`, host, port, testkit.TokenFor("bob", life), testkit.TokenFor("alice", life), pact.ID, testkit.Secret, c.HTTP.Addr, c.MQTT.Addr)
	watch(ctx, t, c)
	t.Log("Stopping …")
}

// watch starts nodes again that ended, as a service manager would, until ctx ends.
func watch(ctx context.Context, t testing.TB, c *testkit.Cluster) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	gone := map[*testkit.Node]int{}
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		for _, n := range c.Nodes {
			if !n.Died() {
				continue
			}
			if gone[n]++; gone[n] == 1 {
				t.Logf("%s has ended; it is started again in a few seconds", n.Setting("node.id"))
			}
			if gone[n] == 5 {
				delete(gone, n)
				n.Kill() // forgets the process
				n.Launch()
				t.Logf("%s is process %d now", n.Setting("node.id"), n.PID())
			}
		}
	}
}

func split(t testing.TB, addr string) (host, port string) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return host, port
}
