package delivery

import (
	"slices"
	"sync"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/broker/wire"
	"github.com/pactwire/pactwire/topics"
)

// Client is the live session of one connection. Its methods may be called from any goroutine and do not block, save
// Subscribe, which waits for the store.
type Client struct {
	hub       *Hub
	key       pactwire.SessionKey
	kind      pactwire.DeviceKind
	tr        Transport
	operator  bool
	autoJoin  bool
	version   byte
	window    int
	maxPacket int // of the client; 0 = no limit

	mu       sync.Mutex
	expiry   time.Duration
	started  bool // CONNACK is written
	detached bool
	kept     bool // something of the session may be in the store
	subs     []subscription
	cursors  []*cursor
	ring     ring
	directs  []wire.Publish // unlogged, waiting for room; at most maxDirects, overflow disconnects
	snaps    []snapshot     // to be made and sent, newest state; one a subject
	fresh    []int          // indexes into subs, of the last Subscribe, until AfterSuback
	received map[uint16]struct{}
	dirty    bool      // the session is to be saved
	queued   bool      // waits for a worker
	stalled  time.Time // since when something waits and nothing moves; zero = not
}

// maxDirects bounds the answers that wait for room in one client's window.
const maxDirects = 64

// subscription is one granted filter.
type subscription struct {
	pactwire.SessionFilter
	filter topics.Filter
}

// cursor is the place of a client in one stream. It exists for QoS 1 alone.
type cursor struct {
	stream      pactwire.Stream
	acked       pactwire.Seq // contiguous prefix that the client acknowledged
	sent        pactwire.Seq // last that was handed to the transport
	head        pactwire.Seq // last that is known to exist
	dup         pactwire.Seq // up to here a message may have been sent before
	state       state
	dead        bool // no longer subscribed, or no longer permitted
	identifiers []uint32
}

type state uint8

const (
	starting state = iota // its place is not known, or snapshots go first; nothing is sent
	behind                // a worker reads the log for it
	live                  // has everything up to sent, and takes the next as it comes
)

// cursor finds the cursor of a stream.
func (c *Client) cursor(s pactwire.Stream) *cursor {
	for _, cur := range c.cursors {
		if cur.stream == s {
			return cur
		}
	}
	return nil
}

// room reports whether a QoS 1 message may be sent now.
func (c *Client) room() bool {
	return c.ring.len < c.window && c.tr.Pending() <= c.hub.cfg.OutboundBytes/2
}

// covers tells how the client's filters take in a topic: the highest QoS granted, the identifiers, and whether any does.
func (c *Client) covers(t topics.Topic) (qos byte, ids []uint32, ok bool) {
	for i := range c.subs {
		s := &c.subs[i]
		if !s.filter.Covers(t) {
			continue
		}
		ok = true
		qos = max(qos, s.QoS)
		if s.Identifier != 0 {
			ids = append(ids, s.Identifier)
		}
	}
	return qos, ids, ok
}

// offer takes a committed entry.
func (c *Client) offer(e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.detached {
		return
	}
	cur := c.cursor(e.Stream)
	if cur == nil {
		c.offerWithoutCursor(e)
		return
	}
	if e.Seq <= cur.sent {
		return
	}
	cur.head = max(cur.head, e.Seq)
	switch {
	case cur.state != live:
		return
	case e.Seq != cur.sent+1 || !c.room() || len(c.directs) > 0:
		c.fallBehind(cur)
		return
	}
	c.sendEntry(cur, e)
}

// offerWithoutCursor serves QoS 0 and operators, who have live events only, and meets a pact that a wildcard takes in
// before its membership was told.
func (c *Client) offerWithoutCursor(e *entry) {
	if !c.started {
		return
	}
	qos, ids, ok := c.covers(e.topic)
	if !ok {
		return
	}
	if qos > 0 && !c.operator {
		cur := &cursor{stream: e.Stream, acked: e.Seq - 1, sent: e.Seq - 1, head: e.Seq, state: live, identifiers: ids}
		c.cursors = append(c.cursors, cur)
		if c.room() {
			c.sendEntry(cur, e)
		} else {
			c.fallBehind(cur)
		}
		return
	}
	if qos > 0 && c.ring.len >= c.window || c.tr.Pending() > c.hub.cfg.OutboundBytes/2 {
		c.hub.metrics.dropped.Inc()
		return
	}
	c.write(wire.Publish{QoS: qos, Topic: e.name, Identifiers: ids, Payload: e.Payload}, slot{})
}

