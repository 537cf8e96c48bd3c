package parity_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/rawmqtt"
	"github.com/pactwire/pactwire/internal/testkit"
)

// What needs a server to itself.

const secret = "whsec_cGFjdHdpcmUtdGVzdGtpdC1oYWJpdHMtc2VjcmV0" // of the test alone

// TestOldFailureBrandForgottenOrMixedUp: after a login the connection said no brand any more, and counted as another app's; and
// a token of one brand opened the other.
func TestOldFailureBrandForgottenOrMixedUp(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, map[string]string{"auth.jwt.brand": "habits", "log.level": "warn"})
	of := func(brand string) *phone {
		p := pick(t, s, "alice", "phone")
		claims := jwt.MapClaims{"id": "alice", "exp": time.Now().Add(time.Hour).Unix()}
		if brand != "" {
			claims["brand"] = brand
		}
		p.opts.Password = testkit.Sign(claims)
		return p
	}
	for range 2 { // the second time the session is known, and nothing else is said
		p := of("habits")
		p.open()
		p.subscribe(inbox("alice"))
		p.drop()
	}
	for _, brand := range []string{"therr", ""} {
		var refused *rawmqtt.Refused
		if err := of(brand).try(); !errors.As(err, &refused) || refused.Code != 0x87 && refused.Code != 0x86 {
			t.Errorf("brand %q: %v, want to be refused", brand, err)
		}
	}
}

// TestOldFailureFailoverLosesMessages: what was under way when a part of the service died was lost. Here the whole server is killed
// while one talks and the other listens.
func TestOldFailureFailoverLosesMessages(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, map[string]string{"log.level": "warn"})
	pact := s.NewPact("alice", "bob").ID
	b := connect(t, s, "bob", "phone", in(pact, "activity"))
	a := connect(t, s, "alice", "phone")
	const n = 30
	say := func(i int) error {
		return a.send(in(pact, "messages"), fmt.Sprintf(`{"id":"m%d","message":"%d"}`, i, i))
	}
	for i := range n {
		if err := say(i); err != nil {
			break // the rest is said again below
		}
		if i == n/2 {
			b.activity(pact, pactwire.MessageSent, 1)
			s.Kill()
		}
	}
	a.drop()
	b.drop()
	s.Restart()
	a.open()
	b.open()
	for i := range n { // as a client does that has no ack
		if err := say(i); err != nil {
			t.Fatal(err)
		}
	}
	heard := map[pactwire.Seq]string{} // the ids; what had no ack may come twice, and is the same then
	said := map[string]int{}
	testkit.Eventually(t, limit, "all is heard", func() bool {
		clear(said)
		clear(heard)
		for _, x := range b.activities(pact) {
			switch first := heard[x.Seq]; {
			case first != "" && first != x.ID:
				t.Fatalf("%d is %s and %s", x.Seq, first, x.ID)
			case first == "" && x.Type == pactwire.MessageSent:
				said[data[pactwire.MessageData](t, x.Data).Message]++
			}
			heard[x.Seq] = x.ID
		}
		return len(said) == n
	})
	for m, times := range said {
		if times != 1 {
			t.Errorf("%q was said %d times", m, times)
		}
	}
	for seq := pactwire.Seq(3); seq < pactwire.Seq(3+n); seq++ {
		if heard[seq] == "" {
			t.Errorf("%d was not heard", seq)
		}
	}
}

// TestOldFailureKillDuringACheckin: a check-in under way was lost, or counted twice when it was sent again.
func TestOldFailureKillDuringACheckin(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, map[string]string{"log.level": "warn"})
	for round := range 3 {
		alice, bob := pactwire.UserID(fmt.Sprintf("alice%d", round)), pactwire.UserID(fmt.Sprintf("bob%d", round))
		pact := s.NewPact(alice, bob).ID
		a := connect(t, s, alice, "phone", inbox(alice))
		if err := a.send(in(pact, "checkins"), `{"id":"today","status":"completed"}`); err != nil {
			t.Fatal(err)
		}
		if round > 0 {
			receive(a, "PUBACK", a.acked) // it is promised now
		}
		s.Kill()
		a.drop()
		s.Restart()
		a.open()
		a.do(in(pact, "checkins"), `{"id":"today","status":"completed"}`)
		a.event(pactwire.EventCheckinLogged, 1)
		n := 0
		for _, x := range s.Activities(bob, pact) {
			if x.Type == pactwire.CheckinCompleted {
				n++
			}
		}
		var streaks struct {
			Items []struct {
				Current int `json:"current"`
			} `json:"items"`
		}
		s.Must(alice, http.MethodGet, "/v1/streaks", nil, &streaks)
		if n != 1 || len(streaks.Items) != 1 || streaks.Items[0].Current != 1 {
			t.Errorf("%d check-ins, streaks %+v; want one of one day", n, streaks.Items)
		}
	}
}

