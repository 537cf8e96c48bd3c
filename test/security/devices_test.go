package security_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/testkit"
)

// thing is a device of alice's in her pact with bob.
type thing struct {
	pactwire.DeviceSecret
	s    *testkit.Server
	pact pactwire.PactID
}

func newThing(t *testing.T, s *testkit.Server, pact pactwire.PactID) thing {
	t.Helper()
	return thing{s.NewDevice("alice", pact), s, pact}
}

func (x thing) checkins() string { return "devices/" + string(x.ID) + "/checkins" }
func (x thing) replies() string  { return "devices/" + string(x.ID) + "/replies" }

func (x thing) opts(v byte) opts {
	return opts{user: pactwire.UserID(x.Username), token: x.Secret, v: v, id: "b"}
}

// listening is the device, connected and subscribed to its answers.
func (x thing) listening(t *testing.T, v byte) *client {
	t.Helper()
	c := connect(t, x.s, x.opts(v))
	c.mustSub(x.replies())
	return c
}

// logged reads the data of SERVER:CHECKIN_LOGGED.
func logged(t *testing.T, e pactwire.Event) (data pactwire.CheckinLogged) {
	t.Helper()
	if err := json.Unmarshal(e.Data, &data); err != nil {
		t.Fatalf("%s: %v", e.Data, err)
	}
	return data
}

// inbox are the logged events of a type.
func inbox(s *testkit.Server, u pactwire.UserID, typ pactwire.EventType) (out []pactwire.Event) {
	for _, e := range s.Inbox(u) {
		if e.Type == typ {
			out = append(out, e)
		}
	}
	return out
}

// counted is a connection that counts the bytes in both directions.
type counted struct {
	net.Conn
	bytes int
}

func (c *counted) Write(b []byte) (int, error) { c.bytes += len(b); return c.Conn.Write(b) }
func (c *counted) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.bytes += n
	return n, err
}

// A radio that sends a check-in is on for as long as its bytes take: done at QoS 1 and its PUBACK are 53.
func TestDeviceCheckinIsFiftyThreeBytes(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, nil)
	x := newThing(t, s, s.NewPact("alice", "bob").ID)
	if len(x.ID) != 22 {
		t.Errorf("the id %q has %d characters", x.ID, len(x.ID))
	}
	for v, want := range map[byte]int{4: 53, 5: 54} { // MQTT 5 has one more, for the length of no properties
		nc, err := net.DialTimeout("tcp", s.TCP, limit)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		if err := nc.SetDeadline(time.Now().Add(limit)); err != nil {
			t.Fatal(err)
		}
		if _, err := nc.Write(connectPacket(x.opts(v))); err != nil {
			t.Fatal(err)
		}
		if p, err := readPacket(nc, v); err != nil || p.kind != connack || p.code != 0 {
			t.Fatalf("%+v %v", p, err)
		}
		wire := &counted{Conn: nc}
		c := &client{v: v}
		if _, err := wire.Write(c.publishBytes(2, 1, x.checkins(), "done")); err != nil {
			t.Fatal(err)
		}
		if p, err := readPacket(wire, v); err != nil || p.kind != puback || p.code != 0 {
			t.Fatalf("%+v %v", p, err)
		}
		if wire.bytes != want {
			t.Errorf("MQTT %d: %d bytes, want %d", v, wire.bytes, want)
		}
	}
}

