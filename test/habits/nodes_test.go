package habits_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/pactwire/pactwire/internal/testkit"
)

// TestPromise8HabitsServiceAndANodeKilledUnderLoad: of two nodes one dies while the habits-service is away, with check-ins that it
// has acked and begun on. The other one finishes them: soon after the service is back everything is logged, once and in order.
func TestPromise8HabitsServiceAndANodeKilledUnderLoad(t *testing.T) {
	const promised = 20 * time.Second
	c := testkit.StartCluster(t, testkit.ClusterOptions{Nodes: 2, Habits: true})
	dies, stays := c.Nodes[0], c.Nodes[1]
	people := gather(t, stays.Server, c.MQTT.Addr)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	for _, p := range people {
		p.device.Patience = 6 * time.Second
		running.Go(func() { p.device.Run(ctx) })
	}
	for _, p := range people {
		testkit.Eventually(t, limit, "everybody is subscribed", func() bool { return p.device.Ready() > 0 })
	}
	load := make(chan int)
	go func() { load <- drive(ctx, people, *rate, steady+*outage+steady) }()
	after(t, steady)
	c.Habits.Kill()
	down := time.Now()
	after(t, *outage/2)
	dies.Kill()
	after(t, *outage-time.Since(down))
	c.Habits.Restart()
	back := time.Now()
	sent := <-load
	testkit.Eventually(t, limit, "all are acked", func() bool { return count(people, (*person).acked) == sent })
	testkit.Eventually(t, limit, "all are logged", func() bool { return count(people, (*person).logged) >= sent })
	took := time.Since(back)
	t.Logf("%d check-ins, all logged %v after the return", sent, took)
	if took > promised+10*time.Second { // it is a busy machine
		t.Errorf("it took %v, promised are %v", took, promised)
	}
	for _, p := range people {
		p.check(t)
	}
	for i := range pacts {
		checkLog(t, stays.Server, people[2*i], people[2*i+1])
	}
}
