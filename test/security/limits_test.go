package security_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/testkit"
)

// Sixty at once do not slip past a bound that sixteen in a row keep to.
func TestTrapConnectionsAtOnce(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, nil)
	for _, who := range []opts{{user: "alice"}, {user: "olga", roles: []string{"operator"}}} {
		const many = 60
		codes := make([]byte, many)
		var all sync.WaitGroup
		for i := range many {
			all.Go(func() {
				o := who
				o.id, o.v = fmt.Sprint("c", i), 5
				_, ack := try(t, s, o)
				codes[i] = ack.code
			})
		}
		all.Wait()
		in := 0
		for _, c := range codes {
			switch c {
			case 0:
				in++
			case 0x97:
			default:
				t.Errorf("CONNACK %#x", c)
			}
		}
		if in != 16 {
			t.Errorf("%s: %d let in, want 16", who.user, in)
		}
	}
}

func TestSessionExpiry(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, map[string]string{"limits.session_expiry": "1h"})
	ask := func(id string, keep bool, expiry uint32) (*client, packet) {
		t.Helper()
		o := opts{user: "alice", id: id, v: 5, keep: keep}
		if expiry > 0 {
			o.props = prop32(propExpiry, expiry)
		}
		return try(t, s, o)
	}
	c, ack := ask("a", true, 0xffffffff)
	if ack.props[propExpiry] != uint32(3600) {
		t.Errorf("granted %v, want 3600", ack.props[propExpiry])
	}
	c.quit()
	if c, ack = ask("a", true, 60); !ack.present {
		t.Error("the session is lost")
	}
	if _, ok := ack.props[propExpiry]; ok {
		t.Errorf("granted %v, what was asked for", ack.props[propExpiry])
	}
	c.raw(frame(14<<4, join([]byte{0}, withLength(prop32(propExpiry, 0)))))
	c.endedWith()
	if c, ack = ask("a", true, 60); ack.present {
		t.Error("DISCONNECT with expiry 0 did not end the session")
	}
	c.quit()
	c, _ = ask("b", true, 0)
	c.mustSub("users/alice/inbox")
	c.drop()
	if c, ack = ask("b", true, 0); ack.present {
		t.Error("a session without expiry outlived its connection")
	}
	c.raw(frame(14<<4, join([]byte{0}, withLength(prop32(propExpiry, 60))))) // may not be raised from 0
	if r := c.endedWith(); r != 0x82 {
		t.Errorf("DISCONNECT %#x", r)
	}
	if c, ack = ask("b", true, 60); ack.present {
		t.Error("expiry was raised from 0")
	}
	c.quit()
	// one second is over after a second
	c, _ = ask("c", true, 1)
	c.quit()
	testkit.Eventually(t, limit, "the session is over", func() bool {
		c, ack := ask("d", true, 0)
		c.quit()
		return ack.kind == connack
	})
}

// A connection that takes its own session over gets what the older had not acknowledged, again and in order.
func TestTakeoverResumes(t *testing.T) {
	t.Parallel()
	for _, v := range []byte{4, 5} {
		s := testkit.Start(t, nil)
		p := s.NewPact("alice", "bob").ID
		o := kept(v)
		o.hold = true
		older := connect(t, s, o)
		older.mustSub("pacts/+/activity")
		say(t, s, p, 4)
		got := older.wait(4, "four", func(p packet) bool { return p.kind == publish })
		older.ack(puback, got[0].id)
		older.ping()
		o.hold = false
		newer, ack := try(t, s, o)
		if !ack.present {
			t.Error("no session")
		}
		if r := older.endedWith(); v == 5 && r != 0x8e || v == 4 && r != 0 {
			t.Errorf("version %d: DISCONNECT %#x", v, r)
		}
		testkit.Eventually(t, limit, "three again", func() bool { return len(newer.activities(p)) >= 3 })
		newer.ping()
		if got := seqs(newer.activities(p)); !slices.Equal(got, upTo(4, 6)) {
			t.Errorf("version %d: %v", v, got)
		}
	}
}