func TestDeviceAnswersGoToItsRepliesAndToTheOwnersInbox(t *testing.T) {
	t.Parallel()
	for _, v := range []byte{4, 5} {
		s := testkit.Start(t, nil)
		x := newThing(t, s, s.NewPact("alice", "bob").ID)
		phone := connect(t, s, opts{user: "alice", id: "phone"})
		phone.mustSub("users/alice/inbox", "pacts/+/activity")
		c := x.listening(t, v)
		if ack := c.pub(x.checkins(), `{"id":"k1","status":"completed","notes":"from the kitchen"}`); ack.code != 0 {
			t.Fatalf("PUBACK %#x", ack.code)
		}
		reply := c.event(pactwire.EventCheckinLogged, 1)
		if reply.Seq != 0 || reply.CommandID == nil || *reply.CommandID != "k1" || logged(t, reply).Checkin.PactID != x.pact {
			t.Errorf("reply %+v", reply)
		}
		for _, m := range c.messages("") {
			if m.topic != x.replies() {
				t.Errorf("the device was sent %s", m.topic)
			}
		}
		event := phone.event(pactwire.EventCheckinLogged, 1)
		if event.Seq == 0 || event.ID != reply.ID || !bytes.Equal(event.Data, reply.Data) {
			t.Errorf("inbox %+v\nreply %+v", event, reply)
		}
		testkit.Eventually(t, limit, "the activity, in the owner's name", func() bool {
			as := phone.activities(x.pact)
			return len(as) > 0 && as[len(as)-1].UserID == "alice" && as[len(as)-1].UserName == "Alice"
		})
		// again, from the phone: the same command, with the first answer
		phone.pub("pacts/"+string(x.pact)+"/checkins", `{"id":"k1","status":"skipped"}`)
		if again := logged(t, phone.event(pactwire.EventCheckinLogged, 2)); !again.Duplicate || again.Checkin.Status != pactwire.StatusCompleted {
			t.Errorf("%+v", again)
		}
		// a refusal goes to the device alone
		ack := c.pub(x.checkins(), "perhaps")
		if want := map[byte]byte{4: 0, 5: 0x99}[v]; ack.code != want {
			t.Errorf("PUBACK %#x, want %#x", ack.code, want)
		}
		if d := errorData(t, c.event(pactwire.EventError, 1)); d.Code != "invalid" || d.Field != "status" || d.Topic != x.checkins() {
			t.Errorf("%+v", d)
		}
		c.ping()
		if got := inbox(s, "alice", pactwire.EventError); len(got) != 0 {
			t.Errorf("the owner was told of the device's mistake: %s", got[0].Data)
		}
	}
}

func TestDeviceResponseTopicAndCorrelation(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, nil)
	x := newThing(t, s, s.NewPact("alice", "bob").ID)
	c := x.listening(t, 5)
	correlation := append([]byte{propCorrelation}, str("c-1")...)
	if ack := c.pub(x.checkins(), "done", correlation); ack.code != 0 {
		t.Errorf("PUBACK %#x", ack.code)
	}
	if ack := c.pub(x.checkins(), "skipped", propStr(propResponseTopic, x.replies()), correlation); ack.code != 0 {
		t.Errorf("PUBACK %#x", ack.code)
	}
	for _, m := range c.wait(2, "two replies", func(p packet) bool { return p.kind == publish }) {
		if m.topic != x.replies() || m.props[propCorrelation] != "c-1" {
			t.Errorf("%s %v", m.topic, m.props)
		}
	}
	if n := len(inbox(s, "alice", pactwire.EventCheckinLogged)); n != 2 {
		t.Errorf("%d events in the owner's inbox", n)
	}
	for _, elsewhere := range []string{"users/alice/inbox", "users/alice/replies/x", "devices/other/replies", "pacts/" + string(x.pact) + "/activity"} {
		if ack := c.pub(x.checkins(), "done", propStr(propResponseTopic, elsewhere)); ack.code != 0x99 {
			t.Errorf("answers to %s: PUBACK %#x", elsewhere, ack.code)
		}
	}
	d := errorData(t, c.event(pactwire.EventError, 4))
	if d.Field != "responseTopic" || !strings.Contains(d.Message, x.replies()) {
		t.Errorf("%+v", d)
	}
}

