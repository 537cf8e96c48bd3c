package broker_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/pactwire/pactwire/broker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen.
const patience = 10 * time.Second

// open is a hook that lets everybody do everything, and calls what a test wants to see.
type open struct {
	mqtt.HookBase
	connect     func(*mqtt.Client)
	session     func(*mqtt.Client)
	established func(*mqtt.Client)
	publish     func(*mqtt.Client, packets.Packet) error
	wills       func()
}

func (*open) ID() string { return "open" }

func (h *open) Provides(b byte) bool {
	switch b {
	case mqtt.OnConnectAuthenticate, mqtt.OnACLCheck, mqtt.OnConnect, mqtt.OnSessionEstablish, mqtt.OnSessionEstablished, mqtt.OnPublish, mqtt.OnWillSent:
		return true
	}
	return false
}
func (*open) OnConnectAuthenticate(*mqtt.Client, packets.Packet) bool { return true }
func (*open) OnACLCheck(*mqtt.Client, string, bool) bool              { return true }

func (h *open) OnConnect(cl *mqtt.Client, _ packets.Packet) error {
	if h.connect != nil {
		h.connect(cl)
	}
	return nil
}

func (h *open) OnSessionEstablish(cl *mqtt.Client, _ packets.Packet) {
	if h.session != nil {
		h.session(cl)
	}
}

func (h *open) OnSessionEstablished(cl *mqtt.Client, _ packets.Packet) {
	if h.established != nil {
		h.established(cl)
	}
}

func (h *open) OnPublish(cl *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	if h.publish != nil {
		return pk, h.publish(cl, pk)
	}
	return pk, nil
}

func (h *open) OnWillSent(*mqtt.Client, packets.Packet) {
	if h.wills != nil {
		h.wills()
	}
}

func connOf(cl *mqtt.Client) *broker.Conn { return cl.Net.Conn.(*broker.Conn) }

type server struct {
	*broker.Server
	reg *prometheus.Registry
}

// start runs a server, by default on a TCP port of its own, until the test ends.
func start(t testing.TB, cfg broker.Config, hooks ...mqtt.Hook) *server {
	t.Helper()
	return startLogging(t, slog.New(slog.DiscardHandler), cfg, hooks...)
}

// startLogging is start with a log.
func startLogging(t testing.TB, log *slog.Logger, cfg broker.Config, hooks ...mqtt.Hook) *server {
	t.Helper()
	if cfg.TCP+cfg.TLS+cfg.WS+cfg.WSS == "" {
		cfg.TCP = "127.0.0.1:0"
	}
	if len(hooks) == 0 {
		hooks = []mqtt.Hook{&open{}}
	}
	s := &server{reg: prometheus.NewRegistry()}
	var err error
	if s.Server, err = broker.New(cfg, log, s.reg, hooks...); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		s.Drain(ctx)
	})
	return s
}

func (s *server) addr(name string) string { return s.Addrs()[name].String() }

