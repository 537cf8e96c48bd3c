package security_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/testkit"
)

func TestTrapWills(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, nil)
	p := string(s.NewPact("alice", "bob").ID)
	own, fine := "users/alice/presence", `{"status":"offline"}`
	for name, c := range map[string]struct {
		topic, payload string
		flags          byte
		v5, v3         byte
	}{
		"own presence":             {own, fine, 0, 0, 0},
		"own presence, a word":     {own, "away", 0, 0, 0},
		"own presence, QoS 1":      {own, fine, 0x08, 0, 0},
		"own presence, retained":   {own, fine, 0x20, 0, 0},
		"another's presence":       {"users/bob/presence", fine, 0, 0x87, 5},
		"another's inbox":          {"users/bob/inbox", fine, 0, 0x87, 5},
		"own inbox":                {"users/alice/inbox", fine, 0, 0x87, 5},
		"$SYS":                     {"$SYS/broker/clients", fine, 0, 0x87, 5},
		"$share":                   {"$share/g/users/alice/presence", fine, 0, 0x87, 5},
		"activity":                 {"pacts/" + p + "/activity", fine, 0, 0x87, 5},
		"checkins":                 {"pacts/" + p + "/checkins", "done", 0, 0x87, 5},
		"presence of oneself":      {"pacts/" + p + "/presence/alice", fine, 0, 0x87, 5},
		"a plain topic":            {"weather", fine, 0, 0x87, 5},
		"retained on a plain one":  {"weather", fine, 0x20, 0x87, 5},
		"no presence payload":      {own, "hello", 0, 0x99, 5},
		"an empty payload":         {own, "", 0, 0x99, 5},
		"a status that is unknown": {own, `{"status":"dead"}`, 0, 0x99, 5},
		"half of JSON":             {own, `{"status":`, 0, 0x99, 5},
	} {
		for _, v := range []byte{4, 5} {
			want := c.v3
			if v == 5 {
				want = c.v5
			}
			o := opts{user: "alice", id: "w", v: v, willTopic: c.topic, will: c.payload, willFlags: c.flags}
			cl, ack := try(t, s, o)
			if ack.kind != connack || ack.code != want {
				t.Errorf("%s, version %d: CONNACK %d %#x, want %#x", name, v, ack.kind, ack.code, want)
			}
			cl.drop()
		}
	}
}

// A retained will, and the will of who may not write there, reach nobody.
func TestTrapWillReachesNobody(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, map[string]string{"presence.grace": "100ms"})
	pact := s.NewPact("alice", "bob")
	bob := connect(t, s, opts{user: "bob", v: 5})
	bob.mustSub("pacts/#", "users/bob/#")
	alice := connect(t, s, opts{user: "alice", id: "w", willTopic: "users/alice/presence", will: `{"status":"offline"}`, willFlags: 0x20})
	alice.mustSub("users/alice/inbox")
	topic := "pacts/" + string(pact.ID) + "/presence/alice"
	online := func(want bool) func() bool {
		return func() bool {
			m := bob.messages(topic)
			return len(m) > 0 && strings.Contains(m[len(m)-1].payload, fmt.Sprintf(`"isOnline":%v`, want))
		}
	}
	testkit.Eventually(t, limit, "alice is online", online(true))
	alice.drop()
	testkit.Eventually(t, limit, "alice is offline", online(false))
	for _, m := range bob.messages("users/alice") {
		t.Errorf("the will itself was delivered on %s", m.topic)
	}
}

func TestTrapTokens(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, nil)
	now := time.Now()
	claims := func(extra jwt.MapClaims) jwt.MapClaims {
		c := jwt.MapClaims{"id": "alice", "exp": now.Add(time.Hour).Unix()}
		for k, v := range extra {
			if c[k] = v; v == nil {
				delete(c, k)
			}
		}
		return c
	}
	wrong, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims(nil)).SignedString([]byte(strings.Repeat("x", 40)))
	if err != nil {
		t.Fatal(err)
	}
	none, err := jwt.NewWithClaims(jwt.SigningMethodNone, claims(nil)).SignedString(jwt.UnsafeAllowNoneSignatureType)
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{
		"expired": testkit.Sign(claims(jwt.MapClaims{"exp": now.Add(-time.Minute).Unix()})), "wrong secret": wrong, "alg none": none,
		"no exp": testkit.Sign(claims(jwt.MapClaims{"exp": nil})), "not yet": testkit.Sign(claims(jwt.MapClaims{"nbf": now.Add(time.Minute).Unix()})),
		"no id":    testkit.Sign(claims(jwt.MapClaims{"id": nil})),
		"a bad id": testkit.Sign(claims(jwt.MapClaims{"id": "a/b"})), "a wildcard id": testkit.Sign(claims(jwt.MapClaims{"id": "+"})),
		"garbage": "garbage", "dots": "..",
	} {
		for _, v := range []byte{4, 5} {
			want := byte(5)
			if v == 5 {
				want = 0x86
			}
			if _, ack := try(t, s, opts{user: "alice", token: token, v: v}); ack.kind != connack || ack.code != want {
				t.Errorf("%s, version %d: CONNACK %d %#x, want %#x", name, v, ack.kind, ack.code, want)
			}
		}
	}
}

