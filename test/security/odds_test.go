package security_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/pactwire/pactwire/internal/testkit"
)

// Commands over the rate are slowed and not lost, and nobody else's are.
func TestOverTheRateIsSlowed(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, map[string]string{"limits.commands_per_second": "20", "limits.commands_burst": "5"})
	p := s.NewPact("alice", "bob").ID
	base := len(s.Activities("alice", p))
	topic := "pacts/" + string(p) + "/messages"
	a, a2 := connect(t, s, opts{user: "alice", id: "1"}), connect(t, s, opts{user: "alice", id: "2", v: 5})
	b := connect(t, s, opts{user: "bob"})
	start := time.Now()
	const each = 15
	for i := range each {
		a.raw(a.publishBytes(2, uint16(i+1), topic, `{"message":"a"}`))
		a2.raw(a2.publishBytes(2, uint16(i+1), topic, `{"message":"a2"}`))
	}
	b.pub(topic, `{"message":"b"}`)
	if took := time.Since(start); took > time.Second {
		t.Errorf("bob waited %v", took)
	}
	a.wait(each, "all acked", func(p packet) bool { return p.kind == puback })
	a2.wait(each, "all acked", func(p packet) bool { return p.kind == puback })
	if took := time.Since(start); took < 1100*time.Millisecond { // 25 beyond the burst at 20 a second
		t.Errorf("30 commands took %v", took)
	}
	for _, p := range append(a.of(puback), a2.of(puback)...) {
		if p.code != 0 {
			t.Errorf("PUBACK %#x", p.code)
		}
	}
	if n := len(s.Activities("alice", p)) - base; n != 2*each+1 {
		t.Errorf("%d activities", n)
	}
}

// A flood is held back by TCP and not cut off: its sender can write no more, and has lost nothing but time.
func TestAFloodIsHeldBack(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, map[string]string{"limits.commands_per_second": "0.1", "limits.commands_burst": "5"}) // so that a write takes long
	topic := "pacts/" + string(s.NewPact("alice", "bob").ID) + "/messages"
	const enough = 64 << 20 // more than the kernel takes for two sockets
	for _, v := range []byte{4, 5} {
		a := connect(t, s, opts{user: "alice", v: v})
		packet := a.publishBytes(0, 0, topic, strings.Repeat("x", 60<<10)) // refused, and a command all the same
		sent, held := 0, false
		for sent < enough && !held {
			if err := a.nc.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
				t.Fatal(err)
			}
			n, err := a.nc.Write(packet)
			held = errors.Is(err, os.ErrDeadlineExceeded)
			if sent += n; err != nil && !held {
				t.Fatalf("version %d: after %d bytes: %v", v, sent, err)
			}
		}
		if !held || a.isEnded() || len(a.of(disconnect)) > 0 {
			t.Errorf("version %d: %d bytes went out, held back: %v, ended: %v", v, sent, held, a.isEnded())
		}
		a.drop()
	}
	start := time.Now()
	if ack := connect(t, s, opts{user: "bob", v: 5}).pub(topic, `{"message":"and I?"}`); ack.code != 0 || time.Since(start) > 5*time.Second {
		t.Errorf("bob: PUBACK %#x after %v", ack.code, time.Since(start))
	}
}

// Over HTTP a command that comes too soon is held for a while, and refused when it would take longer; the same allowance counts.
func TestOverTheRateOverHTTPIsHeldThenRefused(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, map[string]string{"limits.commands_per_second": "2", "limits.commands_burst": "4"})
	p := s.NewPact("alice", "bob").ID
	base := len(s.Activities("alice", p))
	a := connect(t, s, opts{user: "alice", id: "1"})
	for range 4 {
		a.pub("pacts/"+string(p)+"/messages", `{"message":"over MQTT"}`)
	}
	statuses := make(chan int)
	const sent = 20 // in 5 s ten are earned, and perhaps some more before the last is sent
	for range sent {
		go func() {
			status, body, err := s.Call("alice", "POST", "/v1/pacts/"+string(p)+"/messages", map[string]string{"message": "over HTTP"})
			if status == http.StatusTooManyRequests && !(strings.Contains(string(body), `"too_many"`) && strings.Contains(string(body), `"retryable":true`)) {
				t.Errorf("refused with %s", body)
			}
			if err != nil {
				t.Error(err)
			}
			statuses <- status
		}()
	}
	count := map[int]int{}
	for range sent {
		count[<-statuses]++
	}
	if count[http.StatusCreated] < 10 || count[http.StatusTooManyRequests] == 0 || len(count) != 2 {
		t.Errorf("statuses: %v", count)
	}
	if n := len(s.Activities("alice", p)) - base; n != 4+count[http.StatusCreated] {
		t.Errorf("%d activities of %v", n, count)
	}
}

