package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/mochi-mqtt/server/v2"
)

// acceptMQTT takes the connections of a tcp or tls listener until it is closed.
func (s *Server) acceptMQTT(a *acceptor, secure *tls.Config) {
	for {
		c, err := a.Accept()
		if err != nil {
			return
		}
		sk := c.(*sock)
		s.ledger.run(func() { s.welcome(sk, secure) })
	}
}

// welcome brings a connection to where MQTT begins.
func (s *Server) welcome(sk *sock, secure *tls.Config) {
	if sk.proxy == nil && secure == nil {
		s.serve(s.newConn(sk, sk))
		return
	}
	if sk.proxy != nil {
		if sk.proxy.ProxyHeader() == nil {
			s.reject(sk, refusedProxy)
			return
		}
		if !s.mayConnect(sk.remote().Addr()) {
			s.reject(sk, refusedRate)
			return
		}
		_ = sk.SetReadDeadline(time.Time{}) // the header's reader has changed it
	}
	var st stream = sk
	if secure != nil {
		conn := tls.Server(sk, secure)
		if err := conn.Handshake(); err != nil {
			s.reject(sk, refusedTLS)
			return
		}
		st = &tlsStream{conn}
	}
	// On a fresh goroutine: this one's stack has grown with the handshake, and stays so for as long as it lives.
	s.ledger.run(func() { s.serve(s.newConn(sk, st)) })
}

func (s *Server) reject(sk *sock, reason string) {
	s.metrics.refused.WithLabelValues(reason).Inc()
	_ = sk.Close()
}

type tlsStream struct{ *tls.Conn }

func (s *tlsStream) goodbye() { _ = s.CloseWrite() }

// serve runs a connection from CONNECT to its end. Its frames lie under the library's for as long as the connection lives,
// so there is little in them.
func (s *Server) serve(c *Conn) {
	err := s.guarded(c)
	_ = c.Close()
	if p := c.Peer(); p != nil {
		s.say(p, c, err)
	}
	c.tellGone()
	if err != nil && !errors.Is(err, io.EOF) {
		s.log.Debug("connection ended", "listener", c.Listener(), "remote", c.remote, "conn", c.id, "cause", err)
	}
}

func (s *Server) guarded(c *Conn) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = s.recovered(c, r)
		}
	}()
	if err := c.await(); err != nil {
		return err
	}
	if s.draining.Load() {
		s.metrics.refused.WithLabelValues(refusedDraining).Inc()
		return errEnded
	}
	err = s.mqtt.EstablishConnection(c.Listener(), c)
	if c.ended.Load() {
		if cause := c.why(); cause != nil {
			return cause
		}
	}
	return err
}

// why is what ended the connection from our side, or nil.
func (c *Conn) why() error {
	c.mu.Lock()
	cause := c.cause
	c.mu.Unlock()
	if cause == nil {
		cause = c.sock.why()
	}
	return cause
}

var errPanic = errors.New("serving the connection panicked")

// recovered ends one connection after a panic and takes its client out of the library, whose own way of doing so was cut
// short.
func (s *Server) recovered(c *Conn, cause any) error {
	s.metrics.panics.Inc()
	s.log.Error("panic while serving a connection", "listener", c.Listener(), "remote", c.remote, "conn", c.id,
		"panic", cause, "stack", string(debug.Stack()))
	_ = c.Close()
	for _, cl := range s.mqtt.Clients.GetAll() {
		if cl.Net.Conn == net.Conn(c) {
			s.evict(c, cl)
		}
	}
	return errPanic
}

func (s *Server) evict(c *Conn, cl *mqtt.Client) {
	defer func() {
		if r := recover(); r != nil {
			s.log.Error("panic while clearing a client away", "panic", r)
		}
	}()
	cl.Stop(errPanic)
	c.mu.Lock()
	greeted := c.greeted
	c.mu.Unlock()
	if greeted {
		for _, h := range s.hooks { // as the library does when a connection ends otherwise
			if h.Provides(mqtt.OnDisconnect) {
				h.OnDisconnect(cl, errPanic, true)
			}
		}
	}
	if now, ok := s.mqtt.Clients.Get(cl.ID); ok && now == cl {
		s.mqtt.Clients.Delete(cl.ID)
		s.mqtt.UnsubscribeClient(cl)
		cl.ClearInflights()
	}
}

// say tells the peer that the connection is over.
func (s *Server) say(p Peer, c *Conn, err error) {
	defer func() {
		if r := recover(); r != nil {
			s.metrics.panics.Inc()
			s.log.Error("panic while ending a session", "conn", c.id, "panic", r, "stack", string(debug.Stack()))
		}
	}()
	p.Closed(err)
}

type sockKey struct{}

// serveWeb answers HTTP on a ws or wss listener until it is closed.
func (s *Server) serveWeb(a *acceptor, secure *tls.Config) *http.Server {
	h := &http.Server{
		Handler:           newWeb(s),
		ReadHeaderTimeout: s.cfg.Limits.ConnectTimeout,
		MaxHeaderBytes:    16 << 10,
		TLSNextProto:      map[string]func(*http.Server, *tls.Conn, http.Handler){}, // WebSocket needs HTTP/1.1
		ErrorLog:          log.New(lineLog{s.log, a.name}, "", 0),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			if t, ok := c.(*tls.Conn); ok {
				c = t.NetConn()
			}
			return context.WithValue(ctx, sockKey{}, c)
		},
	}
	h.SetKeepAlivesEnabled(false)
	var ln net.Listener = a
	if secure != nil {
		ln = tls.NewListener(a, secure)
	}
	s.ledger.run(func() { _ = h.Serve(ln) })
	return h
}

// lineLog carries the HTTP server's complaints, which clients cause, to the debug level.
type lineLog struct {
	log      *slog.Logger
	listener string
}

func (l lineLog) Write(p []byte) (int, error) {
	l.log.Debug("http", "listener", l.listener, "message", string(p))
	return len(p), nil
}