// metric is the sum of a metric's values whose labels include the given one ("" = all).
func (s *server) metric(t testing.TB, name, label string) (sum float64) {
	t.Helper()
	families, err := s.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.Metric {
			match := label == ""
			for _, l := range m.Label {
				match = match || l.GetValue() == label
			}
			if match {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

// eventually polls until a condition holds.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// client speaks MQTT byte by byte.
type client struct {
	net.Conn
	t testing.TB
	r *bufio.Reader
}

func dial(t testing.TB, s *server) *client {
	t.Helper()
	c, err := net.Dial("tcp", s.addr("tcp"))
	if err != nil {
		t.Fatal(err)
	}
	return talk(t, c)
}

func talk(t testing.TB, c net.Conn) *client {
	t.Cleanup(func() { _ = c.Close() })
	return &client{c, t, bufio.NewReader(c)}
}

func packet(first byte, body ...[]byte) []byte {
	var b []byte
	for _, p := range body {
		b = append(b, p...)
	}
	return append(binary.AppendUvarint([]byte{first}, uint64(len(b))), b...)
}

func str(s string) []byte  { return append(u16(uint16(len(s))), s...) }
func u16(v uint16) []byte  { return binary.BigEndian.AppendUint16(nil, v) }
func raw(b ...byte) []byte { return b }

// hello is a CONNECT with a clean session and, before MQTT 5, nothing else; for 5 with no properties.
func hello(version byte, id string, keepalive uint16) []byte {
	props := []byte{}
	if version == 5 {
		props = []byte{0}
	}
	return packet(0x10, str("MQTT"), raw(version, 2), u16(keepalive), props, str(id))
}

func (c *client) send(p ...[]byte) {
	c.t.Helper()
	for _, p := range p {
		if _, err := c.Write(p); err != nil {
			c.t.Fatal(err)
		}
	}
}

// next reads one packet.
func (c *client) next() ([]byte, error) {
	_ = c.SetReadDeadline(time.Now().Add(patience))
	first, err := c.r.ReadByte()
	if err != nil {
		return nil, err
	}
	n, err := binary.ReadUvarint(c.r)
	if err != nil {
		return nil, err
	}
	p := append(binary.AppendUvarint([]byte{first}, n), make([]byte, n)...)
	_, err = io.ReadFull(c.r, p[len(p)-int(n):])
	return p, err
}

func (c *client) want(prefix ...byte) []byte {
	c.t.Helper()
	p, err := c.next()
	if err != nil {
		c.t.Fatalf("want % x…: %v", prefix[:min(len(prefix), 32)], err)
	}
	if !strings.HasPrefix(string(p), string(prefix)) {
		c.t.Fatalf("got % x…, want % x…", p[:min(len(p), 32)], prefix[:min(len(prefix), 32)])
	}
	return p
}

// wantEnd wants the connection closed without another packet.
func (c *client) wantEnd() {
	c.t.Helper()
	if p, err := c.next(); err == nil {
		c.t.Fatalf("got % x…, want the end", p[:min(len(p), 32)])
	} else if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
		c.t.Fatal("still open")
	}
}

func (c *client) connect(version byte, id string) *client {
	c.t.Helper()
	c.send(hello(version, id, 60))
	if p := c.want(0x20); p[3] != 0 {
		c.t.Fatalf("CONNACK % x", p)
	}
	return c
}

func (c *client) ping() {
	c.t.Helper()
	c.send(packet(0xC0))
	c.want(0xD0)
}

// peer records what a connection's session is told.
type peer struct {
	mu     sync.Mutex
	said   []string
	closed chan error
}

func newPeer() *peer { return &peer{closed: make(chan error, 8)} }

func (p *peer) note(s string) { p.mu.Lock(); p.said = append(p.said, s); p.mu.Unlock() }
func (p *peer) Puback(id uint16, reason byte) {
	p.note("puback " + string(rune('0'+id)) + string(rune('0'+reason)))
}
func (p *peer) Pubrel(id uint16) { p.note("pubrel " + string(rune('0'+id))) }
func (p *peer) Closed(err error) { p.closed <- err }
func (p *peer) heard() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.said, ", ")
}

func (p *peer) wait(t testing.TB) error {
	t.Helper()
	select {
	case err := <-p.closed:
		return err
	case <-time.After(patience):
		t.Fatal("the peer was not told that the connection is over")
		return nil
	}
}

// bound is a server whose connections all have a peer; conns gives them once CONNACK is written.
func bound(t testing.TB, cfg broker.Config) (*server, *peer, <-chan *broker.Conn) {
	p := newPeer()
	conns := make(chan *broker.Conn, 100)
	s := start(t, cfg, &open{
		session:     func(cl *mqtt.Client) { connOf(cl).Bind(p) },
		established: func(cl *mqtt.Client) { conns <- connOf(cl) },
	})
	return s, p, conns
}