// Every refusal is counted under the code that its client was given.
func TestRefusalsAreCounted(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, nil)
	for _, v := range []byte{4, 5, 5} {
		try(t, s, opts{user: "alice", v: v, token: "no.token.this"})
	}
	try(t, s, opts{user: "alice", v: 5, willTopic: "users/bob/presence", will: "away"})
	c := connect(t, s, opts{user: "alice", v: 5})
	c.sub("users/bob/inbox", "users/alice/inbox", "$share/g/pacts/#", "weather")
	connect(t, s, opts{user: "alice", v: 4}).sub("users/bob/inbox")
	for figure, want := range map[string]float64{
		`pactwire_connects_refused_total{code="0x05"}`: 1, `pactwire_connects_refused_total{code="0x86"}`: 2, `pactwire_connects_refused_total{code="0x87"}`: 1,
		`pactwire_filters_refused_total{code="0x87"}`: 2, `pactwire_filters_refused_total{code="0x9E"}`: 1, `pactwire_filters_refused_total{code="0x80"}`: 1,
	} {
		testkit.Eventually(t, limit, figure, func() bool { return s.Metric(figure) == want })
	}
}

// TestWhoWantsNoReasonsGetsNone: a Reason String to a client that set Request Problem Information to 0 would be a protocol error of
// ours (MQTT-3.1.2-29), which it has to answer by ending the connection.
func TestWhoWantsNoReasonsGetsNone(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, nil)
	topic := "pacts/" + string(s.NewPact("alice", "bob").ID) + "/messages"
	const reasonString = 0x1F
	for _, props := range [][]byte{nil, {0x17, 1}, {0x17, 0}} {
		c := connect(t, s, opts{user: "alice", v: 5, props: props})
		ack := c.pub(topic, "{")
		_, said := ack.props[reasonString]
		if wanted := len(props) == 0 || props[1] == 1; ack.code != 0x99 || said != wanted {
			t.Errorf("%x: PUBACK %#x with %v", props, ack.code, ack.props)
		}
		c.quit()
	}
}

// TestClaimCodesAreNotGuessed: a claim counts as a command of who makes it, so that codes cannot be tried at the speed of HTTP,
// nor at a habits-service that is a process of its own.
func TestClaimCodesAreNotGuessed(t *testing.T) {
	for name, start := range map[string]func(testing.TB, map[string]string) *testkit.Server{
		"serve": testkit.Start, "habits-service": testkit.StartHabits,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, map[string]string{"limits.commands_per_second": "0.1", "limits.commands_burst": "3"})
			count := map[int]int{}
			for range 6 {
				status, _, err := s.Call("mallory", "POST", "/v1/pacts/claim", map[string]string{"code": "PACT-23456789"})
				if err != nil {
					t.Fatal(err)
				}
				count[status]++
			}
			if count[http.StatusNotFound] != 3 || count[http.StatusTooManyRequests] != 3 {
				t.Errorf("statuses: %v", count)
			}
		})
	}
}

// TestAnInvitationOfNobodyIsNoCode: a list of people that is empty by mistake must not open the pact to whoever has the answer.
func TestAnInvitationOfNobodyIsNoCode(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, nil)
	p := s.NewPact("alice", "bob").ID
	for body, want := range map[string]int{`{"userIds":[]}`: http.StatusBadRequest, `{}`: http.StatusOK} {
		status, answer, err := s.Call("alice", "POST", "/v1/pacts/"+string(p)+"/invite", json.RawMessage(body))
		if err != nil || status != want || (want == http.StatusOK) != strings.Contains(string(answer), "PACT-") {
			t.Errorf("%s: %d %s, %v", body, status, answer, err)
		}
	}
}

func TestClientIDsOfEachKind(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, map[string]string{"lab.enabled": "true"})
	for _, roles := range [][]string{nil, {"lab"}, {"operator"}} {
		for _, v := range []byte{4, 5} {
			for _, id := range []string{"", "with a space", "a/b", "+", "#", "$SYS", "日本語", strings.Repeat("x", 200), "../../etc", "lab", "a\u00a0b"} {
				c := connect(t, s, opts{user: "ida", roles: roles, v: v, id: id})
				c.ping()
				c.quit()
			}
			c, ack := try(t, s, opts{user: "ida", roles: roles, v: v, id: "a\x00lab"})
			if ack.kind == connack && ack.code == 0 {
				t.Error("an id with NUL was let in")
			}
			c.drop()
		}
	}
}

