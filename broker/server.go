package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/mochi-mqtt/server/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pactwire/pactwire/broker/frame"
)

// Server is the broker. Make it with New; Start and Drain are each called once.
type Server struct {
	cfg     Config
	log     *slog.Logger
	metrics *metrics
	mqtt    *mqtt.Server
	frames  frame.Limits
	ledger  *ledger
	gather  gather
	ids     atomic.Uint64

	draining atomic.Bool
	serving  bool // the library runs

	mu        sync.Mutex
	acceptors []*acceptor
	webs      []*http.Server
	cert      *certificate
	hooks     []mqtt.Hook // as the library has them
}

// New assembles a server. reg may be nil. The hooks are added in order, after the server's own.
func New(cfg Config, log *slog.Logger, reg prometheus.Registerer, hooks ...mqtt.Hook) (*Server, error) {
	cfg = cfg.withDefaults()
	s := &Server{
		cfg: cfg, log: log, metrics: newMetrics(reg), frames: cfg.Limits.frame(), ledger: newLedger(),
	}
	s.mqtt = mqtt.New(&mqtt.Options{
		Capabilities:            capabilities(cfg.Limits),
		ClientNetReadBufferSize: libraryBuffer,
		SysTopicResendInterval:  60, // it stops the world to measure memory
		Logger:                  slog.New(quietLog{log.Handler()}),
	})
	s.hooks = append([]mqtt.Hook{&mend{srv: s}}, hooks...)
	for _, h := range s.hooks {
		if err := s.mqtt.AddHook(h, nil); err != nil {
			return nil, fmt.Errorf("add hook %s: %w", h.ID(), err)
		}
	}
	return s, nil
}

func capabilities(l Limits) *mqtt.Capabilities {
	c := mqtt.NewDefaultServerCapabilities()
	c.MaximumClientWritesPending = 64
	c.MaximumInflight = 512
	c.MaximumPacketSize = uint32(l.PacketSize)
	c.MaximumSessionExpiryInterval = uint32(min(int64(l.SessionExpiry/time.Second), math.MaxUint32))
	c.ReceiveMaximum = uint16(l.ReceiveMaximum)
	c.TopicAliasMaximum = 0
	c.MaximumQos = 2
	c.Compatibilities.NoInheritedPropertiesOnAck = true
	return c
}

// MQTT is the library's server.
func (s *Server) MQTT() *mqtt.Server { return s.mqtt }

// Start binds every configured address and serves. An error names the configuration key at fault, and nothing is left
// running.
func (s *Server) Start(ctx context.Context) (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() {
		if err != nil {
			s.unbind()
		}
	}()
	if s.cfg.TLS != "" || s.cfg.WSS != "" {
		if s.cert, err = openCertificate(s.cfg.CertFile, s.cfg.KeyFile, s.log); err != nil {
			return err
		}
	}
	for _, l := range []struct{ name, address string }{
		{"tcp", s.cfg.TCP}, {"tls", s.cfg.TLS}, {"ws", s.cfg.WS}, {"wss", s.cfg.WSS},
	} {
		if l.address == "" {
			continue
		}
		ln, err := s.cfg.Listen(ctx, "tcp", l.address)
		if err != nil {
			return bindError(l.name, l.address, err)
		}
		s.acceptors = append(s.acceptors, &acceptor{
			name: l.name, srv: s, ln: ln, done: make(chan struct{}),
			openNow: s.metrics.open.WithLabelValues(l.name), accepted: s.metrics.accepted.WithLabelValues(l.name),
		})
	}
	if err := s.mqtt.Serve(); err != nil {
		return fmt.Errorf("start the MQTT library: %w", err)
	}
	s.serving = true
	for _, a := range s.acceptors {
		s.open(a)
	}
	if s.cert != nil {
		s.ledger.run(s.cert.watch)
	}
	return nil
}

func (s *Server) open(a *acceptor) {
	a.running.Store(true)
	switch a.name {
	case "tcp":
		s.ledger.run(func() { s.acceptMQTT(a, nil) })
	case "tls":
		s.ledger.run(func() { s.acceptMQTT(a, s.cert.config()) })
	case "ws":
		s.webs = append(s.webs, s.serveWeb(a, nil))
	case "wss":
		s.webs = append(s.webs, s.serveWeb(a, s.cert.config("http/1.1")))
	}
	s.log.Info("listening", "listener", a.name, "address", a.Addr().String())
}

func bindError(name, address string, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("mqtt.%s: %s is already in use; stop the program that has it or set another address", name, address)
	}
	return fmt.Errorf("mqtt.%s: cannot listen on %s: %w", name, address, err)
}

// unbind undoes a Start that failed.
func (s *Server) unbind() {
	for _, a := range s.acceptors {
		_ = a.Close()
	}
	if s.cert != nil {
		s.cert.close()
	}
	s.acceptors, s.cert = nil, nil
}

// Addrs are the bound addresses, by listener name.
func (s *Server) Addrs() map[string]net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	addrs := make(map[string]net.Addr, len(s.acceptors))
	for _, a := range s.acceptors {
		addrs[a.name] = a.Addr()
	}
	return addrs
}

// Ready is nil when every configured listener accepts connections.
func (s *Server) Ready() error {
	if s.draining.Load() {
		return errors.New("mqtt: shutting down")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	configured := 0
	for _, address := range []string{s.cfg.TCP, s.cfg.TLS, s.cfg.WS, s.cfg.WSS} {
		if address != "" {
			configured++
		}
	}
	if len(s.acceptors) < configured {
		return errors.New("mqtt: not started")
	}
	var errs []error
	for _, a := range s.acceptors {
		errs = append(errs, a.ready())
	}
	return errors.Join(errs...)
}

// Each calls f for every connection that is open now, also those that have not said CONNECT.
func (s *Server) Each(f func(*Conn)) {
	for _, sk := range s.ledger.all() {
		if c := sk.conn.Load(); c != nil {
			f(c)
		}
	}
}

func (s *Server) trusts(a netip.Addr) bool {
	for _, p := range s.cfg.TrustedProxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
