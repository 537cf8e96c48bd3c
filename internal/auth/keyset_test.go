package auth_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/auth"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// issuer is a real key server whose keys change.
type issuer struct {
	*httptest.Server
	fetches atomic.Int32
	down    atomic.Bool
	mu      sync.Mutex
	keys    map[string]crypto.Signer
}

func newIssuer(t *testing.T) *issuer {
	i := &issuer{keys: map[string]crypto.Signer{}}
	i.Server = httptest.NewServer(http.HandlerFunc(i.serve))
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) serve(w http.ResponseWriter, _ *http.Request) {
	i.fetches.Add(1)
	if i.down.Load() {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	set := jwkset.JWKSMarshal{}
	for kid, key := range i.keys {
		jwk, err := jwkset.NewJWKFromKey(key.Public(), jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{KID: kid}})
		if err != nil {
			panic(err)
		}
		set.Keys = append(set.Keys, jwk.Marshal())
	}
	_ = json.NewEncoder(w).Encode(set)
}

// rotate makes kid the issuer's only key.
func (i *issuer) rotate(kid string, key crypto.Signer) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = map[string]crypto.Signer{kid: key}
}

func (i *issuer) token(t *testing.T, method jwt.SigningMethod, kid string, key any) string {
	t.Helper()
	token := jwt.NewWithClaims(method, jwt.MapClaims{"sub": "alice", "exp": in(time.Hour)})
	if kid != "" {
		token.Header["kid"] = kid
	}
	s, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func edKey(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (i *issuer) verifier(t *testing.T) *auth.Verifier {
	v := verifier(t, auth.Config{JWKSURL: i.URL, Client: i.Client()})
	t.Cleanup(v.Stop)
	return v
}

func TestIssuersKeysOfEachKind(t *testing.T) {
	i := newIssuer(t)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i.keys = map[string]crypto.Signer{"rsa": rsaKey, "ec": ecKey, "ed": edKey(t)}
	v := i.verifier(t)
	v.Start(t.Context())
	for kid, method := range map[string]jwt.SigningMethod{"rsa": jwt.SigningMethodRS256, "ec": jwt.SigningMethodES256, "ed": jwt.SigningMethodEdDSA} {
		for _, name := range []string{kid, ""} { // without a kid every key is tried
			if id, err := v.Verify(t.Context(), i.token(t, method, name, i.keys[kid])); err != nil || id.UserID != "alice" {
				t.Errorf("%s, kid %q: %v", kid, name, err)
			}
		}
	}
	if n := i.fetches.Load(); n > 2 {
		t.Errorf("%d fetches", n)
	}
}

// The oldest trick: sign with HS256 and the public key as the secret.
func TestAPublicKeyIsNoSecret(t *testing.T) {
	i := newIssuer(t)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	i.rotate("k", key)
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	v := i.verifier(t)
	for _, secret := range [][]byte{public, der} {
		if _, err := v.Verify(t.Context(), i.token(t, jwt.SigningMethodHS256, "k", secret)); pactwire.CodeOf(err) != pactwire.Denied {
			t.Errorf("got %v", err)
		}
	}
}

func TestRotationIsNoticedByAllWhoComeAtOnce(t *testing.T) {
	i := newIssuer(t)
	old, fresh := edKey(t), edKey(t)
	i.rotate("2026-10", old)
	v := i.verifier(t)
	if _, err := v.Verify(t.Context(), i.token(t, jwt.SigningMethodEdDSA, "2026-10", old)); err != nil {
		t.Fatal(err)
	}
	i.rotate("2026-11", fresh)
	token, before := i.token(t, jwt.SigningMethodEdDSA, "2026-11", fresh), i.fetches.Load()
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			if _, err := v.Verify(t.Context(), token); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := i.fetches.Load() - before; n != 1 {
		t.Errorf("%d fetches for one rotation", n)
	}
	if _, err := v.Verify(t.Context(), i.token(t, jwt.SigningMethodEdDSA, "2026-10", old)); pactwire.CodeOf(err) != pactwire.Denied {
		t.Errorf("the old key is still believed: %v", err)
	}
}

func TestInventedKeyIDsDoNotReachTheIssuer(t *testing.T) {
	i := newIssuer(t)
	key := edKey(t)
	i.rotate("real", key)
	v := i.verifier(t)
	for n := range 50 {
		_, err := v.Verify(t.Context(), i.token(t, jwt.SigningMethodEdDSA, fmt.Sprint("invented-", n), key))
		if pactwire.CodeOf(err) != pactwire.Denied {
			t.Fatalf("%d: %v", n, err)
		}
	}
	if n := i.fetches.Load(); n > 3 {
		t.Errorf("%d fetches", n)
	}
	if _, err := v.Verify(t.Context(), i.token(t, jwt.SigningMethodEdDSA, "real", key)); err != nil {
		t.Error(err)
	}
}

// "The issuer is down" must never read as "you are not allowed".
func TestIssuerDownIsUnavailableAndKnownKeysStayGood(t *testing.T) {
	i := newIssuer(t)
	key := edKey(t)
	i.rotate("k", key)
	i.down.Store(true)
	v := i.verifier(t)
	known := i.token(t, jwt.SigningMethodEdDSA, "k", key)
	for range 10 { // also when no more fetches are allowed
		if _, err := v.Verify(t.Context(), known); pactwire.CodeOf(err) != pactwire.Unavailable {
			t.Fatalf("got %v", err)
		}
	}

	up := i.verifier(t)
	i.down.Store(false)
	if _, err := up.Verify(t.Context(), known); err != nil {
		t.Fatal(err)
	}
	i.Close()
	if _, err := up.Verify(t.Context(), known); err != nil {
		t.Errorf("a known key needs no issuer: %v", err)
	}
	if _, err := up.Verify(t.Context(), i.token(t, jwt.SigningMethodEdDSA, "other", key)); pactwire.CodeOf(err) != pactwire.Unavailable {
		t.Errorf("got %v", err)
	}
}
