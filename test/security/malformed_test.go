package security_test

import (
	"bytes"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/pactwire/pactwire/internal/testkit"
)

// hostile is one thing that no client should say.
type hostile struct {
	name  string
	v     byte
	bytes []byte
	fresh bool // sent instead of CONNECT
}

func hostilities() []hostile {
	sub := func(v byte, props []byte, rest ...byte) []byte {
		b := []byte{0, 1}
		if v == 5 {
			b = append(b, withLength(props)...)
		}
		return frame(0x82, append(b, rest...))
	}
	topic := func(s string, opt byte) []byte { return append(str(s), opt) }
	own := topic("users/alice/inbox", 1)
	pub := func(first byte, topic string, id []byte, props []byte, payload string) []byte {
		return frame(first, join(str(topic), id, withLength(props), []byte(payload)))
	}
	one := []byte{0, 1}
	long := bytes.Repeat([]byte("a/"), 40)
	many := bytes.Repeat(userProp("k", "v"), 5000)
	return []hostile{
		{"SUBSCRIBE cut behind the filter", 5, sub(5, nil, str("users/alice/inbox")...), false},
		{"SUBSCRIBE cut in the filter", 5, sub(5, nil, 0, 40, 'a'), false},
		{"SUBSCRIBE without filters", 5, sub(5, nil), false},
		{"SUBSCRIBE without anything", 5, []byte{0x82, 0}, false},
		{"SUBSCRIBE with half an id", 5, []byte{0x82, 1, 0}, false},
		{"SUBSCRIBE with id 0", 5, frame(0x82, join([]byte{0, 0, 0}, own)), false},
		{"SUBSCRIBE with wrong flags", 5, frame(0x80, join(one, []byte{0}, own)), false},
		{"SUBSCRIBE with reserved bits", 5, sub(5, nil, topic("users/alice/inbox", 0xc1)...), false},
		{"SUBSCRIBE with QoS 3", 5, sub(5, nil, topic("users/alice/inbox", 3)...), false},
		{"SUBSCRIBE with retain handling 3", 5, sub(5, nil, topic("users/alice/inbox", 0x31)...), false},
		{"SUBSCRIBE with identifier 0", 5, sub(5, []byte{0x0b, 0}, own...), false},
		{"SUBSCRIBE with identifier twice", 5, sub(5, []byte{0x0b, 1, 0x0b, 2}, own...), false},
		{"SUBSCRIBE with properties past its end", 5, frame(0x82, append(one, 0x7f)), false},
		{"SUBSCRIBE with an endless length of properties", 5, frame(0x82, append(one, 0xff, 0xff, 0xff, 0xff, 0xff)), false},
		{"SUBSCRIBE with a property of PUBLISH", 5, sub(5, prop16(propAlias, 1), own...), false},
		{"SUBSCRIBE with an empty filter", 5, sub(5, nil, topic("", 1)...), false},
		{"SUBSCRIBE with a+", 5, sub(5, nil, topic("a+", 1)...), false},
		{"SUBSCRIBE with a#", 5, sub(5, nil, topic("a#", 1)...), false},
		{"SUBSCRIBE with #/a", 5, sub(5, nil, topic("#/a", 1)...), false},
		{"SUBSCRIBE with $share//x", 5, sub(5, nil, topic("$share//x", 1)...), false},
		{"SUBSCRIBE no-local and shared", 5, sub(5, nil, topic("$share/g/x", 5)...), false},
		{"SUBSCRIBE with NUL", 5, sub(5, nil, topic("a\x00b", 1)...), false},
		{"SUBSCRIBE with bad UTF-8", 5, sub(5, nil, topic("a\xffb", 1)...), false},
		{"SUBSCRIBE too deep", 5, sub(5, nil, topic(string(long), 1)...), false},
		{"SUBSCRIBE 3.1.1 cut behind the filter", 4, sub(4, nil, str("users/alice/inbox")...), false},
		{"SUBSCRIBE 3.1.1 without filters", 4, sub(4, nil), false},
		{"SUBSCRIBE 3.1.1 with QoS 3", 4, sub(4, nil, topic("users/alice/inbox", 3)...), false},
		{"UNSUBSCRIBE without filters", 5, frame(0xa2, append(one, 0)), false},
		{"UNSUBSCRIBE cut", 5, frame(0xa2, append(one, 0, 0, 9, 'a')), false},
		{"UNSUBSCRIBE empty", 5, []byte{0xa2, 0}, false},
		{"PUBLISH with QoS 3", 5, pub(0x36, "a", one, nil, ""), false},
		{"PUBLISH with id 0", 5, pub(0x32, "a", []byte{0, 0}, nil, ""), false},
		{"PUBLISH with DUP and QoS 0", 5, pub(0x38, "a", nil, nil, ""), false},
		{"PUBLISH to nothing", 5, pub(0x32, "", one, nil, "x"), false},
		{"PUBLISH to a wildcard", 5, pub(0x32, "pacts/+/checkins", one, nil, "x"), false},
		{"PUBLISH to #", 5, pub(0x32, "#", one, nil, "x"), false},
		{"PUBLISH with NUL", 5, pub(0x32, "a\x00", one, nil, "x"), false},
		{"PUBLISH cut in the topic", 5, frame(0x32, []byte{0, 9, 'a'}), false},
		{"PUBLISH without an id", 5, frame(0x32, str("a")), false},
		{"PUBLISH without properties", 5, frame(0x32, append(str("a"), one...)), false},
		{"PUBLISH empty", 5, []byte{0x30, 0}, false},
		{"PUBLISH with a property twice", 5, pub(0x32, "a", one, []byte{0x01, 0, 0x01, 0}, ""), false},
		{"PUBLISH with an unknown property", 5, pub(0x32, "a", one, []byte{0x7f, 0}, ""), false},
		{"PUBLISH with a wildcard response topic", 5, pub(0x32, "a", one, propStr(propResponseTopic, "users/alice/replies/#"), ""), false},
		{"PUBLISH with a subscription identifier", 5, pub(0x32, "a", one, []byte{0x0b, 1}, ""), false},
		{"PUBLISH with alias 0", 5, pub(0x32, "a", one, prop16(propAlias, 0), ""), false},
		{"PUBLISH with 5,000 user properties", 5, pub(0x32, "a", one, many, ""), false},
		{"PUBLISH too deep", 5, pub(0x32, string(long)+"a", one, nil, "x"), false},
		{"PUBLISH with a length that never ends", 5, []byte{0x30, 0x80, 0x80, 0x80, 0x80, 0x80}, false},
		{"PUBLISH of 256 MiB announced", 5, []byte{0x30, 0xff, 0xff, 0xff, 0x7f}, false},
		{"PUBACK empty", 5, []byte{0x40, 0}, false},
		{"PUBACK with half an id", 5, []byte{0x40, 1, 0}, false},
		{"PUBACK with a reason that is none", 5, []byte{0x40, 3, 0, 1, 1}, false},
		{"PUBACK with properties past its end", 5, []byte{0x40, 4, 0, 1, 0, 9}, false},
		{"PUBREL with wrong flags", 5, []byte{0x60, 2, 0, 1}, false},
		{"PUBREL empty", 5, []byte{0x62, 0}, false},
		{"PUBREC empty", 5, []byte{0x50, 0}, false},
		{"PUBCOMP empty", 5, []byte{0x70, 0}, false},
		{"PINGREQ with a body", 5, []byte{0xc0, 1, 0}, false},
		{"AUTH without method", 5, []byte{0xf0, 2, 0x18, 0}, false},
		{"AUTH in 3.1.1", 4, []byte{0xf0, 0}, false},
		{"a second CONNECT", 5, connectPacket(opts{user: "alice", v: 5, token: "x"}), false},
		{"CONNACK from a client", 5, []byte{0x20, 3, 0, 0, 0}, false},
		{"SUBACK from a client", 5, []byte{0x90, 4, 0, 1, 0, 0}, false},
		{"type 0", 5, []byte{0x00, 0}, false},
		{"DISCONNECT with properties past its end", 5, []byte{0xe0, 2, 0, 9}, false},
		{"DISCONNECT with wrong flags", 5, []byte{0xe1, 0}, false},

		{"PUBLISH before CONNECT", 5, pub(0x30, "a", nil, nil, "x"), true},
		{"PINGREQ before CONNECT", 5, []byte{0xc0, 0}, true},
		{"CONNECT empty", 5, []byte{0x10, 0}, true},
		{"CONNECT with wrong flags", 5, append([]byte{0x1f}, connectPacket(opts{user: "a", v: 5})[1:]...), true},
		{"CONNECT of another protocol", 5, frame(0x10, append(str("HTTP"), 5, 2, 0, 0, 0, 0, 0)), true},
		{"CONNECT of version 9", 5, frame(0x10, append(str("MQTT"), 9, 2, 0, 0, 0, 0, 0)), true},
		{"CONNECT with the reserved flag", 5, frame(0x10, append(str("MQTT"), 5, 3, 0, 0, 0, 0, 0)), true},
		{"CONNECT with will QoS and no will", 5, frame(0x10, append(str("MQTT"), 5, 0x0a, 0, 0, 0, 0, 0)), true},
		{"CONNECT with will QoS 3", 5, frame(0x10, join(str("MQTT"), []byte{5, 0x1e, 0, 0, 0, 0, 0, 0}, str("a"), str("b"))), true},
		{"CONNECT with trailing bytes", 5, frame(0x10, join(str("MQTT"), []byte{5, 2, 0, 0, 0, 0, 0, 1, 2, 3})), true},
		{"CONNECT cut in the password", 5, frame(0x10, join(str("MQTT"), []byte{5, 0xc2, 0, 0, 0, 0, 0}, str("a"), []byte{0, 9})), true},
		{"CONNECT with Receive Maximum 0", 5, connectPacket(opts{user: "alice", v: 5, token: "x", props: prop16(propReceiveMax, 0)}), true},
		{"CONNECT with Maximum Packet Size 0", 5, connectPacket(opts{user: "alice", v: 5, token: "x", props: prop32(propMaxPacket, 0)}), true},
		{"CONNECT with a property twice", 5, connectPacket(opts{user: "alice", v: 5, token: "x", props: join(prop16(propReceiveMax, 1), prop16(propReceiveMax, 1))}), true},
		{"CONNECT with auth data and no method", 5, connectPacket(opts{user: "alice", v: 5, token: "x", props: propStr(0x16, "x")}), true},
		{"CONNECT with an unknown auth method", 5, connectPacket(opts{user: "alice", v: 5, token: "x", props: propStr(0x15, "SCRAM")}), true},
		{"CONNECT with 10,000 user properties", 5, connectPacket(opts{user: "alice", v: 5, token: "x", props: join(many, many)}), true},
		{"CONNECT with a will topic that is a wildcard", 5, connectPacket(opts{user: "alice", v: 5, token: "x", willTopic: "users/#", will: "x"}), true},
		{"an HTTP request", 4, []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), true},
		{"a TLS hello", 4, []byte{0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03}, true},
		{"zeroes", 4, make([]byte, 100), true},
	}
}