// TestOldFailurePresenceAfterARestart: who was online when the server died was online for ever.
func TestOldFailurePresenceAfterARestart(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, map[string]string{"presence.grace": grace, "log.level": "warn"})
	pact := s.NewPact("alice", "bob", "carol").ID
	b := connect(t, s, "bob", "phone", in(pact, "presence/+"))
	a := connect(t, s, "alice", "phone", inbox("alice"))
	connect(t, s, "carol", "phone", inbox("carol"))
	b.sees(pact, "alice", pactwire.PresenceActive)
	b.sees(pact, "carol", pactwire.PresenceActive)
	s.Kill()
	s.Restart()
	a.drop()
	a.open() // and Carol does not come back
	late := connect(t, s, "bob", "new phone", in(pact, "presence/+"))
	late.sees(pact, "carol", pactwire.PresenceOffline)
	late.sees(pact, "alice", pactwire.PresenceActive)
	snapshot := late.messages(in(pact, "presence/alice"))[0]
	if !snapshot.retain {
		t.Error("the snapshot has no retain flag")
	}
}

// TestOldFailureAPIErrorsAreSilent: what the API refused, or did not answer, nobody was told of.
func TestOldFailureAPIErrorsAreSilent(t *testing.T) {
	t.Parallel()
	service := testkit.StartHabits(t, map[string]string{"habits.secret": secret, "log.level": "warn"})
	to, err := url.Parse("http://" + service.HTTP)
	if err != nil {
		t.Fatal(err)
	}
	var code atomic.Int64 // that check-ins are answered with; 0 = not before the caller has given up
	through := httputil.NewSingleHostReverseProxy(to)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch c := int(code.Load()); {
		case !strings.HasSuffix(r.URL.Path, "/checkins"):
			through.ServeHTTP(w, r)
		case c == 0:
			_, _ = io.Copy(io.Discard, r.Body) // only then it is noticed that the caller has gone
			<-r.Context().Done()
		default:
			w.WriteHeader(c)
		}
	}))
	t.Cleanup(front.Close)
	s := testkit.Start(t, map[string]string{
		"habits.mode": "http", "habits.url": front.URL, "habits.secret": secret,
		"habits.timeout": "500ms", "habits.give_up": "2s", "log.level": "error",
	})
	for _, c := range []struct {
		name string
		http int64
		code pactwire.Code
	}{
		{"refused", http.StatusForbidden, pactwire.Denied},
		{"must-pay", http.StatusPaymentRequired, pactwire.Conflict},
		{"wrong", http.StatusBadRequest, pactwire.Invalid},
		{"gone", http.StatusNotFound, pactwire.NotFound},
		{"broken", http.StatusInternalServerError, pactwire.Unavailable},
		{"silent", 0, pactwire.Unavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			code.Store(c.http)
			alice := pactwire.UserID("alice-" + c.name)
			pact := s.NewPact(alice, pactwire.UserID("bob-"+c.name)).ID
			a := connect(t, s, alice, "phone", inbox(alice))
			a.do(in(pact, "checkins"), `{"id":"c1","status":"completed"}`)
			e := a.event(pactwire.EventError, 1)
			if d := data[pactwire.ErrorData](t, e.Data); d.Code != c.code || d.Message == "" {
				t.Errorf("%+v, want code %s", d, c.code)
			}
			if e.CommandID == nil || *e.CommandID != "c1" {
				t.Errorf("it is about command %v", e.CommandID)
			}
		})
	}
}
