package broker

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/pires/go-proxyproto"
)

var (
	errOverflow = errors.New("peer is too slow: outbound limit reached")
	errStalled  = errors.New("peer takes nothing")
)

// sock is an accepted connection whose writes do not block. TLS and WebSocket are laid over it like over any net.Conn.
//
// Write offers bytes to the kernel on the caller's goroutine. What the kernel does not take is copied into the spill, in
// order, and a goroutine that lives only that long waits for the kernel. The spill is bounded by limits.outbound_bytes;
// overflow closes the connection. A peer that takes no byte of it for the stall timeout is closed too.
//
// Until arrived is called, no read deadline can be later than the connect deadline: TLS, HTTP and PROXY headers, which set
// deadlines as they like, are all held to it.
type sock struct {
	tcp      net.Conn
	raw      syscall.RawConn // nil when tcp has none: every write then goes by the spill
	proxy    *proxyproto.Conn
	accepted *acceptor
	srv      *Server

	conn      atomic.Pointer[Conn] // once MQTT may begin
	connectBy atomic.Int64         // Unix nanoseconds; 0 once CONNECT has come
	pending   atomic.Int64         // bytes in the spill
	later     atomic.Int32         // writers who want theirs to wait for company

	mu      sync.Mutex
	spill   []byte // spill[off:] waits for the kernel
	off     int
	flusher bool // a goroutine is at work on the spill, or is about to be
	state   sockState
	closeBy time.Time // of a closing one
	cause   error
	drained func()
	over    chan struct{} // closed when the state is no longer open; nil while nobody waits for that

	asked atomic.Pointer[chan struct{}] // closed once all that has come is dealt with; nil while nobody asks, set and taken under mu
}

type sockState uint8

const (
	sockOpen    sockState = iota
	sockClosing           // nothing more is taken; what waits is still sent
	sockClosed
)

// farewell is how long a closing connection may take to fetch what waits for it.
const farewell = 2 * time.Second

func newSock(tcp net.Conn, a *acceptor, connectBy time.Time) *sock {
	s := &sock{tcp: tcp, accepted: a, srv: a.srv}
	if sc, ok := tcp.(syscall.Conn); ok && canWriteRaw {
		if raw, err := sc.SyscallConn(); err == nil {
			s.raw = raw
		}
	}
	s.connectBy.Store(connectBy.UnixNano())
	return s
}

// Write takes all of p or fails; it never blocks.
func (s *sock) Write(p []byte) (int, error) {
	s.mu.Lock()
	n, err := s.offer(p)
	s.mu.Unlock()
	if err != nil {
		if errors.Is(err, errOverflow) {
			s.srv.metrics.overflows.Inc()
		}
		_ = s.Close()
		return n, err
	}
	return n, nil
}

func (s *sock) offer(p []byte) (n int, err error) {
	if s.state != sockOpen {
		return 0, net.ErrClosed
	}
	rest := p
	later := s.later.Load() > 0
	if !s.flusher && !later && s.raw != nil {
		n, err = writeRaw(s.raw, p)
		if err != nil {
			s.cause = err
			return n, err
		}
		if n == len(p) {
			return n, nil
		}
		rest = p[n:]
	}
	if len(s.spill)-s.off+len(rest) > s.srv.cfg.Limits.OutboundBytes {
		s.cause = errOverflow
		return n, errOverflow
	}
	s.spill = append(s.spill, rest...)
	s.pending.Store(int64(len(s.spill) - s.off))
	switch {
	case s.flusher:
	case later:
		s.flusher = true
		s.srv.gather.add(s)
	default:
		s.flusher = true
		s.srv.metrics.spills.Inc()
		go s.flush()
	}
	return len(p), nil
}

// writeGathered offers what has gathered to the kernel, without waiting. What is not taken is left to a flusher.
func (s *sock) writeGathered() {
	s.mu.Lock()
	if s.state == sockClosed {
		s.mu.Unlock()
		return
	}
	if s.raw != nil {
		n, err := writeRaw(s.raw, s.spill[s.off:])
		if err != nil {
			s.mu.Unlock()
			s.fail(err)
			return
		}
		s.off += n
		s.pending.Store(int64(len(s.spill) - s.off))
		if s.off == len(s.spill) {
			s.emptied()
			return
		}
	}
	s.mu.Unlock()
	s.srv.metrics.spills.Inc()
	go s.flush()
}

