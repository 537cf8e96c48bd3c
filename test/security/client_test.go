package security_test

import (
	"encoding/binary"
	"encoding/json"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/testkit"
)

// limit is how long tests wait for what must come.
const limit = 15 * time.Second

// opts is what a client says in CONNECT. The zero value with a user is a clean MQTT 3.1.1 session.
type opts struct {
	user      pactwire.UserID
	roles     []string
	token     string // instead of one made for user and roles
	id        string
	v         byte // 4 by default
	keep      bool // clean = false
	keepalive uint16
	props     []byte // MQTT 5 properties of CONNECT
	willTopic string // "" = no will
	will      string
	willFlags byte // retain 0x20, QoS << 3
	willProps []byte
	hold      bool // acknowledge nothing
}

// client is one raw MQTT connection that remembers all it was sent.
type client struct {
	t    testing.TB
	nc   net.Conn
	v    byte
	hold bool

	mu     sync.Mutex
	got    []packet
	ended  bool
	nextID uint16
	gone   chan struct{}
}

// try connects and returns the CONNACK, whatever it says; a packet of type 0 means that the connection was closed.
func try(t testing.TB, s *testkit.Server, o opts) (*client, packet) {
	t.Helper()
	if o.v == 0 {
		o.v = 4
	}
	if o.token == "" {
		o.token = testkit.Token(o.user, o.roles...)
	}
	c := dial(t, s, o.v, o.hold)
	c.raw(connectPacket(o))
	testkit.Eventually(t, limit, "CONNACK or an end", func() bool { return c.isEnded() || len(c.of(connack)) > 0 })
	if acks := c.of(connack); len(acks) > 0 {
		return c, acks[0]
	}
	return c, packet{}
}

// dial opens a connection and says nothing.
func dial(t testing.TB, s *testkit.Server, v byte, hold bool) *client {
	t.Helper()
	nc, err := net.DialTimeout("tcp", s.TCP, limit)
	if err != nil {
		t.Fatal(err)
	}
	c := &client{t: t, nc: nc, v: v, hold: hold, gone: make(chan struct{})}
	go c.read()
	t.Cleanup(c.drop)
	return c
}

// connect connects and must be let in.
func connect(t testing.TB, s *testkit.Server, o opts) *client {
	t.Helper()
	c, ack := try(t, s, o)
	if ack.kind != connack || ack.code != 0 {
		t.Fatalf("connect as %s: kind %d code %#x %v", o.user, ack.kind, ack.code, ack.props)
	}
	return c
}

func connectPacket(o opts) []byte {
	flags := byte(0xc0)
	if !o.keep {
		flags |= 2
	}
	if o.willTopic != "" {
		flags |= 4 | o.willFlags
	}
	b := append(str("MQTT"), o.v, flags)
	b = binary.BigEndian.AppendUint16(b, o.keepalive)
	if o.v == 5 {
		b = append(b, withLength(o.props)...)
	}
	b = append(b, str(o.id)...)
	if o.willTopic != "" {
		if o.v == 5 {
			b = append(b, withLength(o.willProps)...)
		}
		b = append(b, str(o.willTopic)...)
		b = append(b, str(o.will)...)
	}
	b = append(b, str(string(o.user))...)
	b = append(b, str(o.token)...)
	return frame(1<<4, b)
}

func (c *client) read() {
	defer close(c.gone)
	for {
		p, err := readPacket(c.nc, c.v)
		c.mu.Lock()
		if err != nil {
			c.ended = true
			c.mu.Unlock()
			return
		}
		c.got = append(c.got, p)
		hold := c.hold
		c.mu.Unlock()
		switch {
		case p.kind == publish && p.qos == 1 && !hold:
			c.ack(puback, p.id)
		case p.kind == publish && p.qos == 2 && !hold:
			c.ack(pubrec, p.id)
		case p.kind == pubrel && !hold:
			c.ack(pubcomp, p.id)
		}
	}
}

// raw sends bytes. Errors show as the end of the connection.
func (c *client) raw(b []byte) {
	c.nc.SetWriteDeadline(time.Now().Add(limit)) // the write tells
	c.nc.Write(b)                                // the reader sees the end
}

func (c *client) ack(kind byte, id uint16) {
	flags := byte(0)
	if kind == pubrel {
		flags = 2
	}
	c.raw(frame(kind<<4|flags, binary.BigEndian.AppendUint16(nil, id)))
}

func (c *client) id() uint16 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nextID++
	return c.nextID
}

func (c *client) isEnded() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended
}

// where returns the packets for which f is true, in order.
func (c *client) where(f func(packet) bool) (out []packet) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.got {
		if f(p) {
			out = append(out, p)
		}
	}
	return out
}

func (c *client) of(kind byte) []packet {
	return c.where(func(p packet) bool { return p.kind == kind })
}

// messages are the PUBLISH packets on topics that begin with prefix.
func (c *client) messages(prefix string) []packet {
	return c.where(func(p packet) bool { return p.kind == publish && strings.HasPrefix(p.topic, prefix) })
}

// events are the inbox events and replies of a type.
func (c *client) events(typ pactwire.EventType) (out []pactwire.Event) {
	for _, p := range c.messages("") {
		var e pactwire.Event
		if json.Unmarshal([]byte(p.payload), &e) == nil && e.Type == typ {
			out = append(out, e)
		}
	}
	return out
}

