package delivery

import (
	"slices"
	"sync"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/broker/wire"
	"github.com/pactwire/pactwire/topics"
)

// Client is the live session of one connection. Its methods may be called from any goroutine and do not block, save Start
// and Subscribe, which may wait for the store.
type Client struct {
	hub       *Hub
	key       pactwire.SessionKey
	device    pactwire.DeviceID
	tr        Transport
	operator  bool
	human     bool // a person looks at it
	autoJoin  bool
	terse     bool // it wants no words beside reason codes
	version   byte
	window    int
	maxPacket int    // of the client; 0 = no limit
	epoch     uint64 // of the claim under which the session is held; 0 on a single node
	end       sync.Once

	mu       sync.Mutex
	expiry   time.Duration
	resumed  bool // the session is whole: what there was before that must not be saved over what is kept of it
	started  bool // CONNACK is written
	detached bool
	kept     bool // something of the session may be in the store
	stored   bool // the session is in the store for certain
	anew     bool // nothing of an earlier session goes on
	dirty    bool // the session is to be saved
	queued   bool // waits for a worker
	busy     bool // a worker has it
	blocked  bool // stands among those that are looked after each second
	lossy    bool // lost a live message for want of room
	quiet    quiet
	subs     []subscription
	cursors  []*cursor
	turn     int // of the cursors, the one that is served first
	ring     ring
	waits    []waiting       // answers and QoS 0 events that wait, in order; within maxWaits and OutboundBytes
	heavy    int             // bytes of the waits
	snaps    []snapshot      // to be made and sent, newest state; one a subject
	passed   past            // where QoS 0 filters begin
	shown    []shown         // which presence was told, by pact and member; at most maxShown
	welcomed []welcomed      // states that newcomers were told, until the next word of them; at most maxWelcomed
	fresh    []topics.Filter // of the last Subscribe, whose snapshots are due after SUBACK
	received []uint16        // inbound QoS 2 ids that were taken in and not yet released; at most maxReceived
	out      *[]byte         // what a worker collects for one write
	stalled  time.Time       // since when something waits and nothing moves; zero = not
	pending  int             // bytes that waited at the last look
}

// quiet says why a client is not spoken to yet, apart from what its cursors wait for.
type quiet uint8

const (
	open           quiet = iota
	afterSnapshots       // the snapshots of the last SUBSCRIBE or of the resumed session go first
	afterAck             // SUBACK or CONNACK goes first
)

// maxWaits bounds the messages that wait in one client, as OutboundBytes bounds their bytes. The answers to a whole batch have room,
// and so has a page of history that goes one by one. One more QoS 0 event is dropped; one more answer ends the connection, since it
// could not be given later.
const maxWaits = pactwire.MaxBatch + 64

// waiting is a message that waits, and the pact of which it tells: who leaves that gets it no more.
type waiting struct {
	wire.Publish
	about pactwire.PactID
}

// collected is how many bytes a worker collects before it writes them.
const collected = 16 << 10

// subscription is one granted filter.
type subscription struct {
	pactwire.SessionFilter
	filter   topics.Filter
	unplaced bool // its streams have no place yet; no part of the session
}

// cursor finds the cursor of a stream.
func (c *Client) cursor(s pactwire.Stream) *cursor {
	for _, cur := range c.cursors {
		if cur.stream == s {
			return cur
		}
	}
	return nil
}

// fits reports whether the transport may be given more.
func (c *Client) fits() bool {
	n := c.tr.Pending()
	if c.out != nil {
		n += len(*c.out)
	}
	return n <= c.hub.cfg.OutboundBytes/2
}

// room reports whether a QoS 1 message may be sent now.
func (c *Client) room() bool { return c.ring.len < c.window && c.fits() }