// emptied ends the work on a spill of which nothing is left. It is called under s.mu, and unlocks it.
func (s *sock) emptied() {
	// The buffer is let go: most connections never need it again.
	s.spill, s.off = nil, 0
	if s.state == sockClosing {
		s.mu.Unlock()
		_ = s.Close()
		return
	}
	s.flusher = false
	drained := s.drained
	s.mu.Unlock()
	if drained != nil {
		drained()
	}
}

// flush gives the spill to the kernel until it is empty or the connection ends.
func (s *sock) flush() {
	for {
		s.mu.Lock()
		switch {
		case s.state == sockClosed:
			s.mu.Unlock()
			return
		case s.off == len(s.spill):
			s.emptied()
			return
		}
		// Appending leaves this part of the buffer alone, and only this goroutine moves it.
		chunk := s.spill[s.off:]
		by := s.closeBy
		if by.IsZero() {
			by = time.Now().Add(s.srv.cfg.Limits.StallTimeout)
		}
		_ = s.tcp.SetWriteDeadline(by)
		s.mu.Unlock()

		n, err := s.tcp.Write(chunk[:min(len(chunk), 16<<10)])
		s.mu.Lock()
		if err != nil && (n == 0 || !isTimeout(err) || s.state != sockOpen) {
			s.mu.Unlock()
			s.fail(err)
			return
		}
		s.off += n
		if s.off > len(s.spill)/2 {
			s.spill = s.spill[:copy(s.spill, s.spill[s.off:])]
			s.off = 0
		}
		s.pending.Store(int64(len(s.spill) - s.off))
		s.mu.Unlock()
	}
}

func (s *sock) fail(err error) {
	s.mu.Lock()
	if s.state == sockOpen {
		if isTimeout(err) {
			err = errStalled
			s.srv.metrics.stalls.Inc()
		}
		s.cause = err
	}
	s.mu.Unlock()
	_ = s.Close()
}

// CloseSoon takes no more writes, ends reads, and closes once what waits is sent, within a short time.
func (s *sock) CloseSoon() {
	s.mu.Lock()
	if s.state != sockOpen {
		s.mu.Unlock()
		return
	}
	s.leave(sockClosing)
	flusher := s.flusher
	if flusher {
		s.closeBy = time.Now().Add(farewell)
		_ = s.tcp.SetWriteDeadline(s.closeBy) // the flusher may be waiting by the longer rule
	}
	s.mu.Unlock()
	if flusher {
		_ = s.tcp.SetReadDeadline(longAgo)
		return
	}
	s.discard()
	_ = s.Close()
}

// discard empties the receive buffer, since closing with unread bytes resets the connection, and a reset may overtake the
// last words sent.
func (s *sock) discard() {
	if s.raw != nil {
		discardRaw(s.raw)
	}
}

// Close closes at once.
func (s *sock) Close() error {
	s.mu.Lock()
	if s.state == sockClosed {
		s.mu.Unlock()
		return nil
	}
	s.leave(sockClosed)
	s.spill, s.off = nil, 0
	s.pending.Store(0)
	s.mu.Unlock()
	err := s.tcp.Close()
	s.srv.ledger.remove(s)
	return err
}

// leave changes the state, under s.mu.
func (s *sock) leave(to sockState) {
	s.state = to
	if s.over != nil {
		close(s.over)
		s.over = nil
	}
}

// wait lets time pass, and returns false at once when the connection ends or has ended.
func (s *sock) wait(d time.Duration) bool {
	s.mu.Lock()
	if s.state != sockOpen {
		s.mu.Unlock()
		return false
	}
	if s.over == nil {
		s.over = make(chan struct{})
	}
	over := s.over
	s.mu.Unlock()
	select {
	case <-time.After(d):
		return true
	case <-over:
		return false
	}
}

