package webpush_test

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/bridge/push"
	"github.com/pactwire/pactwire/bridge/push/webpush"
)

var b64 = base64.RawURLEncoding

// browser is a subscription, and the push service that it names: it believes only the server whose key it was made with,
// and only the browser can read what it carries.
type browser struct {
	*httptest.Server
	key    *ecdh.PrivateKey
	auth   []byte
	vapid  string // public key of the application server
	status int
	got    string // decrypted
	header http.Header
}

func newBrowser(t *testing.T, cfg webpush.Config) (*browser, *webpush.Channel) {
	t.Helper()
	server, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{auth: make([]byte, 16), vapid: b64.EncodeToString(server.PublicKey().Bytes()), status: http.StatusCreated}
	if b.key, err = ecdh.P256().GenerateKey(rand.Reader); err != nil {
		t.Fatal(err)
	}
	rand.Read(b.auth)
	b.Server = httptest.NewTLSServer(http.HandlerFunc(b.serve))
	t.Cleanup(b.Close)
	cfg.PublicKey, cfg.PrivateKey, cfg.Subject = b.vapid, b64.EncodeToString(server.Bytes()), "mailto:team@example.org"
	c, err := webpush.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return b, c
}

func (b *browser) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = b.checkVAPID(r.Header.Get("Authorization"))
	}
	if err == nil {
		b.got, err = b.decrypt(body)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusForbidden)
		return
	}
	b.header = r.Header
	w.WriteHeader(b.status)
}

// checkVAPID follows RFC 8292.
func (b *browser) checkVAPID(header string) error {
	var token, key string
	params, ok := strings.CutPrefix(header, "vapid ")
	for p := range strings.SplitSeq(params, ",") {
		p = strings.TrimSpace(p)
		if v, is := strings.CutPrefix(p, "t="); is {
			token = v
		}
		if v, is := strings.CutPrefix(p, "k="); is {
			key = v
		}
	}
	if !ok || key != b.vapid {
		return fmt.Errorf("not by the server of the subscription: %q", header)
	}
	point, err := b64.DecodeString(key)
	if err != nil {
		return err
	}
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		return err
	}
	parsed, err := jwt.Parse(token, func(*jwt.Token) (any, error) { return public, nil }, jwt.WithValidMethods([]string{"ES256"}),
		jwt.WithAudience(b.URL), jwt.WithSubject("mailto:team@example.org"), jwt.WithExpirationRequired())
	if err != nil {
		return err
	}
	if exp, err := parsed.Claims.GetExpirationTime(); err != nil || time.Until(exp.Time) > 24*time.Hour {
		return fmt.Errorf("valid until %v", exp)
	}
	return nil
}

// decrypt follows RFC 8188 and RFC 8291: one record of aes128gcm.
func (b *browser) decrypt(body []byte) (string, error) {
	if len(body) < 21+65 {
		return "", errors.New("too short")
	}
	salt, size, idLen := body[:16], binary.BigEndian.Uint32(body[16:20]), int(body[20])
	id, record := body[21:21+idLen], body[21+idLen:]
	if len(record) > int(size) {
		return "", errors.New("more than one record")
	}
	sender, err := ecdh.P256().NewPublicKey(id)
	if err != nil {
		return "", err
	}
	shared, err := b.key.ECDH(sender)
	if err != nil {
		return "", err
	}
	info := "WebPush: info\x00" + string(b.key.PublicKey().Bytes()) + string(id)
	ikm, err := hkdf.Key(sha256.New, shared, b.auth, info, 32)
	if err != nil {
		return "", err
	}
	key, err := hkdf.Key(sha256.New, ikm, salt, "Content-Encoding: aes128gcm\x00", 16)
	if err != nil {
		return "", err
	}
	nonce, err := hkdf.Key(sha256.New, ikm, salt, "Content-Encoding: nonce\x00", 12)
	if err != nil {
		return "", err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return "", err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return "", err
	}
	plain, err := gcm.Open(nil, nonce, record, nil)
	if err != nil {
		return "", err
	}
	text, ok := strings.CutSuffix(strings.TrimRight(string(plain), "\x00"), "\x02")
	if !ok {
		return "", errors.New("no end of the last record")
	}
	return text, nil
}