// A thing has no presence, whatever it subscribes to.
func TestThingsHaveNoPresence(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, map[string]string{"presence.grace": "100ms"})
	p := s.NewPact("alice", "bob").ID
	bob := connect(t, s, opts{user: "bob"})
	bob.mustSub("pacts/+/presence/+")
	thing := connect(t, s, opts{user: "alice", id: "b", v: 5, props: userProp("device", "button")})
	thing.mustSub("users/alice/inbox", "pacts/+/activity")
	thing.pub("pacts/"+string(p)+"/checkins", "done")
	testkit.Never(t, 500*time.Millisecond, "a button is online", func() bool {
		x := seen(bob, p, "alice")
		return len(x) > 0 && x[len(x)-1].IsOnline
	})
	person := connect(t, s, opts{user: "alice", id: "p", v: 5, props: userProp("device", "fridge")})
	person.mustSub("users/alice/inbox")
	testkit.Eventually(t, limit, "an unknown kind is a person's", func() bool {
		x := seen(bob, p, "alice")
		return len(x) > 0 && x[len(x)-1].IsOnline
	})
}

func TestSubscriptionIdentifiers(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, nil)
	p := s.NewPact("alice", "bob").ID
	c := connect(t, s, opts{user: "bob", v: 5})
	if got := c.subWith(1, []byte{0x0b, 7}, "pacts/+/activity"); got[0] != 1 {
		t.Fatalf("%#x", got)
	}
	say(t, s, p, 1)
	m := c.wait(1, "the message", func(p packet) bool { return p.kind == publish })[0]
	if m.props[0x0b] != uint32(7) {
		t.Errorf("properties %v", m.props)
	}
	if got := c.subWith(1, []byte{0x0b, 9}, "pacts/+/activity"); got[0] != 1 {
		t.Fatalf("%#x", got)
	}
	say(t, s, p, 1)
	if m = c.wait(2, "the message", func(p packet) bool { return p.kind == publish })[1]; m.props[0x0b] != uint32(9) {
		t.Errorf("properties %v", m.props)
	}
}

// Operators read and never write; broker figures are theirs alone.
func TestOperators(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, nil)
	p := s.NewPact("alice", "bob").ID
	base := len(s.Activities("alice", p))
	for v, want := range map[byte]byte{4: 0, 5: 0x87} {
		o := connect(t, s, opts{user: "olga", roles: []string{"operator"}, v: v})
		if got := o.sub("$SYS/#"); got[0] > 1 {
			t.Errorf("$SYS: %#x", got)
		}
		o.mustSub("pacts/+/activity", "users/#")
		for _, topic := range []string{"pacts/" + string(p) + "/checkins", "users/olga/presence", "weather", "$SYS/x", "users/alice/messages"} {
			if ack := o.pub(topic, "done"); ack.code != want {
				t.Errorf("version %d: %s: PUBACK %#x", v, topic, ack.code)
			}
		}
		// an operator who is a member of a pact is an operator here
		if ack := connect(t, s, opts{user: "alice", roles: []string{"operator"}, v: v, id: "op"}).pub("pacts/"+string(p)+"/checkins", "done"); ack.code != want {
			t.Errorf("PUBACK %#x", ack.code)
		}
		o.ping()
	}
	if n := len(s.Activities("alice", p)); n != base {
		t.Error("an operator's command ran")
	}
}

// The id of the token is the person: sub stands in for it, user names and payloads do not.
func TestIdentityComesFromTheToken(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, nil)
	s.NewPact("alice", "bob")
	exp := time.Now().Add(time.Hour).Unix()
	sub := testkit.Sign(jwt.MapClaims{"sub": "alice", "exp": exp})
	c := connect(t, s, opts{user: "bob", token: sub, v: 5})
	c.mustSub("users/alice/inbox")
	if got := c.sub("users/bob/inbox"); got[0] != 0x87 {
		t.Errorf("the user name gave bob's inbox: %#x", got)
	}
	both := connect(t, s, opts{user: "x", token: testkit.Sign(jwt.MapClaims{"sub": "bob", "id": "alice", "exp": exp}), v: 5})
	both.mustSub("users/alice/inbox")
	for i, roles := range []any{"operator", []string{"operator", "emperor"}, "lab"} {
		x := connect(t, s, opts{user: "alice", token: testkit.Sign(jwt.MapClaims{"id": "alice", "exp": exp, "roles": roles}), v: 5, id: fmt.Sprint("r", i)})
		got := x.sub("users/bob/inbox")[0]
		if want := []byte{1, 1, 0x87}[i]; got != want {
			t.Errorf("roles %v: %#x, want %#x", roles, got, want)
		}
	}
}
