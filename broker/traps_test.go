package broker_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/pactwire/pactwire/broker"
	"github.com/pactwire/pactwire/internal/ratelimit"
)

func TestTrapTruncatedSubscribeEndsOneConnection(t *testing.T) {
	s := start(t, broker.Config{})
	bystander := dial(t, s).connect(4, "bystander")
	c := dial(t, s).connect(5, "attacker")
	c.send(packet(0x82, u16(1), raw(0), str("a")))
	c.want(0xE0, 2, 0x81)
	c.wantEnd()
	bystander.ping()
	if n := s.metric(t, "pactwire_mqtt_panics_total", ""); n != 0 {
		t.Errorf("%v panics", n)
	}
}

// Silence, half a CONNECT and a byte now and then: each ends by the connect deadline.
func TestTrapSilentStrangersAreClosed(t *testing.T) {
	s := start(t, broker.Config{Limits: broker.Limits{ConnectTimeout: 200 * time.Millisecond}})
	began := time.Now()
	whole := hello(4, strings.Repeat("x", 200), 60)
	silent, half, drip, announced := dial(t, s), dial(t, s), dial(t, s), dial(t, s)
	half.send(whole[:20])
	announced.send(raw(0x10, 0xFF, 0xFF, 0x03))
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i = (i + 1) % len(whole) {
			select {
			case <-tick.C:
				if _, err := drip.Write(whole[i : i+1]); err != nil {
					return
				}
			case <-stop:
				return
			}
		}
	}()
	for _, c := range []*client{silent, half, drip, announced} {
		c.wantEnd()
	}
	if d := time.Since(began); d > patience/2 {
		t.Errorf("took %v", d)
	}
	eventually(t, "no connection left", func() bool { return s.metric(t, "pactwire_mqtt_connections", "") == 0 })
	if n := s.MQTT().Clients.Len(); n != 0 {
		t.Errorf("the library has %d clients", n)
	}
}

func TestTrapEndlessRemainingLengthIsRefused(t *testing.T) {
	s := start(t, broker.Config{})
	c := dial(t, s)
	c.send(raw(0x10, 0x80, 0x80, 0x80, 0x80))
	c.wantEnd()
	c = dial(t, s).connect(5, "a")
	c.send(raw(0x30, 0x80, 0x80, 0x80, 0x80))
	c.want(0xE0, 2, 0x81)
	c.wantEnd()
}

func TestTrapHugePacketIsRefusedByItsHeader(t *testing.T) {
	s := start(t, broker.Config{})
	c := dial(t, s)
	c.send(raw(0x10, 0xFF, 0xFF, 0xFF, 0x7F))
	c.wantEnd()
	c = dial(t, s).connect(5, "a")
	c.send(raw(0x30, 0xFF, 0xFF, 0xFF, 0x7F))
	c.want(0xE0, 2, 0x95)
	c.wantEnd()
}

// A packet that begins and does not go on is cut long before the keepalive.
func TestTrapHalfPacketIsCut(t *testing.T) {
	s, p, _ := bound(t, broker.Config{Limits: broker.Limits{FrameTimeout: 150 * time.Millisecond}})
	c := dial(t, s).connect(5, "a")
	c.send(raw(0x30, 0x05, 0))
	c.want(0xE0, 2, 0x8D)
	c.wantEnd()
	if err := p.wait(t); err == nil || !strings.Contains(err.Error(), "did not end in time") {
		t.Errorf("ended by %v", err)
	}
}

// A client that sends one packet after the other is read for longer than one packet may take, while each read ends within one; and
// it may be silent after that.
func TestPacketsWithoutAPauseAreNoHalfPacket(t *testing.T) {
	s := start(t, broker.Config{Limits: broker.Limits{FrameTimeout: 200 * time.Millisecond}}, &open{
		publish: func(cl *mqtt.Client, _ packets.Packet) error {
			connOf(cl).Pause(5 * time.Millisecond)
			return packets.ErrRejectPacket
		}})
	c := dial(t, s).connect(4, "a")
	c.send(bytes.Repeat(packet(0x30, str("x"), bytes.Repeat([]byte{1}, 200)), 100), packet(0xC0))
	c.want(0xD0, 0)
	<-time.After(300 * time.Millisecond)
	c.ping()
}

