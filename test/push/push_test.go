// Package push_test pushes through the whole server to a webhook that checks what it gets.
package push_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/testkit"
)

const (
	limit  = time.Minute
	secret = "whsec_bm90IGEgc2VjcmV0LCBidXQgbG9uZyBlbm91Z2g="
)

// attempt is one request to the webhook, whose signature was right.
type attempt struct {
	id, stamp, signature string
	kind                 string // push.checkin …
	user                 pactwire.UserID
	title                string
	path                 string // of the URL
	taken                bool   // whoever sent it was told so
}

// receiver is the webhook. It answers with the codes it was given, one an attempt, and 204 when they are used up.
type receiver struct {
	url   string
	hold  func(ctx context.Context, path string) // before an answer; nil = answer at once
	mu    sync.Mutex
	codes []int
	got   []attempt
	wrong []string
}

func receive(t *testing.T, codes ...int) *receiver {
	verify, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{codes: codes}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		var m struct {
			Type string `json:"type"`
			Data struct {
				UserID pactwire.UserID `json:"userId"`
				Title  string          `json:"title"`
			} `json:"data"`
		}
		r.mu.Lock()
		if err != nil || verify.Verify(body, req.Header) != nil || json.Unmarshal(body, &m) != nil {
			r.wrong = append(r.wrong, string(body))
		}
		h := func(name string) string { return req.Header.Get("webhook-" + name) }
		n := len(r.got)
		r.got = append(r.got, attempt{id: h("id"), stamp: h("timestamp"), signature: h("signature"), kind: m.Type, user: m.Data.UserID,
			title: m.Data.Title, path: req.URL.Path})
		hold := r.hold
		r.mu.Unlock()
		if hold != nil {
			hold(req.Context(), req.URL.Path)
		}
		if req.Context().Err() != nil {
			return // nobody waits for an answer any more
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.got[n].taken = true
		code := http.StatusNoContent
		if len(r.codes) > 0 {
			code, r.codes = r.codes[0], r.codes[1:]
		}
		w.WriteHeader(code)
	}))
	t.Cleanup(srv.Close)
	r.url = srv.URL
	return r
}

func (r *receiver) attempts(t *testing.T) []attempt {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.wrong) > 0 {
		t.Fatalf("not signed, or not readable: %q", r.wrong)
	}
	return append([]attempt(nil), r.got...)
}

func (r *receiver) settings(delay time.Duration) map[string]string {
	return map[string]string{"push.webhook.url": r.url, "push.webhook.secret": secret, "push.delay": delay.String()}
}

// invite lets alice invite bob to a pact.
func invite(s *testkit.Server) {
	in := pactwire.PactInput{HabitGoalID: s.NewGoal("alice"), PartnerUserIDs: []pactwire.UserID{"bob"}}
	s.Must("alice", http.MethodPost, "/v1/pacts", in, nil)
}

func checkin(s *testkit.Server, u pactwire.UserID, p pactwire.PactID) {
	s.Must(u, http.MethodPost, "/v1/pacts/"+string(p)+"/checkins", map[string]any{"status": "completed"}, nil)
}

// connected is a phone that subscribes to a pact and acknowledges what comes.
func connected(t *testing.T, s *testkit.Server, u pactwire.UserID, p pactwire.PactID) *testkit.Reader {
	t.Helper()
	phone := testkit.NewReader(s.TCP, u, string(u)+"-phone", p)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		phone.Run(ctx)
	}()
	t.Cleanup(func() {
		stop()
		<-done
	})
	testkit.Eventually(t, limit, "the phone is subscribed", func() bool { return phone.Ready() > 0 })
	return phone
}

// Who has a phone on the line that acknowledges gets no push; who has none gets one.
func TestNoPushWhenAPhoneAckedInTime(t *testing.T) {
	r := receive(t)
	s := testkit.Start(t, r.settings(2*time.Second))
	p := s.NewPact("alice", "bob", "carol").ID
	phone := connected(t, s, "bob", p)
	before := s.Metric("pactwire_push_seen_total")
	pushed := len(r.attempts(t)) // the invitations, if they were that slow
	checkin(s, "alice", p)
	testkit.Eventually(t, limit, "bob's phone has it", func() bool { return phone.Last() > 0 })
	testkit.Eventually(t, limit, "bob saw it", func() bool { return s.Metric("pactwire_push_seen_total") > before })
	about := func() (users []pactwire.UserID) {
		for _, a := range r.attempts(t)[pushed:] {
			if a.kind == "push.checkin" || a.kind == "push.summary" {
				users = append(users, a.user)
			}
		}
		return users
	}
	// Both were due at the same moment, so once carol's is there bob's would be too.
	testkit.Eventually(t, limit, "carol is pushed", func() bool { return len(about()) > 0 })
	s.Stop() // no attempt is under way any more
	for _, u := range about() {
		if u != "carol" {
			t.Errorf("%s was pushed about what a phone had acknowledged", u)
		}
	}
}

// A push whose first attempt failed is made again after kill -9, as the same message: same id, signed anew.
func TestAPushOutlivesKill(t *testing.T) {
	r := receive(t, http.StatusServiceUnavailable)
	s := testkit.Start(t, r.settings(0))
	invite(s)
	testkit.Eventually(t, limit, "the first attempt", func() bool { return len(r.attempts(t)) == 1 })
	s.Kill()
	s.Restart()
	testkit.Eventually(t, limit, "the second attempt", func() bool { return len(r.attempts(t)) >= 2 })
	got := r.attempts(t)
	if got[0].kind != "push.invitation" || got[0].user != "bob" || got[0].title == "" {
		t.Errorf("%+v", got[0])
	}
	if got[1].id != got[0].id || got[1].kind != got[0].kind || got[1].stamp == got[0].stamp || got[1].signature == got[0].signature {
		t.Errorf("first %+v, then %+v", got[0], got[1])
	}
}

// What a receiver refuses for good is kept for operators, who can have it tried again.
func TestDeadPushesAreListedAndRetried(t *testing.T) {
	r := receive(t, http.StatusBadRequest)
	s := testkit.Start(t, r.settings(0))
	invite(s)
	testkit.Eventually(t, limit, "it is given up", func() bool { return s.Metric(`pactwire_push_dead_total{channel="webhook",why="refused"}`) == 1 })
	id := r.attempts(t)[0].id
	if said := pactwireCommand(t, s, "push", "list"); !strings.Contains(said, id) || !strings.Contains(said, "400") {
		t.Errorf("push list: %s", said)
	}
	pactwireCommand(t, s, "push", "retry", id)
	testkit.Eventually(t, limit, "it is tried again", func() bool { return len(r.attempts(t)) == 2 })
	if again := r.attempts(t)[1]; again.id != id {
		t.Errorf("tried again as %s, was %s", again.id, id)
	}
	testkit.Eventually(t, limit, "nothing is left", func() bool { return !strings.Contains(pactwireCommand(t, s, "push", "list", "--all"), id) })
}

func pactwireCommand(t *testing.T, s *testkit.Server, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), testkit.Binary(t), append(args, "--server", "http://"+s.HTTP)...)
	cmd.Env = s.Environ()
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("pactwire %v: %v %s", args, err, errs.String())
	}
	return string(out)
}
