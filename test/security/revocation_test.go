package security_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/testkit"
)

// tokenOf signs a token with an id and a time of issue.
func tokenOf(u pactwire.UserID, jti string, issued time.Time) string {
	return testkit.Sign(jwt.MapClaims{"id": string(u), "userName": string(u), "jti": jti, "iat": issued.Unix(), "exp": time.Now().Add(time.Hour).Unix()})
}

func revoke(t *testing.T, s *testkit.Server, in pactwire.RevocationInput) (rev pactwire.Revocation) {
	t.Helper()
	code, body, err := s.CallWith(testkit.Token("ops", "operator"), http.MethodPost, "/v1/revocations", in)
	if err != nil || code != http.StatusCreated || json.Unmarshal(body, &rev) != nil {
		t.Fatalf("%d %s %v", code, body, err)
	}
	return rev
}

// A revoked token opens nothing any more, and what it had opened is cut at once.
func TestTrapRevokedToken(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, map[string]string{"lab.enabled": "true"})
	s.NewPact("alice", "bob")
	now := time.Now()
	lost, kept := tokenOf("alice", "lost", now), tokenOf("alice", "kept", now)
	refresh := func(token string) []byte {
		return frame(15<<4, join([]byte{0x19}, withLength(join(propStr(0x15, "jwt"), propStr(0x16, token)))))
	}
	var cut []*client
	for _, v := range []byte{4, 5} {
		c := connect(t, s, opts{user: "alice", token: lost, v: v, id: string('a' + rune(v))})
		c.mustSub("users/alice/inbox")
		cut = append(cut, c)
	}
	// one that was refreshed with the lost token, and one that was refreshed away from it
	method := propStr(0x15, "jwt")
	into := connect(t, s, opts{user: "alice", token: kept, v: 5, id: "into", props: method})
	into.raw(refresh(lost))
	into.ping()
	cut = append(cut, into)
	away := connect(t, s, opts{user: "alice", token: lost, v: 5, id: "away", props: method})
	away.raw(refresh(kept))
	away.ping()
	stays := connect(t, s, opts{user: "alice", token: kept, id: "stays"})
	s.NewDevice("alice", s.NewPact("alice", "carol").ID)

	began := time.Now()
	revoke(t, s, pactwire.RevocationInput{TokenID: "lost"})
	for i, c := range cut {
		if reason := c.endedWith(); reason != map[byte]byte{4: 0, 5: 0x87}[c.v] {
			t.Errorf("connection %d: DISCONNECT %#x", i, reason)
		}
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("cut after %v", took)
	}
	away.ping()
	stays.ping()
	for round := range 2 {
		for v, want := range map[byte]byte{4: 5, 5: 0x86} {
			if _, ack := try(t, s, opts{user: "alice", token: lost, v: v}); ack.code != want {
				t.Errorf("round %d, MQTT %d: CONNACK %#x", round, v, ack.code)
			}
		}
		if code, _, err := s.CallWith(lost, http.MethodGet, "/v1/me", nil); err != nil || code != http.StatusUnauthorized {
			t.Errorf("round %d, HTTP: %d %v", round, code, err)
		}
		c := connect(t, s, opts{user: "alice", token: kept, v: 5, id: "auth", props: method})
		c.raw(refresh(lost))
		if reason := c.endedWith(); reason != 0x87 {
			t.Errorf("round %d, AUTH: DISCONNECT %#x", round, reason)
		}
		s.Kill() // and once more after a crash
		s.Restart()
	}
}

