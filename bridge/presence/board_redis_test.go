package presence_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/bridge/presence"
	"github.com/pactwire/pactwire/internal/testkit"
	"github.com/pactwire/pactwire/redis"
)

const sharedGrace = 300 * time.Millisecond

// member is one node of several.
type member struct {
	*presence.Shared
	*heard
	board *redis.Client
	addr  string
}

func join(t *testing.T, url, addr string, store presence.Store) *member {
	t.Helper()
	c, err := redis.Open(redis.Config{URL: url, Addr: addr, Lease: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	m := &member{heard: &heard{}, board: c, addr: addr}
	m.Shared = presence.NewShared(presence.Config{Grace: sharedGrace, Flush: 10 * time.Millisecond}, c, store, m.on, nil, nil)
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		_ = c.Close()
	})
	return m
}

func (m *member) all() []pactwire.Presence {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]pactwire.Presence(nil), m.list...)
}

func statuses(members ...*member) (s []pactwire.PresenceStatus) {
	for _, m := range members {
		for _, p := range m.all() {
			s = append(s, p.Status)
		}
	}
	return s
}

func (m *member) get(t *testing.T, u pactwire.UserID) pactwire.Presence {
	t.Helper()
	list, err := m.Get(t.Context(), []pactwire.UserID{u})
	if err != nil {
		t.Fatal(err)
	}
	return list[0]
}

func TestAMoveToAnotherNodeTellsNobody(t *testing.T) {
	r, store := testkit.Redis(t), newMemory()
	a, b := join(t, r.URL(), "a/1", store), join(t, r.URL(), "b/1", store)
	phone := presence.Conn{User: "alice", ID: 1, ClientID: "phone"}
	a.Arrive(phone)
	for _, m := range []*member{a, b} {
		testkit.Eventually(t, time.Minute, "alice is seen at "+m.addr, func() bool { return m.get(t, "alice").Status == active })
	}
	a.Leave(phone)
	b.Arrive(phone)
	testkit.Never(t, 3*sharedGrace, "more is told", func() bool { return len(statuses(a, b)) > 1 })
	b.Leave(phone)
	testkit.Eventually(t, time.Minute, "alice is offline", func() bool { return len(statuses(a, b)) == 2 })
	if got := b.all(); len(got) != 1 || got[0].Status != offline || got[0].Version <= a.all()[0].Version || got[0].LastSeen == nil {
		t.Errorf("b told %+v", got)
	}
	testkit.Eventually(t, time.Minute, "that is written down", func() bool {
		row := store.row("alice")
		return !row.Online && row.Version == b.all()[0].Version
	})
}

func TestThePeopleOfADeadNodeGoOfflineOnce(t *testing.T) {
	r, store := testkit.Redis(t), newMemory()
	a, b, c := join(t, r.URL(), "a/1", store), join(t, r.URL(), "b/1", store), join(t, r.URL(), "c/1", store)
	for i := range 20 {
		u := pactwire.UserID(fmt.Sprint("u", i))
		a.Arrive(presence.Conn{User: u, ID: uint64(i), ClientID: "a"})
		if i < 5 {
			b.Arrive(presence.Conn{User: u, ID: uint64(i), ClientID: "b"})
		}
	}
	testkit.Eventually(t, time.Minute, "all are online", func() bool { return len(statuses(a, b, c)) == 20 })
	dead := []pactwire.NodeBeat{{Addr: "a/1", Age: time.Second, Lapsed: true}}
	testkit.Eventually(t, time.Minute, "the dead node's people are offline", func() bool {
		for _, m := range []*member{b, c} {
			m.Bury(t.Context(), dead)
		}
		return len(statuses(b, c)) >= 15
	})
	n := 0
	for _, s := range statuses(b, c) {
		if s == offline {
			n++
		}
	}
	if n != 15 {
		t.Errorf("%d were called offline, want the 15 who are nowhere else", n)
	}
	if b.get(t, "u1").Status != active || c.get(t, "u7").Status != offline {
		t.Error("the snapshots say otherwise")
	}
}

func TestNobodyIsCalledOfflineByMistakeWhileTheBoardIsAway(t *testing.T) {
	r, store := testkit.Redis(t), newMemory()
	a, b := join(t, r.URL(), "a/1", store), join(t, r.URL(), "b/1", store)
	alice, bob := presence.Conn{User: "alice", ID: 1, ClientID: "p"}, presence.Conn{User: "bob", ID: 2, ClientID: "p"}
	a.Arrive(alice)
	b.Arrive(bob)
	testkit.Eventually(t, time.Minute, "both are written down", func() bool { return store.row("alice").Online && store.row("bob").Online })
	r.Kill()
	a.Leave(alice)
	carol := presence.Conn{User: "carol", ID: 3, ClientID: "p"}
	testkit.Never(t, 2*sharedGrace, "alice is called offline", func() bool { return len(statuses(a)) > 1 })
	a.Arrive(carol)
	testkit.Eventually(t, time.Minute, "who comes is told here", func() bool { return len(statuses(a)) == 2 })
	if got := a.get(t, "bob"); got.Status != active {
		t.Errorf("bob, who is elsewhere: %+v", got)
	}
	r.Start()
	testkit.Eventually(t, time.Minute, "alice is offline", func() bool { return b.get(t, "alice").Status == offline && b.get(t, "carol").Status == active })
	r.FlushAll()
	a.Repeat()
	b.Repeat()
	testkit.Eventually(t, time.Minute, "all is said again", func() bool { return a.get(t, "bob").Status == active && b.get(t, "carol").Status == active })
	if got := statuses(b); len(got) != 1 {
		t.Errorf("b told %v", got)
	}
}
