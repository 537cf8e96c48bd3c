package nodes_test

import (
	"testing"
	"time"

	"github.com/pactwire/pactwire/internal/testkit"
)

// bobElsewhere starts two nodes, with alice at the first and bob at the second. online is whether she sees him, as she does now.
func bobElsewhere(t *testing.T) (c *testkit.Cluster, online func() bool) {
	t.Helper()
	c = cluster(t, 2)
	pact := string(c.Nodes[0].NewPact("alice", "bob").ID)
	alice := call(t, c.Nodes[0], "alice", "a", "pacts/"+pact+"/presence/bob")
	call(t, c.Nodes[1], "bob", "b", "users/bob/inbox")
	online = func() bool {
		all := presences(t, alice.topic("/bob"), "bob")
		return len(all) > 0 && all[len(all)-1].IsOnline
	}
	testkit.Eventually(t, limit, "alice sees bob", online)
	return c, online
}

// TestPromise6RedisAwayForLongerThanALease: when it is back, with all that it knew, every node's lease is over by its clock. The
// first node to find that out calls nobody offline: the others live, and only could not say so.
func TestPromise6RedisAwayForLongerThanALease(t *testing.T) {
	t.Parallel()
	c, online := bobElsewhere(t)
	testkit.Never(t, grace+time.Second, "bob goes", func() bool { return !online() }) // a node that has just come up speaks for no other

	c.Redis.Kill()
	testkit.Eventually(t, limit, "it is noticed", func() bool { return degraded(t, c.Nodes[0]) })
	testkit.Never(t, lease+time.Second, "bob goes while Redis is away", func() bool { return !online() })
	c.Nodes[1].ToRedis.Down() // so that the other is back first
	c.Redis.Start()
	testkit.Eventually(t, limit, "alice's node is back", func() bool { return !degraded(t, c.Nodes[0]) })
	testkit.Never(t, 500*time.Millisecond, "bob goes before his node is back", func() bool { return !online() })
	c.Nodes[1].ToRedis.Up()
	testkit.Never(t, lease+5*time.Second, "bob goes", func() bool { return !online() })

	c.Nodes[1].Kill()
	testkit.Eventually(t, limit, "bob is gone with his node", func() bool { return !online() })
}

// TestPromise6ANodeCutOffFromARedisThatForgot: who is with it is known to nobody else then, and they are there all the same.
func TestPromise6ANodeCutOffFromARedisThatForgot(t *testing.T) {
	t.Parallel()
	c, online := bobElsewhere(t)
	c.Nodes[1].ToRedis.Down()
	c.Redis.FlushAll()
	testkit.Never(t, lease+3*time.Second, "bob goes", func() bool { return !online() })
	c.Nodes[1].Kill()
	testkit.Eventually(t, limit, "bob is gone with his node", func() bool { return !online() })
}

// TestPromise6ANodeCutOffFromRedis: its lease is over, but it is there, and so are its people. One that hangs is not, although its
// connections to the database stand.
func TestPromise6ANodeCutOffFromRedis(t *testing.T) {
	t.Parallel()
	c, online := bobElsewhere(t)
	c.Nodes[1].ToRedis.Down()
	testkit.Never(t, lease+2*time.Second, "bob goes", func() bool { return !online() })
	testkit.Eventually(t, limit, "both nodes say that something is amiss", func() bool { return degraded(t, c.Nodes[0]) && degraded(t, c.Nodes[1]) })
	c.Nodes[1].ToRedis.Up()
	testkit.Eventually(t, limit, "both nodes are well", func() bool { return !degraded(t, c.Nodes[0]) && !degraded(t, c.Nodes[1]) })
	testkit.Never(t, lease+time.Second, "bob goes", func() bool { return !online() })

	c.Nodes[1].Freeze()
	testkit.Eventually(t, 2*lease+10*time.Second, "bob is gone with his node", func() bool { return !online() })
	c.Nodes[1].Thaw()
	testkit.Eventually(t, limit, "bob is there again", online)
}
