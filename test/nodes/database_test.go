package nodes_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/testkit"
)

// TestConnectionsAreToldWhoWentWhileTheDatabaseWasAway: to whom a person is connected cannot be read then. They are told when it can.
func TestConnectionsAreToldWhoWentWhileTheDatabaseWasAway(t *testing.T) {
	t.Parallel()
	c := cluster(t, 2)
	alice := call(t, c.Nodes[0], "alice", "a", "users/alice/inbox")
	bob := call(t, c.Nodes[1], "bob", "b", "users/bob/inbox")
	for i, s := range []struct {
		p              *phone
		topic, payload string
	}{{alice, "users/bob/connections", `{"action":"request"}`}, {bob, "users/alice/connections", `{"action":"accept"}`}} {
		s.p.Say(fmt.Sprint(i), s.topic, []byte(s.payload))
		testkit.Eventually(t, limit, "it is done", s.p.Settled)
	}
	// What alice's app shows: each of these events says how people are now.
	online := func() (is bool) {
		for _, s := range alice.topic("/inbox") {
			var e struct {
				Data struct {
					pactwire.ActiveConnection
					pactwire.ActiveConnections
				}
			}
			if err := json.Unmarshal([]byte(s), &e); err != nil {
				t.Fatal(err)
			}
			for _, u := range append(e.Data.ActiveUsers, e.Data.ActiveConnection) {
				if u.UserID == "bob" && u.Version > 0 {
					is = u.IsOnline
				}
			}
		}
		return is
	}
	testkit.Eventually(t, limit, "alice sees bob", online)
	c.Postgres.Stop()
	testkit.Eventually(t, limit, "it is noticed", func() bool {
		code, _ := c.Nodes[1].ReadyCode()
		return code == http.StatusServiceUnavailable
	})
	bob.stop()
	testkit.Never(t, grace+2*time.Second, "bob goes, which alice cannot be told", func() bool { return !online() })
	c.Postgres.Start()
	testkit.Eventually(t, limit, "alice sees that he has gone", func() bool { return !online() })
}
