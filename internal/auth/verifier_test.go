package auth_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/auth"
)

const secret = "0123456789012345678901234567890123456789"

var now = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

func verifier(t testing.TB, cfg auth.Config) *auth.Verifier {
	t.Helper()
	if cfg.Secret == nil && cfg.JWKSURL == "" {
		cfg.Secret = []byte(secret)
	}
	if cfg.Now == nil {
		cfg.Now = func() time.Time { return now }
	}
	v, err := auth.New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func sign(t testing.TB, method jwt.SigningMethod, key any, claims jwt.MapClaims) string {
	t.Helper()
	token, err := jwt.NewWithClaims(method, claims).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func in(d time.Duration) int64 { return now.Add(d).Unix() }

func TestWhatATokenSays(t *testing.T) {
	v := verifier(t, auth.Config{})
	exp := time.Unix(in(time.Hour), 0)
	for name, c := range map[string]struct {
		claims jwt.MapClaims
		want   pactwire.Identity
	}{
		"id wins over sub":      {jwt.MapClaims{"id": "alice", "sub": "bob", "userName": "Alice", "name": "A"}, pactwire.Identity{UserID: "alice", UserName: "Alice"}},
		"sub":                   {jwt.MapClaims{"sub": "bob", "name": "Bob"}, pactwire.Identity{UserID: "bob", UserName: "Bob"}},
		"null id is no id":      {jwt.MapClaims{"id": nil, "sub": "bob"}, pactwire.Identity{UserID: "bob"}},
		"roles in an array":     {jwt.MapClaims{"id": "a", "roles": []any{"operator", "king", 7, "lab"}}, pactwire.Identity{UserID: "a", Roles: pactwire.RoleOperator | pactwire.RoleLab}},
		"roles in a string":     {jwt.MapClaims{"id": "a", "roles": "lab"}, pactwire.Identity{UserID: "a", Roles: pactwire.RoleLab}},
		"roles in an object":    {jwt.MapClaims{"id": "a", "roles": map[string]any{"operator": true}}, pactwire.Identity{UserID: "a"}},
		"brand":                 {jwt.MapClaims{"id": "a", "brand": "habits"}, pactwire.Identity{UserID: "a", Brand: "habits"}},
		"a name fits in a line": {jwt.MapClaims{"id": "a", "userName": " A\x1b[2J\nB " + strings.Repeat("x", 200)}, pactwire.Identity{UserID: "a", UserName: "A[2JB " + strings.Repeat("x", 94)}},
		"other spellings":       {jwt.MapClaims{"sub": "alice", "ID": "bob", "Roles": "operator", "UserName": "Bob", "Brand": "x"}, pactwire.Identity{UserID: "alice"}},
		"clock a little ahead":  {jwt.MapClaims{"id": "a", "nbf": in(5 * time.Second), "iat": in(5 * time.Second)}, pactwire.Identity{UserID: "a"}},
	} {
		t.Run(name, func(t *testing.T) {
			c.claims["exp"] = exp.Unix()
			token := sign(t, jwt.SigningMethodHS256, []byte(secret), c.claims)
			got, err := v.Verify(t.Context(), token)
			c.want.Token, c.want.ExpiresAt = token, exp
			if c.claims["iat"] != nil {
				c.want.IssuedAt = time.Unix(c.claims["iat"].(int64), 0)
			}
			if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
				t.Error(err, diff)
			}
		})
	}
}

func TestWhatIsNotBelieved(t *testing.T) {
	v := verifier(t, auth.Config{Issuer: "https://id.example", Audience: "pactwire"})
	with := func(change jwt.MapClaims) jwt.MapClaims {
		c := jwt.MapClaims{"id": "alice", "exp": in(time.Hour), "iss": "https://id.example", "aud": []string{"other", "pactwire"}}
		for k, v := range change {
			if c[k] = v; v == nil {
				delete(c, k)
			}
		}
		return c
	}
	hs256 := func(change jwt.MapClaims) string {
		return sign(t, jwt.SigningMethodHS256, []byte(secret), with(change))
	}
	if _, err := v.Verify(t.Context(), hs256(nil)); err != nil {
		t.Fatalf("the good one: %v", err)
	}
	good := hs256(nil)
	dot := strings.LastIndexByte(good, '.')
	for name, c := range map[string]struct{ token, message string }{
		"nothing":          {"", "a token is needed"},
		"no JWT":           {"hunter2", "the token is malformed: it must be a JWT"},
		"JSON that is not": {"e30.e30x.x", "the token is malformed: it must be a JWT"},
		"too long":         {strings.Repeat("x", 9000), "the token is longer than 8192 bytes"},
		"alg none":         {sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, with(nil)), "the token's signature is wrong"},
		"another alg":      {sign(t, jwt.SigningMethodHS512, []byte(secret), with(nil)), "the token's signature is wrong"},
		"another secret":   {sign(t, jwt.SigningMethodHS256, []byte(strings.Repeat("y", 40)), with(nil)), "the token's signature is wrong"},
		"unknown alg":      {base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"XX"}`)) + ".e30.", "the token is signed with a key or in a way that is not known here"},
		"cut signature":    {good[:dot+5], "the token's signature is wrong"},
		"expired":          {hs256(jwt.MapClaims{"exp": in(0)}), "the token has expired; sign in again"},
		"no end":           {hs256(jwt.MapClaims{"exp": nil}), "the token has no end: it needs the claim exp"},
		"not yet":          {hs256(jwt.MapClaims{"nbf": in(7 * time.Second)}), "the token is not valid yet; check the clock of who signed it"},
		"from the future":  {hs256(jwt.MapClaims{"iat": in(7 * time.Second)}), "the token was signed in the future; check the clock of who signed it"},
		"another issuer":   {hs256(jwt.MapClaims{"iss": "https://evil.example"}), "the token is of another issuer"},
		"no issuer":        {hs256(jwt.MapClaims{"iss": nil}), "the token is of another issuer"},
		"another audience": {hs256(jwt.MapClaims{"aud": "else"}), "the token is meant for another audience"},
		"no audience":      {hs256(jwt.MapClaims{"aud": nil}), "the token is meant for another audience"},
		"nobody":           {hs256(jwt.MapClaims{"id": nil}), "the token names nobody: it needs the claim id or sub"},
		"malformed id":     {hs256(jwt.MapClaims{"id": "a/b", "sub": "alice"}), "the token's user id is malformed: ids are 1 to 64 letters, digits, - and _"},
		"wildcard id":      {hs256(jwt.MapClaims{"id": "+"}), "the token's user id is malformed: ids are 1 to 64 letters, digits, - and _"},
		"empty id":         {hs256(jwt.MapClaims{"id": "", "sub": "alice"}), "the token's user id is malformed: ids are 1 to 64 letters, digits, - and _"},
		"a number for id":  {hs256(jwt.MapClaims{"id": 7}), "the token is malformed: it must be a JWT"},
		"long id":          {hs256(jwt.MapClaims{"id": strings.Repeat("a", 65)}), "the token's user id is malformed: ids are 1 to 64 letters, digits, - and _"},
	} {
		t.Run(name, func(t *testing.T) {
			id, err := v.Verify(t.Context(), c.token)
			if err == nil {
				t.Fatalf("believed: %+v", id)
			}
			if e := pactwire.AsError(err); e.Code != pactwire.Denied || e.Message != c.message {
				t.Errorf("got %v, want %s", err, c.message)
			}
			if c.token != "" && strings.Contains(err.Error(), c.token) {
				t.Error("the error holds the token")
			}
		})
	}
}

func TestAClaimThatIsThereTwiceIsNotBelieved(t *testing.T) {
	enc := base64.RawURLEncoding.EncodeToString
	body := enc([]byte(`{"alg":"HS256"}`)) + "." + enc(fmt.Appendf(nil, `{"id":"alice","exp":%d,"id":"bob"}`, in(time.Hour)))
	mac, err := jwt.SigningMethodHS256.Sign(body, []byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	if id, err := verifier(t, auth.Config{}).Verify(t.Context(), body+"."+enc(mac)); pactwire.CodeOf(err) != pactwire.Denied {
		t.Errorf("%+v, %v", id, err)
	}
}

func TestSignedTokensAreBelieved(t *testing.T) {
	s := auth.Signer{Secret: []byte(secret), Issuer: "me", Audience: "you", Now: func() time.Time { return now }}
	want := pactwire.Identity{UserID: "alice", UserName: "Alice", Roles: pactwire.RoleOperator, Brand: "habits"}
	token, err := s.Sign(want, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	want.Token, want.IssuedAt, want.ExpiresAt = token, time.Unix(in(0), 0), time.Unix(in(time.Hour), 0)
	got, err := verifier(t, auth.Config{Issuer: "me", Audience: "you"}).Verify(t.Context(), token)
	if want.TokenID = got.TokenID; want.TokenID == "" {
		t.Error("the token has no id, so it cannot be revoked")
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
	peeked, err := auth.Peek(token)
	if diff := cmp.Diff(want, peeked); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

func TestWithoutAKeyThereIsNoVerifier(t *testing.T) {
	for _, cfg := range []auth.Config{{}, {Secret: []byte(secret), JWKSURL: "https://id.example/jwks"}, {JWKSURL: "no url"}} {
		if _, err := auth.New(cfg, slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("%+v was accepted", cfg)
		}
	}
}

func FuzzVerify(f *testing.F) {
	v := verifier(f, auth.Config{})
	f.Add(sign(f, jwt.SigningMethodHS256, []byte(secret), jwt.MapClaims{"id": "a", "exp": in(time.Hour)}))
	f.Add("..")
	f.Add("e30.e30.")
	f.Fuzz(func(t *testing.T, token string) {
		id, err := v.Verify(t.Context(), token)
		if err == nil && !pactwire.ValidID(id.UserID) {
			t.Errorf("%q speaks for %q", token, id.UserID)
		}
		if err != nil && pactwire.CodeOf(err) != pactwire.Denied {
			t.Errorf("%q: %v", token, err)
		}
	})
}

// 5,000 clients that reconnect in one second must not be held up by their tokens.
func BenchmarkVerify(b *testing.B) {
	v := verifier(b, auth.Config{})
	token, err := auth.Signer{Secret: []byte(secret), Now: func() time.Time { return now }}.Sign(pactwire.Identity{UserID: "alice", UserName: "Alice"}, time.Hour)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(context.Background(), token); err != nil {
			b.Fatal(err)
		}
	}
}
