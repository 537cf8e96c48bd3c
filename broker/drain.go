package broker

import (
	"context"
	"time"
)

// closing is how long Drain waits for goroutines after it has closed their connections under them.
const closing = 2 * time.Second

// Drain stops accepting, tells every MQTT 5 client that the server is shutting down, closes all connections, those too
// that have not said CONNECT, and returns when their goroutines are gone. Clients may take until ctx ends to fetch what
// waits for them; then their connections are closed under them. No will is sent (see Conn.Read): who is cut off by a deploy
// has not gone away.
func (s *Server) Drain(ctx context.Context) {
	if s.draining.Swap(true) {
		return
	}
	s.mu.Lock()
	acceptors, webs, cert, serving := s.acceptors, s.webs, s.cert, s.serving
	s.mu.Unlock()
	for _, a := range acceptors {
		_ = a.Close()
	}
	for _, w := range webs {
		_ = w.Close()
	}
	if cert != nil {
		cert.close()
	}
	s.ledger.close()
	for _, sk := range s.ledger.all() {
		if c := sk.conn.Load(); c != nil {
			c.Disconnect(0x8B)
		} else {
			_ = sk.Close()
		}
	}
	if s.ledger.wait(ctx) != nil {
		for _, sk := range s.ledger.all() {
			_ = sk.Close()
		}
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), closing)
		if s.ledger.wait(last) != nil {
			s.log.Error("connections did not end in time")
		}
		cancel()
	}
	if serving {
		s.stopLibrary()
	}
}

// stopLibrary closes the library, which waits without a bound for connections of its own count.
func (s *Server) stopLibrary() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.mqtt.Close()
	}()
	t := time.NewTimer(closing)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
		s.log.Error("the MQTT library did not stop in time")
	}
}