// What waits for a member's window when they are removed is never sent, whatever they acknowledge, and neither is it when
// they come back.
func TestTrapRevocationReachesTheQueue(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, nil)
	pact := s.NewPact("alice", "bob", "carol").ID
	p := string(pact)
	for _, f := range []string{"pacts/+/activity", "pacts/" + p + "/activity"} {
		o := opts{user: "carol", id: "q" + f[6:7], v: 5, keep: true, hold: true, props: join(prop32(propExpiry, 600), prop16(propReceiveMax, 1))}
		carol := connect(t, s, o)
		carol.mustSub(f)
		defer carol.drop()
		say(t, s, pact, 5)
		first := carol.wait(1, "the first", func(p packet) bool { return p.kind == publish })
		if f[6] != '+' { // both wait now
			s.Must("alice", "POST", "/v1/pacts/"+p+"/remove", map[string]string{"userId": "carol"}, nil)
			carol.ack(puback, first[0].id)
			carol.ping()
			carol.drop()
			o.hold = false
			back, ack := try(t, s, o)
			if !ack.present {
				t.Error("no session")
			}
			back.mustSub("users/carol/inbox")
			back.pub("pacts/"+p+"/messages", `{"message":"x"}`)
			back.event(pactwire.EventError, 1)
			if n := len(carol.activities(pact)); n != 1 || len(back.activities(pact)) != 0 {
				t.Errorf("%s: %d before and %d after reconnecting", f, n, len(back.activities(pact)))
			}
		}
	}
	o := opts{user: "carol", id: "q+", v: 5, keep: true, props: prop32(propExpiry, 600)}
	back := connect(t, s, o)
	back.mustSub("users/carol/inbox")
	back.pub("pacts/"+p+"/messages", `{"message":"x"}`)
	back.event(pactwire.EventError, 1)
	if n := len(back.activities(pact)); n != 0 {
		t.Errorf("%d after coming back", n)
	}
}

// Presence of a pact ends with membership, in both directions.
func TestRevocationEndsPresence(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, map[string]string{"presence.grace": "100ms"})
	pact := s.NewPact("alice", "bob", "carol").ID
	p := string(pact)
	alice, carol := connect(t, s, opts{user: "alice", v: 5}), connect(t, s, opts{user: "carol", v: 5})
	alice.mustSub("pacts/#", "pacts/"+p+"/presence/carol", "users/alice/inbox")
	carol.mustSub("pacts/#", "users/carol/#", "pacts/"+p+"/presence/alice")
	testkit.Eventually(t, limit, "carol is online", func() bool {
		x := seen(alice, pact, "carol")
		return len(x) > 0 && x[len(x)-1].IsOnline
	})
	s.Must("carol", "POST", "/v1/pacts/"+p+"/leave", nil, nil)
	carol.event(pactwire.EventLeftPact, 1)
	n, m := len(seen(alice, pact, "carol")), len(carol.messages("pacts/"))
	carol.pub("users/carol/presence", "away")
	alice.pub("users/alice/presence", "away")
	alice.pub("pacts/"+p+"/messages", `{"message":"x"}`)
	testkit.Eventually(t, limit, "alice is away to herself", func() bool {
		x := seen(alice, pact, "alice")
		return len(x) > 0 && x[len(x)-1].Status == pactwire.PresenceAway
	})
	carol.ping()
	if got := carol.messages("pacts/"); len(got) != m {
		t.Errorf("carol got %s %s", got[m].topic, got[m].payload)
	}
	for _, x := range seen(alice, pact, "carol")[n:] {
		if x.Status == pactwire.PresenceAway {
			t.Errorf("alice was told of carol: %+v", x)
		}
	}
}

// One command, sent by many at once, is one.
func TestPromise2OnceForManyAtOnce(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, nil)
	p := s.NewPact("alice", "bob").ID
	base := len(s.Activities("alice", p))
	var all sync.WaitGroup
	for i := range 14 {
		all.Go(func() {
			c := connect(t, s, opts{user: "alice", id: fmt.Sprint("d", i), v: 4 + byte(i%2)})
			for k := range 5 {
				c.pub("pacts/"+string(p)+"/messages", fmt.Sprintf(`{"id":"k%d","message":"m"}`, k))
			}
		})
	}
	all.Wait()
	if n := len(s.Activities("alice", p)) - base; n != 5 {
		t.Errorf("%d activities of 5 commands", n)
	}
	firsts := map[string]int{}
	for _, e := range s.Inbox("alice") {
		if e.Type == pactwire.EventCommandDone && strings.Contains(string(e.Data), `"duplicate":false`) {
			firsts[*e.CommandID]++
		}
	}
	for k := range 5 {
		if id := fmt.Sprint("k", k); firsts[id] != 1 {
			t.Errorf("%s was the first %d times", id, firsts[id])
		}
	}
}

