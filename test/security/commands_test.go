package security_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/testkit"
)

// bench is a server with a pact of alice and bob, and alice listening.
func pair(t *testing.T, v byte) (*testkit.Server, pactwire.PactID, *client) {
	t.Helper()
	s := testkit.Start(t, map[string]string{"limits.commands_per_second": "0"}) // nothing here is about the rate
	p := s.NewPact("alice", "bob").ID
	c := connect(t, s, opts{user: "alice", id: "a", v: v})
	c.mustSub("users/alice/#", "pacts/+/activity")
	return s, p, c
}

func errorData(t *testing.T, e pactwire.Event) (d struct {
	Code, Message, Field, Topic string
	Retryable                   *bool
}) {
	t.Helper()
	if err := json.Unmarshal(e.Data, &d); err != nil || d.Message == "" || d.Retryable == nil {
		t.Errorf("SERVER:ERROR %s, %v", e.Data, err)
	}
	return d
}

func TestCommandRefusals(t *testing.T) {
	t.Parallel()
	for _, v := range []byte{4, 5} {
		s, p, c := pair(t, v)
		base := len(s.Activities("alice", p))
		n := 0
		for _, x := range []struct {
			topic, payload string
			code           byte
			word, field    string
		}{
			{"pacts/%s/checkins", "", 0x99, "invalid", "*"},
			{"pacts/%s/checkins", "{}", 0x99, "invalid", "status"},
			{"pacts/%s/checkins", `{"status":"done-ish"}`, 0x99, "invalid", "status"},
			{"pacts/%s/checkins", `{"status":`, 0x99, "invalid", "*"},
			{"pacts/%s/checkins", "\xff\xfe", 0x99, "invalid", "*"},
			{"pacts/%s/checkins", "done\x00", 0x99, "invalid", "*"},
			{"pacts/%s/checkins", "[]", 0x99, "invalid", "*"},
			{"pacts/%s/checkins", `{"status":"completed","notes":"` + strings.Repeat("é", 501) + `"}`, 0x99, "invalid", "notes"},
			{"pacts/%s/checkins", `{"status":"completed","habitGoalId":"other"}`, 0x99, "invalid", "habitGoalId"},
			{"pacts/%s/checkins", `{"status":"completed","scheduledDate":"2999-01-01"}`, 0x99, "invalid", "scheduledDate"},
			{"pacts/%s/checkins", `{"id":"` + strings.Repeat("x", 65) + `","status":"completed"}`, 0x99, "invalid", "id"},
			{"pacts/%s/messages", `{"message":""}`, 0x99, "invalid", "message"},
			{"pacts/%s/messages", `{"message":"` + strings.Repeat("x", 2001) + `"}`, 0x99, "invalid", "message"},
			{"pacts/%s/activity", "{}", 0x87, "denied", ""},
			{"pacts/%s/state", "{}", 0x87, "denied", ""},
			{"pacts/%s/presence/alice", "{}", 0x87, "denied", ""},
			{"pacts/nope-%.0s/checkins", "done", 0x87, "denied", ""},
			{"users/bob/presence%.0s", "away", 0x87, "denied", ""},
			{"users/bob/inbox%.0s", "{}", 0x87, "denied", ""},
			{"users/alice/inbox%.0s", "{}", 0x87, "denied", ""},
			{"users/alice/presence%.0s", "dead", 0x99, "invalid", "status"},
			{"$SYS/broker/x%.0s", "x", 0x87, "denied", ""},
			{"weather%.0s", "x", 0x87, "denied", ""},
			{"$pactwire/nobody%.0s", "x", 0x87, "denied", ""},
			{"$share/g/x%.0s", "x", 0x87, "denied", ""},
		} {
			topic := fmt.Sprintf(x.topic, p)
			for qos := byte(0); qos < 3; qos++ {
				id := c.id()
				c.raw(c.publishBytes(qos<<1, id, topic, x.payload))
				want := x.code
				if v == 4 {
					want = 0
				}
				switch qos {
				case 1:
					if ack := c.answered(puback, id, "PUBACK of "+topic); ack.code != want {
						t.Errorf("version %d %s %.40q: PUBACK %#x, want %#x", v, topic, x.payload, ack.code, want)
					}
				case 2:
					if ack := c.answered(pubrec, id, "PUBREC of "+topic); ack.code != want {
						t.Errorf("version %d %s %.40q: PUBREC %#x, want %#x", v, topic, x.payload, ack.code, want)
					}
					if v == 4 {
						c.ack(pubrel, id)
						c.answered(pubcomp, id, "PUBCOMP")
					}
				}
				n++
				d := errorData(t, c.event(pactwire.EventError, n))
				if d.Code != x.word || d.Topic != topic || *d.Retryable || x.field != "*" && d.Field != x.field || x.field == "*" && d.Field == "" {
					t.Errorf("version %d %s %.40q: %+v, want %s of field %q", v, topic, x.payload, d, x.word, x.field)
				}
			}
		}
		c.ping()
		if got := len(s.Activities("alice", p)); got != base {
			t.Errorf("%d activities came of refused commands", got-base)
		}
	}
}