// Everything that was issued to a person before is worthless; a new token works, and so do others'.
func TestTrapRevokedPerson(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, map[string]string{"lab.enabled": "true"})
	p := s.NewPact("alice", "bob").ID
	hourAgo := time.Now().Add(-time.Hour)
	old := connect(t, s, opts{user: "alice", token: tokenOf("alice", "", hourAgo), v: 5, id: "old"})
	undated := connect(t, s, opts{user: "alice", token: testkit.Sign(jwt.MapClaims{"id": "alice", "exp": time.Now().Add(time.Hour).Unix()}), v: 5, id: "undated"})
	lab := connect(t, s, opts{user: "alice", token: testkit.Sign(jwt.MapClaims{"id": "alice", "roles": "lab", "iat": hourAgo.Unix(), "exp": time.Now().Add(time.Hour).Unix()}), v: 5, id: "lab"})
	newer := connect(t, s, opts{user: "alice", token: tokenOf("alice", "", time.Now()), v: 5, id: "newer"})
	bob := connect(t, s, opts{user: "bob", token: tokenOf("bob", "", hourAgo), v: 5})
	made := s.NewDevice("alice", p)
	device := connect(t, s, opts{user: pactwire.UserID(made.Username), token: made.Secret, v: 5})
	before := time.Now().Add(-time.Minute)
	rev := revoke(t, s, pactwire.RevocationInput{UserID: "alice", Before: &before})
	if rev.UserID != "alice" || rev.By != "ops" {
		t.Errorf("%+v", rev)
	}
	for _, c := range []*client{old, undated, lab} {
		if reason := c.endedWith(); reason != 0x87 {
			t.Errorf("DISCONNECT %#x", reason)
		}
	}
	newer.ping()
	bob.ping()
	device.ping()
	if _, ack := try(t, s, opts{user: "alice", token: tokenOf("alice", "", hourAgo), v: 5}); ack.code != 0x86 {
		t.Errorf("CONNACK %#x", ack.code)
	}
}

func TestLogout(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, nil)
	one, two := tokenOf("alice", "one", time.Now()), tokenOf("alice", "two", time.Now())
	a, b := connect(t, s, opts{user: "alice", token: one, id: "a"}), connect(t, s, opts{user: "alice", token: two, id: "b"})
	if code, body, err := s.CallWith(one, http.MethodPost, "/v1/logout", nil); err != nil || code != http.StatusNoContent {
		t.Fatalf("%d %s %v", code, body, err)
	}
	a.endedWith()
	b.ping()
	if code, _, err := s.CallWith(one, http.MethodGet, "/v1/me", nil); err != nil || code != http.StatusUnauthorized {
		t.Error(code, err)
	}
	if code, _, err := s.CallWith(two, http.MethodPost, "/v1/logout", map[string]bool{"everywhere": true}); err != nil || code != http.StatusNoContent {
		t.Error(code, err)
	}
	b.endedWith()
}

// Only operators revoke for others, and people learn nothing of the list.
func TestTrapRevocationIsForOperators(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, nil)
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		if code, _, err := s.Call("alice", method, "/v1/revocations", map[string]string{"userId": "bob"}); err != nil || code != http.StatusForbidden {
			t.Errorf("%s: %d %v", method, code, err)
		}
	}
	if code, _, err := s.CallWith(testkit.Token("bob"), http.MethodGet, "/v1/me", nil); err != nil || code != http.StatusOK {
		t.Error(code, err)
	}
}

// A token of another app of the same issuer is none of ours; a refresh does not change the brand either.
func TestTrapBrandMismatch(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, map[string]string{"auth.jwt.brand": "habits"})
	token := func(claims jwt.MapClaims) string {
		claims["id"], claims["exp"] = "alice", time.Now().Add(time.Hour).Unix()
		return testkit.Sign(claims)
	}
	ours := token(jwt.MapClaims{"brand": "habits"})
	for name, theirs := range map[string]string{"another brand": token(jwt.MapClaims{"brand": "teem"}), "no brand": token(jwt.MapClaims{}), "in capitals": token(jwt.MapClaims{"brand": "HABITS"})} {
		for v, want := range map[byte]byte{4: 5, 5: 0x86} {
			if _, ack := try(t, s, opts{user: "alice", token: theirs, v: v}); ack.code != want {
				t.Errorf("%s, MQTT %d: CONNACK %#x", name, v, ack.code)
			}
		}
		if code, _, err := s.CallWith(theirs, http.MethodGet, "/v1/me", nil); err != nil || code != http.StatusUnauthorized {
			t.Errorf("%s, HTTP: %d %v", name, code, err)
		}
		c := connect(t, s, opts{user: "alice", token: ours, v: 5, props: propStr(0x15, "jwt")})
		c.raw(frame(15<<4, join([]byte{0x19}, withLength(join(propStr(0x15, "jwt"), propStr(0x16, theirs))))))
		if reason := c.endedWith(); reason != 0x87 {
			t.Errorf("%s, AUTH: DISCONNECT %#x", name, reason)
		}
	}
}
