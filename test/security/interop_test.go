package security_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/testkit"
)

// These are the scenarios of the Eclipse Paho interoperability suite (11 of MQTT 3.1.1, 27 of MQTT 5, and some more) for role lab, in our
// own words and with shorter waits. Each runs with people and topics of its own, so that all can run at once.

// room is where one scenario happens.
type room struct {
	*testing.T
	s    *testkit.Server
	name string
	v    byte
}

// pass lets time pass.
func (r *room) pass(d time.Duration) {
	r.Helper()
	began := time.Now()
	testkit.Eventually(r.T, d+limit, "time passes", func() bool { return time.Since(began) > d })
}

// topic is a topic of this room; one that begins with a slash keeps it in front.
func (r *room) topic(t string) string { return r.name + "/" + t }

// join connects as a person of the room.
func (r *room) join(id string, set ...func(*opts)) *client {
	r.Helper()
	c, ack := r.ask(id, set...)
	if ack.kind != connack || ack.code != 0 {
		r.Fatalf("%s: kind %d code %#x", id, ack.kind, ack.code)
	}
	return c
}

func (r *room) ask(id string, set ...func(*opts)) (*client, packet) {
	r.Helper()
	o := opts{user: pactwire.UserID(strings.ReplaceAll(r.name, "/", "_")), roles: []string{"lab"}, id: id, v: r.v}
	for _, f := range set {
		f(&o)
	}
	return try(r.T, r.s, o)
}

func stay(o *opts)              { o.keep = true }
func silent(o *opts)            { o.hold = true }
func beat(s uint16) func(*opts) { return func(o *opts) { o.keepalive = s } }
func with(props ...[]byte) func(*opts) {
	return func(o *opts) { o.props = append(o.props, join(props...)...) }
}

func will(topic, payload string, qos byte, props ...[]byte) func(*opts) {
	return func(o *opts) { o.willTopic, o.will, o.willFlags, o.willProps = topic, payload, qos<<3, join(props...) }
}

// keep makes a session that outlives its connection by a while, in either version.
func keep(o *opts) {
	o.keep = true
	if o.v == 5 {
		o.props = append(o.props, prop32(propExpiry, 3600)...)
	}
}

// say publishes and waits until the server has it.
func (c *client) say(flags byte, topic, payload string, props ...[]byte) {
	c.t.Helper()
	id := c.id()
	c.raw(c.publishBytes(flags, id, topic, payload, props...))
	switch flags >> 1 & 3 {
	case 0:
		c.ping()
	case 1:
		c.answered(puback, id, "PUBACK of "+topic)
	case 2:
		c.answered(pubrec, id, "PUBREC of "+topic)
		c.ack(pubrel, id)
		c.answered(pubcomp, id, "PUBCOMP of "+topic)
	}
}

// grant subscribes with QoS 2 and must be granted it.
func (c *client) grant(options byte, props []byte, filters ...string) {
	c.t.Helper()
	for i, code := range c.subWith(options, props, filters...) {
		if code != options&3 {
			c.t.Fatalf("subscribe %s: %#x", filters[i], code)
		}
	}
}

// hears waits for n messages and then sees to it that there are no more.
func (c *client) hears(n int) []packet {
	c.t.Helper()
	c.wait(n, fmt.Sprintf("%d messages", n), func(p packet) bool { return p.kind == publish })
	c.ping()
	got := c.messages("")
	if len(got) != n {
		c.t.Fatalf("%d messages, want %d: %+v", len(got), n, got)
	}
	return got
}

func qualities(ps []packet) (out []byte) {
	for _, p := range ps {
		out = append(out, p.qos)
	}
	slices.Sort(out)
	return out
}

func TestInteroperability(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, map[string]string{"lab.enabled": "true"})
	for _, sc := range []struct {
		name     string
		versions string
		run      func(*room)
	}{
		{"basic", "45", interopBasic},
		{"retained messages", "45", interopRetained},
		{"will message", "45", interopWill},
		{"zero length client id", "45", interopNoClientID},
		{"offline message queueing", "45", interopOffline},
		{"overlapping subscriptions", "45", interopOverlapping},
		{"keepalive", "45", interopKeepalive},
		{"redelivery on reconnect", "45", interopRedelivery},
		{"subscribe failure", "45", interopSubscribeFailure},
		{"dollar topics", "45", interopDollar},
		{"unsubscribe", "45", interopUnsubscribe},
		{"session expiry", "5", interopSessionExpiry},
		{"user properties", "5", interopUserProperties},
		{"payload format", "5", interopPayloadFormat},
		{"publication expiry", "5", interopPublicationExpiry},
		{"subscribe options: no local", "5", interopNoLocal},
		{"subscribe options: retain", "5", interopRetainOptions},
		{"assigned client id", "5", interopAssignedID},
		{"subscription identifiers", "5", interopSubscriptionIDs},
		{"request and response", "5", interopRequestResponse},
		{"client topic alias", "5", interopClientAlias},
		{"server topic alias", "5", interopServerAlias},
		{"server topic alias: what the client was told", "5", interopAliasesThatWereTold},
		{"server topic alias: many at once", "5", interopAliasesOfMany},
		{"server topic alias: a retained message", "5", interopAliasOfARetainedMessage},
		{"maximum packet size", "5", interopPacketSize},
		{"server keep alive", "5", interopServerKeepalive},
		{"flow control: the client's Receive Maximum", "5", interopFlowToClient},
		{"flow control: the server's Receive Maximum", "5", interopFlowToServer},
		{"will delay", "5", interopWillDelay},
		{"shared subscriptions", "5", interopShared},
	} {
		for _, v := range sc.versions {
			name := sc.name + " " + map[rune]string{'4': "3.1.1", '5': "5"}[v]
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				sc.run(&room{t, s, strings.NewReplacer(" ", "_", ".", "_", ":", "", "'", "").Replace(name), byte(v - '0')})
			})
		}
	}
}
