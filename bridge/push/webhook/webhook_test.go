package webhook_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"go.uber.org/goleak"

	"github.com/pactwire/pactwire/bridge/push"
	"github.com/pactwire/pactwire/bridge/push/webhook"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="

func open(t *testing.T, url string) *webhook.Channel {
	t.Helper()
	c, err := webhook.New(url, secret)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestTheReceiverCanVerifyWhatItGets(t *testing.T) {
	verify, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan string, 2)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = verify.Verify(body, r.Header)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
			return
		}
		got <- r.Header.Get("webhook-id") + " " + r.Header.Get("Content-Type") + " " + string(body)
	}))
	defer server.Close()
	c := open(t, server.URL+"/hook")
	m := push.Message{ID: "m1", Type: "push.checkin", Body: []byte(`{"type":"push.checkin"}`)}
	if err := c.Send(context.Background(), m); err != nil {
		t.Fatal(err)
	}
	if s := <-got; s != `m1 application/json {"type":"push.checkin"}` {
		t.Errorf("got %s", s)
	}
}

func TestRefusalsOfTheReceiver(t *testing.T) {
	for _, tt := range []struct {
		status int
		header string
		final  bool
		after  time.Duration
	}{
		{status: 400, final: true}, {status: 410, final: true}, {status: 302, final: true},
		{status: 408}, {status: 500}, {status: 503, header: "7", after: 7 * time.Second}, {status: 429, header: "nonsense"},
	} {
		moved := false
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/" {
				moved = true
			}
			w.Header().Set("Location", "/elsewhere")
			w.Header().Set("Retry-After", tt.header)
			w.WriteHeader(tt.status)
		}))
		err := open(t, server.URL).Send(context.Background(), push.Message{ID: "m1", Body: []byte("{}")})
		server.Close()
		var r *push.Refusal
		if !errors.As(err, &r) || r.Final != tt.final || r.RetryAfter != tt.after || r.Gone || moved {
			t.Errorf("%d: %+v, followed %v", tt.status, err, moved)
		}
	}
}

func TestNobodyThereIsTriedAgain(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	var r *push.Refusal
	if err := open(t, server.URL).Send(context.Background(), push.Message{ID: "m1"}); err == nil || errors.As(err, &r) {
		t.Errorf("%v", err)
	}
}

func TestConfigurationThatCannotWork(t *testing.T) {
	for _, c := range [][2]string{{"ftp://x", secret}, {"nowhere", secret}, {"http://x", ""}, {"http://x", "whsec_?"}} {
		if _, err := webhook.New(c[0], c[1]); err == nil {
			t.Errorf("%q accepted", c)
		}
	}
}