func encode(t *testing.T, v any) string {
	t.Helper()
	b, err := cbor.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Everything that a device may say, and a clock that it cannot trust.
func TestDevicePayloadsAndBrokenClocks(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, nil)
	today := time.Now().UTC().Format(time.DateOnly)
	earlier := time.Now().Add(-3 * 24 * time.Hour).UTC().Format(time.DateOnly)
	isCBOR := propStr(0x03, "application/cbor")
	const day = 24 * 3600 * 1000
	for name, c := range map[string]struct {
		payload string
		props   []byte
		code    byte
		field   string
		days    []string
		status  pactwire.CheckinStatus
	}{
		"done":                        {"done", nil, 0, "", []string{today}, "completed"},
		"1":                           {"1", nil, 0, "", []string{today}, "completed"},
		"DONE and a line end":         {"DONE\r\n", nil, 0, "", []string{today}, "completed"},
		"partial":                     {"partial", nil, 0, "", []string{today}, "partial"},
		"JSON":                        {`{"status":"skipped","notes":"rain"}`, nil, 0, "", []string{today}, "skipped"},
		"CBOR":                        {encode(t, map[string]any{"status": "completed", "ageMs": 3 * day}), isCBOR, 0, "", []string{earlier}, "completed"},
		"a CBOR one":                  {encode(t, 1), isCBOR, 0, "", []string{today}, "completed"},
		"CBOR batch":                  {encode(t, []any{"done", map[string]any{"status": "completed", "ageMs": 3 * day}}), isCBOR, 0, "", []string{today, earlier}, "completed"},
		"batch after a long silence":  {fmt.Sprintf(`[{"status":"completed","ageMs":%d},{"status":"completed","ageMs":60}]`, 3*day), nil, 0, "", []string{earlier, today}, "completed"},
		"1970":                        {`{"status":"completed","occurredAt":"1970-01-01T00:00:42Z"}`, nil, 0x99, "occurredAt", nil, ""},
		"1970 and an age":             {`{"status":"completed","occurredAt":"1970-01-01T00:00:42Z","ageMs":1000}`, nil, 0, "", []string{today}, "completed"},
		"2106":                        {`{"status":"completed","occurredAt":"2106-02-07T06:28:15Z"}`, nil, 0x99, "occurredAt", nil, ""},
		"2106 and an age":             {`{"status":"completed","occurredAt":"2106-02-07T06:28:15Z","ageMs":0}`, nil, 0, "", []string{today}, "completed"},
		"an age that ran over":        {`{"status":"completed","ageMs":-4294967296}`, nil, 0x99, "ageMs", nil, ""},
		"older than a week":           {fmt.Sprintf(`{"status":"completed","ageMs":%d}`, 9*day), nil, 0x99, "ageMs", nil, ""},
		"a battery that overshoots":   {`{"status":"completed","battery":104.2}`, nil, 0, "", []string{today}, "completed"},
		"a battery that is no number": {`{"status":"completed","battery":"full"}`, nil, 0x99, "battery", nil, ""},
		"a foreign habit":             {`{"status":"completed","habitGoalId":"other"}`, nil, 0x99, "habitGoalId", nil, ""},
		"nothing":                     {"", nil, 0x99, "payload", nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			x := newThing(t, s, s.NewPact("alice", "bob").ID)
			d := x.listening(t, 5)
			if ack := d.pub(x.checkins(), c.payload, c.props); ack.code != c.code {
				t.Fatalf("PUBACK %#x, want %#x", ack.code, c.code)
			}
			if c.code != 0 {
				if e := errorData(t, d.event(pactwire.EventError, 1)); e.Field != c.field {
					t.Errorf("field %q, want %q: %s", e.Field, c.field, e.Message)
				}
			}
			for i, day := range c.days {
				e := d.event(pactwire.EventCheckinLogged, i+1)
				if got := logged(t, e).Checkin; string(got.LocalDate) != day || got.Status != c.status {
					t.Errorf("item %d: %s %s, want %s %s", i, got.LocalDate, got.Status, day, c.status)
				}
				if len(c.days) > 1 && (e.Index == nil || *e.Index != i) {
					t.Errorf("item %d has index %v", i, e.Index)
				}
			}
		})
	}
}

func TestDeviceLastSeenAndBattery(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, nil)
	pact := s.NewPact("alice", "bob").ID
	x := newThing(t, s, pact)
	list := func() []pactwire.Device {
		t.Helper()
		var l struct {
			Items   []pactwire.Device
			HasMore *bool
		}
		s.Must("alice", http.MethodGet, "/v1/devices", nil, &l)
		if len(l.Items) != 1 || l.HasMore == nil {
			t.Fatalf("%+v", l)
		}
		return l.Items
	}
	if d := list()[0]; d.ID != x.ID || d.Name != "kitchen button" || d.Kind != pactwire.KindButton || d.PactID != pact || d.LastSeen != nil || d.Battery != nil {
		t.Errorf("%+v", d)
	}
	before := time.Now().Add(-time.Second)
	c := connect(t, s, x.opts(4))
	c.pub(x.checkins(), `[{"status":"completed","battery":81},{"status":"completed","battery":79.6}]`)
	testkit.Eventually(t, limit, "battery and last seen", func() bool {
		d := list()[0]
		return d.Battery != nil && *d.Battery == 80 && d.LastSeen != nil && d.LastSeen.Std().After(before)
	})
	c.quit()
	s.Stop() // a clean stop writes what waits
	s.Restart()
	if d := list()[0]; d.Battery == nil || *d.Battery != 80 || d.LastSeen == nil || !d.LastSeen.Std().After(before) {
		t.Errorf("after a restart %+v", d)
	}
	if _, body, _ := s.Call("bob", http.MethodGet, "/v1/devices", nil); !strings.Contains(string(body), `"items":[]`) {
		t.Errorf("bob sees %s", body)
	}
}

