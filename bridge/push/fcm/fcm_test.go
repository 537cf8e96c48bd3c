package fcm_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/bridge/push"
	"github.com/pactwire/pactwire/bridge/push/fcm"
)

// google is the token endpoint and the send endpoint in one server. It believes only what is signed with its account's key.
type google struct {
	*httptest.Server
	key *rsa.PrivateKey

	mu     sync.Mutex
	tokens int                              // given out
	revoke bool                             // the next send finds its token revoked
	answer func(token string) (int, string) // to a send that is in order
	sent   []map[string]any
}

func newGoogle(t *testing.T) (*google, *fcm.Channel) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	g := &google{key: key, answer: func(string) (int, string) { return 200, `{"name":"projects/p/messages/1"}` }}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", g.token)
	mux.HandleFunc("POST /v1/projects/our-project/messages:send", g.send)
	g.Server = httptest.NewServer(mux)
	t.Cleanup(g.Close)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	account, err := json.Marshal(map[string]string{"type": "service_account", "project_id": "our-project", "private_key_id": "k1",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), "client_email": "push@our-project.example", "token_uri": g.URL + "/token"})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "account.json")
	if err := os.WriteFile(file, account, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := fcm.New(fcm.Config{CredentialsFile: file, URL: g.URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return g, c
}

func (g *google) token(w http.ResponseWriter, r *http.Request) {
	var claims struct {
		jwt.RegisteredClaims
		Scope string `json:"scope"`
	}
	_, err := jwt.ParseWithClaims(r.FormValue("assertion"), &claims, func(*jwt.Token) (any, error) { return &g.key.PublicKey, nil },
		jwt.WithValidMethods([]string{"RS256"}), jwt.WithIssuer("push@our-project.example"), jwt.WithAudience(g.URL+"/token"), jwt.WithExpirationRequired())
	if err != nil || r.FormValue("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" ||
		claims.Scope != "https://www.googleapis.com/auth/firebase.messaging" {
		http.Error(w, fmt.Sprintf(`{"error":"invalid_grant","error_description":"%v"}`, err), http.StatusBadRequest)
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tokens++
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"access_token":"ya29.%d","token_type":"Bearer","expires_in":3599}`, g.tokens)
}

func (g *google) send(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if r.Header.Get("Authorization") != fmt.Sprintf("Bearer ya29.%d", g.tokens) || g.revoke {
		g.revoke = false
		http.Error(w, `{"error":{"code":401,"status":"UNAUTHENTICATED"}}`, http.StatusUnauthorized)
		return
	}
	var body struct {
		Message map[string]any `json:"message"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	g.sent = append(g.sent, body.Message)
	status, text := g.answer(body.Message["token"].(string))
	w.Header().Set("Retry-After", "30")
	w.WriteHeader(status)
	fmt.Fprint(w, text)
}

func message() push.Message {
	return push.Message{ID: "m1", Type: "push.checkin", Pact: "p1", Title: "Alice checked in", Text: "Run: day 3.",
		Token: pactwire.PushToken{Kind: pactwire.TokenFCM, Token: "phone"}, ExpiresAt: time.Now().Add(time.Hour)}
}

func TestAPushThroughFCM(t *testing.T) {
	g, c := newGoogle(t)
	for range 2 {
		if err := c.Send(context.Background(), message()); err != nil {
			t.Fatal(err)
		}
	}
	if g.tokens != 1 {
		t.Errorf("%d access tokens for two pushes", g.tokens)
	}
	sent, err := json.Marshal(g.sent[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"token":"phone"`, `"notification":{"body":"Run: day 3.","title":"Alice checked in"}`,
		`"data":{"id":"m1","pactId":"p1","type":"push.checkin"}`, `"tag":"m1"`, `"ttl":"35`} {
		if !strings.Contains(string(sent), want) {
			t.Errorf("%s is not in %s", want, sent)
		}
	}
}

func TestWhatFCMRefuses(t *testing.T) {
	g, c := newGoogle(t)
	for _, tt := range []struct {
		status      int
		body        string
		gone, final bool
	}{
		{404, `{"error":{"code":404,"status":"NOT_FOUND","details":[{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"UNREGISTERED"}]}}`, true, false},
		{403, `{"error":{"status":"PERMISSION_DENIED","details":[{"errorCode":"SENDER_ID_MISMATCH"}]}}`, true, false},
		{403, `{"error":{"status":"PERMISSION_DENIED"}}`, false, true},
		{400, `{"error":{"status":"INVALID_ARGUMENT"}}`, false, true},
		{429, `{"error":{"status":"RESOURCE_EXHAUSTED","details":[{"errorCode":"QUOTA_EXCEEDED"}]}}`, false, false},
		{503, `no json`, false, false},
	} {
		g.answer = func(string) (int, string) { return tt.status, tt.body }
		var r *push.Refusal
		err := c.Send(context.Background(), message())
		if !errors.As(err, &r) || r.Gone != tt.gone || r.Final != tt.final || !tt.gone && r.RetryAfter != 30*time.Second {
			t.Errorf("%d %s: %+v", tt.status, tt.body, err)
		}
	}
}

func TestARevokedAccessTokenIsReplaced(t *testing.T) {
	g, c := newGoogle(t)
	g.revoke = true
	var r *push.Refusal
	if err := c.Send(context.Background(), message()); err == nil || errors.As(err, &r) && r.Final {
		t.Errorf("the first attempt: %v; it must be tried again", err)
	}
	if err := c.Send(context.Background(), message()); err != nil || g.tokens != 2 {
		t.Errorf("the second: %v, with access token %d", err, g.tokens)
	}
}

func TestAWrongKeyIsTriedAgain(t *testing.T) {
	g, c := newGoogle(t)
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	g.key = other
	var r *push.Refusal
	if err := c.Send(context.Background(), message()); err == nil || errors.As(err, &r) {
		t.Errorf("%v", err)
	}
}

func TestCredentialsThatCannotWork(t *testing.T) {
	dir := t.TempDir()
	for name, body := range map[string]string{"not json": "{", "another kind": `{"type":"authorized_user"}`, "no key": `{"type":"service_account","project_id":"p"}`} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := fcm.New(fcm.Config{CredentialsFile: file}); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	if _, err := fcm.New(fcm.Config{CredentialsFile: filepath.Join(dir, "missing")}); err == nil {
		t.Error("a file that is not there")
	}
}
