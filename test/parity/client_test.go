package parity_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/rawmqtt"
	"github.com/pactwire/pactwire/internal/testkit"
)

const limit = time.Minute

// phone is a person's device, with a session that outlives its connections.
type phone struct {
	t    *testing.T
	s    *testkit.Server
	user pactwire.UserID
	opts rawmqtt.Options
	conn *rawmqtt.Conn
	over chan struct{} // closed when the connection is
	id   uint16

	mu    sync.Mutex
	got   []message // over all connections
	codes chan []byte
	acked chan byte
	auth  chan byte
}

type message struct {
	topic   string
	payload string
	retain  bool
}

// pick makes a phone that is not connected yet.
func pick(t *testing.T, s *testkit.Server, user pactwire.UserID, id string) *phone {
	p := &phone{t: t, s: s, user: user, codes: make(chan []byte, 8), acked: make(chan byte, 64), auth: make(chan byte, 1)}
	p.opts = rawmqtt.Options{Version: 5, ClientID: id, Username: string(user), Password: testkit.Token(user), KeepAlive: 60,
		SessionExpiry: 3600, AuthMethod: "jwt"}
	return p
}

// connect picks a phone and brings it on the line, subscribed.
func connect(t *testing.T, s *testkit.Server, user pactwire.UserID, id string, filters ...string) *phone {
	t.Helper()
	p := pick(t, s, user, id)
	p.open()
	if len(filters) > 0 {
		for i, code := range p.subscribe(filters...) {
			if code > 1 {
				t.Fatalf("%s may not subscribe to %s: %#x", user, filters[i], code)
			}
		}
	}
	return p
}

func inbox(u pactwire.UserID) string { return "users/" + string(u) + "/inbox" }

func in(p pactwire.PactID, what string) string { return "pacts/" + string(p) + "/" + what }

func (p *phone) open() {
	p.t.Helper()
	if err := p.try(); err != nil {
		p.t.Fatalf("%s: %v", p.user, err)
	}
}

// try connects, and says how it was refused.
func (p *phone) try() error {
	ctx, cancel := context.WithTimeout(p.t.Context(), limit)
	defer cancel()
	nc, err := rawmqtt.Dial(ctx, p.s.TCP)
	if err != nil {
		return err
	}
	conn, _, err := rawmqtt.Connect(ctx, nc, p.opts, rawmqtt.Handler{
		Publish: func(m rawmqtt.Publish) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.got = append(p.got, message{string(m.Topic), string(m.Payload), m.Retain})
		},
		Suback: func(_ uint16, codes []byte) { p.codes <- slices.Clone(codes) },
		Acked:  func(_ uint16, reason byte) { p.acked <- reason },
		Auth:   func(reason byte) { p.auth <- reason },
	})
	if err != nil {
		return err
	}
	p.conn, p.over = conn, make(chan struct{})
	go func(over chan struct{}) {
		defer close(over)
		_ = conn.Run() // however it ends, what came counts
	}(p.over)
	p.t.Cleanup(p.drop)
	return nil
}

// drop lets the connection end without a word.
func (p *phone) drop() {
	if p.conn != nil {
		_ = p.conn.Close()
		<-p.over
	}
}

func (p *phone) ended() bool {
	select {
	case <-p.over:
		return true
	default:
		return false
	}
}

func (p *phone) subscribe(filters ...string) []byte { return p.subscribeAfter("", filters...) }

// subscribeAfter asks for what came after a place in each stream.
func (p *phone) subscribeAfter(after string, filters ...string) []byte {
	p.t.Helper()
	var props [][2]string
	if after != "" {
		props = [][2]string{{"after", after}}
	}
	p.id++
	if err := p.conn.SubscribeWith(p.id, 1, props, filters...); err != nil {
		p.t.Fatal(err)
	}
	return receive(p, "SUBACK", p.codes)
}

// send publishes and does not wait.
func (p *phone) send(topic, payload string) error {
	p.id++
	return p.conn.Publish(p.id, 1, topic, []byte(payload))
}