func TestTrapTokenExpiryCuts(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, nil)
	s.NewPact("alice", "bob")
	for _, v := range []byte{4, 5} {
		exp := time.Unix(time.Now().Add(3*time.Second).Unix(), 0)
		token := testkit.Sign(jwt.MapClaims{"id": "alice", "exp": exp.Unix()})
		c := connect(t, s, opts{user: "alice", token: token, v: v, id: "x"})
		c.mustSub("users/alice/inbox")
		reason := c.endedWith()
		if late := time.Since(exp); late < 0 || late > time.Second {
			t.Errorf("version %d: cut %v after exp", v, late)
		}
		if v == 5 && reason != 0x87 || v == 4 && reason != 0 {
			t.Errorf("version %d: DISCONNECT %#x", v, reason)
		}
	}
}

// The warning comes 60 s before the end; one who has less left when they connect is told as soon as they listen.
func TestTokenExpiringIsTold(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, nil)
	exp := time.Unix(time.Now().Add(63*time.Second).Unix(), 0)
	c := connect(t, s, opts{user: "alice", token: testkit.Sign(jwt.MapClaims{"id": "alice", "exp": exp.Unix()}), v: 5})
	c.mustSub("users/alice/inbox")
	other := connect(t, s, opts{user: "alice", id: "other", v: 5})
	other.mustSub("users/alice/inbox")
	e := c.event(pactwire.EventTokenExpiring, 1)
	var data pactwire.TokenExpiring
	if err := json.Unmarshal(e.Data, &data); err != nil || !time.Time(data.ExpiresAt).Equal(exp) {
		t.Errorf("data %s, %v", e.Data, err)
	}
	if left := time.Until(exp); left > 60*time.Second || left < 57*time.Second {
		t.Errorf("told %v before the end", left)
	}
	if len(s.Inbox("alice")) != 0 {
		t.Error("the warning was logged")
	}
	if other.ping(); len(other.events(pactwire.EventTokenExpiring)) != 0 {
		t.Error("told to who has another token")
	}
}

func TestConnackAnnouncesLimits(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, map[string]string{"limits.keepalive_min": "15s", "limits.keepalive_max": "20m", "lab.enabled": "true"})
	for _, c := range []struct{ asked, want uint16 }{{0, 1200}, {1, 15}, {15, 0}, {60, 0}, {1200, 0}, {1201, 1200}, {43691, 1200}, {65535, 1200}} {
		cl, ack := try(t, s, opts{user: "alice", v: 5, keepalive: c.asked})
		if ack.code != 0 {
			t.Fatalf("keepalive %d: CONNACK %#x", c.asked, ack.code)
		}
		got, _ := ack.props[propKeepAlive].(uint32)
		if uint16(got) != c.want {
			t.Errorf("keepalive %d: Server Keep Alive %d, want %d", c.asked, got, c.want)
		}
		if ack.props[propMaxPacket] != uint32(64<<10) {
			t.Errorf("Maximum Packet Size %v", ack.props[propMaxPacket])
		}
		if ack.props[propShared] != uint32(0) {
			t.Errorf("Shared Subscription Available %v", ack.props[propShared])
		}
		if a, ok := ack.props[propAliasMax]; ok && a != uint32(0) {
			t.Errorf("Topic Alias Maximum %v", a)
		}
		if n, ok := ack.props[propReceiveMax].(uint32); !ok || n == 0 {
			t.Errorf("Receive Maximum %v", ack.props[propReceiveMax])
		}
		if id, _ := ack.props[propAssignedID].(string); id == "" || strings.ContainsRune(id, 0) {
			t.Errorf("Assigned Client Identifier %q", id)
		}
		cl.ping()
		cl.quit()
	}
	for _, asked := range []uint16{0, 1, 43691, 65535} {
		cl := connect(t, s, opts{user: "alice", keepalive: asked})
		cl.ping()
		cl.quit()
	}
	_, ack := try(t, s, opts{user: "alice", v: 5, id: "mine"})
	if id, ok := ack.props[propAssignedID]; ok {
		t.Errorf("assigned %q to a client that has an id", id)
	}
	_, ack = try(t, s, opts{user: "lab", v: 5, roles: []string{"lab"}, id: "mine"})
	if v, ok := ack.props[propShared]; ok && v != uint32(1) {
		t.Errorf("lab: Shared Subscription Available %v", v)
	}
}

