package testkit

import (
	"errors"
	"net"
	"sync"
	"testing"
	"time"
)

// Proxy is a network between a client and a server that can be cut, paused and slowed.
type Proxy struct {
	Addr string // clients connect here

	dial     func() (net.Conn, error) // to the server
	listener net.Listener
	running  sync.WaitGroup

	mu     sync.Mutex
	conns  map[net.Conn]struct{}
	paused chan struct{} // open while bytes may not pass, nil otherwise
	delay  time.Duration // before each read is passed on
	down   bool          // new connections are closed at once
	closed bool
}

// NewProxy starts one before target, until the test ends.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	return newProxy(t, "127.0.0.1:0", func() (net.Conn, error) { return net.DialTimeout("tcp", target, dialLimit) })
}

// dialLimit is how long a server may take to accept a connection.
const dialLimit = 5 * time.Second

func newProxy(t testing.TB, addr string, dial func() (net.Conn, error)) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{Addr: l.Addr().String(), dial: dial, listener: l, conns: map[net.Conn]struct{}{}}
	p.running.Go(p.accept)
	t.Cleanup(func() {
		p.mu.Lock()
		p.closed = true
		p.mu.Unlock()
		l.Close()
		p.Resume()
		p.Cut()
		p.running.Wait()
	})
	return p
}

func (p *Proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		p.running.Go(func() { p.serve(c) })
	}
}

func (p *Proxy) serve(c net.Conn) {
	s, err := p.dial()
	if err != nil {
		c.Close()
		return
	}
	p.mu.Lock()
	refuse := p.down || p.closed
	if !refuse {
		p.conns[c], p.conns[s] = struct{}{}, struct{}{}
	}
	p.mu.Unlock()
	if refuse {
		c.Close()
		s.Close()
		return
	}
	var both sync.WaitGroup
	both.Go(func() { p.pipe(s, c) })
	both.Go(func() { p.pipe(c, s) })
	both.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
	delete(p.conns, s)
}

// pipe passes bytes until either side ends, and ends both.
func (p *Proxy) pipe(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 16<<10)
	for {
		n, err := from.Read(buf)
		p.mu.Lock()
		paused, delay := p.paused, p.delay
		p.mu.Unlock()
		if paused != nil {
			<-paused
		}
		if delay > 0 {
			<-time.After(delay)
		}
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// Cut closes every connection that stands.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.Close()
	}
}

// Down cuts, and refuses new connections until Up.
func (p *Proxy) Down() {
	p.mu.Lock()
	p.down = true
	p.mu.Unlock()
	p.Cut()
}

// Up ends Down.
func (p *Proxy) Up() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = false
}

// Pause holds all bytes back; connections stand.
func (p *Proxy) Pause() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.paused == nil {
		p.paused = make(chan struct{})
	}
}

// Resume ends Pause.
func (p *Proxy) Resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.paused != nil {
		close(p.paused)
		p.paused = nil
	}
}

// Slow delays each piece of at most 16 KiB.
func (p *Proxy) Slow(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// Heal ends Down, Pause and Slow.
func (p *Proxy) Heal() {
	p.Up()
	p.Resume()
	p.Slow(0)
}