// why is what ended the connection from our side, if anything did.
func (s *sock) why() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cause
}

func (s *sock) onDrained(f func()) {
	s.mu.Lock()
	s.drained = f
	s.mu.Unlock()
}

func (s *sock) Read(p []byte) (int, error) {
	if s.proxy != nil {
		return s.proxy.Read(p)
	}
	return s.receive(p)
}

// receive reads of the kernel. Whoever gets here has dealt with all that was read before.
func (s *sock) receive(p []byte) (int, error) {
	for {
		if s.asked.Load() != nil && !s.answer() {
			return 0, net.ErrClosed
		}
		n, err := s.tcp.Read(p)
		if n > 0 || err == nil || s.asked.Load() == nil || !isTimeout(err) {
			return n, err
		}
	}
}

// hearOut returns a channel that is closed when all that has come by now is dealt with, nil for a connection that is at its end anyway.
// Afterwards the connection is to be closed: no deadline ends its reads any more.
func (s *sock) hearOut() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if asked := s.asked.Load(); asked != nil {
		return *asked
	}
	if s.state != sockOpen {
		return nil
	}
	heard := make(chan struct{})
	s.asked.Store(&heard)
	_ = s.tcp.SetReadDeadline(longAgo) // who waits for more looks up
	return heard
}

// answer tells who asked that nothing is left to be read, if that is so. It reports whether to go on reading.
func (s *sock) answer() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != sockOpen {
		return false
	}
	_ = s.tcp.SetReadDeadline(time.Time{})
	if s.raw == nil || !unreadRaw(s.raw) {
		close(*s.asked.Swap(nil))
	}
	return true
}

// arrived lifts the connect deadline.
func (s *sock) arrived() { s.connectBy.Store(0) }

// clamp holds a read deadline to the connect deadline.
func (s *sock) clamp(t time.Time) time.Time {
	by := s.connectBy.Load()
	if by != 0 && (t.IsZero() || t.UnixNano() > by) {
		return time.Unix(0, by)
	}
	return t
}

func (s *sock) SetReadDeadline(t time.Time) error {
	s.mu.Lock()
	open := s.state == sockOpen
	s.mu.Unlock()
	if !open {
		return net.ErrClosed // a closing connection keeps the deadline that ended its reads
	}
	return s.tcp.SetReadDeadline(s.clamp(t))
}

// SetWriteDeadline does nothing: writes do not block.
func (s *sock) SetWriteDeadline(time.Time) error { return nil }
func (s *sock) SetDeadline(t time.Time) error    { return s.SetReadDeadline(t) }
func (s *sock) LocalAddr() net.Addr              { return s.tcp.LocalAddr() }

// RemoteAddr is the client's address. Behind a proxy it waits for the PROXY header.
func (s *sock) RemoteAddr() net.Addr {
	if s.proxy != nil {
		return s.proxy.RemoteAddr()
	}
	return s.tcp.RemoteAddr()
}

func (s *sock) remote() netip.AddrPort { return addrPort(s.RemoteAddr()) }

func addrPort(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok {
		ap := t.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	if a == nil {
		return netip.AddrPort{}
	}
	ap, _ := netip.ParseAddrPort(a.String())
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// below is the connection under a sock as the PROXY header's reader sees it: the kernel's, with the connect deadline.
type below struct {
	net.Conn
	s *sock
}

func (b below) Read(p []byte) (int, error)        { return b.s.receive(p) }
func (b below) SetReadDeadline(t time.Time) error { return b.s.SetReadDeadline(t) }
func (b below) SetDeadline(t time.Time) error     { return b.s.SetReadDeadline(t) }

// expectProxy makes the connection begin with a PROXY header, without which nothing can be read of it.
func (s *sock) expectProxy(within time.Duration) {
	s.proxy = proxyproto.NewConn(below{s.tcp, s}, proxyproto.WithPolicy(proxyproto.REQUIRE),
		proxyproto.SetReadHeaderTimeout(within))
}

var (
	_       net.Conn  = (*sock)(nil)
	_       io.Reader = below{}
	longAgo           = time.Unix(1, 0)
)
