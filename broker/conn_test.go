package broker_test

import (
	"bytes"
	"crypto/tls"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/pactwire/pactwire/broker"
)

var (
	_ broker.Peer = (*peer)(nil)
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// The acknowledgements of a bound peer go to it; the library, which keeps both directions' packet ids in one map, sees none.
func TestPeerGetsTheAcknowledgements(t *testing.T) {
	s, p, _ := bound(t, broker.Config{})
	c := dial(t, s).connect(5, "a")
	c.send(bytes.Join([][]byte{
		packet(0x40, u16(1)), packet(0x40, u16(2), raw(0x10)), packet(0x62, u16(3)), packet(0x70, u16(4)), packet(0x50, u16(5)),
	}, nil))
	c.want(0x62, 3, 0, 5, 0x92) // an answer to PUBREC: we send nothing at QoS 2
	c.ping()
	if got, want := p.heard(), "puback 10, puback 2@, pubrel 3"; got != want {
		t.Errorf("heard %s, want %s", got, want)
	}
	c.send(packet(0xE0))
	if err := p.wait(t); err != nil {
		t.Errorf("a good-bye is no error: %v", err)
	}
}

// Without a peer everything is the library's: QoS 2 both ways.
func TestLabConnectionSpeaksWithTheLibrary(t *testing.T) {
	s := start(t, broker.Config{})
	c := dial(t, s).connect(4, "a")
	c.send(packet(0x82, u16(1), str("x"), raw(2)))
	c.want(0x90)
	c.send(packet(0x34, str("x"), u16(7), []byte("hi")))
	c.want(0x50, 2, 0, 7)
	pub := c.want(0x34)
	id := pub[5:7]
	c.send(packet(0x62, u16(7)), packet(0x50, id))
	c.want(0x70)
	c.want(0x62)
}

// Packets of all sizes, in one write and byte by byte, come out as they went in.
func TestPacketsOfAllSizesPass(t *testing.T) {
	s := start(t, broker.Config{})
	c := dial(t, s).connect(4, "a")
	c.send(packet(0x82, u16(1), str("x"), raw(0)))
	c.want(0x90)
	var all, want []byte
	for i, size := range []int{0, 1, 120, 121, 500, 507, 508, 509, 510, 4000, 4095, 4096, 4097, 17000, 60000, 65528, 3, 70, 511} {
		p := packet(0x30, str("x"), bytes.Repeat([]byte{byte(i)}, size))
		all = append(all, p...)
		want = append(want, p...)
	}
	go func() { _, _ = c.Write(all) }()
	for len(want) > 0 {
		p, err := c.next()
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.HasPrefix(want, p) {
			t.Fatalf("a packet of %d bytes came out otherwise", len(p))
		}
		want = want[len(p):]
	}
	for _, b := range packet(0x30, str("x"), []byte("slowly")) {
		c.send(raw(b))
	}
	c.want(packet(0x30, str("x"), []byte("slowly"))...)
}

// The library may write a PUBLISH before its CONNACK, on which many clients hang up.
func TestTrapPublishDoesNotGoBeforeConnack(t *testing.T) {
	s := start(t, broker.Config{}, &open{session: func(cl *mqtt.Client) {
		_, _ = connOf(cl).Write(packet(0x30, str("t"), []byte("early")))
	}})
	c := dial(t, s)
	c.send(hello(4, "a", 60))
	c.want(0x20, 2, 0, 0)
	c.want(packet(0x30, str("t"), []byte("early"))...)
	c.ping()
}

// MQTT 5 reason codes mean nothing to 3.1.1; the nearest return code is sent.
func TestOldClientsGetOldReturnCodes(t *testing.T) {
	for code, want := range map[packets.Code]byte{packets.ErrQuotaExceeded: 3, packets.ErrNotAuthorized: 5, packets.ErrServerBusy: 3} {
		var s *server
		s = start(t, broker.Config{}, &refusing{open: &open{}, server: func() *mqtt.Server { return s.MQTT() }, code: code})
		c := dial(t, s)
		c.send(hello(4, "a", 60))
		c.want(0x20, 2, 0, want)
		c.wantEnd()
		c = dial(t, s)
		c.send(hello(5, "a", 60))
		if p := c.want(0x20); p[3] != code.Code {
			t.Errorf("% x, want %#x", p, code.Code)
		}
		c.wantEnd()
	}
}

type refusing struct {
	*open
	server func() *mqtt.Server
	code   packets.Code
}

func (r *refusing) OnConnect(cl *mqtt.Client, _ packets.Packet) error {
	_ = r.server().SendConnack(cl, r.code, false, nil)
	return r.code
}

func TestBrokenConnectIsAnsweredWhereItCanBe(t *testing.T) {
	s := start(t, broker.Config{})
	for name, tc := range map[string]struct{ in, want []byte }{
		"5, receive maximum 0": {packet(0x10, str("MQTT"), raw(5, 2), u16(60), raw(3, 0x21, 0, 0), str("a")), raw(0x20, 3, 0, 0x82)},
		"5, unknown method":    {packet(0x10, str("MQTT"), raw(5, 2), u16(60), raw(4, 0x15, 0, 1, 'x'), str("a")), raw(0x20, 3, 0, 0x8C)},
		"version 9":            {packet(0x10, str("MQTT"), raw(9, 2), u16(60), str("a")), raw(0x20, 3, 0, 0x84)},
		"version 2":            {packet(0x10, str("MQTT"), raw(2, 2), u16(60), str("a")), raw(0x20, 2, 0, 1)},
		"no id, not clean":     {packet(0x10, str("MQTT"), raw(4, 0), u16(60), str("")), raw(0x20, 2, 0, 2)},
		"3.1.1, malformed":     {packet(0x10, str("MQTT"), raw(4, 3), u16(60), str("a")), nil},
		"not MQTT":             {[]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, s)
			c.send(tc.in)
			if tc.want != nil {
				c.want(tc.want...)
			}
			c.wantEnd()
		})
	}
}