// Of a secret nothing is left but its hash: not in the database, not in the log, not in a list.
func TestTrapDeviceSecretIsNowhere(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, map[string]string{"log.level": "debug"})
	x := newThing(t, s, s.NewPact("alice", "bob").ID)
	connect(t, s, x.opts(5)).pub(x.checkins(), "done")
	if _, ack := try(t, s, opts{user: pactwire.UserID(x.Username), token: x.Secret + "x", v: 5}); ack.code != 0x86 {
		t.Errorf("CONNACK %#x", ack.code)
	}
	if _, body, _ := s.Call("alice", http.MethodGet, "/v1/devices", nil); strings.Contains(string(body), x.Secret) || strings.Contains(strings.ToLower(string(body)), "secret") {
		t.Errorf("the list says %s", body)
	}
	if strings.Contains(strings.Join(s.Log(), "\n"), x.Secret) {
		t.Error("the log holds the secret")
	}
	s.Stop()
	files, err := filepath.Glob(filepath.Join(s.Dir, "*"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		if b, err := os.ReadFile(f); err == nil && bytes.Contains(b, []byte(x.Secret)) {
			t.Errorf("%s holds the secret", f)
		}
	}
}

func TestTrapDeviceCredentials(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, nil)
	p := s.NewPact("alice", "bob").ID
	x, y := newThing(t, s, p), newThing(t, s, p)
	alice := testkit.Token("alice")
	for name, c := range map[string]struct{ user, password string }{
		"a wrong secret":              {x.Username, "wrong"},
		"no secret":                   {x.Username, ""},
		"another device's secret":     {x.Username, y.Secret},
		"the owner's token":           {x.Username, alice},
		"a device that is not there":  {"device:AaIUZXg-dGqyPBP5dBd8DA", x.Secret},
		"no device":                   {"device:", x.Secret},
		"the id in capitals":          {strings.ToUpper(x.Username), x.Secret},
		"a secret without the device": {"alice", x.Secret},
		"an id with a wildcard":       {"device:+", x.Secret},
		"an id that goes on":          {x.Username + "/../" + string(y.ID), x.Secret},
	} {
		for v, want := range map[byte]byte{4: 5, 5: 0x86} {
			if _, ack := try(t, s, opts{user: pactwire.UserID(c.user), token: c.password, v: v}); ack.code != want {
				t.Errorf("%s, MQTT %d: CONNACK %#x, want %#x", name, v, ack.code, want)
			}
		}
	}
	// A secret is no bearer token.
	if code, _, err := s.CallWith(x.Secret, http.MethodGet, "/v1/me", nil); err != nil || code != http.StatusUnauthorized {
		t.Error(code, err)
	}
}

