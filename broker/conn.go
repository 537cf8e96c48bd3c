package broker

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mochi-mqtt/server/v2"

	"github.com/pactwire/pactwire/broker/frame"
)

// Peer is the session behind a member's connection. It is an alias for its methods, so that who declares the same ones
// needs not import this package. Puback and Pubrel are called on the connection's reading goroutine; Closed is called
// once, when the connection is over and the library has let go of it.
type Peer = interface {
	// Puback says that the client has the message with this packet id. reason is 0 before MQTT 5.
	Puback(id uint16, reason byte)
	// Pubrel says that the client gives back the packet id of a QoS 2 publish. The peer answers with PUBCOMP.
	Pubrel(id uint16)
	// Closed gives what ended the connection; nil when the client said DISCONNECT.
	Closed(err error)
}

// Why a connection ended, when the network is not to blame.
var (
	errEnded     = errors.New("connection ended by the server")
	errKeepalive = errors.New("keepalive ran out")
	errHalfFrame = errors.New("packet did not end in time")
)

// stream carries MQTT bytes over a sock: the sock itself, TLS, or WebSocket over either. Write takes all bytes in one
// piece, keeps none of them, and does not block.
type stream interface {
	io.ReadWriter
}

// Conn is one connection as the library sees it. Read gives it whole, checked packets, one a call; Write and the methods
// of delivery's transport may be called from any goroutine and never block. The others are for the goroutine that reads,
// on which the hooks run, unless they say otherwise.
type Conn struct {
	srv    *Server
	sock   *sock
	stream stream
	remote netip.AddrPort
	id     uint64

	// For the reading goroutine.
	check    frame.Checker
	own      [ownBuffer]byte
	in       []byte // in[r:w] has been read and not been given out
	r, w     int
	full     bool          // the last read filled its buffer
	ready    []byte        // checked, to be given to the library; lies within in
	touched  time.Time     // when the read deadline was last moved
	moved    time.Duration // the patience it was moved by
	half     bool          // the deadline is that of a packet that has begun
	whole    bool          // one has ended since
	patience time.Duration // how long the client may be silent; 1.5 × keepalive
	fixed    bool          // SetKeepalive was called
	client   *mqtt.Client  // once CONNACK is written

	version  atomic.Uint32 // protocol level; 0 before CONNECT
	ended    atomic.Bool   // nothing more is read or written
	peer     atomic.Pointer[Peer]
	attached atomic.Pointer[any]

	mu      sync.Mutex
	greeted bool    // CONNACK has been written
	held    []byte  // what the library wrote before its CONNACK; at most maxHeld bytes, overflow closes
	window  *window // nil: no Receive Maximum to honour for the library
	cause   error   // why we ended it
	gone    []func()
	left    bool // the library has let go of it
}

// OnGone registers what to do once the library has let go of the connection; f runs at once if it has already.
func (c *Conn) OnGone(f func()) {
	c.mu.Lock()
	if !c.left {
		c.gone = append(c.gone, f)
		c.mu.Unlock()
		return
	}
	c.mu.Unlock()
	f()
}

func (c *Conn) tellGone() {
	c.mu.Lock()
	c.left = true
	gone := c.gone
	c.gone = nil
	c.mu.Unlock()
	for _, f := range gone {
		f()
	}
}

func (s *Server) newConn(sk *sock, st stream) *Conn {
	c := &Conn{srv: s, sock: sk, stream: st, remote: sk.remote(), id: s.ids.Add(1), check: frame.NewChecker(&s.frames)}
	c.in = c.own[:]
	sk.conn.Store(c)
	if s.draining.Load() {
		_ = c.Close() // Drain may have looked before it was there to see
	}
	return c
}

// ID is unique among the connections of this process.
func (c *Conn) ID() uint64 { return c.id }

// Listener is the name of the listener: tcp, tls, ws or wss.
func (c *Conn) Listener() string { return c.sock.accepted.name }

// RemoteAddrPort is the client's address, behind a trusted proxy too.
func (c *Conn) RemoteAddrPort() netip.AddrPort { return c.remote }

// ProtocolVersion is 3, 4 or 5, or 0 before CONNECT.
func (c *Conn) ProtocolVersion() byte { return byte(c.version.Load()) }

