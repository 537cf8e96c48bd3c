package nodes_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

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

// TestANewNameCrossesNodes: a token gave a person another name at one node; at another their partner sees it too.
func TestANewNameCrossesNodes(t *testing.T) {
	c := cluster(t, 2)
	pact := c.Nodes[0].NewPact("alice", "bob").ID
	bob := call(t, c.Nodes[1], "bob", "b", "pacts/"+string(pact)+"/state")
	for _, name := range []string{"Alicia", "Alison"} {
		if name == "Alison" {
			c.Redis.Kill()
		}
		token := testkit.Sign(jwt.MapClaims{"id": "alice", "userName": name, "exp": time.Now().Add(time.Hour).Unix()})
		code, body, err := c.Nodes[0].CallWith(token, http.MethodPost, "/v1/pacts/"+string(pact)+"/checkins", map[string]string{"status": "completed"})
		if err != nil || code/100 != 2 {
			t.Fatalf("%d %s %v", code, body, err)
		}
		testkit.Eventually(t, limit, "bob sees "+name, func() bool {
			got := bob.topic("/state")
			var s pactwire.State
			if len(got) == 0 || json.Unmarshal([]byte(got[len(got)-1]), &s) != nil {
				return false
			}
			for _, m := range s.Members {
				if m.UserID == "alice" {
					return m.UserName == name
				}
			}
			return false
		})
	}
}