// Members of an ended pact read on; their commands meet a conflict.
func TestEndedPact(t *testing.T) {
	t.Parallel()
	for v, want := range map[byte]byte{4: 0, 5: 0x80} {
		s, p, c := pair(t, v)
		s.Must("alice", "POST", "/v1/pacts/"+string(p)+"/abandon", nil, nil)
		testkit.Eventually(t, limit, "pact_abandoned", func() bool {
			as := c.activities(p)
			return len(as) > 0 && as[len(as)-1].Type == pactwire.PactAbandonedA
		})
		if ack := c.pub("pacts/"+string(p)+"/checkins", "done"); ack.code != want {
			t.Errorf("PUBACK %#x, want %#x", ack.code, want)
		}
		if d := errorData(t, c.event(pactwire.EventError, 1)); d.Code != "conflict" {
			t.Errorf("%+v", d)
		}
		if got := c.sub("pacts/" + string(p) + "/activity"); got[0] != 1 {
			t.Errorf("SUBACK %#x", got)
		}
	}
}

// MQTT 5 AUTH with method jwt gives a connection a new token in place.
func TestAuthRefreshesTheToken(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, nil)
	short := testkit.TokenFor("alice", 3e9)
	c := connect(t, s, opts{user: "alice", token: short, v: 5, id: "r", props: propStr(0x15, "jwt")})
	c.mustSub("users/alice/inbox")
	c.raw(frame(15<<4, join([]byte{0x19}, withLength(join(propStr(0x15, "jwt"), propStr(0x16, testkit.Token("alice")))))))
	testkit.Never(t, 5e9, "it was cut", c.isEnded)
	c.ping()
	// a token of another person, or a bad one, ends it
	for _, bad := range []string{testkit.Token("bob"), "garbage"} {
		x := connect(t, s, opts{user: "alice", v: 5, id: "x", props: propStr(0x15, "jwt")})
		x.raw(frame(15<<4, join([]byte{0x19}, withLength(join(propStr(0x15, "jwt"), propStr(0x16, bad))))))
		if r := x.endedWith(); r < 0x80 {
			t.Errorf("DISCONNECT %#x", r)
		}
	}
}

// TestTopicsKeepToTheConfiguredLimits of bytes and levels, above the defaults as below: publishes, filters, answers and wills.
func TestTopicsKeepToTheConfiguredLimits(t *testing.T) {
	t.Parallel()
	for _, levels := range []int{6, 12} {
		s := testkit.Start(t, map[string]string{"lab.enabled": "true", "limits.topic_levels": fmt.Sprint(levels), "limits.topic_bytes": "300"})
		deep := func(head string, n int) string { return head + strings.Repeat("/x", n-1-strings.Count(head, "/")) }
		long := func(head string, n int) string { return head + strings.Repeat("y", n-len(head)) }
		fits := map[string]bool{}
		for _, head := range []string{"a", "users/alice/replies"} {
			fits[deep(head, levels)], fits[deep(head, levels+1)] = true, false
			fits[long(head+"/", 300)], fits[long(head+"/", 301)] = true, false
		}
		lab := connect(t, s, opts{user: "alice", roles: []string{"lab"}, id: "lab", v: 5})
		member := connect(t, s, opts{user: "alice", id: "phone", v: 5})
		p := s.NewPact("alice", "bob").ID
		for name, ok := range fits {
			c := lab
			if strings.HasPrefix(name, "users/") {
				c = member
				code := c.pub("pacts/"+string(p)+"/messages", `{"message":"x"}`, propStr(propResponseTopic, name)).code
				if want := map[bool]byte{true: 0, false: 0x99}[ok]; code != want {
					t.Errorf("%d levels, an answer to %.60s…: %#x, want %#x", levels, name, code, want)
				}
			} else if got := c.pub(name, "x"); (got.code == 0x90) == ok {
				t.Errorf("%d levels, a publish to %.60s…: %#x", levels, name, got.code)
			}
			refused := byte(0x8f)
			if c == lab {
				refused = 0x87
			}
			if code := c.sub(name)[0]; code != map[bool]byte{true: 1, false: refused}[ok] {
				t.Errorf("%d levels, a filter %.60s…: %#x", levels, name, code)
			}
		}
		for n, want := range map[int]byte{levels: 0, levels + 1: 0x87} {
			_, ack := try(t, s, opts{user: "alice", roles: []string{"lab"}, id: "w", v: 5, willTopic: deep("a", n), will: "x"})
			if ack.code != want {
				t.Errorf("%d levels, a will of %d: %#x, want %#x", levels, n, ack.code, want)
			}
		}
	}
}