func TestEmptyWillIsAWill(t *testing.T) {
	wills := make(chan mqtt.Will, 1)
	s := start(t, broker.Config{}, &open{session: func(cl *mqtt.Client) { wills <- cl.Properties.Will }})
	c := dial(t, s)
	c.send(packet(0x10, str("MQTT"), raw(4, 6), u16(60), str("a"), str("w"), str("")))
	c.want(0x20, 2, 0, 0)
	if w := <-wills; w.TopicName != "w" || len(w.Payload) != 0 || w.Flag != 1 {
		t.Errorf("%+v", w)
	}
}

// The library answers a PUBLISH to $SYS with nothing; here the hooks get to refuse it.
func TestPublishToReservedTopicsReachesTheHooks(t *testing.T) {
	topics := make(chan string, 4)
	s := start(t, broker.Config{}, &open{publish: func(_ *mqtt.Client, pk packets.Packet) error {
		topics <- pk.TopicName
		return packets.CodeSuccessIgnore
	}})
	c := dial(t, s).connect(4, "a")
	for _, topic := range []string{"$SYS/broker/version", "$sys", "$share"} {
		c.send(packet(0x32, str(topic), u16(9)))
		c.want(0x40, 2, 0, 9)
		if got := <-topics; got != "$"+topic {
			t.Errorf("%s came as %s", topic, got)
		}
	}
}

func TestConnackAnnouncesThePacketLimit(t *testing.T) {
	s := start(t, broker.Config{})
	c := dial(t, s)
	c.send(hello(5, "a", 60))
	if p := c.want(0x20); !bytes.Contains(p, raw(0x27, 0, 1, 0, 0)) {
		t.Errorf("% x does not say maximum packet size 65536", p)
	}
}

// A DISCONNECT that says only "with the will" is shorter than the library expects.
func TestShortDisconnectWithWill(t *testing.T) {
	sent := make(chan struct{}, 1)
	s := start(t, broker.Config{}, &open{wills: func() { sent <- struct{}{} }})
	c := dial(t, s)
	c.send(packet(0x10, str("MQTT"), raw(5, 6), u16(60), raw(0), str("a"), raw(0), str("w"), str("gone")))
	c.want(0x20)
	c.send(packet(0xE0, raw(4)))
	<-sent
}

func TestConnKnowsItself(t *testing.T) {
	s, _, conns := bound(t, broker.Config{})
	c := dial(t, s).connect(5, "a")
	conn := <-conns
	if got, want := conn.RemoteAddrPort().String(), c.LocalAddr().String(); got != want {
		t.Errorf("remote %s, want %s", got, want)
	}
	if conn.Listener() != "tcp" || conn.ProtocolVersion() != 5 || conn.Peer() == nil || conn.ID() == 0 {
		t.Errorf("%s %d %v %d", conn.Listener(), conn.ProtocolVersion(), conn.Peer(), conn.ID())
	}
	if conn.Attachment() != nil {
		t.Error("something attached")
	}
	conn.Attach("x")
	if conn.Attachment() != "x" {
		t.Error("nothing attached")
	}
	_ = conn.Close()
	if err := conn.Send(packet(0xD0)); err == nil {
		t.Error("sent after Close")
	}
}