// covers tells how the client's filters take in a topic: the highest QoS granted, the identifiers, and whether any does.
func (c *Client) covers(t topics.Topic) (qos byte, ids []uint32, ok bool) {
	for i := range c.subs {
		s := &c.subs[i]
		if !s.filter.Covers(t) {
			continue
		}
		ok = true
		qos = max(qos, s.QoS)
		if s.Identifier != 0 && c.version >= 5 {
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
	cur.head = max(cur.head, e.Seq)
	switch {
	case cur.state == placing && cur.first == 0:
		cur.first = e.Seq
	case cur.state == parked:
		cur.state = behind
		c.enqueue()
	case cur.state != live || e.Seq <= cur.sent:
	case e.Seq != cur.sent+1 || !c.room():
		c.hub.metrics.behind.Inc()
		cur.state = behind
		c.enqueue()
	default:
		c.sendEntry(cur, e)
	}
}

// offerWithoutCursor serves QoS 0 and operators, who have live events only.
func (c *Client) offerWithoutCursor(e *entry) {
	qos, ids, ok := c.covers(e.topic)
	if !ok {
		return
	}
	if qos > 0 && !c.operator {
		c.meet(e.Stream.Pact())
		return
	}
	if !c.mayRead(e.Stream.Pact()) || c.isPast(e) {
		return // left while the entry was on its way here, or it has been there for longer than the filter
	}
	p := wire.Publish{QoS: qos, Topic: e.name, Identifiers: ids, Payload: e.Payload}
	switch {
	case c.quiet == open && len(c.waits) == 0 && c.goes(&p):
		c.write(p, slot{})
	case (c.quiet != open || len(c.waits) > 0) && c.wait(p, e.Stream.Pact()):
	default:
		c.hub.metrics.dropped.Inc()
		c.lossy = true
		c.block()
	}
}

// meet takes in a pact that a wildcard covers and whose membership has not been told yet.
func (c *Client) meet(p pactwire.PactID) {
	list := c.hub.access.Pacts(c.key.User)
	if i := slices.IndexFunc(list, func(m pactwire.Membership) bool { return m.Pact == p }); i >= 0 {
		c.welcome(list[i])
		c.enqueue()
	}
}

// sendEntry sends the next entry of a cursor; the caller has checked that there is room.
func (c *Client) sendEntry(cur *cursor, e *entry) {
	cur.sent = e.Seq
	cur.head = max(cur.head, e.Seq)
	c.changed()
	dup := e.Seq <= cur.dup
	s := slot{cur: cur, seq: e.Seq, matters: e.matters}
	if len(cur.identifiers) > 0 {
		c.write(wire.Publish{QoS: 1, Topic: e.name, Dup: dup, Identifiers: cur.identifiers, Payload: e.Payload}, s)
		return
	}
	b := e.packet(c.version)
	if c.tooLarge(len(b), s) {
		return
	}
	e.stamp(c.version, c.ring.push(s, c.window), dup)
	c.put(b)
}

// write sends one message, with the next packet id when it has QoS 1.
func (c *Client) write(p wire.Publish, s slot) {
	p.Version = c.version
	if c.tooLarge(p.Size(), s) {
		return
	}
	if p.QoS > 0 {
		p.ID = c.ring.push(s, c.window)
	}
	buf := c.hub.buffer()
	*buf = p.Append((*buf)[:0])
	c.put(*buf)
	c.hub.release(buf)
}

// tooLarge reports whether a packet is over the client's Maximum Packet Size. MQTT 5 says to act as if it was delivered, so
// the cursor moves over it.
func (c *Client) tooLarge(n int, s slot) bool {
	if c.maxPacket == 0 || n <= c.maxPacket {
		return false
	}
	c.hub.metrics.oversize.Inc()
	if s.cur != nil && s.cur.under == 0 {
		s.cur.acked = s.cur.sent
	}
	return true
}

// put hands a packet to the transport, or to what a worker collects.
func (c *Client) put(b []byte) {
	c.hub.metrics.sent.Inc()
	if c.out == nil {
		_ = c.tr.Send(b) // an error has ended the connection, and Detach follows
		return
	}
	*c.out = append(*c.out, b...)
	if len(*c.out) >= collected {
		c.flush()
	}
}

// gather begins to collect what is put, so that a turn of a worker hands it over in one piece; handOver ends it.
func (c *Client) gather() {
	c.out = c.hub.buffer()
	*c.out = (*c.out)[:0]
}

func (c *Client) handOver() {
	c.flush()
	c.hub.release(c.out)
	c.out = nil
}

func (c *Client) flush() {
	if len(*c.out) > 0 {
		_ = c.tr.Send(*c.out)
		*c.out = (*c.out)[:0]
	}
}

// direct sends an unlogged message, or keeps it until there is room.
func (c *Client) direct(about pactwire.PactID, t topics.Topic, name string, payload, correlation []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.detached {
		return
	}
	qos, ids, ok := c.covers(t)
	if !ok || !c.mayRead(about) { // left while it was on its way here
		return
	}
	p := wire.Publish{QoS: qos, Topic: name, Identifiers: ids, Correlation: correlation, Payload: payload}
	if !c.mayWait(&p) && c.quiet == afterSnapshots {
		c.quiet = open // answers matter more than that snapshots come first
		c.sendWaits()
	}
	switch {
	case c.quiet == open && len(c.waits) == 0 && c.room():
		c.write(p, slot{})
	case c.wait(p, about):
	case c.operator || qos == 0:
		c.hub.metrics.dropped.Inc()
	default:
		c.hub.metrics.ended.WithLabelValues("answers").Inc()
		c.tr.Disconnect(quotaExceeded)
	}
}

// goes reports whether there is room for a message.
func (c *Client) goes(p *wire.Publish) bool { return c.fits() && (p.QoS == 0 || c.ring.len < c.window) }

// mayWait reports whether one more message may wait. The first always may.
func (c *Client) mayWait(p *wire.Publish) bool {
	return len(c.waits) == 0 || len(c.waits) < maxWaits && c.heavy+p.Size() <= c.hub.cfg.OutboundBytes
}

// wait lets a message wait behind those that do, if it may.
func (c *Client) wait(p wire.Publish, about pactwire.PactID) bool {
	if !c.mayWait(&p) {
		return false
	}
	c.waits = append(c.waits, waiting{p, about})
	c.heavy += p.Size()
	c.block()
	return true
}

// sendWaits sends what waited, in order and as far as there is room.
func (c *Client) sendWaits() {
	if c.quiet != open {
		return
	}
	for len(c.waits) > 0 && c.goes(&c.waits[0].Publish) {
		c.heavy -= c.waits[0].Size()
		c.write(c.waits[0].Publish, slot{})
		c.waits[0] = waiting{}
		if c.waits = c.waits[1:]; len(c.waits) == 0 {
			c.waits = nil
		}
	}
}

// changed marks the session for saving. Under c.mu.
func (c *Client) changed() {
	if !c.dirty && c.expiry > 0 {
		c.dirty = true
		if c.resumed {
			c.hub.saver.touch(c)
		}
	}
}