// A device may say one thing and hear one thing. Everything else is refused, and nobody hears of it.
func TestTrapDeviceReachesNothingElse(t *testing.T) {
	t.Parallel()
	for _, v := range []byte{4, 5} {
		s := testkit.Start(t, nil)
		p := s.NewPact("alice", "bob").ID
		other := s.NewPact("alice", "carol").ID
		x, y := newThing(t, s, p), newThing(t, s, other)
		bob := connect(t, s, opts{user: "bob", id: "bob"})
		bob.mustSub("pacts/+/activity", "pacts/+/presence/+", "users/bob/inbox")
		base := len(s.Activities("alice", p)) + len(s.Activities("alice", other))
		c := x.listening(t, v)
		no := map[byte]byte{4: 0x80, 5: 0x87}[v]
		for _, f := range []string{
			"pacts/" + string(p) + "/activity", "pacts/" + string(p) + "/#", "pacts/+/activity", "pacts/#", "users/alice/inbox", "users/alice/#",
			"users/alice/pacts", y.replies(), "devices/+/replies", "devices/#", "devices/" + string(x.ID) + "/#", "devices/" + string(x.ID) + "/+",
			x.checkins(), "#", "+/+/replies", "$SYS/#",
		} {
			if got := c.sub(f); got[0] != no {
				t.Errorf("MQTT %d: SUBACK of %s %#x", v, f, got[0])
			}
		}
		n := 0
		for _, topic := range []string{
			"pacts/" + string(p) + "/checkins", "pacts/" + string(p) + "/messages", "pacts/" + string(p) + "/history", "pacts/" + string(p) + "/activity",
			"pacts/" + string(other) + "/checkins", "users/alice/presence", "users/alice/notifications", "users/bob/messages", "users/bob/connections",
			"users/alice/inbox", x.replies(), y.checkins(), y.replies(), "fridge/temperature",
		} {
			ack := c.pub(topic, `{"status":"active","message":"hi"}`)
			if want := map[byte]byte{4: 0, 5: 0x87}[v]; ack.code != want {
				t.Errorf("MQTT %d: PUBACK of %s %#x", v, topic, ack.code)
			}
			n++
			if d := errorData(t, c.event(pactwire.EventError, n)); d.Code != "denied" {
				t.Errorf("%s: %+v", topic, d)
			}
		}
		for _, topic := range []string{"users/alice/presence", x.checkins(), x.replies(), "fridge"} {
			o := x.opts(v)
			o.id, o.willTopic, o.will = "w", topic, `{"status":"offline"}`
			if _, ack := try(t, s, o); ack.code != map[byte]byte{4: 5, 5: 0x87}[v] {
				t.Errorf("MQTT %d: a will on %s: CONNACK %#x", v, topic, ack.code)
			}
		}
		if n := len(s.Activities("alice", p)) + len(s.Activities("alice", other)); n != base {
			t.Errorf("%d activities came of it", n-base)
		}
		for _, m := range bob.messages("pacts/") {
			if strings.Contains(m.payload, `"isOnline":true`) && !strings.HasSuffix(m.topic, "/bob") {
				t.Errorf("bob heard %s %s", m.topic, m.payload)
			}
		}
		if got := inbox(s, "alice", pactwire.EventError); len(got) != 0 {
			t.Errorf("the owner was told %s", got[0].Data)
		}
	}
}

// Whatever a device calls itself, and however often it connects, its owner's phone stays and can come.
func TestTrapDeviceLocksNobodyOut(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, map[string]string{"limits.connections_per_user": "2"})
	p := s.NewPact("alice", "bob").ID
	x := newThing(t, s, p)
	phone := connect(t, s, opts{user: "alice", id: "phone", keep: true})
	phone.mustSub("pacts/+/activity")
	devicelike := connect(t, s, opts{user: "alice", id: "device:" + string(x.ID) + ":phone", keep: true})
	devicelike.mustSub("pacts/+/activity")
	for i := range 6 {
		o := x.opts(4)
		o.id, o.keep = fmt.Sprint(i), true
		if i == 0 {
			o.id = "phone"
		}
		_, ack := try(t, s, o)
		if want := map[bool]byte{true: 0, false: 3}[i < 4]; ack.code != want || ack.present {
			t.Errorf("connection %d of the device: CONNACK %#x present %v", i, ack.code, ack.present)
		}
	}
	phone.ping()
	devicelike.ping()
	phone.drop()
	o := opts{user: "alice", id: "phone", keep: true}
	testkit.Eventually(t, limit, "the phone is back in its own session", func() bool {
		c, ack := try(t, s, o)
		defer c.drop()
		return ack.code == 0 && ack.present
	})
}

func TestDeviceIsNoPresence(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, map[string]string{"presence.grace": "100ms"})
	p := s.NewPact("alice", "bob").ID
	x := newThing(t, s, p)
	bob := connect(t, s, opts{user: "bob"})
	bob.mustSub("pacts/+/presence/+")
	o := x.opts(5)
	o.props = userProp("device", "phone") // it does not become human by saying so
	c := connect(t, s, o)
	c.mustSub(x.replies())
	c.pub(x.checkins(), "done")
	testkit.Never(t, 500*time.Millisecond, "a device is online", func() bool {
		got := seen(bob, p, "alice")
		return len(got) > 0 && got[len(got)-1].IsOnline
	})
}