func (b *browser) message() push.Message {
	return push.Message{ID: "0198c7d2-7f3a-7c11-9c59-5f1f0c6d1234", Type: "push.checkin", Pact: "p1", Title: "Alice checked in", Text: "Run: day 3.",
		Token:     pactwire.PushToken{Kind: pactwire.TokenWebPush, Token: b.URL + "/send/1", P256dh: b64.EncodeToString(b.key.PublicKey().Bytes()), Auth: b64.EncodeToString(b.auth)},
		ExpiresAt: time.Now().Add(time.Hour)}
}

func TestAPushThroughAPushService(t *testing.T) {
	trusted, _ := newBrowser(t, webpush.Config{}) // all test servers have one certificate
	b, c := newBrowser(t, webpush.Config{Client: trusted.Client()})
	if err := c.Send(context.Background(), b.message()); err != nil {
		t.Fatal(err)
	}
	if want := `{"id":"` + b.message().ID + `","type":"push.checkin","title":"Alice checked in","body":"Run: day 3.","pactId":"p1"}`; b.got != want {
		t.Errorf("the browser reads %s", b.got)
	}
	if ttl, err := strconv.Atoi(b.header.Get("TTL")); err != nil || ttl < 3500 || ttl > 3600 {
		t.Errorf("TTL %s", b.header.Get("TTL"))
	}
	if topic := b.header.Get("Topic"); len(topic) != 32 || b.header.Get("Content-Encoding") != "aes128gcm" || b.header.Get("Urgency") != "high" {
		t.Errorf("header %v", b.header)
	}
}

func TestWhatAPushServiceRefuses(t *testing.T) {
	trusted, _ := newBrowser(t, webpush.Config{})
	b, c := newBrowser(t, webpush.Config{Client: trusted.Client()})
	for _, tt := range []struct {
		status      int
		gone, final bool
	}{{404, true, false}, {410, true, false}, {400, false, true}, {413, false, true}, {429, false, false}, {500, false, false}, {200, false, false}} {
		b.status = tt.status
		err := c.Send(context.Background(), b.message())
		var r *push.Refusal
		errors.As(err, &r)
		if (err == nil) != (tt.status == 200) || (r != nil && r.Gone) != tt.gone || (r != nil && r.Final) != tt.final {
			t.Errorf("%d: %+v", tt.status, err)
		}
	}
}

// TestSubscriptionsCannotReachInside registers addresses of this machine, by number and by name.
func TestSubscriptionsCannotReachInside(t *testing.T) {
	b, c := newBrowser(t, webpush.Config{})
	_, port, err := net.SplitHostPort(b.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, endpoint := range []string{b.URL + "/send/1", "https://localhost:" + port + "/", "https://[::ffff:127.0.0.1]:" + port + "/",
		"https://0.0.0.0:" + port + "/", "https://10.1.2.3/", "https://169.254.169.254/latest/meta-data", "https://[fd00::1]/", "https://[fe80::1]/",
		"https://100.64.0.1/", "http://127.0.0.1:" + port + "/", "file:///etc/passwd"} {
		m := b.message()
		m.Token.Token = endpoint
		var r *push.Refusal
		if err := c.Send(context.Background(), m); !errors.As(err, &r) || !r.Gone {
			t.Errorf("%s: %v", endpoint, err)
		}
	}
	if b.header != nil {
		t.Error("something got through")
	}
}

func TestAllowPrivateReachesInside(t *testing.T) {
	b, c := newBrowser(t, webpush.Config{AllowPrivate: true})
	var r *push.Refusal
	if err := c.Send(context.Background(), b.message()); err == nil || errors.As(err, &r) {
		t.Errorf("%v; only the certificate should be in the way", err)
	}
}

func TestConfigurationThatCannotWork(t *testing.T) {
	b, _ := newBrowser(t, webpush.Config{})
	other, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, cfg := range map[string]webpush.Config{
		"keys of two pairs": {PublicKey: b.vapid, PrivateKey: b64.EncodeToString(other.Bytes()), Subject: "mailto:a@b.c"},
		"no key":            {PublicKey: b.vapid, Subject: "mailto:a@b.c"},
		"no base64":         {PublicKey: b.vapid, PrivateKey: "???", Subject: "mailto:a@b.c"},
		"no subject":        {PublicKey: b64.EncodeToString(other.PublicKey().Bytes()), PrivateKey: b64.EncodeToString(other.Bytes())},
	} {
		if _, err := webpush.New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
