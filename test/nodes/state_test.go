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

// TestANameThatIsTakenBack: the last token says how a person is called, at whichever node it came and whatever another node had heard
// before; and one without a name changes nothing.
func TestANameThatIsTakenBack(t *testing.T) {
	t.Parallel()
	c := cluster(t, 2)
	pact := c.Nodes[0].NewPact("alice", "bob").ID
	bob := call(t, c.Nodes[0], "bob", "b", "pacts/"+string(pact)+"/state", "pacts/"+string(pact)+"/activity")
	said := 0
	say := func(n *testkit.Node, claims jwt.MapClaims) {
		said++
		claims["id"], claims["exp"] = "alice", time.Now().Add(time.Hour).Unix()
		code, body, err := n.CallWith(testkit.Sign(claims), http.MethodPost, "/v1/pacts/"+string(pact)+"/messages", map[string]string{"message": "hello"})
		if err != nil || code/100 != 2 {
			t.Fatalf("%d %s %v", code, body, err)
		}
	}
	called := func() string {
		var s pactwire.State
		if got := bob.topic("/state"); len(got) > 0 && json.Unmarshal([]byte(got[len(got)-1]), &s) == nil {
			for _, m := range s.Members {
				if m.UserID == "alice" {
					return m.UserName
				}
			}
		}
		return ""
	}
	for _, redis := range []bool{true, false} {
		if !redis {
			c.Redis.Kill()
		}
		for i, name := range []string{"Alice", "Alicia", "Alice"} {
			say(c.Nodes[i%2], jwt.MapClaims{"userName": name})
			testkit.Eventually(t, limit, "bob sees "+name, func() bool { return called() == name })
		}
		say(c.Nodes[1], jwt.MapClaims{"userName": "Alicia"})
		testkit.Eventually(t, limit, "bob sees Alicia", func() bool { return called() == "Alicia" })
		say(c.Nodes[0], jwt.MapClaims{})
		all := bob.wait(t, "/activity", said)
		if a, err := testkit.ParseActivity([]byte(all[said-1])); err != nil || a.UserName != "Alicia" {
			t.Errorf("with a token without a name: %q %v", a.UserName, err)
		}
	}
}
