// Package parity_test holds against the service that Pactwire replaces: all that its clients could do, and none of the ways
// in which it failed.
package parity_test

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/rawmqtt"
	"github.com/pactwire/pactwire/internal/testkit"
)

const limit = time.Minute

// phone is a person's phone, subscribed to the inbox.
type phone struct {
	t    *testing.T
	conn *rawmqtt.Conn
	over chan struct{}
	id   uint16

	mu     sync.Mutex
	events []pactwire.Event
}

func connect(t *testing.T, s *testkit.Server, u pactwire.UserID) *phone {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	nc, err := rawmqtt.Dial(ctx, s.TCP)
	if err != nil {
		t.Fatal(err)
	}
	p := &phone{t: t, over: make(chan struct{})}
	ready := make(chan struct{})
	p.conn, _, err = rawmqtt.Connect(ctx, nc, rawmqtt.Options{Version: 5, ClientID: string(u) + "-phone", Username: string(u),
		Password: testkit.Token(u), Clean: true, KeepAlive: 60}, rawmqtt.Handler{
		Publish: p.take,
		Suback:  func(uint16, []byte) { close(ready) },
	})
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.over)
		_ = p.conn.Run() // however it ends, what came counts
	}()
	t.Cleanup(p.drop)
	if err := p.conn.Subscribe(1, 1, "users/"+string(u)+"/inbox"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ready:
	case <-ctx.Done():
		t.Fatal("no SUBACK")
	}
	return p
}

func (p *phone) take(m rawmqtt.Publish) {
	var e pactwire.Event
	if err := json.Unmarshal(m.Payload, &e); err != nil {
		p.t.Errorf("%s: %q", m.Topic, m.Payload)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.events = append(p.events, e)
}

func (p *phone) drop() {
	_ = p.conn.Close()
	<-p.over
}

func (p *phone) publish(topic, payload string) {
	p.id++
	if err := p.conn.Publish(p.id, 1, topic, []byte(payload)); err != nil {
		p.t.Fatal(err)
	}
}

// heard takes the first event of a type that has not been taken yet, waiting for it.
func (p *phone) heard(typ pactwire.EventType) (found pactwire.Event) {
	p.t.Helper()
	testkit.Eventually(p.t, limit, string(typ), func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		i := slices.IndexFunc(p.events, func(e pactwire.Event) bool { return e.Type == typ })
		if i < 0 {
			return false
		}
		found = p.events[i]
		p.events = slices.Delete(p.events, i, i+1)
		return true
	})
	return found
}

func data[T any](t *testing.T, e pactwire.Event) (v T) {
	t.Helper()
	if err := json.Unmarshal(e.Data, &v); err != nil {
		t.Fatalf("%s: %v", e.Type, err)
	}
	if e.Seq != 0 {
		t.Errorf("%s stands in the log, at %d", e.Type, e.Seq)
	}
	return v
}

func step(s *testkit.Server, me, them pactwire.UserID, action pactwire.ConnectionAction) {
	s.Must(me, http.MethodPost, "/v1/users/"+string(them)+"/connections", map[string]any{"action": action}, nil)
}

// Who is connected sees the other come, go away, say good-bye and drop, without sharing a pact, in the inbox and unlogged.
func TestConnectionsSeeEachOtherComeAndGo(t *testing.T) {
	s := testkit.Start(t, map[string]string{"presence.grace": "1s"})
	alice := connect(t, s, "alice")
	step(s, "bob", "alice", pactwire.ConnectionRequest)
	step(s, "alice", "bob", pactwire.ConnectionAccept)
	added := data[pactwire.ActiveConnections](t, alice.heard(pactwire.EventActiveAdded))
	if len(added.ActiveUsers) != 1 || added.ActiveUsers[0].UserID != "bob" || added.ActiveUsers[0].IsOnline {
		t.Errorf("%+v", added)
	}

	bob := connect(t, s, "bob")
	loaded := data[pactwire.ActiveConnections](t, bob.heard(pactwire.EventActiveLoaded))
	if len(loaded.ActiveUsers) != 1 || loaded.ActiveUsers[0].UserID != "alice" || loaded.ActiveUsers[0].Status != pactwire.PresenceActive {
		t.Errorf("%+v", loaded)
	}
	expect := func(typ pactwire.EventType, status pactwire.PresenceStatus) pactwire.ActiveConnection {
		t.Helper()
		got := data[pactwire.ActiveConnection](t, alice.heard(typ))
		if got.UserID != "bob" || got.Status != status || got.IsOnline == (status == pactwire.PresenceOffline) || got.Version == 0 {
			t.Errorf("%s: %+v", typ, got)
		}
		return got
	}
	if got := expect(pactwire.EventActiveLoggedIn, pactwire.PresenceActive); got.LastSeen == nil {
		t.Errorf("%+v", got)
	}
	bob.publish("users/bob/presence", "away")
	expect(pactwire.EventActiveRefreshed, pactwire.PresenceAway)
	bob.publish("users/bob/presence", "offline")
	expect(pactwire.EventActiveLoggedOut, pactwire.PresenceOffline)
	bob.publish("users/bob/presence", "active")
	expect(pactwire.EventActiveLoggedIn, pactwire.PresenceActive)

	// What bob hides alice does not see; and what she hides she does not see of him.
	hide := func(u pactwire.UserID, v pactwire.LastSeenVisibility) {
		s.Must(u, http.MethodPatch, "/v1/me", map[string]any{"lastSeenVisibility": v}, nil)
	}
	hide("bob", pactwire.LastSeenHidden)
	bob.publish("users/bob/presence", "away")
	if got := expect(pactwire.EventActiveRefreshed, pactwire.PresenceAway); got.LastSeen != nil {
		t.Errorf("hidden, and told: %+v", got)
	}
	hide("bob", pactwire.LastSeenRounded)
	bob.publish("users/bob/presence", "active")
	if got := expect(pactwire.EventActiveRefreshed, pactwire.PresenceActive); got.LastSeen == nil || got.LastSeen.Std().Truncate(time.Hour) != got.LastSeen.Std() {
		t.Errorf("to be rounded: %+v", got)
	}
	hide("alice", pactwire.LastSeenHidden)
	bob.publish("users/bob/presence", "away")
	if got := expect(pactwire.EventActiveRefreshed, pactwire.PresenceAway); got.LastSeen != nil {
		t.Errorf("hides her own, and sees: %+v", got)
	}

	bob.drop()
	expect(pactwire.EventActiveDisconnected, pactwire.PresenceOffline)

	// Connected no longer, nobody hears of the other.
	step(s, "alice", "bob", pactwire.ConnectionEnd)
	again := connect(t, s, "bob")
	again.publish("users/alice/connections", `{"action":"request"}`)
	alice.heard(pactwire.EventConnectionCreated)
	alice.mu.Lock()
	defer alice.mu.Unlock()
	for _, e := range alice.events {
		if e.Seq == 0 {
			t.Errorf("heard %s %s", e.Type, e.Data)
		}
	}
}