// activities are the activities of a pact, in the order in which they came, resends included.
func (c *client) activities(p pactwire.PactID) (out []pactwire.Activity) {
	c.t.Helper()
	for _, m := range c.messages("pacts/" + string(p) + "/activity") {
		a, err := testkit.ParseActivity([]byte(m.payload))
		if err != nil {
			c.t.Errorf("activity %q: %v", m.payload, err)
		}
		out = append(out, a)
	}
	return out
}

// seqs are the numbers of activities.
func seqs(as []pactwire.Activity) (out []pactwire.Seq) {
	for _, a := range as {
		out = append(out, a.Seq)
	}
	return out
}

// wait waits for n packets for which f is true and returns them.
func (c *client) wait(n int, what string, f func(packet) bool) []packet {
	c.t.Helper()
	testkit.Eventually(c.t, limit, what, func() bool { return len(c.where(f)) >= n })
	return c.where(f)
}

// event waits for the n-th event of a type.
func (c *client) event(typ pactwire.EventType, n int) pactwire.Event {
	c.t.Helper()
	testkit.Eventually(c.t, limit, string(typ), func() bool { return len(c.events(typ)) >= n })
	return c.events(typ)[n-1]
}

// sub subscribes with QoS 1 and returns the codes.
func (c *client) sub(filters ...string) []byte { c.t.Helper(); return c.subWith(1, nil, filters...) }

func (c *client) subWith(options byte, props []byte, filters ...string) []byte {
	c.t.Helper()
	id := c.id()
	b := binary.BigEndian.AppendUint16(nil, id)
	if c.v == 5 {
		b = append(b, withLength(props)...)
	}
	for _, f := range filters {
		b = append(append(b, str(f)...), options)
	}
	c.raw(frame(8<<4|2, b))
	return c.answered(suback, id, "SUBACK").codes
}

func (c *client) unsub(filters ...string) packet {
	c.t.Helper()
	id := c.id()
	b := binary.BigEndian.AppendUint16(nil, id)
	if c.v == 5 {
		b = append(b, 0)
	}
	for _, f := range filters {
		b = append(b, str(f)...)
	}
	c.raw(frame(10<<4|2, b))
	return c.answered(unsuback, id, "UNSUBACK")
}

// mustSub subscribes and must be granted.
func (c *client) mustSub(filters ...string) {
	c.t.Helper()
	for i, code := range c.sub(filters...) {
		if code != 1 {
			c.t.Fatalf("subscribe %s: %#x", filters[i], code)
		}
	}
}

func (c *client) answered(kind byte, id uint16, what string) packet {
	c.t.Helper()
	mine := func(p packet) bool { return p.kind == kind && p.id == id }
	testkit.Eventually(c.t, limit, what, func() bool { return len(c.where(mine)) > 0 || c.isEnded() })
	if got := c.where(mine); len(got) > 0 {
		return got[len(got)-1]
	}
	c.t.Fatalf("the connection ended before %s", what)
	return packet{}
}

func (c *client) publishBytes(flags byte, id uint16, topic, payload string, props ...[]byte) []byte {
	b := str(topic)
	if flags&6 != 0 {
		b = binary.BigEndian.AppendUint16(b, id)
	}
	if c.v == 5 {
		var all []byte
		for _, p := range props {
			all = append(all, p...)
		}
		b = append(b, withLength(all)...)
	}
	return frame(publish<<4|flags, append(b, payload...))
}

// pub publishes with QoS 1 and returns the PUBACK.
func (c *client) pub(topic, payload string, props ...[]byte) packet {
	c.t.Helper()
	id := c.id()
	c.raw(c.publishBytes(2, id, topic, payload, props...))
	return c.answered(puback, id, "PUBACK of "+topic)
}

// ping makes sure that the server has read all that was sent and lives.
func (c *client) ping() {
	c.t.Helper()
	n := len(c.of(pingresp))
	c.raw([]byte{12 << 4, 0})
	testkit.Eventually(c.t, limit, "PINGRESP", func() bool { return len(c.of(pingresp)) > n || c.isEnded() })
	if c.isEnded() {
		c.t.Fatal("the connection has ended")
	}
}

// quit says DISCONNECT and waits for the end.
func (c *client) quit() { c.quitWith(0) }

func (c *client) sayBye(reason byte, props ...[]byte) {
	var body []byte
	if len(props) > 0 {
		body = append([]byte{reason}, withLength(join(props...))...)
	}
	c.raw(frame(disconnect<<4, body))
}

// quitWith says DISCONNECT with properties of MQTT 5, and waits for the server to close.
func (c *client) quitWith(reason byte, props ...[]byte) {
	c.sayBye(reason, props...)
	testkit.Eventually(c.t, limit, "the server closes after DISCONNECT", c.isEnded)
	c.nc.Close()
	<-c.gone
}

// drop closes without a word.
func (c *client) drop() {
	c.nc.Close()
	<-c.gone
}

// endedWith waits for the end and returns the reason of DISCONNECT, 0 when there was none.
func (c *client) endedWith() byte {
	c.t.Helper()
	testkit.Eventually(c.t, limit, "the end of the connection", c.isEnded)
	if d := c.of(disconnect); len(d) > 0 {
		return d[0].code
	}
	return 0
}