// The id that was assigned is the client's own: it can come back with it.
func TestAssignedIDComesBack(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, nil)
	c, ack := try(t, s, opts{user: "alice", v: 5, props: prop32(propExpiry, 600)})
	id, _ := ack.props[propAssignedID].(string)
	c.mustSub("users/alice/inbox")
	c.quit()
	if _, ack = try(t, s, opts{user: "alice", v: 5, id: id, keep: true, props: prop32(propExpiry, 600)}); !ack.present {
		t.Errorf("the session of %q was not there", id)
	}
}

func TestTrapSeventeenthConnection(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, nil)
	var last *client
	for i := range 16 {
		last = connect(t, s, opts{user: "alice", id: fmt.Sprint("c", i)})
	}
	for v, want := range map[byte]byte{4: 3, 5: 0x97} {
		if _, ack := try(t, s, opts{user: "alice", id: "c16", v: v}); ack.code != want {
			t.Errorf("version %d: CONNACK %#x, want %#x", v, ack.code, want)
		}
	}
	connect(t, s, opts{user: "bob", id: "c16"})
	connect(t, s, opts{user: "alice", id: "c3"}) // in the place of one that stands
	last.quit()
	testkit.Eventually(t, limit, "room again", func() bool {
		c, ack := try(t, s, opts{user: "alice", id: "c17"})
		c.drop()
		return ack.code == 0
	})
}

func TestTrapClientIDOfAnotherUser(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, nil)
	pact := s.NewPact("alice", "bob")
	o := opts{user: "alice", id: "phone", v: 5, keep: true, props: prop32(propExpiry, 600)}
	alice := connect(t, s, o)
	alice.mustSub("pacts/+/activity")
	theirs := o
	theirs.user = "mallory"
	m, ack := try(t, s, theirs)
	if ack.present {
		t.Error("mallory was given alice's session")
	}
	alice.ping()
	alice.drop()
	s.Must("bob", "POST", "/v1/pacts/"+string(pact.ID)+"/checkins", map[string]string{"status": "completed"}, nil)
	m.drop()
	m, ack = try(t, s, theirs)
	if !ack.present {
		t.Error("mallory's own session was lost")
	}
	m.ping()
	if got := m.messages(""); len(got) != 0 {
		t.Errorf("mallory got %v", got)
	}
	alice, ack = try(t, s, o)
	if !ack.present {
		t.Error("alice's session was lost")
	}
	testkit.Eventually(t, limit, "the check-in", func() bool { return len(alice.activities(pact.ID)) == 1 })
}

func TestTrapTakeoverOfManyAtOnce(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, map[string]string{"presence.grace": "5s"})
	pact := s.NewPact("alice", "bob")
	bob := connect(t, s, opts{user: "bob"})
	bob.mustSub("pacts/+/presence/+")
	first := connect(t, s, opts{user: "alice", id: "one", v: 5, keep: true, props: prop32(propExpiry, 600)})
	first.mustSub("pacts/+/activity")
	topic := "pacts/" + string(pact.ID) + "/presence/alice"
	online := func() bool {
		m := bob.messages(topic)
		return len(m) > 0 && strings.Contains(m[len(m)-1].payload, `"isOnline":true`)
	}
	testkit.Eventually(t, limit, "alice is online", online)
	before := len(bob.messages(topic))

	const many = 200
	clients := make([]*client, many)
	acks := make([]packet, many)
	var all sync.WaitGroup
	slots := make(chan struct{}, 50)
	for i := range many {
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			clients[i], acks[i] = try(t, s, opts{user: "alice", id: "one", v: 5, keep: true, props: prop32(propExpiry, 600)})
		})
	}
	all.Wait()
	if r := first.endedWith(); r != 0x8e {
		t.Errorf("the first got DISCONNECT %#x", r)
	}
	standing := func() (n int) {
		for _, c := range clients {
			if !c.isEnded() {
				n++
			}
		}
		return n
	}
	testkit.Eventually(t, limit, "one of 200 is left", func() bool { return standing() <= 1 })
	testkit.Never(t, 300*time.Millisecond, "nobody is left", func() bool { return standing() != 1 })
	for i, c := range clients {
		if acks[i].code == 0 && acks[i].kind == connack && c.isEnded() {
			if d := c.of(disconnect); len(d) != 1 || d[0].code != 0x8e {
				t.Errorf("connection %d ended with %v", i, d)
			}
		}
	}
	s.Must("bob", "POST", "/v1/pacts/"+string(pact.ID)+"/checkins", map[string]string{"status": "completed"}, nil)
	for _, c := range clients {
		if !c.isEnded() {
			testkit.Eventually(t, limit, "the check-in", func() bool { return len(c.activities(pact.ID)) == 1 })
		}
	}
	for _, m := range bob.messages(topic)[before:] {
		if !strings.Contains(m.payload, `"isOnline":true`) {
			t.Errorf("a flap: %s", m.payload)
		}
	}
}
