package nodes_test

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/rawmqtt"
	"github.com/pactwire/pactwire/internal/testkit"
)

// limited starts two nodes whose people and addresses earn nothing back while a test runs.
func limited(t *testing.T) *testkit.Cluster {
	t.Helper()
	return testkit.StartCluster(t, testkit.ClusterOptions{Nodes: 2, Settings: map[string]string{
		"limits.commands_per_second": "0.001", "limits.commands_burst": "4",
		"limits.connects_per_second": "0.001", "limits.connects_burst": "4",
	}})
}

// told waits until Redis has been told of four that were taken of a limit.
func told(t *testing.T, c *testkit.Cluster, key string) {
	t.Helper()
	testkit.Eventually(t, limit, "Redis is told", func() bool {
		till, err := strconv.ParseInt(c.Redis.Do("GET", "pactwire:rate:"+key), 10, 64)
		return err == nil && time.Until(time.UnixMicro(till)) > 3500*time.Second
	})
}

// TestAPersonsRateIsOneOverAllNodes: what is spent over MQTT at one node is missing over HTTP at the other.
func TestAPersonsRateIsOneOverAllNodes(t *testing.T) {
	c := limited(t)
	pact := c.Nodes[0].NewPact("alice", "bob").ID
	alice := call(t, c.Nodes[0], "alice", "a", "users/alice/inbox")
	for i := range 4 {
		checkin(alice, pact, fmt.Sprint(i))
	}
	testkit.Eventually(t, limit, "all is done", alice.Settled)
	told(t, c, "commands:{alice}")
	say := func(u pactwire.UserID) int {
		status, _, err := c.Nodes[1].Call(u, "POST", "/v1/pacts/"+string(pact)+"/messages", map[string]string{"message": "hello"})
		if err != nil {
			t.Fatal(err)
		}
		return status
	}
	done := 0
	testkit.Eventually(t, limit, "the other node has heard of it", func() bool {
		status := say("alice")
		if status == http.StatusTooManyRequests {
			return true
		}
		done++
		return false
	})
	if done > 3 { // before it hears, a quarter of the burst, and what comes while it asks
		t.Errorf("%d more at the other node", done)
	}
	if status := say("bob"); status != http.StatusCreated {
		t.Errorf("bob pays for alice: %d", status)
	}
}

// TestAnAddressConnectsNoOftenerToAllNodesTogether than to one.
func TestAnAddressConnectsNoOftenerToAllNodesTogether(t *testing.T) {
	c := limited(t)
	admitted := func(n *testkit.Node) bool {
		nc, err := rawmqtt.Dial(t.Context(), n.TCP)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		_, _, err = rawmqtt.Connect(t.Context(), nc, rawmqtt.Options{ClientID: "a", Username: "mallory", Password: "guess"}, rawmqtt.Handler{})
		var no *rawmqtt.Refused
		return errors.As(err, &no) // for the password, and not before
	}
	for i := range 4 {
		if !admitted(c.Nodes[0]) {
			t.Fatalf("connection %d was refused", i)
		}
	}
	if admitted(c.Nodes[0]) {
		t.Error("a fifth at the same node")
	}
	told(t, c, "connects:{127.0.0.1}")
	more := 0
	testkit.Eventually(t, limit, "the other node has heard of it", func() bool {
		if admitted(c.Nodes[1]) {
			more++
			return false
		}
		return true
	})
	if more > 3 {
		t.Errorf("%d more at the other node", more)
	}
}
