package broker

import (
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pactwire/pactwire/internal/trouble"
)

// acceptor is one listening address. As a net.Listener it gives socks, and its Accept fails only when it is closed: a
// process that is short of file descriptors waits and goes on.
type acceptor struct {
	name string // tcp, tls, ws or wss
	srv  *Server
	ln   net.Listener
	done chan struct{}

	closed   atomic.Bool
	failedAt atomic.Int64 // Unix nanoseconds of the last failure to accept; 0 = none since
	trouble  trouble.Log
	running  atomic.Bool
	openNow  prometheus.Gauge
	accepted prometheus.Counter
}

const noAccepting = "connections cannot be accepted; look at the limit of open files"

const (
	minBackoff = 5 * time.Millisecond
	maxBackoff = time.Second
)

func (a *acceptor) Accept() (net.Conn, error) {
	backoff := minBackoff
	for {
		tcp, err := a.ln.Accept()
		if err != nil {
			if a.closed.Load() || errors.Is(err, net.ErrClosed) {
				return nil, net.ErrClosed
			}
			a.failedAt.Store(time.Now().UnixNano())
			a.srv.metrics.accepts.Inc()
			a.trouble.Change(a.srv.log.With("listener", a.name), noAccepting, err)
			if !a.pause(backoff) {
				return nil, net.ErrClosed
			}
			backoff = min(2*backoff, maxBackoff)
			continue
		}
		backoff = minBackoff
		if a.failedAt.Swap(0) != 0 {
			a.trouble.Change(a.srv.log.With("listener", a.name), noAccepting, nil)
		}
		if s := a.admit(tcp); s != nil {
			return s, nil
		}
	}
}

// admit makes a sock of a connection, unless its address connects too often.
func (a *acceptor) admit(tcp net.Conn) *sock {
	a.accepted.Inc()
	now := time.Now()
	limits := &a.srv.cfg.Limits
	from := addrPort(tcp.RemoteAddr())
	proxied := a.srv.trusts(from.Addr())
	// Behind a proxy the address is known later.
	if !proxied && !a.srv.mayConnect(from.Addr()) {
		a.srv.metrics.refused.WithLabelValues(refusedRate).Inc()
		_ = tcp.Close()
		return nil
	}
	s := newSock(tcp, a, now.Add(limits.ConnectTimeout))
	if !a.srv.ledger.add(s) {
		a.srv.metrics.refused.WithLabelValues(refusedDraining).Inc()
		_ = tcp.Close()
		return nil
	}
	_ = s.SetReadDeadline(time.Time{}) // that is: the connect deadline
	if proxied {
		s.expectProxy(limits.ConnectTimeout)
	}
	return s
}

func (a *acceptor) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-a.done:
		return false
	}
}

func (a *acceptor) Addr() net.Addr { return a.ln.Addr() }

func (a *acceptor) Close() error {
	if a.closed.Swap(true) {
		return nil
	}
	close(a.done)
	return a.ln.Close()
}

// ready is nil while the address accepts. After a failure it takes as long as the longest pause to be believed again.
func (a *acceptor) ready() error {
	if !a.running.Load() || a.closed.Load() {
		return fmt.Errorf("mqtt.%s: not listening", a.name)
	}
	if t := a.failedAt.Load(); t != 0 && time.Since(time.Unix(0, t)) < 2*maxBackoff {
		return fmt.Errorf("mqtt.%s: cannot accept connections", a.name)
	}
	return nil
}