// tight is a listener whose process is short of file descriptors a few times.
type tight struct {
	net.Listener
	left atomic.Int32
}

func (l *tight) Accept() (net.Conn, error) {
	if l.left.Add(-1) >= 0 {
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return l.Listener.Accept()
}

func TestTrapAcceptSurvivesEMFILE(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	s := startLogging(t, slog.New(slog.NewTextHandler(file, nil)), broker.Config{Listen: func(ctx context.Context, network, address string) (net.Listener, error) {
		ln, err := net.Listen(network, address)
		l := &tight{Listener: ln}
		l.left.Store(3)
		return l, err
	}})
	dial(t, s).connect(4, "a").ping()
	if n := s.metric(t, "pactwire_mqtt_accept_errors_total", ""); n != 3 {
		t.Errorf("%v accept errors", n)
	}
	if err := s.Ready(); err != nil {
		t.Errorf("not ready after it accepted again: %v", err)
	}
	log, err := os.ReadFile(file.Name())
	if err != nil || strings.Count(string(log), "level=WARN") != 1 || strings.Count(string(log), "over: ") != 1 {
		t.Errorf("one trouble is logged as %s, %v", log, err)
	}
}

func TestTrapDisconnectIsNotSentBefore5(t *testing.T) {
	s, p, conns := bound(t, broker.Config{})
	for _, version := range []byte{4, 5} {
		for name, end := range map[string]func(*broker.Conn, *mqtt.Client){
			"ours":        func(c *broker.Conn, _ *mqtt.Client) { c.Disconnect(0x8E) },
			"the library": func(_ *broker.Conn, cl *mqtt.Client) { _ = s.MQTT().DisconnectClient(cl, packets.ErrSessionTakenOver) },
		} {
			c := dial(t, s).connect(version, "a")
			conn := <-conns
			cl, _ := s.MQTT().Clients.Get("a")
			end(conn, cl)
			if version == 5 {
				if p := c.want(0xE0); p[2] != 0x8E {
					t.Errorf("%s: % x", name, p)
				}
			}
			c.wantEnd()
			_ = p.wait(t)
		}
	}
}

// A last word must arrive though the client was still sending: closing with unread bytes would reset the connection.
func TestViolationReachesAClientThatKeepsSending(t *testing.T) {
	s := start(t, broker.Config{})
	c := dial(t, s).connect(5, "a")
	c.send(append(packet(0x36, str("t")), make([]byte, 30000)...))
	c.want(0xE0, 2, 0x81)
	c.wantEnd()
}

// farewells notes whose OnDisconnect is called.
type farewells struct {
	mqtt.HookBase
	names chan string
}

func (*farewells) ID() string                                      { return "farewells" }
func (*farewells) Provides(b byte) bool                            { return b == mqtt.OnDisconnect }
func (f *farewells) OnDisconnect(cl *mqtt.Client, _ error, _ bool) { f.names <- cl.ID }

func TestPanicEndsOneConnection(t *testing.T) {
	p, left := newPeer(), make(chan string, 9)
	s := start(t, broker.Config{}, &open{
		session: func(cl *mqtt.Client) {
			if cl.ID == "bad" {
				connOf(cl).Bind(p)
			}
		},
		publish: func(_ *mqtt.Client, pk packets.Packet) error {
			if pk.TopicName == "boom" {
				panic("a bug")
			}
			return nil
		},
	}, &farewells{names: left})
	bystander := dial(t, s).connect(4, "bystander")
	c := dial(t, s).connect(4, "bad")
	c.send(packet(0x82, u16(1), str("x"), raw(0)))
	c.want(0x90)
	c.send(packet(0x30, str("boom")))
	c.wantEnd()
	if err := p.wait(t); err == nil || !strings.Contains(err.Error(), "panicked") {
		t.Errorf("ended by %v", err)
	}
	if _, ok := s.MQTT().Clients.Get("bad"); ok {
		t.Error("the client is still in the library's map")
	}
	if n := len(s.MQTT().Topics.Subscribers("x").Subscriptions); n != 0 {
		t.Errorf("%d subscriptions left", n)
	}
	if len(p.closed) != 0 {
		t.Error("told twice")
	}
	if len(left) != 1 || <-left != "bad" {
		t.Error("the hooks were not told once that it is gone: presence and figures keep it for ever")
	}
	if n := s.metric(t, "pactwire_mqtt_panics_total", ""); n != 1 {
		t.Errorf("%v panics counted", n)
	}
	bystander.ping()
	dial(t, s).connect(4, "bad").ping()
}

func TestTrapDrainEndsIdleConnections(t *testing.T) {
	var wills atomic.Int32
	s := start(t, broker.Config{Limits: broker.Limits{ConnectTimeout: time.Minute}}, &open{wills: func() { wills.Add(1) }})
	silent := dial(t, s)
	half := dial(t, s)
	half.send(hello(4, "half", 60)[:5])
	four := dial(t, s)
	four.send(packet(0x10, str("MQTT"), raw(4, 6), u16(60), str("four"), str("w"), str("gone")))
	four.want(0x20, 2, 0, 0)
	five := dial(t, s).connect(5, "five")
	eventually(t, "four connections", func() bool { return s.metric(t, "pactwire_mqtt_connections", "tcp") == 4 })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	began := time.Now()
	s.Drain(ctx)
	if d := time.Since(began); d > patience/2 {
		t.Errorf("took %v", d)
	}
	five.want(0xE0, 2, 0x8B)
	for _, c := range []*client{silent, half, four, five} {
		c.wantEnd()
	}
	if _, err := net.Dial("tcp", s.addr("tcp")); err == nil {
		t.Error("still accepts")
	}
	if wills.Load() != 0 {
		t.Error("a deploy published a will")
	}
	if err := s.Ready(); err == nil {
		t.Error("ready after Drain")
	}
}

// A client that takes nothing cannot hold up the end either.
func TestDrainIsBounded(t *testing.T) {
	s, _, conns := bound(t, broker.Config{Limits: broker.Limits{OutboundBytes: 1 << 20}})
	_, conn := stuck(t, s, conns)
	for conn.Pending() < 64<<10 {
		if err := conn.Send(packet(0x30, str("t"), raw(0), make([]byte, 8000))); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	s.Drain(ctx)
	if d := time.Since(began); d > patience/2 {
		t.Errorf("took %v", d)
	}
}

// A process that cannot accept says so, and stops at once all the same.
func TestReadyTellsOfAcceptTrouble(t *testing.T) {
	s := start(t, broker.Config{Listen: func(_ context.Context, network, address string) (net.Listener, error) {
		ln, err := net.Listen(network, address)
		l := &tight{Listener: ln}
		l.left.Store(1 << 20)
		return l, err
	}})
	eventually(t, "trouble", func() bool { return s.Ready() != nil })
	if err := s.Ready(); !strings.Contains(err.Error(), "mqtt.tcp") {
		t.Errorf("%v does not name the listener", err)
	}
}

func TestTakenPortNamesTheKey(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	s, err := broker.New(broker.Config{TCP: ln.Addr().String(), WS: "127.0.0.1:0"}, quiet(), nil, &open{})
	if err != nil {
		t.Fatal(err)
	}
	if s.Ready() == nil {
		t.Error("ready before Start")
	}
	err = s.Start(t.Context())
	want := "mqtt.tcp: " + ln.Addr().String() + " is already in use"
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
	s.Drain(t.Context())
}

func TestTLSWithoutACertificateNamesTheKeys(t *testing.T) {
	s, err := broker.New(broker.Config{TLS: "127.0.0.1:0"}, quiet(), nil, &open{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "mqtt.cert_file") {
		t.Errorf("%v", err)
	}
	s.Drain(t.Context())
}

func TestConnectRateRefusesAFloodFromOneAddress(t *testing.T) {
	s := start(t, broker.Config{Connects: ratelimit.New[netip.Addr](0.001, 2, 0)})
	dial(t, s).connect(4, "a").ping()
	dial(t, s).connect(4, "b").ping()
	dial(t, s).wantEnd()
	if n := s.metric(t, "pactwire_mqtt_connects_refused_total", "rate"); n != 1 {
		t.Errorf("%v refused", n)
	}
}