// Bind names who gets the acknowledgements from now on. Without a peer they go to the library.
func (c *Conn) Bind(p Peer) { c.peer.Store(&p) }

// Peer is who was bound, or nil.
func (c *Conn) Peer() Peer {
	if p := c.peer.Load(); p != nil {
		return *p
	}
	return nil
}

// Attach keeps a value with the connection.
func (c *Conn) Attach(v any) { c.attached.Store(&v) }

// Attachment is the value that was attached last, or nil.
func (c *Conn) Attachment() any {
	if v := c.attached.Load(); v != nil {
		return *v
	}
	return nil
}

// Pause holds up the goroutine that reads the connection. It returns false, at once, when we end the connection.
func (c *Conn) Pause(d time.Duration) bool { return c.sock.wait(d) }

// SetKeepalive replaces the keepalive, CONNECT's and the library's: who is silent for one and a half times as long is cut.
// 0 means the longest one.
func (c *Conn) SetKeepalive(d time.Duration) {
	c.fixed = true
	c.setPatience(d + d/2)
}

func (c *Conn) setPatience(d time.Duration) {
	if d <= 0 {
		d = c.srv.cfg.Limits.KeepaliveMax * 3 / 2
	}
	c.patience = d
}

// longestOfLibrary is the longest keepalive that the library can add half of to; it counts in 16 bits.
const longestOfLibrary = 43690

// await waits until a CONNECT has come whole, so that the library's part of a connection is only made for who says it.
func (c *Conn) await() error {
	for {
		f, n, err := c.check.Next(c.in[c.r:c.w])
		if err != nil {
			return c.refuse(err)
		}
		if n == 0 {
			if err := c.fill(); err != nil {
				return err
			}
			continue
		}
		c.r += n
		c.ready = f.Bytes
		c.version.Store(uint32(c.check.Version()))
		c.setPatience(time.Duration(c.check.Keepalive()) * 3 / 2 * time.Second)
		if c.check.Keepalive() > longestOfLibrary {
			c.SetKeepalive(min(time.Duration(c.check.Keepalive())*time.Second, c.srv.cfg.Limits.KeepaliveMax))
		}
		c.sock.arrived()
		return nil
	}
}

// Read gives the library one packet, or what fits of it. The acknowledgements of a bound peer's session are taken out.
//
// An error makes the library send the client's will. While the server shuts down there must be none to send, and this is
// the one goroutine that may take it away.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.read(p)
	if err != nil && c.client != nil && c.srv.draining.Load() {
		c.client.Properties.Will = mqtt.Will{}
	}
	return n, err
}

func (c *Conn) read(p []byte) (int, error) {
	for {
		if len(c.ready) > 0 {
			n := copy(p, c.ready)
			c.ready = c.ready[n:]
			return n, nil
		}
		f, n, err := c.check.Next(c.in[c.r:c.w])
		if err != nil {
			return 0, c.refuse(err)
		}
		if n == 0 {
			if err := c.fill(); err != nil {
				return 0, err
			}
			continue
		}
		c.r += n
		c.whole = true
		if !c.take(f) {
			c.ready = f.Bytes
			if f.Type == frame.Disconnect && len(f.Bytes) == 3 {
				c.ready = []byte{f.Bytes[0], 2, f.Reason, 0} // the library overlooks a reason without a property length
			}
		}
	}
}

// take reports whether a packet was for the peer and is done with.
func (c *Conn) take(f frame.Frame) bool {
	if f.Type < frame.Puback || f.Type > frame.Pubcomp {
		return false
	}
	p := c.peer.Load()
	if p == nil {
		c.acknowledged(f)
		return false
	}
	switch f.Type {
	case frame.Puback:
		(*p).Puback(f.ID, f.Reason)
	case frame.Pubrel:
		(*p).Pubrel(f.ID)
	case frame.Pubrec:
		// We send nothing at QoS 2. PUBREL lets go of what the client may hold; MQTT 5 can say why.
		if c.ProtocolVersion() == 5 {
			_ = c.Send([]byte{frame.Pubrel<<4 | 2, 3, byte(f.ID >> 8), byte(f.ID), 0x92})
		} else {
			_ = c.Send([]byte{frame.Pubrel<<4 | 2, 2, byte(f.ID >> 8), byte(f.ID)})
		}
	case frame.Pubcomp: // the end of the same
	}
	return true
}

