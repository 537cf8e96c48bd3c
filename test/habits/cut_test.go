package habits_test

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/rawmqtt"
	"github.com/pactwire/pactwire/internal/testkit"
)

// TestPromise8ANodeWithoutTheHabitsServiceTellsOn: of a pact that another node has recorded as another it believes that.
func TestPromise8ANodeWithoutTheHabitsServiceTellsOn(t *testing.T) {
	c := testkit.StartCluster(t, testkit.ClusterOptions{Nodes: 2, Habits: true})
	a, b := c.Nodes[0], c.Nodes[1]
	pact := a.NewPact("alice", "bob", "carol")
	in := "pacts/" + string(pact.ID) + "/activity"
	var heard atomic.Bool // bob has what alice says last
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	alice := &testkit.Device{Addr: a.Front, User: "alice", ClientID: "a", Filters: []string{in}}
	bob := &testkit.Device{Addr: b.Front, User: "bob", ClientID: "b", Filters: []string{in}, Message: func(m rawmqtt.Publish) {
		var e pactwire.Activity
		if err := json.Unmarshal(m.Payload, &e); err != nil {
			t.Error(err)
		}
		if e.Type == pactwire.MessageSent {
			heard.Store(true)
		}
	}}
	for _, d := range []*testkit.Device{alice, bob} {
		running.Go(func() { d.Run(ctx) })
		testkit.Eventually(t, limit, "it is subscribed", func() bool { return d.Ready() > 0 })
	}
	b.ToHabits.Down()
	a.Must("carol", http.MethodPost, "/v1/pacts/"+string(pact.ID)+"/leave", nil, nil)
	alice.Say("m", "pacts/"+string(pact.ID)+"/messages", []byte(`{"message":"hi"}`))
	testkit.Eventually(t, limit, "alice's word is taken", alice.Settled)
	testkit.Eventually(t, limit/4, "bob hears her", heard.Load)
}
