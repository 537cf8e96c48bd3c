package parity_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/testkit"
)

// listener takes the events of a phone one by one.
type listener struct {
	*phone
	taken map[pactwire.EventType]int
}

func listen(t *testing.T, s *testkit.Server, u pactwire.UserID) listener {
	t.Helper()
	p := pick(t, s, u, string(u)+"-phone")
	p.opts.Clean, p.opts.SessionExpiry = true, 0
	p.open()
	if codes := p.subscribe(inbox(u)); codes[0] > 1 {
		t.Fatalf("SUBACK %#x", codes[0])
	}
	return listener{p, map[pactwire.EventType]int{}}
}

// heard takes the first event of a type that has not been taken yet, waiting for it.
func (l listener) heard(typ pactwire.EventType) pactwire.Event {
	l.t.Helper()
	l.taken[typ]++
	return l.event(typ, l.taken[typ])
}

// live is what a live event says, which has no place in the log.
func live[T any](t *testing.T, e pactwire.Event) T {
	t.Helper()
	if e.Seq != 0 {
		t.Errorf("%s stands in the log, at %d", e.Type, e.Seq)
	}
	return data[T](t, e.Data)
}

func step(s *testkit.Server, me, them pactwire.UserID, action pactwire.ConnectionAction) {
	s.Must(me, http.MethodPost, "/v1/users/"+string(them)+"/connections", map[string]any{"action": action}, nil)
}

// Who was there when two became connected is known to be there: the next change is none of coming.
func TestConnectingWithWhoIsThereIsTheirComing(t *testing.T) {
	s := testkit.Start(t, nil)
	alice, bob := listen(t, s, "alice"), listen(t, s, "bob")
	step(s, "bob", "alice", pactwire.ConnectionRequest)
	step(s, "alice", "bob", pactwire.ConnectionAccept)
	if added := live[pactwire.ActiveConnections](t, alice.heard(pactwire.EventActiveAdded)); len(added.ActiveUsers) != 1 || !added.ActiveUsers[0].IsOnline {
		t.Errorf("%+v", added)
	}
	bob.do("users/bob/presence", "away")
	if got := live[pactwire.ActiveConnection](t, alice.heard(pactwire.EventActiveRefreshed)); got.Status != pactwire.PresenceAway {
		t.Errorf("%+v", got)
	}
}

// Who is connected sees the other come, go away, say good-bye and drop, without sharing a pact, in the inbox and unlogged.
func TestConnectionsSeeEachOtherComeAndGo(t *testing.T) {
	s := testkit.Start(t, map[string]string{"presence.grace": "1s"})
	alice := listen(t, s, "alice")
	step(s, "bob", "alice", pactwire.ConnectionRequest)
	step(s, "alice", "bob", pactwire.ConnectionAccept)
	added := live[pactwire.ActiveConnections](t, alice.heard(pactwire.EventActiveAdded))
	if len(added.ActiveUsers) != 1 || added.ActiveUsers[0].UserID != "bob" || added.ActiveUsers[0].IsOnline {
		t.Errorf("%+v", added)
	}

	bob := listen(t, s, "bob")
	loaded := live[pactwire.ActiveConnections](t, bob.heard(pactwire.EventActiveLoaded))
	if len(loaded.ActiveUsers) != 1 || loaded.ActiveUsers[0].UserID != "alice" || loaded.ActiveUsers[0].Status != pactwire.PresenceActive {
		t.Errorf("%+v", loaded)
	}
	expect := func(typ pactwire.EventType, status pactwire.PresenceStatus) pactwire.ActiveConnection {
		t.Helper()
		got := live[pactwire.ActiveConnection](t, alice.heard(typ))
		if got.UserID != "bob" || got.Status != status || got.IsOnline == (status == pactwire.PresenceOffline) || got.Version == 0 {
			t.Errorf("%s: %+v", typ, got)
		}
		return got
	}
	if got := expect(pactwire.EventActiveLoggedIn, pactwire.PresenceActive); got.LastSeen == nil {
		t.Errorf("%+v", got)
	}
	bob.do("users/bob/presence", "away")
	expect(pactwire.EventActiveRefreshed, pactwire.PresenceAway)
	bob.do("users/bob/presence", "offline")
	expect(pactwire.EventActiveLoggedOut, pactwire.PresenceOffline)
	bob.do("users/bob/presence", "active")
	expect(pactwire.EventActiveLoggedIn, pactwire.PresenceActive)

	// What bob hides alice does not see; and what she hides she does not see of him.
	hide := func(u pactwire.UserID, v pactwire.LastSeenVisibility) {
		s.Must(u, http.MethodPatch, "/v1/me", map[string]any{"lastSeenVisibility": v}, nil)
	}
	hide("bob", pactwire.LastSeenHidden)
	bob.do("users/bob/presence", "away")
	if got := expect(pactwire.EventActiveRefreshed, pactwire.PresenceAway); got.LastSeen != nil {
		t.Errorf("hidden, and told: %+v", got)
	}
	hide("bob", pactwire.LastSeenRounded)
	bob.do("users/bob/presence", "active")
	if got := expect(pactwire.EventActiveRefreshed, pactwire.PresenceActive); got.LastSeen == nil || got.LastSeen.Std().Truncate(time.Hour) != got.LastSeen.Std() {
		t.Errorf("to be rounded: %+v", got)
	}
	hide("alice", pactwire.LastSeenHidden)
	bob.do("users/bob/presence", "away")
	if got := expect(pactwire.EventActiveRefreshed, pactwire.PresenceAway); got.LastSeen != nil {
		t.Errorf("hides her own, and sees: %+v", got)
	}

	bob.drop()
	expect(pactwire.EventActiveDisconnected, pactwire.PresenceOffline)

	// Connected no longer, nobody hears of the other.
	step(s, "alice", "bob", pactwire.ConnectionEnd)
	again := listen(t, s, "bob")
	again.do("users/alice/connections", `{"action":"request"}`)
	alice.heard(pactwire.EventConnectionCreated)
	for _, e := range alice.events("") {
		if e.Seq == 0 && len(alice.events(e.Type)) > alice.taken[e.Type] {
			t.Errorf("heard %s %s", e.Type, e.Data)
		}
	}
}