func TestEveryQoSIsJournalled(t *testing.T) {
	t.Parallel()
	for _, v := range []byte{4, 5} {
		s, p, c := pair(t, v)
		topic := "pacts/" + string(p) + "/messages"
		for qos := byte(0); qos < 3; qos++ {
			for _, retain := range []byte{0, 1} {
				id := c.id()
				c.raw(c.publishBytes(qos<<1|retain, id, topic, `{"message":"hi"}`))
				switch qos {
				case 1:
					if a := c.answered(puback, id, "PUBACK"); a.code != 0 {
						t.Errorf("PUBACK %#x", a.code)
					}
				case 2:
					if a := c.answered(pubrec, id, "PUBREC"); a.code != 0 {
						t.Errorf("PUBREC %#x", a.code)
					}
					c.ack(pubrel, id)
					c.answered(pubcomp, id, "PUBCOMP")
				}
			}
		}
		c.event(pactwire.EventCommandDone, 6)
		testkit.Eventually(t, limit, "six messages", func() bool { return len(c.activities(p)) == 6 })
		for _, m := range c.messages("pacts/") {
			if m.retain {
				t.Errorf("%s came with the retain flag", m.topic)
			}
		}
		// and nothing of it was retained
		other := connect(t, s, opts{user: "bob", v: v})
		other.mustSub("pacts/+/activity")
		other.ping()
		if got := other.messages(""); len(got) != 0 {
			t.Errorf("bob got %v", got)
		}
	}
}

func TestTrapQoS2BeforePubrel(t *testing.T) {
	t.Parallel()
	for _, v := range []byte{4, 5} {
		s, p, c := pair(t, v)
		o := opts{user: "alice", id: "q2", v: v, keep: true}
		if v == 5 {
			o.props = prop32(propExpiry, 600)
		}
		topic := "pacts/" + string(p) + "/messages"
		q := connect(t, s, o)
		q.raw(q.publishBytes(4, 77, topic, `{"message":"once"}`))
		q.answered(pubrec, 77, "PUBREC")
		q.raw(q.publishBytes(4|8, 77, topic, `{"message":"once"}`))
		testkit.Eventually(t, limit, "PUBREC again", func() bool { return len(q.of(pubrec)) == 2 })
		q.drop() // the exchange goes on over another connection
		q, ack := try(t, s, o)
		if !ack.present {
			t.Fatal("the session is not kept")
		}
		q.raw(q.publishBytes(4|8, 77, topic, `{"message":"once"}`))
		q.answered(pubrec, 77, "PUBREC")
		q.ack(pubrel, 77)
		q.answered(pubcomp, 77, "PUBCOMP")
		q.ack(pubrel, 77)
		testkit.Eventually(t, limit, "PUBCOMP again", func() bool { return len(q.of(pubcomp)) == 2 })
		q.raw(q.publishBytes(4, 77, topic, `{"message":"twice"}`)) // the id is free again
		q.answered(pubrec, 77, "PUBREC")
		testkit.Eventually(t, limit, "two messages", func() bool { return len(c.activities(p)) == 2 })
		c.ping()
		if as := c.activities(p); len(as) != 2 || !strings.Contains(string(as[1].Data), "twice") {
			t.Errorf("version %d: activities %v", v, seqs(as))
		}
	}
}

