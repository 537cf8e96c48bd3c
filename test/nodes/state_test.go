package nodes_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/testkit"
)

func TestAStateCrossesNodes(t *testing.T) {
	c := cluster(t, 2)
	pact := c.Nodes[0].NewPact("alice", "bob").ID
	alice := call(t, c.Nodes[0], "alice", "a", "users/alice/inbox")
	bob := call(t, c.Nodes[1], "bob", "b", "pacts/"+string(pact)+"/state")
	for i, what := range []string{"with Redis", "once more", "without Redis"} {
		if what == "without Redis" {
			c.Redis.Kill()
		}
		checkin(alice, pact, fmt.Sprint("c", i))
		testkit.Eventually(t, limit, "it is done", alice.Settled)
		head := c.Nodes[0].Pact("alice", pact).HeadSeq
		testkit.Eventually(t, limit, "the state is told "+what, func() bool {
			got := bob.topic("/state")
			var s pactwire.State
			return len(got) > 0 && json.Unmarshal([]byte(got[len(got)-1]), &s) == nil && s.HeadSeq >= head
		})
	}
}
