package storetest

import (
	"errors"
	"fmt"
	"slices"
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
	{"a session has one owner, and the newest claim wins", on(testSessionOwner)},
	{"what an older owner writes changes nothing", on(testSessionFence)},
	{"a claim forgets what is over, or is to be", on(testSessionClaimClean)},
	{"of many claims at once each has its own epoch", on(testSessionClaims)},
	{"a QoS 2 publish is taken in once until it is released", on(testReceived)},
	{"a claim takes unreleased QoS 2 publishes over, or forgets them", on(testReceivedClaim)},
	{"unreleased QoS 2 publishes go with their session", on(testReceivedGoes)},
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
		Expiry: time.Hour,
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
	if fenced, err := s.SaveSessions(ctx, sessions); err != nil || len(fenced) > 0 {
		t.Fatal(fenced, err)
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
	want.Filters = want.Filters[:1]
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

// receive is a transaction that takes in a QoS 2 publish, and reports whether it was known before.
func receive(t *testing.T, s Store, key pactwire.SessionKey, id uint16) (known bool) {
	t.Helper()
	in := pactwire.Inbound{Session: key, PacketID: id}
	must(t, s, func(tx Tx) (err error) {
		if known, err = tx.Received(in); known || err != nil {
			return err
		}
		return tx.PutReceived(in)
	})
	return known
}

func testReceived(t *testing.T, s Store) {
	v, other := session("alice", "phone"), session("alice", "watch")
	for range 2 {
		if receive(t, s, v.Key, 7) {
			t.Error("noted for a session that is not stored")
		}
	}
	save(t, s, v, other)
	for _, id := range []uint16{65535, 1, 7} {
		if receive(t, s, v.Key, id) {
			t.Errorf("%d is known before it came", id)
		}
		if !receive(t, s, v.Key, id) || receive(t, s, other.Key, id) {
			t.Errorf("%d is not known, or known to another session", id)
		}
	}
	err := do(t, s, func(tx Tx) error {
		return errors.Join(tx.PutReceived(pactwire.Inbound{Session: v.Key, PacketID: 9}), pactwire.Errorf(pactwire.Conflict, "no"))
	})
	if err == nil || receive(t, s, other.Key, 9) {
		t.Error("what was rolled back is known")
	}
	save(t, s, v) // which does not touch them
	done := make(chan error, 1)
	if err := s.ReleaseReceived(ctx, pactwire.Inbound{Session: v.Key, PacketID: 7}, func(err error) { done <- err }); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	v.Received = []uint16{1, 65535}
	got, _ := load(t, s, v.Key)
	same(t, "after a release", v, got)
	got, _ = load(t, s.Reopen(t), v.Key)
	got.GoneAt = v.GoneAt
	same(t, "after a kill", v, got)
}

func testReceivedGoes(t *testing.T, s Store) {
	v := session("alice", "phone")
	for name, end := range map[string]func(){
		"deleted": func() {
			if err := s.DeleteSession(ctx, v.Key); err != nil {
				t.Fatal(err)
			}
		},
		"saved without an expiry": func() { save(t, s, pactwire.Session{Key: v.Key}) },
		"expired": func() {
			over := v
			over.GoneAt = time.Now().Add(-2 * v.Expiry)
			save(t, s, over)
			if n, err := s.ExpireSessions(ctx, time.Now()); n != 1 || err != nil {
				t.Fatalf("expired %d, %v", n, err)
			}
		},
	} {
		save(t, s, v)
		receive(t, s, v.Key, 7)
		end()
		save(t, s, v)
		if got, _ := load(t, s, v.Key); len(got.Received) > 0 || receive(t, s, v.Key, 7) {
			t.Errorf("%s, and the next session knows %v", name, got.Received)
		}
		if err := s.DeleteSession(ctx, v.Key); err != nil {
			t.Fatal(err)
		}
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

func claim(t *testing.T, s Store, c pactwire.SessionClaim) pactwire.SessionClaimed {
	t.Helper()
	got, err := s.ClaimSession(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func testSessionOwner(t *testing.T, s Store) {
	v := session("alice", "c")
	first := claim(t, s, pactwire.SessionClaim{Key: v.Key, Node: "a/1"})
	if first.Found || first.Holder != "" || first.Before != 0 || first.Session.Epoch == 0 || first.Session.Key != v.Key {
		t.Fatalf("of what is not there: %+v", first)
	}
	if got := claim(t, s, pactwire.SessionClaim{Key: v.Key, Node: "b/1"}); got.Holder != "a/1" {
		t.Fatalf("a standing one, not kept yet: %+v", got)
	}
	v.Epoch = first.Session.Epoch
	save(t, s, v)
	if got := claim(t, s, pactwire.SessionClaim{Key: v.Key, Node: "b/1"}); got.Holder != "a/1" {
		t.Fatalf("a standing one: %+v", got)
	}
	again := claim(t, s, pactwire.SessionClaim{Key: v.Key, Node: "a/1"})
	if !again.Found || again.Before != v.Epoch || again.Session.Epoch <= v.Epoch {
		t.Fatalf("the owner again: %+v", again)
	}
	v.Epoch = again.Session.Epoch
	same(t, "kept", v, again.Session)
	forced := claim(t, s, pactwire.SessionClaim{Key: v.Key, Node: "b/1", Force: true})
	if !forced.Found || forced.Holder != "" || forced.Before != v.Epoch {
		t.Fatalf("forced: %+v", forced)
	}
	v.Epoch = forced.Session.Epoch
	same(t, "of an owner that wrote nothing since its claim", v.Standing(), forced.Session)
	v.GoneAt = time.Now().UTC().Truncate(time.Millisecond)
	save(t, s, v)
	if got := claim(t, s, pactwire.SessionClaim{Key: v.Key, Node: "c/1"}); got.Holder != "" || !got.Found {
		t.Fatalf("one that has been let go: %+v", got)
	}
}

func testSessionFence(t *testing.T, s Store) {
	v := session("alice", "c")
	v.Epoch = claim(t, s, pactwire.SessionClaim{Key: v.Key, Node: "a/1"}).Session.Epoch
	save(t, s, v)
	old := v
	v.Epoch = claim(t, s, pactwire.SessionClaim{Key: v.Key, Node: "b/1", Force: true}).Session.Epoch
	other := session("bob", "c")
	old.Filters = nil
	for _, expiry := range []time.Duration{time.Hour, 0} { // 0 would delete it
		old.Expiry = expiry
		fenced, err := s.SaveSessions(ctx, []pactwire.Session{old, other})
		if err != nil || len(fenced) != 1 || fenced[0].Key != old.Key || fenced[0].Epoch != old.Epoch {
			t.Fatalf("fenced %v, %v", fenced, err)
		}
	}
	if _, ok := load(t, s, other.Key); !ok {
		t.Error("what came with it was not written")
	}
	gone := pactwire.SessionKey{User: "nobody", ClientID: "c"}
	lost, err := s.LostSessions(ctx, []pactwire.Session{old, v, {Key: gone, Epoch: 7}})
	if err != nil || len(lost) != 2 || lost[0].Key != old.Key || lost[0].Epoch != old.Epoch || lost[1].Key != gone {
		t.Fatalf("lost %v, %v", lost, err)
	}
	got := claim(t, s, pactwire.SessionClaim{Key: v.Key, Node: "b/1"})
	v.Epoch = got.Session.Epoch
	same(t, "the newer", v.Standing(), got.Session)
}

func testSessionClaimClean(t *testing.T, s Store) {
	v := session("alice", "c")
	save(t, s, v)
	if got := claim(t, s, pactwire.SessionClaim{Key: v.Key, Node: "a/1", Clean: true}); got.Found || len(got.Session.Filters) > 0 {
		t.Fatalf("clean: %+v", got)
	}
	if got := claim(t, s, pactwire.SessionClaim{Key: v.Key, Node: "a/1"}); got.Found {
		t.Fatalf("after a clean start: %+v", got)
	}
	over := session("alice", "over")
	over.GoneAt = time.Now().Add(-2 * time.Hour)
	save(t, s, over)
	got := claim(t, s, pactwire.SessionClaim{Key: over.Key, Node: "a/1"})
	if got.Found {
		t.Fatalf("its time was over: %+v", got)
	}
	over.Epoch, over.Expiry = got.Session.Epoch, 0
	save(t, s, over) // the connection that kept nothing has ended
	if got := claim(t, s, pactwire.SessionClaim{Key: over.Key, Node: "b/1"}); got.Holder != "" || got.Session.Epoch <= over.Epoch {
		t.Fatalf("after it was deleted: %+v", got)
	}
}

func testReceivedClaim(t *testing.T, s Store) {
	v := session("alice", "phone")
	save(t, s, v)
	receive(t, s, v.Key, 7)
	got := claim(t, s, pactwire.SessionClaim{Key: v.Key, Node: "a/1"})
	if !slices.Equal(got.Session.Received, []uint16{7}) {
		t.Errorf("claimed %v", got.Session.Received)
	}
	got = claim(t, s, pactwire.SessionClaim{Key: v.Key, Node: "a/1", Clean: true})
	if len(got.Session.Received) > 0 || receive(t, s, v.Key, 7) {
		t.Errorf("after a clean start %v", got.Session.Received)
	}
}

func testSessionClaims(t *testing.T, s Store) {
	const n = 100
	var mu sync.Mutex
	epochs := map[uint64]bool{}
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			c := pactwire.SessionClaim{Key: pactwire.SessionKey{User: "u", ClientID: "c"}, Node: fmt.Sprintf("n%d/1", i), Force: true}
			got, err := s.ClaimSession(ctx, c)
			mu.Lock()
			defer mu.Unlock()
			if err != nil || got.Holder != "" || epochs[got.Session.Epoch] {
				t.Errorf("%+v, %v", got, err)
			}
			epochs[got.Session.Epoch] = true
		})
	}
	wg.Wait()
	if len(epochs) != n {
		t.Errorf("%d epochs", len(epochs))
	}
}
