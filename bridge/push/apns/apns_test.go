package apns_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
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
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/bridge/push"
	"github.com/pactwire/pactwire/bridge/push/apns"
)

// apple speaks HTTP/2 over TLS and believes only tokens that are signed with the team's key.
type apple struct {
	*httptest.Server
	key    *ecdsa.PrivateKey
	answer func() (int, string)
	header http.Header // of the last push
	path   string
	body   string
}

func newApple(t *testing.T) (*apple, *apns.Channel) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &apple{key: key, answer: func() (int, string) { return 200, "" }}
	a.Server = httptest.NewUnstartedServer(http.HandlerFunc(a.serve))
	a.EnableHTTP2 = true
	a.StartTLS()
	t.Cleanup(a.Close)
	c, err := apns.New(apns.Config{KeyFile: keyFile(t, key), KeyID: "KEY1", TeamID: "TEAM1", Topic: "org.example.pacts", URL: a.URL, Client: a.Client()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return a, c
}

func keyFile(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "key.p8")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func (a *apple) serve(w http.ResponseWriter, r *http.Request) {
	refuse := func(status int, reason string) {
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"reason":%q}`, reason)
	}
	bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "bearer ")
	token, err := jwt.Parse(bearer, func(*jwt.Token) (any, error) { return &a.key.PublicKey, nil }, jwt.WithValidMethods([]string{"ES256"}),
		jwt.WithIssuer("TEAM1"), jwt.WithIssuedAt())
	if !ok || err != nil || token.Header["kid"] != "KEY1" || r.ProtoMajor != 2 {
		refuse(403, "InvalidProviderToken")
		return
	}
	var body json.RawMessage
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		refuse(400, "BadMessage")
		return
	}
	a.header, a.path, a.body = r.Header, r.URL.Path, string(body)
	if status, reason := a.answer(); status != 200 {
		refuse(status, reason)
		return
	}
	w.Header().Set("apns-id", r.Header.Get("apns-id"))
}

func message() push.Message {
	return push.Message{ID: "0198c7d2-7f3a-7c11-9c59-5f1f0c6d1234", Type: "push.message", Pact: "p1", Title: "Alice", Text: "well done",
		Token: pactwire.PushToken{Kind: pactwire.TokenAPNs, Token: strings.Repeat("ab", 32)}, ExpiresAt: time.Now().Add(time.Hour)}
}

func TestAPushThroughAPNs(t *testing.T) {
	a, c := newApple(t)
	if err := c.Send(context.Background(), message()); err != nil {
		t.Fatal(err)
	}
	if a.path != "/3/device/"+strings.Repeat("ab", 32) {
		t.Errorf("path %s", a.path)
	}
	for key, want := range map[string]string{"apns-topic": "org.example.pacts", "apns-id": message().ID, "apns-collapse-id": message().ID,
		"apns-push-type": "alert", "apns-priority": "10"} {
		if got := a.header.Get(key); got != want {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
	if want := `{"aps":{"alert":{"title":"Alice","body":"well done"},"sound":"default","thread-id":"p1"},"id":"` + message().ID + `","type":"push.message","pactId":"p1"}`; a.body != want {
		t.Errorf("body %s", a.body)
	}
}

func TestWhatAPNsRefuses(t *testing.T) {
	a, c := newApple(t)
	for _, tt := range []struct {
		status      int
		reason      string
		gone, final bool
	}{
		{410, "Unregistered", true, false},
		{400, "BadDeviceToken", true, false},
		{400, "DeviceTokenNotForTopic", true, false},
		{400, "PayloadEmpty", false, true},
		{413, "PayloadTooLarge", false, true},
		{403, "ExpiredProviderToken", false, false},
		{429, "TooManyRequests", false, false},
		{500, "InternalServerError", false, false},
		{503, "Shutdown", false, false},
	} {
		a.answer = func() (int, string) { return tt.status, tt.reason }
		err := c.Send(context.Background(), message())
		var r *push.Refusal
		errors.As(err, &r)
		if err == nil || (r != nil && r.Gone) != tt.gone || (r != nil && r.Final) != tt.final {
			t.Errorf("%d %s: %+v", tt.status, tt.reason, err)
		}
	}
}

func TestAWrongKeyIsTriedAgain(t *testing.T) {
	a, c := newApple(t)
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a.key = other
	var r *push.Refusal
	if err := c.Send(context.Background(), message()); err == nil || errors.As(err, &r) && (r.Final || r.Gone) {
		t.Errorf("%v", err)
	}
}

func TestConfigurationThatCannotWork(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := apns.New(apns.Config{KeyFile: keyFile(t, key), KeyID: "k", TeamID: "t"}); err == nil {
		t.Error("without a topic")
	}
	if _, err := apns.New(apns.Config{KeyFile: filepath.Join(t.TempDir(), "missing"), KeyID: "k", TeamID: "t", Topic: "x"}); err == nil {
		t.Error("without a key")
	}
}