// The truncated SUBSCRIBE ended the process of the bare library; nothing may. Whoever says such a thing is cut off or
// refused, and a good client beside it notices nothing.
func TestTrapTruncatedSubscribe(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, map[string]string{"limits.connect_timeout": "2s", "limits.connections_per_user": "1000"})
	p := string(s.NewPact("alice", "bob").ID)
	pid := s.PID()
	good := connect(t, s, opts{user: "bob", v: 5})
	good.mustSub("pacts/+/activity")
	for i, h := range hostilities() {
		var c *client
		if h.fresh {
			nc, err := net.DialTimeout("tcp", s.TCP, limit)
			if err != nil {
				t.Fatal(err)
			}
			c = &client{t: t, nc: nc, v: h.v, gone: make(chan struct{})}
			go c.read()
			c.raw(h.bytes)
		} else {
			c = connect(t, s, opts{user: "alice", v: h.v, id: "hostile"})
			c.raw(h.bytes)
			c.raw([]byte{12 << 4, 0}) // whoever is answered this is taken for good
		}
		over := func() bool { return c.isEnded() || len(c.of(pingresp)) > 0 }
		if !testkit.Within(limit, over) {
			t.Errorf("%s: nothing happens", h.name)
		}
		refused := false
		for _, a := range c.where(func(p packet) bool { return p.kind == suback || p.kind == puback }) {
			refused = refused || a.code >= 0x80 || len(a.codes) > 0 && a.codes[0] >= 0x80
		}
		if !c.isEnded() && !refused {
			t.Errorf("%s: accepted", h.name)
		}
		if h.v == 4 && !h.fresh && len(c.of(disconnect)) > 0 {
			t.Errorf("%s: DISCONNECT to a 3.1.1 client", h.name)
		}
		for _, a := range c.of(connack) {
			if h.fresh && a.code == 0 {
				t.Errorf("%s: let in", h.name)
			}
		}
		c.drop()
		if i%8 == 0 {
			good.ping()
		}
	}
	a := connect(t, s, opts{user: "alice"})
	a.pub("pacts/"+p+"/messages", `{"message":"still here"}`)
	good.wait(1, "the message", func(m packet) bool { return m.kind == publish })
	if s.PID() != pid {
		t.Error("another process")
	}
}

// Who connects and says nothing, half a CONNECT, or one byte at a time, is cut off.
func TestTrapSilence(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t, map[string]string{"limits.connect_timeout": "1s"})
	whole := connectPacket(opts{user: "alice", v: 5, token: testkit.Token("alice")})
	for name, b := range map[string][]byte{"nothing": nil, "half a CONNECT": whole[:len(whole)/2], "64 KiB announced": {0x10, 0x80, 0x80, 4}, "a byte": {0x10}} {
		for _, addr := range []string{s.TCP, s.WS} {
			nc, err := net.DialTimeout("tcp", addr, limit)
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			if _, err := nc.Write(b); err != nil {
				t.Fatal(err)
			}
			if err := nc.SetReadDeadline(start.Add(limit)); err != nil {
				t.Fatal(err)
			}
			var buf [64]byte
			for err == nil {
				_, err = nc.Read(buf[:])
			}
			var ne net.Error
			if errors.As(err, &ne) && ne.Timeout() || time.Since(start) > 5*time.Second {
				t.Errorf("%s: open for %v", name, time.Since(start))
			}
			nc.Close()
		}
	}
}
