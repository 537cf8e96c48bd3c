package nodes_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/testkit"
)

// TestConnectionsOnOtherNodesAreToldHowOneWent: who said that they are offline is told from who vanished.
func TestConnectionsOnOtherNodesAreToldHowOneWent(t *testing.T) {
	c := cluster(t, 2)
	alice := call(t, c.Nodes[0], "alice", "a", "users/alice/inbox")
	bob := call(t, c.Nodes[1], "bob", "b", "users/bob/inbox")
	n := 0
	say := func(p *phone, topic, payload string) {
		n++
		p.Say(fmt.Sprint(n), topic, []byte(payload))
		testkit.Eventually(t, limit, "it is done", p.Settled)
	}
	said := func() (list []pactwire.EventType) {
		for _, s := range alice.topic("/inbox") {
			var e pactwire.Event
			if err := json.Unmarshal([]byte(s), &e); err != nil {
				t.Fatal(err)
			}
			switch e.Type {
			case pactwire.EventActiveLoggedIn, pactwire.EventActiveLoggedOut, pactwire.EventActiveDisconnected, pactwire.EventActiveRefreshed:
				list = append(list, e.Type)
			}
		}
		// Bob came before they knew each other. On a busy machine that is still being told when they do.
		if len(list) > 0 && list[0] == pactwire.EventActiveLoggedIn {
			list = list[1:]
		}
		return list
	}
	var want []pactwire.EventType
	expect := func(typ pactwire.EventType) {
		t.Helper()
		want = append(want, typ)
		testkit.Eventually(t, limit, string(typ), func() bool { return len(said()) >= len(want) })
		if got := said(); !slices.Equal(got, want) {
			t.Fatalf("alice was told %v, want %v", got, want)
		}
	}
	say(alice, "users/bob/connections", `{"action":"request"}`)
	say(bob, "users/alice/connections", `{"action":"accept"}`)
	say(bob, "users/bob/presence", `{"status":"offline"}`)
	expect(pactwire.EventActiveLoggedOut)
	say(bob, "users/bob/presence", `{"status":"active"}`)
	expect(pactwire.EventActiveLoggedIn)
	bob.stop()
	expect(pactwire.EventActiveDisconnected)
}