func TestDeviceRevokedIsCutAtOnce(t *testing.T) {
	t.Parallel()
	for v, want := range map[byte]struct{ cut, refused byte }{4: {0, 5}, 5: {0x87, 0x86}} {
		s := testkit.Start(t, nil)
		p := s.NewPact("alice", "bob").ID
		x, stays := newThing(t, s, p), newThing(t, s, p)
		c, other := x.listening(t, v), stays.listening(t, v)
		if code, _, err := s.Call("bob", http.MethodDelete, "/v1/devices/"+string(x.ID), nil); code != http.StatusNotFound || err != nil {
			t.Errorf("bob revoked alice's device: %d %v", code, err)
		}
		c.ping()
		began := time.Now()
		if code, body, err := s.Call("alice", http.MethodDelete, "/v1/devices/"+string(x.ID), nil); code != http.StatusNoContent || len(body) > 0 || err != nil {
			t.Fatalf("%d %s %v", code, body, err)
		}
		if reason := c.endedWith(); reason != want.cut {
			t.Errorf("DISCONNECT %#x", reason)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("cut after %v", took)
		}
		if _, ack := try(t, s, x.opts(v)); ack.code != want.refused {
			t.Errorf("CONNACK %#x", ack.code)
		}
		if code, _, _ := s.Call("alice", http.MethodDelete, "/v1/devices/"+string(x.ID), nil); code != http.StatusNotFound {
			t.Errorf("revoked again: %d", code)
		}
		other.ping()
		s.Kill()
		s.Restart()
		if _, ack := try(t, s, x.opts(v)); ack.code != want.refused {
			t.Errorf("after a restart: CONNACK %#x", ack.code)
		}
		connect(t, s, stays.opts(v))
	}
}

// The owner leaves: denied. The pact ends: conflict. The device stays what it is.
func TestDeviceOfAPactThatIsOver(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, nil)
	left, ended := s.NewPact("alice", "bob", "carol").ID, s.NewPact("alice", "bob").ID
	x, y := newThing(t, s, left), newThing(t, s, ended)
	a, b := x.listening(t, 5), y.listening(t, 5)
	s.Must("alice", http.MethodPost, "/v1/pacts/"+string(left)+"/leave", nil, nil)
	s.Must("alice", http.MethodPost, "/v1/pacts/"+string(ended)+"/abandon", nil, nil)
	if ack := a.pub(x.checkins(), "done"); ack.code != 0x87 {
		t.Errorf("PUBACK %#x", ack.code)
	}
	if d := errorData(t, a.event(pactwire.EventError, 1)); d.Code != "denied" {
		t.Errorf("%+v", d)
	}
	if ack := b.pub(y.checkins(), "done"); ack.code != 0x80 {
		t.Errorf("PUBACK %#x", ack.code)
	}
	if d := errorData(t, b.event(pactwire.EventError, 1)); d.Code != "conflict" {
		t.Errorf("%+v", d)
	}
	a.ping()
	b.ping()
	connect(t, s, opts{user: pactwire.UserID(x.Username), token: x.Secret, id: "again"})
	for pact, want := range map[pactwire.PactID]int{left: http.StatusNotFound, ended: http.StatusConflict, "unknown": http.StatusNotFound} {
		in := pactwire.DeviceInput{Name: "late", Kind: pactwire.KindButton, PactID: pact}
		if code, body, err := s.Call("alice", http.MethodPost, "/v1/devices", in); code != want || err != nil {
			t.Errorf("a device for %s: %d %s %v", pact, code, body, err)
		}
	}
}

// A persistent session of a device holds its subscription; answers that it was not there for are in its owner's inbox.
func TestDeviceSessionComesBack(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, nil)
	x := newThing(t, s, s.NewPact("alice", "bob").ID)
	o := x.opts(4)
	o.keep = true
	c := connect(t, s, o)
	c.mustSub(x.replies())
	c.drop()
	c, ack := try(t, s, o)
	if ack.code != 0 || !ack.present {
		t.Fatalf("CONNACK %#x, present %v", ack.code, ack.present)
	}
	c.pub(x.checkins(), "done")
	c.event(pactwire.EventCheckinLogged, 1)
}
