package nodes_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/testkit"
)

// TestAnOutageIsLoggedOnce: with the database away all clients come back again and again, and balancers ask all the time. The log
// says what is amiss, and when it is over; not for each of them.
func TestAnOutageIsLoggedOnce(t *testing.T) {
	t.Parallel()
	for _, habits := range []bool{false, true} {
		t.Run(fmt.Sprint("habits-service of its own ", habits), func(t *testing.T) {
			outage(t, testkit.StartCluster(t, testkit.ClusterOptions{Nodes: 2, Habits: habits}))
		})
	}
}

func outage(t *testing.T, c *testkit.Cluster) {
	var users []pactwire.UserID
	for i := range 6 {
		users = append(users, pactwire.UserID(fmt.Sprint("u", i)))
	}
	pact := c.Nodes[0].NewPact(users...).ID
	var devices []*testkit.Device
	for _, u := range users {
		d := &testkit.Device{Addr: c.MQTT.Addr, User: u, ClientID: "phone", Filters: []string{"pacts/+/activity"}}
		background(t, d)
		devices = append(devices, d)
	}
	connected := func(times int) func() bool {
		return func() bool {
			for _, d := range devices {
				if d.Ready() < times {
					return false
				}
			}
			return true
		}
	}
	testkit.Eventually(t, limit, "all are subscribed", connected(1))
	if c.Habits != nil { // what it answers then cannot be recorded
		c.Habits.Freeze()
		for _, d := range devices {
			d.Checkin(pact, string(d.User), "x")
		}
		testkit.Eventually(t, limit, "all are acked", func() bool {
			return !slices.ContainsFunc(devices, func(d *testkit.Device) bool { return !d.Settled() })
		})
	}
	c.Postgres.Stop()
	if c.Habits != nil {
		c.Habits.Thaw()
	}
	testkit.Never(t, 5*time.Second, "anybody is let in", func() bool {
		for _, d := range devices {
			d.Drop()
		}
		return connected(2)()
	})
	c.Postgres.Start()
	testkit.Eventually(t, limit, "all are back", connected(2))
	for _, n := range c.Nodes {
		log := n.Log()
		count := map[string]int{}
		for _, line := range log {
			_, msg, _ := strings.Cut(line, `"msg":"`)
			msg, _, _ = strings.Cut(msg, `"`)
			count[msg]++
		}
		if len(log) > 30 {
			t.Errorf("%s wrote %d lines: %v", n.Setting("node.id"), len(log), count)
		}
		if count["the database is away"] == 0 {
			t.Errorf("%s did not say that the database was away: %v", n.Setting("node.id"), count)
		}
	}
}
