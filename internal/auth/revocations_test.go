package auth_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"pgregory.net/rapid"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/auth"
	"github.com/pactwire/pactwire/internal/testkit"
	"github.com/pactwire/pactwire/sqlite"
)

func store(t *testing.T) *sqlite.DB {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "r.db")}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func revocations(t *testing.T, s auth.RevocationStore, every time.Duration) *auth.Revocations {
	t.Helper()
	r := auth.NewRevocations(s, every, slog.New(slog.DiscardHandler))
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Stop)
	return r
}

func bearer(u pactwire.UserID, jti string, issued time.Time) pactwire.Identity {
	return pactwire.Identity{UserID: u, TokenID: jti, IssuedAt: issued, ExpiresAt: issued.Add(time.Hour)}
}

func refused(err error) bool { return pactwire.CodeOf(err) == pactwire.Denied }

func TestARevokedTokenIsWorthNothing(t *testing.T) {
	db := store(t)
	r := revocations(t, db, 0)
	told := 0
	r.OnRevoked(func() { told++ })
	now := time.Now()
	id, other := bearer("alice", "t1", now), bearer("alice", "t2", now)
	if r.Stands(id) != nil {
		t.Fatal("refused before anything was revoked")
	}
	rev, err := r.Revoke(t.Context(), "ops", pactwire.RevocationInput{TokenID: "t1", ExpiresAt: &id.ExpiresAt})
	if err != nil || told != 1 || rev.By != "ops" || rev.Until.Std().After(id.ExpiresAt.Add(time.Minute)) {
		t.Fatalf("%+v %v, told %d times", rev, err, told)
	}
	for _, list := range []*auth.Revocations{r, revocations(t, db, 0)} { // after a restart too
		if !refused(list.Stands(id)) || list.Stands(other) != nil {
			t.Errorf("%v %v", list.Stands(id), list.Stands(other))
		}
	}
}

// Tokens say the second in which they were issued. One of the very second of the revocation may be older, so it goes too.
func TestRevokingAPersonRevokesWhatWasIssuedUpToThen(t *testing.T) {
	r := revocations(t, store(t), 0)
	before := time.Now().Add(-time.Minute).Truncate(time.Second).Add(500 * time.Millisecond)
	if _, err := r.Revoke(t.Context(), "ops", pactwire.RevocationInput{UserID: "alice", Before: &before}); err != nil {
		t.Fatal(err)
	}
	earlier := before.Add(-time.Hour) // says nothing new, and takes nothing back
	if _, err := r.Revoke(t.Context(), "ops", pactwire.RevocationInput{UserID: "alice", Before: &earlier}); err != nil {
		t.Fatal(err)
	}
	second := before.Truncate(time.Second)
	for issued, want := range map[time.Time]bool{
		second.Add(-time.Hour): true, second.Add(-time.Second): true, second: true, second.Add(time.Second): false, second.Add(time.Hour): false, {}: true,
	} {
		if got := refused(r.Stands(bearer("alice", "", issued))); got != want {
			t.Errorf("issued %v: refused %v", issued.Sub(second), got)
		}
	}
	if r.Stands(bearer("bob", "", time.Time{})) != nil || r.Stands(pactwire.Identity{UserID: "alice", Device: "d"}) != nil {
		t.Error("others, and devices, are not meant")
	}
}

func TestVerifyRefusesTheRevoked(t *testing.T) {
	r := revocations(t, store(t), 0)
	v := verifier(t, auth.Config{Now: time.Now, Stands: r.Stands})
	token := testSign(t, jwt.MapClaims{"id": "alice", "jti": "t1", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()})
	if _, err := v.Verify(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Revoke(t.Context(), "ops", pactwire.RevocationInput{TokenID: "t1"}); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(t.Context(), token); !refused(err) {
		t.Error(err)
	}
}

func testSign(t *testing.T, c jwt.MapClaims) string {
	t.Helper()
	return sign(t, jwt.SigningMethodHS256, []byte(secret), c)
}

// What one node revokes, the others learn of the shared store.
func TestOtherNodesLearnWhatWasRevoked(t *testing.T) {
	db := store(t)
	here, there := revocations(t, db, 0), revocations(t, db, 10*time.Millisecond)
	var told atomic.Int32
	there.OnRevoked(func() { told.Add(1) })
	id := bearer("alice", "t1", time.Now())
	if _, err := here.Revoke(t.Context(), "ops", pactwire.RevocationInput{TokenID: "t1"}); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, 10*time.Second, "the other node refuses it", func() bool { return refused(there.Stands(id)) && told.Load() == 1 })
	if err := there.Look(t.Context()); err != nil || told.Load() != 1 {
		t.Errorf("news that is none: %v, told %d times", err, told.Load())
	}
}