// fill reads what has come, making room as needed.
func (c *Conn) fill() error {
	if c.ended.Load() {
		return c.endError()
	}
	c.room()
	c.touch()
	n, err := c.stream.Read(c.in[c.w:])
	c.full = n == len(c.in)-c.w
	c.w += n
	c.srv.metrics.bytesIn.Add(int64(n))
	if err == nil || n > 0 {
		return nil
	}
	switch {
	case c.ended.Load():
		return c.endError()
	case isTimeout(err) && c.version.Load() == 0:
		c.srv.metrics.refused.WithLabelValues(refusedTimeout).Inc()
	case isTimeout(err):
		err = errKeepalive
		if c.half {
			err = errHalfFrame
		}
		c.end(0x8D, err)
	}
	return err
}

// room makes room for reading: by letting go of what was given out, and when a packet is larger than the buffer by
// taking the next size, which happens only once the bytes that fill this one have come.
func (c *Conn) room() {
	if c.r == c.w {
		c.r, c.w = 0, 0
		switch {
		case len(c.in) > ownBuffer && !c.full:
			giveBuffer(c.in)
			c.in = c.own[:]
		case len(c.in) == ownBuffer && c.full && c.version.Load() != 0:
			c.in = takeBuffer(firstBuffer) // a busy one: fewer reads
		}
		return
	}
	if c.w < len(c.in) {
		return
	}
	if c.r > 0 {
		c.w = copy(c.in, c.in[c.r:c.w])
		c.r = 0
		return
	}
	size := max(firstBuffer, len(c.in)*bufferStep)
	next := takeBuffer(size)
	copy(next, c.in)
	giveBuffer(c.in)
	c.in = next
}

// touch moves the read deadline: by the patience between packets, by the frame timeout once a packet has begun. Small
// moves are not made.
func (c *Conn) touch() {
	if c.version.Load() == 0 {
		return // the connect deadline holds
	}
	half := c.w > c.r
	if half && c.half && !c.whole {
		return // it counts from the packet's first byte
	}
	now := time.Now()
	if !half && !c.half && c.patience == c.moved && now.Sub(c.touched) < min(time.Second, c.patience/8) {
		return
	}
	c.half, c.whole, c.touched, c.moved = half, false, now, c.patience
	wait := c.patience
	if half {
		wait = min(wait, c.srv.cfg.Limits.FrameTimeout)
	}
	_ = c.sock.SetReadDeadline(now.Add(wait))
}

// refuse ends the connection for a packet that broke the protocol, saying why where the protocol has words for it.
func (c *Conn) refuse(err error) error {
	var v *frame.Violation
	if !errors.As(err, &v) {
		return err
	}
	c.srv.metrics.frames.WithLabelValues(v.Detail).Inc()
	if c.version.Load() != 0 {
		c.end(v.Reason, v)
		return err
	}
	c.srv.metrics.refused.WithLabelValues(refusedFrame).Inc()
	c.mu.Lock()
	if answer := connackOf(v); answer != nil && !c.ended.Load() {
		_ = c.put(answer)
	}
	c.mu.Unlock()
	_ = c.Close()
	return err
}

func (c *Conn) endError() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause != nil {
		return c.cause
	}
	return errEnded
}

// LocalAddr is the address that was connected to.
func (c *Conn) LocalAddr() net.Addr { return c.sock.LocalAddr() }

// RemoteAddr is RemoteAddrPort as a net.Addr.
func (c *Conn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }

// SetDeadline is how the library tells, before each packet, the keepalive that the hooks have settled on. Reading moves its
// own deadline and writing does not block, so all that is taken from it is how long that is; no deadline means the longest.
func (c *Conn) SetDeadline(t time.Time) error {
	switch {
	case c.fixed:
	case t.IsZero():
		c.setPatience(0)
	default:
		// The library adds half of whole seconds in whole seconds.
		c.setPatience(max(time.Until(t).Round(100*time.Millisecond), 0) + 500*time.Millisecond)
	}
	return nil
}

// SetReadDeadline does nothing; see SetDeadline.
func (c *Conn) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing; see SetDeadline.
func (c *Conn) SetWriteDeadline(time.Time) error { return nil }
