package testkit

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// Balancer is a TCP load balancer: each new connection goes to the next server that is ready. Connections to a server
// that answers nothing at all are cut, those to one that is merely not ready stay.
type Balancer struct {
	*Proxy

	backends []*backend
	client   *http.Client

	mu   sync.Mutex
	next int
}

// Backend is a server behind a Balancer.
type Backend struct {
	Addr string // takes the connections
	HTTP string // has /readyz
}

type backend struct {
	Backend
	// guarded by Balancer.mu
	ready  bool
	missed int // health checks in a row without any answer
	conns  map[net.Conn]struct{}
}

const (
	healthEvery = 200 * time.Millisecond
	healthLimit = time.Second
	healthMiss  = 2 // checks without an answer after which a server counts as dead
)

// NewBalancer starts one at an address, "" for any, until the test ends.
func NewBalancer(t testing.TB, addr string, servers ...Backend) *Balancer {
	t.Helper()
	b := &Balancer{client: &http.Client{Timeout: healthLimit}}
	for _, s := range servers {
		b.backends = append(b.backends, &backend{Backend: s, conns: map[net.Conn]struct{}{}})
	}
	ctx, cancel := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	for _, s := range b.backends {
		b.look(ctx, s)
		watching.Go(func() { b.watch(ctx, s) })
	}
	t.Cleanup(func() {
		cancel()
		watching.Wait()
		b.client.CloseIdleConnections()
	})
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	b.Proxy = newProxy(t, addr, b.pick)
	return b
}

func (b *Balancer) watch(ctx context.Context, s *backend) {
	tick := time.NewTicker(healthEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			b.look(ctx, s)
		case <-ctx.Done():
			return
		}
	}
}

// look asks one server how it is.
func (b *Balancer) look(ctx context.Context, s *backend) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.HTTP+"/readyz", nil)
	if err != nil {
		return
	}
	resp, err := b.client.Do(req)
	if err == nil {
		resp.Body.Close()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	s.ready = err == nil && resp.StatusCode == http.StatusOK
	if err == nil {
		s.missed = 0
		return
	}
	if s.missed++; s.missed == healthMiss {
		for c := range s.conns {
			c.Close()
		}
	}
}

var errNoServer = errors.New("testkit: no server takes a connection")

// pick connects to the next server that is ready, or if none is to any that answers.
func (b *Balancer) pick() (net.Conn, error) {
	for _, s := range b.order() {
		c, err := net.DialTimeout("tcp", s.Addr, dialLimit)
		if err != nil {
			continue
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		s.conns[c] = struct{}{}
		return &balanced{Conn: c, balancer: b, backend: s}, nil
	}
	return nil, errNoServer
}

func (b *Balancer) order() []*backend {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next++
	var ready, rest []*backend
	for i := range b.backends {
		s := b.backends[(b.next+i)%len(b.backends)]
		switch {
		case s.ready:
			ready = append(ready, s)
		case s.missed < healthMiss:
			rest = append(rest, s)
		}
	}
	return append(ready, rest...)
}

// balanced is a connection to a server, which forgets it when it ends.
type balanced struct {
	net.Conn
	balancer *Balancer
	backend  *backend
}

func (c *balanced) Close() error {
	c.balancer.mu.Lock()
	delete(c.backend.conns, c.Conn)
	c.balancer.mu.Unlock()
	return c.Conn.Close()
}