// A reader that is held up for long is let go when the connection ends, whoever ends it.
func TestPauseEndsWithItsConnection(t *testing.T) {
	for _, end := range []struct {
		by string
		do func(*server, *broker.Conn)
	}{
		{"Disconnect", func(_ *server, c *broker.Conn) { c.Disconnect(0x98) }},
		{"Close", func(_ *server, c *broker.Conn) { _ = c.Close() }},
		{"Abort", func(_ *server, c *broker.Conn) { c.Abort() }},
		{"the server's end", func(s *server, _ *broker.Conn) { s.Drain(t.Context()) }},
	} {
		paused, passed := make(chan *broker.Conn, 2), make(chan bool, 2)
		s := start(t, broker.Config{}, &open{publish: func(cl *mqtt.Client, _ packets.Packet) error {
			conn := connOf(cl)
			paused <- conn
			passed <- conn.Pause(time.Hour)
			passed <- conn.Pause(time.Hour)
			return packets.ErrRejectPacket
		}})
		c := dial(t, s).connect(5, "a")
		c.send(packet(0x32, str("x"), u16(1), raw(0)))
		end.do(s, <-paused)
		for _, which := range []string{"that pause", "the next"} {
			if <-passed {
				t.Errorf("%s: %s went on to its end", end.by, which)
			}
		}
	}
	waited := make(chan bool, 1)
	s := start(t, broker.Config{}, &open{publish: func(cl *mqtt.Client, _ packets.Packet) error {
		waited <- connOf(cl).Pause(time.Millisecond)
		return packets.ErrRejectPacket
	}})
	c := dial(t, s).connect(5, "a")
	c.send(packet(0x32, str("x"), u16(1), raw(0)))
	if !<-waited {
		t.Error("a pause on a connection that stands was cut short")
	}
}

// TestWhoIsHeardOutHasBeenDealtWith: what has come is, not what may come yet, and nobody waits for long.
func TestWhoIsHeardOutHasBeenDealtWith(t *testing.T) {
	entered, hold := make(chan struct{}), make(chan struct{})
	p := newPeer()
	conns := make(chan *broker.Conn, 100)
	cert, key := files(t)
	writeCertificate(t, cert, key, "one.example.org")
	s := start(t, broker.Config{TCP: "127.0.0.1:0", TLS: "127.0.0.1:0", WS: "127.0.0.1:0", CertFile: cert, KeyFile: key}, &open{
		session:     func(cl *mqtt.Client) { connOf(cl).Bind(p) },
		established: func(cl *mqtt.Client) { conns <- connOf(cl) },
		publish:     func(*mqtt.Client, packets.Packet) error { close(entered); <-hold; return nil },
	})
	hear := func(c *broker.Conn, within time.Duration) {
		t.Helper()
		if begun := time.Now(); within == patience {
			defer func() {
				if time.Since(begun) >= within {
					t.Error("heard out in vain")
				}
			}()
		}
		c.HearOut(within)
	}
	dials := map[string]func() *client{
		"tcp": func() *client { return dial(t, s) },
		"tls": func() *client {
			tc, err := tls.Dial("tcp", s.addr("tls"), &tls.Config{InsecureSkipVerify: true})
			if err != nil {
				t.Fatal(err)
			}
			return talk(t, tc)
		},
		"ws": func() *client { return mustDialWeb(t, "ws://"+s.addr("ws")+"/mqtt") },
	}
	for name, dial := range dials {
		c := dial().connect(5, name)
		conn := <-conns
		said := 0
		for round := range 200 {
			for range round % 7 {
				c.send(raw(0x62, 2, 0, 1)) // PUBREL
				said++
			}
			hear(conn, patience)
			if got := strings.Count(p.heard(), "pubrel"); got != said {
				t.Fatalf("%s: %d of %d were dealt with", name, got, said)
			}
		}
		p.mu.Lock()
		p.said = nil
		p.mu.Unlock()
		c.send(raw(0xE0, 0))
		hear(conn, patience)
		if len(p.closed) != 1 {
			t.Errorf("%s: DISCONNECT is not dealt with", name)
		}
		_ = p.wait(t)
	}
	c := dials["tcp"]().connect(5, "busy")
	conn := <-conns
	c.send(packet(0x30, str("t"), raw(0)), raw(0xE0, 0))
	<-entered
	hear(conn, time.Millisecond)
	close(hold)
	hear(conn, patience)
	if len(p.closed) != 1 {
		t.Error("DISCONNECT is not dealt with")
	}
}