func TestResponseTopic(t *testing.T) {
	t.Parallel()
	s, p, c := pair(t, 5)
	inbox := len(s.Inbox("alice"))
	topic := "pacts/" + string(p) + "/messages"
	ack := c.pub(topic, `{"id":"r1","message":"x"}`, propStr(propResponseTopic, "users/alice/replies/here"), propStr(propCorrelation, "k1"))
	if ack.code != 0 {
		t.Fatalf("PUBACK %#x", ack.code)
	}
	got := c.wait(1, "the answer", func(p packet) bool { return p.topic == "users/alice/replies/here" })[0]
	var e pactwire.Event
	if err := json.Unmarshal([]byte(got.payload), &e); err != nil || e.Type != pactwire.EventCommandDone || e.CommandID == nil || *e.CommandID != "r1" {
		t.Errorf("answer %s", got.payload)
	}
	if got.props[propCorrelation] != "k1" || got.qos != 1 || strings.Contains(got.payload, `"seq":1`) {
		t.Errorf("answer %+v", got)
	}
	// a refusal goes there too
	ack = c.pub(topic, `{"message":""}`, propStr(propResponseTopic, "users/alice/replies/here"), propStr(propCorrelation, "k2"))
	got = c.wait(2, "the refusal", func(p packet) bool { return p.topic == "users/alice/replies/here" })[1]
	if ack.code != 0x99 || got.props[propCorrelation] != "k2" || !strings.Contains(got.payload, "SERVER:ERROR") {
		t.Errorf("refusal %#x %+v", ack.code, got)
	}
	c.pub(topic, `{"message":"y"}`, propStr(propResponseTopic, "users/alice/inbox"), propStr(propCorrelation, "k3"))
	got = c.wait(1, "the answer", func(p packet) bool { return p.topic == "users/alice/inbox" && p.props[propCorrelation] == "k3" })[0]
	if n := len(s.Inbox("alice")); n != inbox {
		t.Errorf("%d answers with a response topic were logged", n-inbox)
	}
	base := len(s.Activities("alice", p))
	for i, bad := range []string{"users/bob/replies/x", "users/bob/inbox", "pacts/" + string(p) + "/activity", "weather", "$SYS/x", "users/alice/pacts", "users/alice/presence", "devices/d/replies"} {
		if ack := c.pub(topic, `{"message":"z"}`, propStr(propResponseTopic, bad)); ack.code != 0x99 {
			t.Errorf("response topic %s: PUBACK %#x", bad, ack.code)
		}
		testkit.Eventually(t, limit, "SERVER:ERROR", func() bool { return len(c.events(pactwire.EventError)) == i+2 })
		if d := errorData(t, c.events(pactwire.EventError)[i+1]); d.Field != "responseTopic" {
			t.Errorf("response topic %s: %+v", bad, d)
		}
	}
	if n := len(s.Activities("alice", p)); n != base {
		t.Error("a command with a foreign response topic ran")
	}
	// and a presence, of which nothing is told otherwise
	for i, body := range []string{`{"id":"p1","status":"away"}`, "active"} {
		if ack := c.pub("users/alice/presence", body, propStr(propResponseTopic, "users/alice/replies/presence"), propStr(propCorrelation, "k4")); ack.code != 0 {
			t.Errorf("presence: PUBACK %#x", ack.code)
		}
		got = c.wait(i+1, "the answer", func(p packet) bool { return p.topic == "users/alice/replies/presence" })[i]
		if got.props[propCorrelation] != "k4" || !strings.Contains(got.payload, "SERVER:COMMAND_DONE") || strings.Contains(got.payload, `"commandId":"p1"`) != (i == 0) {
			t.Errorf("presence: %+v", got)
		}
	}
	// a publish that is refused for its topic is answered as others are
	ack = c.pub("users/bob/notifications", `{"commandId":"r0","id":"n","isUnread":false}`, propStr(propResponseTopic, "users/alice/replies/denied"), propStr(propCorrelation, "k0"))
	got = c.wait(1, "the refusal", func(p packet) bool { return p.topic == "users/alice/replies/denied" })[0]
	if ack.code != 0x87 || got.props[propCorrelation] != "k0" || !strings.Contains(got.payload, `"commandId":"r0"`) {
		t.Errorf("refusal %#x %+v", ack.code, got)
	}
}

