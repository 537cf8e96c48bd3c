package storetest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/pactwire/pactwire"
)

var sessionTests = []test{
	{"a session comes back as it was", on(testSession)},
	{"a client id belongs to its user", on(testSessionKeys)},
	{"a session whose time is over is not there", on(testSessionExpiry)},
	{"a thousand sessions are saved and loaded at once", on(testSessionStorm)},
	{"connections that stood at a kill are gone after it", on(testSessionReopened)},
}

func session(u pactwire.UserID, client string) pactwire.Session {
	return pactwire.Session{
		Key: pactwire.SessionKey{User: u, ClientID: client},
		Filters: []pactwire.SessionFilter{
			{Filter: "pacts/+/activity", QoS: 1, Identifier: 268_435_455, RetainHandling: 2, NoLocal: true, RetainAsPub: true},
			{Filter: "users/é/inbox"},
		},
		Cursors: []pactwire.Cursor{
			{Stream: pactwire.ActivityOf("p"), Acked: 3, Sent: 70_000}, {Stream: pactwire.InboxOf(u), Sent: 1 << 40},
		},
		Expiry:   time.Hour,
		Received: []uint16{1, 65535},
	}
}

func load(t *testing.T, s Store, key pactwire.SessionKey) (pactwire.Session, bool) {
	t.Helper()
	got, ok, err := s.LoadSession(ctx, key)
	if err != nil {
		t.Fatal(err)
	}
	return got, ok
}

func save(t *testing.T, s Store, sessions ...pactwire.Session) {
	t.Helper()
	if err := s.SaveSessions(ctx, sessions); err != nil {
		t.Fatal(err)
	}
}

func testSession(t *testing.T, s Store) {
	want := session("alice", "phone 1")
	if _, ok := load(t, s, want.Key); ok {
		t.Fatal("not saved and there")
	}
	save(t, s, want)
	got, ok := load(t, s, want.Key)
	if !ok {
		t.Fatal("not there")
	}
	same(t, "standing", want, got)

	want.GoneAt = time.Now().UTC().Truncate(time.Millisecond)
	want.Filters, want.Received = want.Filters[:1], nil
	want.Cursors[0].Acked = 4
	save(t, s, want)
	s = s.Reopen(t)
	got, _ = load(t, s, want.Key)
	same(t, "gone", want, got)

	empty := pactwire.Session{Key: want.Key, Expiry: time.Minute}
	save(t, s, empty)
	got, _ = load(t, s, want.Key)
	same(t, "empty", empty, got)

	if err := s.DeleteSession(ctx, want.Key); err != nil {
		t.Fatal(err)
	}
	if _, ok := load(t, s, want.Key); ok {
		t.Fatal("deleted and there")
	}
	if err := s.DeleteSession(ctx, pactwire.SessionKey{User: "nobody", ClientID: "x"}); err != nil {
		t.Fatal(err)
	}
	save(t, s, want)
	want.Expiry = 0
	save(t, s, want)
	if _, ok := load(t, s, want.Key); ok {
		t.Fatal("saved without an expiry and there")
	}
}

func testSessionKeys(t *testing.T, s Store) {
	a, b := session("alice", "same"), session("bob", "same")
	b.Filters = b.Filters[1:]
	save(t, s, a, b)
	gotA, _ := load(t, s, a.Key)
	gotB, _ := load(t, s, b.Key)
	same(t, "alice's", a, gotA)
	same(t, "bob's", b, gotB)
}

func testSessionExpiry(t *testing.T, s Store) {
	now := time.Now().UTC().Truncate(time.Millisecond)
	over, stands, away := session("alice", "over"), session("alice", "stands"), session("alice", "away")
	over.GoneAt, away.GoneAt = now.Add(-2*time.Hour), now
	var many []pactwire.Session
	for i := range 600 {
		o := session("bob", fmt.Sprint(i))
		o.GoneAt = over.GoneAt
		many = append(many, o)
	}
	save(t, s, append(many, over, stands, away)...)
	if _, ok := load(t, s, over.Key); ok {
		t.Error("its time is over and it is there")
	}
	if n, err := s.ExpireSessions(ctx, now); n != 601 || err != nil {
		t.Errorf("expired %d, %v", n, err)
	}
	for _, key := range []pactwire.SessionKey{stands.Key, away.Key} {
		if _, ok := load(t, s, key); !ok {
			t.Errorf("%s is gone", key.ClientID)
		}
	}
	if n, err := s.ExpireSessions(ctx, now.Add(2*time.Hour)); n != 1 || err != nil {
		t.Errorf("expired %d, %v", n, err)
	}
	if _, ok := load(t, s, stands.Key); !ok {
		t.Error("a standing session expired")
	}
}

func testSessionStorm(t *testing.T, s Store) {
	const n = 1000
	var sessions []pactwire.Session
	for i := range n {
		sessions = append(sessions, session(pactwire.UserID(fmt.Sprint("u", i)), "c"))
	}
	save(t, s, sessions...)
	var wg sync.WaitGroup
	for i := range n + 10 {
		wg.Go(func() {
			key := pactwire.SessionKey{User: pactwire.UserID(fmt.Sprint("u", i)), ClientID: "c"}
			got, ok, err := s.LoadSession(ctx, key)
			if err != nil || ok != (i < n) {
				t.Errorf("session %d: %v, %v", i, ok, err)
			} else if ok {
				same(t, "session", sessions[i], got)
			}
		})
	}
	wg.Wait()
}

func testSessionReopened(t *testing.T, s Store) {
	v := session("alice", "c")
	save(t, s, v)
	before := time.Now().Add(-time.Second)
	s = s.Reopen(t)
	got, ok := load(t, s, v.Key)
	if !ok || got.GoneAt.Before(before) || got.GoneAt.After(time.Now()) {
		t.Fatalf("there %v, gone at %v", ok, got.GoneAt)
	}
	if n, err := s.ExpireSessions(ctx, time.Now().Add(2*v.Expiry)); n != 1 || err != nil {
		t.Fatalf("it never expires: %d, %v", n, err)
	}
}