// sendEntry sends the next entry of a cursor; the caller has checked that there is room.
func (c *Client) sendEntry(cur *cursor, e *entry) {
	cur.sent = e.Seq
	cur.head = max(cur.head, e.Seq)
	c.dirty = true
	p := wire.Publish{QoS: 1, Topic: e.name, Dup: e.Seq <= cur.dup, Identifiers: cur.identifiers, Payload: e.Payload}
	if !c.write(p, slot{cur: cur, seq: e.Seq}) && c.ring.len == 0 {
		cur.acked = e.Seq // too large for this client, and nothing before it is under way
	}
}

// write sends one message, with the next packet id when it has QoS 1. It reports false for a message that the client
// has no room for in its Maximum Packet Size: MQTT 5 says to act as if it was delivered.
func (c *Client) write(p wire.Publish, s slot) bool {
	p.Version = c.version
	if c.maxPacket > 0 && p.Size() > c.maxPacket {
		c.hub.metrics.oversize.Inc()
		return false
	}
	if p.QoS > 0 {
		p.ID = c.ring.push(s, c.window)
	}
	buf := c.hub.buffer()
	*buf = p.Append((*buf)[:0])
	_ = c.tr.Send(*buf) // an error has ended the connection, and Detach follows
	c.hub.release(buf)
	c.hub.metrics.sent.Inc()
	return true
}

// fallBehind lets a worker read the log for a cursor.
func (c *Client) fallBehind(cur *cursor) {
	if cur.state == live {
		c.hub.metrics.behind.Inc()
	}
	cur.state = behind
	c.enqueue()
}

// enqueue asks for a worker. Under c.mu.
func (c *Client) enqueue() {
	if c.queued || c.detached || !c.started {
		return
	}
	c.queued = true
	c.hub.work.push(c)
}

// wake gives a client whose way is free again to the workers.
func (c *Client) wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stalled = time.Time{}
	if c.waiting() {
		c.enqueue()
	}
}

// waiting reports whether there is something to send that a worker has to see to. Under c.mu.
func (c *Client) waiting() bool {
	return len(c.directs) > 0 || len(c.snaps) > 0 ||
		slices.ContainsFunc(c.cursors, func(cur *cursor) bool { return cur.state == behind })
}

// Puback takes the client's acknowledgement of a message.
func (c *Client) Puback(id uint16, _ byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ring.ack(id, func(s slot) {
		if s.cur != nil && !s.cur.dead && s.seq > s.cur.acked {
			s.cur.acked = s.seq
			c.dirty = true
		}
	}) {
		return
	}
	c.stalled = time.Time{}
	if c.dirty && c.expiry > 0 {
		c.hub.saver.touch(c)
	}
	if c.ring.len <= c.window/2 && c.waiting() {
		c.enqueue()
	}
}

// Pubrel takes back the packet id of a QoS 2 publish.
func (c *Client) Pubrel(id uint16) {
	c.Forget(id)
	_ = c.tr.Send(wire.AppendPubcomp(nil, c.version, id, 0))
}

// Received notes the packet id of an inbound QoS 2 publish and reports whether it was there already.
func (c *Client) Received(id uint16) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.received[id]; ok {
		return true
	}
	if c.received == nil {
		c.received = make(map[uint16]struct{})
	}
	c.received[id] = struct{}{}
	c.changed()
	return false
}

// Forget takes back Received.
func (c *Client) Forget(id uint16) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.received[id]; ok {
		delete(c.received, id)
		c.changed()
	}
}

// changed marks the session for saving. Under c.mu.
func (c *Client) changed() {
	c.dirty = true
	if c.expiry > 0 {
		c.hub.saver.touch(c)
	}
}

// Ack writes PUBACK (qos 1) or PUBREC (qos 2), and nothing for qos 0.
func (c *Client) Ack(id uint16, qos, code byte, reason string) {
	if qos == 0 {
		return
	}
	buf := c.hub.buffer()
	*buf = wire.AppendAck((*buf)[:0], c.version, qos, id, code, reason)
	_ = c.tr.Send(*buf)
	c.hub.release(buf)
}

// direct sends an unlogged message, or keeps it until there is room.
func (c *Client) direct(t topics.Topic, name string, payload, correlation []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.detached || !c.started {
		return
	}
	qos, ids, ok := c.covers(t)
	if !ok {
		return
	}
	p := wire.Publish{QoS: qos, Topic: name, Identifiers: ids, Correlation: correlation, Payload: payload}
	if c.room() && len(c.directs) == 0 {
		c.write(p, slot{})
		return
	}
	if len(c.directs) == maxDirects {
		c.hub.metrics.ended.WithLabelValues("answers").Inc()
		c.tr.Disconnect(quotaExceeded)
		return
	}
	c.directs = append(c.directs, p)
	c.enqueue()
}

// Closed implements the broker's peer: the connection is over.
func (c *Client) Closed(error) { c.Detach() }

// SetExpiry changes how long the session outlives the connection.
func (c *Client) SetExpiry(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expiry = d
	c.dirty = true
}