func TestTrapTopicAlias(t *testing.T) {
	t.Parallel()
	s, p, c := pair(t, 5)
	base := len(s.Activities("alice", p))
	for _, topic := range []string{"", "pacts/" + string(p) + "/messages"} {
		a := connect(t, s, opts{user: "alice", v: 5})
		a.raw(a.publishBytes(2, 1, topic, `{"message":"x"}`, prop16(propAlias, 1)))
		if r := a.endedWith(); r != 0x94 {
			t.Errorf("topic %q: DISCONNECT %#x", topic, r)
		}
	}
	c.ping()
	if n := len(s.Activities("alice", p)); n != base {
		t.Error("a publish with an alias ran")
	}
}

func TestPromise2Once(t *testing.T) {
	t.Parallel()
	s, p, c := pair(t, 5)
	topic := "pacts/" + string(p) + "/checkins"
	base := len(s.Activities("alice", p))
	logged := func(n int) (d pactwire.CheckinLogged) {
		t.Helper()
		e := c.event(pactwire.EventCheckinLogged, n)
		if err := json.Unmarshal(e.Data, &d); err != nil {
			t.Fatal(err)
		}
		return d
	}
	c.pub(topic, `{"id":"k1","status":"completed","notes":"a"}`)
	first := logged(1)
	c.pub(topic, `{"id":"k1","status":"skipped","notes":"b"}`)
	second := logged(2)
	if first.Duplicate || !second.Duplicate || first.Checkin.ID != second.Checkin.ID || second.Checkin.Status != "completed" || second.ActivitySeq == nil || *first.ActivitySeq != *second.ActivitySeq {
		t.Errorf("first %+v, second %+v", first, second)
	}
	post := func(key, body string) (int, pactwire.CheckinLogged) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+s.HTTP+"/v1/pacts/"+string(p)+"/checkins", bytes.NewReader([]byte(body)))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+testkit.Token("alice"))
		req.Header.Set("Content-Type", "application/json")
		if key != "" {
			req.Header.Set("Idempotency-Key", key)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var d pactwire.CheckinLogged
		if err := json.NewDecoder(resp.Body).Decode(&d); err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, d
	}
	if code, d := post("k1", `{"status":"partial"}`); code != 200 || !d.Duplicate || d.Checkin.ID != first.Checkin.ID {
		t.Errorf("over HTTP: %d %+v", code, d)
	}
	if code, d := post("", `{"id":"k1","status":"partial"}`); code != 200 || !d.Duplicate {
		t.Errorf("over HTTP with id: %d %+v", code, d)
	}
	if code, d := post("k2", `{"status":"partial"}`); code != 201 || d.Duplicate {
		t.Errorf("another key: %d %+v", code, d)
	}
	c.pub(topic, `{"id":"k2","status":"completed"}`)
	if d := logged(3); !d.Duplicate || d.Checkin.Status != "partial" {
		t.Errorf("a key of HTTP over MQTT: %+v", d)
	}
	// The same key of another person is another key.
	bob := connect(t, s, opts{user: "bob"})
	bob.mustSub("users/bob/inbox")
	bob.pub(topic, `{"id":"k1","status":"completed"}`)
	if e := bob.event(pactwire.EventCheckinLogged, 1); strings.Contains(string(e.Data), `"duplicate":true`) {
		t.Errorf("bob: %s", e.Data)
	}
	testkit.Eventually(t, limit, "three activities", func() bool { return len(s.Activities("alice", p)) == base+3 })
	// Bare words need no key.
	bob.pub(topic, "skipped")
	bob.pub(topic, " SKIPPED\n")
	if e := bob.event(pactwire.EventCheckinLogged, 3); !strings.Contains(string(e.Data), `"duplicate":true`) {
		t.Errorf("a bare word twice: %s", e.Data)
	}
	if got := len(s.Activities("alice", p)); got != base+4 {
		t.Errorf("%d activities, want 4", got-base)
	}
	// A user id in a payload never speaks for the sender.
	c.pub("pacts/"+string(p)+"/messages", fmt.Sprintf(`{"message":"x","userId":%q,"userName":"Bob"}`, "bob"))
	testkit.Eventually(t, limit, "the message", func() bool {
		as := c.activities(p)
		return len(as) > 0 && as[len(as)-1].Type == pactwire.MessageSent
	})
	if as := c.activities(p); as[len(as)-1].UserID != "alice" {
		t.Errorf("it speaks for %s", as[len(as)-1].UserID)
	}
}

