package nodes_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/testkit"
)

// TestNodesWithDifferentRedisAreToldApart: one has another number in its redis.url. Both say so, and find what the other does as soon as
// without Redis; when the setting is mended both are well.
func TestNodesWithDifferentRedisAreToldApart(t *testing.T) {
	t.Parallel()
	c := cluster(t, 2)
	wrong := c.Nodes[1]
	right := wrong.Setting("redis.url")
	wrong.Stop()
	wrong.Set("redis.url", strings.TrimSuffix(right, "/0")+"/1")
	wrong.Restart()
	apart := func(n *testkit.Node) func() bool {
		return func() bool {
			code, body, err := n.Call("", http.MethodGet, "/readyz", nil)
			return err == nil && code == http.StatusOK && strings.Contains(string(body), "is redis.url the same at all nodes")
		}
	}
	for _, n := range c.Nodes {
		testkit.Eventually(t, limit, n.Setting("node.id")+" says so", apart(n))
	}
	pact := c.Nodes[0].NewPact("alice", "bob").ID
	alice := call(t, c.Nodes[0], "alice", "a", "users/alice/inbox")
	bob := call(t, wrong, "bob", "b", "pacts/"+string(pact)+"/activity")
	for i, id := range []string{"1", "2"} {
		checkin(alice, pact, id)
		bob.wait(t, "/activity", i+1)
	}
	if got := seqs(t, bob.topic("/activity")); len(got) != 2 || got[0] != pactwire.Seq(3) {
		t.Errorf("bob got %v", got)
	}
	wrong.Stop()
	wrong.Set("redis.url", right)
	wrong.Restart()
	for _, n := range c.Nodes {
		testkit.Eventually(t, limit, n.Setting("node.id")+" is well", func() bool { return !degraded(t, n) })
	}
}