// say publishes and returns the reason of PUBACK.
func (p *phone) say(topic, payload string) byte {
	p.t.Helper()
	if err := p.send(topic, payload); err != nil {
		p.t.Fatal(err)
	}
	return receive(p, "PUBACK of "+topic, p.acked)
}

// do publishes what is to be done.
func (p *phone) do(topic, payload string) {
	p.t.Helper()
	if reason := p.say(topic, payload); reason != 0 {
		p.t.Fatalf("%s says %s on %s: %#x", p.user, payload, topic, reason)
	}
}

func receive[T any](p *phone, what string, ch <-chan T) (v T) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), limit)
	defer cancel()
	select {
	case v = <-ch:
	case <-p.over:
		select {
		case v = <-ch:
		default:
			p.t.Fatalf("%s: the connection ended before %s", p.user, what)
		}
	case <-ctx.Done():
		p.t.Fatalf("%s: %s did not come", p.user, what)
	}
	return v
}

// messages are what came so far on topics that start so.
func (p *phone) messages(prefix string) (out []message) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.got {
		if strings.HasPrefix(m.topic, prefix) {
			out = append(out, m)
		}
	}
	return out
}

func decode[T any](t *testing.T, raw string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(raw), &v); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return v
}

// events are the inbox's of a type so far; "" = of all types.
func (p *phone) events(typ pactwire.EventType) (out []pactwire.Event) {
	for _, m := range p.messages(inbox(p.user)) {
		if e := decode[pactwire.Event](p.t, m.payload); typ == "" || e.Type == typ {
			out = append(out, e)
		}
	}
	return out
}

// event waits for the inbox's n-th of a type.
func (p *phone) event(typ pactwire.EventType, n int) pactwire.Event {
	p.t.Helper()
	testkit.Eventually(p.t, limit, fmt.Sprintf("%s gets %s number %d", p.user, typ, n), func() bool { return len(p.events(typ)) >= n })
	return p.events(typ)[n-1]
}

// activities are a pact's so far.
func (p *phone) activities(pact pactwire.PactID) (out []pactwire.Activity) {
	for _, m := range p.messages(in(pact, "activity")) {
		out = append(out, decode[pactwire.Activity](p.t, m.payload))
	}
	return out
}

// activity waits for the n-th of a type in a pact.
func (p *phone) activity(pact pactwire.PactID, typ pactwire.ActivityType, n int) pactwire.Activity {
	p.t.Helper()
	var all []pactwire.Activity
	testkit.Eventually(p.t, limit, fmt.Sprintf("%s gets %s number %d", p.user, typ, n), func() bool {
		all = slices.DeleteFunc(p.activities(pact), func(a pactwire.Activity) bool { return a.Type != typ })
		return len(all) >= n
	})
	return all[n-1]
}

// sees waits until the newest word of a member's presence is so.
func (p *phone) sees(pact pactwire.PactID, u pactwire.UserID, status pactwire.PresenceStatus) pactwire.Presence {
	p.t.Helper()
	var last pactwire.Presence
	testkit.Eventually(p.t, limit, fmt.Sprintf("%s sees %s %s", p.user, u, status), func() bool {
		all := p.messages(in(pact, "presence/"+string(u)))
		if len(all) == 0 {
			return false
		}
		last = decode[pactwire.Presence](p.t, all[len(all)-1].payload)
		return last.Status == status
	})
	return last
}

// once checks that activities came in order without a gap, each once, and returns their numbers.
func once(t *testing.T, all []pactwire.Activity) (seqs []pactwire.Seq) {
	t.Helper()
	for i, a := range all {
		if i > 0 && a.Seq != all[i-1].Seq+1 {
			t.Errorf("%d follows %d", a.Seq, all[i-1].Seq)
		}
		seqs = append(seqs, a.Seq)
	}
	return seqs
}

func data[T any](t *testing.T, raw json.RawMessage) T {
	t.Helper()
	return decode[T](t, string(raw))
}