// TestRefusalsNameWhatWasSent: the command that was refused, and the field that its sender used.
func TestRefusalsNameWhatWasSent(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, nil)
	p := "pacts/" + string(s.NewPact("alice", "bob").ID)
	c := connect(t, s, opts{user: "alice", v: 5})
	c.sub("users/alice/inbox")
	for _, x := range []struct{ topic, payload, id, field string }{
		{p + "/messages", `{"id":"m1","message":"answer me elsewhere"}`, "m1", "responseTopic"},
		{p + "/checkins", `{"id":"c1","status":"completed","ageMs":900000000}`, "c1", "ageMs"},
		{p + "/checkins", `{"id":"c2","status":"completed","occurredAt":"2026-01-01T00:00:00Z"}`, "c2", "occurredAt"},
		{p + "/reactions", `{"id":"r1","activityId":"a","emojis":"❤"}`, "r1", "emoji"},
		{"users/alice/presence", `{"id":"p1","status":"dead"}`, "p1", "status"},
		{"users/alice/presence", `{"id":"p2","status":"away"}`, "p2", "responseTopic"},
		{"users/alice/nothing", `{"id":"n1"}`, "n1", "topic"},
	} {
		var props [][]byte
		if x.field == "responseTopic" {
			props = append(props, propStr(propResponseTopic, "users/bob/replies/x"))
		}
		if ack := c.pub(x.topic, x.payload, props...); ack.code != 0x99 {
			t.Errorf("%s: PUBACK %#x", x.payload, ack.code)
		}
		testkit.Eventually(t, 10*time.Second, x.id+" is refused with its name", func() bool {
			for _, m := range c.of(publish) {
				if strings.Contains(m.payload, `"commandId":"`+x.id+`"`) && strings.Contains(m.payload, `"field":"`+x.field+`"`) {
					return true
				}
			}
			return false
		})
	}
	if ack := c.pub("users/bob/messages", `{"id":"d1","message":"hello"}`); ack.code != 0 {
		t.Errorf("a direct message: PUBACK %#x", ack.code)
	}
	testkit.Eventually(t, 10*time.Second, "a command without a pact says so", func() bool {
		for _, m := range c.of(publish) {
			if strings.Contains(m.payload, `"commandId":"d1"`) && strings.Contains(m.payload, `"pactId":null`) {
				return true
			}
		}
		return false
	})
}
