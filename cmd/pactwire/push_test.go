package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/pactwire/pactwire/internal/config"
	"github.com/pactwire/pactwire/internal/testkit"
)

const pushSecret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="

// pushed is one attempt that arrived: its webhook-id, and what it says.
type pushed struct{ id, typ, user, title, text string }

// receiver is a webhook that checks signatures and answers as it is told.
func receiver(t *testing.T, answer func(pushed) int) (url string, got <-chan pushed) {
	t.Helper()
	verify, err := standardwebhooks.NewWebhook(pushSecret)
	if err != nil {
		t.Fatal(err)
	}
	all := make(chan pushed, 100)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			Type string `json:"type"`
			Data struct {
				UserID string `json:"userId"`
				Title  string `json:"title"`
				Body   string `json:"body"`
			} `json:"data"`
		}
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = verify.Verify(body, r.Header)
		}
		if err == nil {
			err = json.Unmarshal(body, &in)
		}
		if err != nil {
			t.Errorf("a push that cannot be trusted: %v", err)
		}
		p := pushed{r.Header.Get("webhook-id"), in.Type, in.Data.UserID, in.Data.Title, in.Data.Body}
		w.WriteHeader(answer(p))
		all <- p
	}))
	t.Cleanup(s.Close)
	return s.URL, all
}

func next(t *testing.T, got <-chan pushed) pushed {
	t.Helper()
	select {
	case p := <-got:
		return p
	case <-time.After(30 * time.Second):
		t.Fatal("no push came")
		return pushed{}
	}
}

// TestPushFromCheckinToRetry: bob, who is not there, is told of his invitation and of a check-in; what the receiver refuses is
// listed, and sent again under its id when an operator says so.
func TestPushFromCheckinToRetry(t *testing.T) {
	refused := map[string]bool{}
	url, got := receiver(t, func(p pushed) int {
		if p.typ == "push.checkin" && !refused[p.id] {
			refused[p.id] = true
			return http.StatusUnprocessableEntity
		}
		return http.StatusOK
	})
	s := startWith(t, t.TempDir(), nil, func(cfg *config.Config) {
		cfg.Push.Webhook.URL, cfg.Push.Webhook.Secret, cfg.Push.Delay = config.URL(url), pushSecret, 50*time.Millisecond
	})
	goal := s.does(t, "goal", "create", "Morning run", "--user", "alice")
	pact := s.does(t, "pact", "create", goal, "--partner", "bob", "--user", "alice")
	if p := next(t, got); p.typ != "push.invitation" || p.user != "bob" || p.text != "Morning run, together?" {
		t.Errorf("%+v", p)
	}
	s.does(t, "pact", "accept", pact, "--user", "bob")
	s.does(t, "checkin", pact, "--user", "alice")
	first := next(t, got)
	if first.typ != "push.checkin" || first.user != "bob" || !strings.Contains(first.title, "checked in") {
		t.Errorf("%+v", first)
	}
	var list string
	testkit.Eventually(t, 30*time.Second, "the push is given up", func() bool {
		list = s.does(t, "push", "list")
		return list != ""
	})
	if !strings.HasPrefix(list, first.id+"  webhook  bob  1 attempts, given up  HTTP 422") {
		t.Error(list)
	}
	if got := s.does(t, "push", "retry", "all"); got != first.id {
		t.Error(got)
	}
	if again := next(t, got); again != first {
		t.Errorf("%+v, and then %+v", first, again)
	}
	testkit.Eventually(t, 30*time.Second, "nothing is left", func() bool { return s.does(t, "push", "list", "--all") == "" })
	if _, stderr, code := s.pactwire(t, "push", "list", "--user", "alice"); code != exitRefused || !strings.Contains(stderr, "operators") {
		t.Errorf("exit %d: %s", code, stderr)
	}
}

// TestWhoWatchesIsNotPushed: what bob's device acknowledges in time leaves no job.
func TestWhoWatchesIsNotPushed(t *testing.T) {
	url, got := receiver(t, func(pushed) int { return http.StatusOK })
	s := startWith(t, t.TempDir(), nil, func(cfg *config.Config) {
		cfg.Push.Webhook.URL, cfg.Push.Webhook.Secret, cfg.Push.Delay = config.URL(url), pushSecret, time.Hour
	})
	goal := s.does(t, "goal", "create", "Morning run", "--user", "alice")
	pact := s.does(t, "pact", "create", goal, "--partner", "bob", "--user", "alice")
	s.does(t, "pact", "accept", pact, "--user", "bob")
	w := s.watch(t, "--mqtt", s.mqtt, "--user", "bob", "--pact", pact)
	until(t, w.notes, "watching as bob")
	s.does(t, "checkin", pact, "--user", "alice")
	testkit.Eventually(t, 30*time.Second, "bob has seen it", func() bool {
		families, err := s.node.reg.Gather()
		for _, f := range families {
			if f.GetName() == "pactwire_push_seen_total" {
				return err == nil && f.GetMetric()[0].GetCounter().GetValue() == 1
			}
		}
		return false
	})
	if jobs, _, err := s.node.store.pushes().PushWork(t.Context(), time.Now().Add(2*time.Hour)); jobs || err != nil {
		t.Errorf("a push waits for bob: %v, %v", jobs, err)
	}
	select {
	case p := <-got:
		t.Errorf("pushed all the same: %+v", p)
	default:
	}
}