// A node that could not look for long, as one that was cut off from the store, or looks seldom, learns all of it.
func TestALateLookFindsAllThatWasRevoked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := store(t)
		const seldom = time.Hour
		here, there := revocations(t, db, 0), revocations(t, db, seldom)
		id := bearer("alice", "t1", time.Now())
		<-time.After(seldom / 2)
		if _, err := here.Revoke(t.Context(), "ops", pactwire.RevocationInput{TokenID: "t1"}); err != nil {
			t.Fatal(err)
		}
		<-time.After(seldom)
		synctest.Wait()
		if !refused(there.Stands(id)) {
			t.Error("a token that was revoked elsewhere stands")
		}
	})
}

func TestADeviceIsRevokedAndRemoved(t *testing.T) {
	db := store(t)
	d := pactwire.Device{ID: "d", Name: "b", Kind: pactwire.KindButton, PactID: "p", HabitGoalID: "g", Owner: "alice", SecretHash: []byte{1}, CreatedAt: pactwire.Time(time.Now())}
	if err := db.AddDevice(t.Context(), d, 1); err != nil {
		t.Fatal(err)
	}
	r := revocations(t, db, 0)
	if err := r.RevokeDevice(t.Context(), "alice", "d"); err != nil {
		t.Fatal(err)
	}
	if !refused(r.Stands(pactwire.Identity{UserID: "alice", Device: "d"})) {
		t.Error("it stands")
	}
	if _, there, err := db.Device(t.Context(), "d"); there || err != nil {
		t.Error("it is there", err)
	}
	if err := r.RevokeDevice(t.Context(), "alice", "d"); pactwire.CodeOf(err) != pactwire.NotFound {
		t.Error(err)
	}
}

func TestWhatCannotBeRevoked(t *testing.T) {
	r := revocations(t, store(t), 0)
	future := time.Now().Add(time.Hour)
	for name, c := range map[string]struct {
		in    pactwire.RevocationInput
		field string
	}{
		"nothing":      {pactwire.RevocationInput{}, "tokenId"},
		"two things":   {pactwire.RevocationInput{TokenID: "t", UserID: "alice"}, "tokenId"},
		"a token":      {pactwire.RevocationInput{TokenID: string(make([]byte, 300))}, "tokenId"},
		"no user id":   {pactwire.RevocationInput{UserID: "a b"}, "userId"},
		"no device id": {pactwire.RevocationInput{DeviceID: "+"}, "deviceId"},
		"the future":   {pactwire.RevocationInput{UserID: "alice", Before: &future}, "before"},
	} {
		if _, err := r.Revoke(t.Context(), "ops", c.in); pactwire.CodeOf(err) != pactwire.Invalid || pactwire.AsError(err).Field != c.field {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// away is a store that cannot be reached.
type away struct{ auth.RevocationStore }

func (away) Revocations(context.Context, time.Time) ([]pactwire.Revocation, error) {
	return nil, errors.New("the database is away")
}

// Who cannot know what is revoked lets nobody in.
func TestWithoutTheListNothingStarts(t *testing.T) {
	if err := auth.NewRevocations(away{}, 0, slog.New(slog.DiscardHandler)).Start(t.Context()); err == nil {
		t.Error("it started")
	}
}

// However revocations come, a token stands if and only if none of them names it.
func TestStandsIsWhatTheListSays(t *testing.T) {
	db := store(t)
	start := time.Now().Add(-1000 * time.Second).Truncate(time.Second)
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		name := func(s string) string { return fmt.Sprint(s, "-", round) }
		r := revocations(t, db, 0)
		users, tokens := []string{name("alice"), name("bob")}, []string{name("t1"), name("t2"), ""}
		latest, named := map[pactwire.UserID]time.Time{}, map[string]bool{}
		for range rapid.IntRange(0, 8).Draw(rt, "revocations") {
			in := pactwire.RevocationInput{TokenID: rapid.SampledFrom(tokens[:2]).Draw(rt, "token")}
			if rapid.Bool().Draw(rt, "a person") {
				at := start.Add(time.Duration(rapid.IntRange(0, 10_000).Draw(rt, "before")) * time.Millisecond)
				in = pactwire.RevocationInput{UserID: pactwire.UserID(rapid.SampledFrom(users).Draw(rt, "user")), Before: &at}
				if at.After(latest[in.UserID]) {
					latest[in.UserID] = at
				}
			} else {
				named[in.TokenID] = true
			}
			if _, err := r.Revoke(t.Context(), "ops", in); err != nil {
				rt.Fatal(err)
			}
		}
		lists := []*auth.Revocations{r, revocations(t, db, 0)}
		for range 10 {
			id := bearer(pactwire.UserID(rapid.SampledFrom(users).Draw(rt, "bearer")), rapid.SampledFrom(tokens).Draw(rt, "jti"),
				start.Add(time.Duration(rapid.IntRange(-2, 12).Draw(rt, "issued"))*time.Second))
			before, revoked := latest[id.UserID]
			want := named[id.TokenID] || revoked && !id.IssuedAt.After(before)
			for i, list := range lists {
				if got := refused(list.Stands(id)); got != want {
					rt.Fatalf("list %d: %+v refused %v, want %v", i, id, got, want)
				}
			}
		}
	})
}
