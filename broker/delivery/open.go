package delivery

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/topics"
)

// seats lets one connection at a time hold a session.
type seats struct {
	mu    sync.Mutex
	taken map[pactwire.SessionKey]*seat
}

// seat is the right to a session key. Opening holds its turn; the client that won stays until it is detached.
type seat struct {
	turn   chan struct{} // of size 1: holds a token while nobody opens
	client *Client
	users  int // openers and the client; the seat goes with the last
}

func (s *seats) take(key pactwire.SessionKey) *seat {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.taken[key]
	if x == nil {
		x = &seat{turn: make(chan struct{}, 1)}
		x.turn <- struct{}{}
		s.taken[key] = x
	}
	x.users++
	return x
}

func (s *seats) leave(key pactwire.SessionKey, x *seat) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if x.users--; x.users == 0 {
		delete(s.taken, key)
	}
}

func (s *seats) sit(x *seat, c *Client) (before *Client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, x.client = x.client, c
	if c != nil {
		x.users++
	}
	return before
}

// stand ends a client's hold, if it still has it.
func (s *seats) stand(key pactwire.SessionKey, c *Client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if x := s.taken[key]; x != nil && x.client == c {
		x.client = nil
		if x.users--; x.users == 0 {
			delete(s.taken, key)
		}
	}
}

func (s *seats) holder(x *seat) *Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	return x.client
}

// Open makes the client of a connection that has proven who it is. Whoever held the session before is disconnected and
// detached when it returns; of many that come at once one at a time is served. present says whether a kept session goes
// on. Errors: TooMany for a connection too many, Unavailable when membership or session cannot be read now.
func (h *Hub) Open(ctx context.Context, in pactwire.Connecting, tr Transport) (c *Client, present bool, err error) {
	key := pactwire.SessionKey{User: in.Identity.UserID, ClientID: in.ClientID}
	x := h.seats.take(key)
	defer h.seats.leave(key, x)
	select {
	case <-x.turn:
	case <-ctx.Done():
		return nil, false, pactwire.Errorf(pactwire.Unavailable, "too many connections with this client id at once; try again")
	}
	defer func() { x.turn <- struct{}{} }()

	if before := h.seats.holder(x); before != nil {
		h.metrics.ended.WithLabelValues("taken_over").Inc()
		before.tr.Disconnect(sessionTakenOver)
		before.Detach()
	}
	operator := in.Identity.Is(pactwire.RoleOperator)
	if h.Connections(key.User) >= h.cfg.ConnectionsPerUser && !operator {
		return nil, false, pactwire.Errorf(pactwire.TooMany,
			"%d connections are open already; close one first", h.cfg.ConnectionsPerUser)
	}
	if !operator {
		if err := h.access.Ensure(ctx, key.User); err != nil {
			return nil, false, err
		}
	}
	c = &Client{hub: h, key: key, kind: in.Kind, tr: tr, operator: operator, autoJoin: in.AutoJoin, version: in.Version,
		expiry: in.Expiry, window: maxWindow, maxPacket: int(in.MaximumPacketSize)}
	if in.ReceiveMaximum > 0 {
		c.window = min(c.window, int(in.ReceiveMaximum))
	}
	if operator {
		c.expiry = 0
	} else if present, err = h.resume(ctx, c, in.Clean); err != nil {
		h.access.Release(key.User)
		return nil, false, err
	}
	h.seats.sit(x, c)
	h.enter(c)
	tr.OnDrained(c.wake)
	return c, present, nil
}

// enter makes a client findable.
func (h *Hub) enter(c *Client) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c.operator {
		h.operators = append(slices.Clip(slices.Clone(h.operators)), c)
		return
	}
	h.users[c.key.User] = append(slices.Clip(slices.Clone(h.users[c.key.User])), c)
}

func (h *Hub) leave(c *Client) {
	h.mu.Lock()
	defer h.mu.Unlock()
	without := func(list []*Client) []*Client {
		return slices.DeleteFunc(slices.Clone(list), func(x *Client) bool { return x == c })
	}
	if c.operator {
		h.operators = without(h.operators)
		return
	}
	if rest := without(h.users[c.key.User]); len(rest) > 0 {
		h.users[c.key.User] = rest
	} else {
		delete(h.users, c.key.User)
	}
}

// resume loads what was kept of a session, or drops it.
func (h *Hub) resume(ctx context.Context, c *Client, clean bool) (bool, error) {
	session, ok := h.saver.find(c.key)
	if !ok {
		var err error
		if session, ok, err = h.sessions.LoadSession(ctx, c.key); err != nil {
			return false, err
		}
	}
	if !ok {
		return false, nil
	}
	if gone := session.GoneAt; clean || !gone.IsZero() && gone.Add(session.Expiry).Before(time.Now()) {
		h.saver.forget(c.key)
		if err := h.sessions.DeleteSession(ctx, c.key); err != nil {
			return false, err
		}
		return false, nil
	}
	c.kept = true
	c.restore(session)
	return true, nil
}

// restore rebuilds filters and cursors through the permission check of today.
func (c *Client) restore(session pactwire.Session) {
	for _, id := range session.Received {
		if c.received == nil {
			c.received = make(map[uint16]struct{})
		}
		c.received[id] = struct{}{}
	}
	identity := pactwire.Identity{UserID: c.key.User}
	for _, f := range session.Filters {
		filter, verdict := topics.Subscribe(identity, false, f.Filter)
		if c.hub.may(identity, filter, verdict) {
			c.subs = append(c.subs, subscription{SessionFilter: f, filter: filter})
		}
	}
	at := make(map[pactwire.Stream]pactwire.Cursor, len(session.Cursors))
	for _, cur := range session.Cursors {
		at[cur.Stream] = cur
	}
	for _, s := range c.streams() {
		cur, known := at[s.stream]
		if !known {
			cur = pactwire.Cursor{Acked: s.from, Sent: s.from}
		}
		c.cursors = append(c.cursors, &cursor{stream: s.stream, acked: cur.Acked, sent: cur.Acked, head: cur.Acked,
			dup: max(cur.Sent, cur.Acked), identifiers: c.identifiers(s.stream)})
	}
}

// wanted is a stream that a client's QoS 1 filters name, and where it starts for who meets it for the first time.
type wanted struct {
	stream pactwire.Stream
	from   pactwire.Seq
}

// streams lists the streams that the client's QoS 1 filters name now.
func (c *Client) streams() (list []wanted) {
	seen := make(map[pactwire.Stream]bool)
	add := func(s pactwire.Stream, from pactwire.Seq) {
		if !seen[s] {
			seen[s] = true
			list = append(list, wanted{s, from})
		}
	}
	for i := range c.subs {
		f := &c.subs[i]
		if f.QoS == 0 || c.operator {
			continue
		}
		if s, ok := f.filter.Stream(); ok {
			add(s, 0)
		}
		if f.filter.AllPacts() && f.filter.Has(topics.ActivityKind) {
			for _, m := range c.hub.access.Pacts(c.key.User) {
				add(pactwire.ActivityOf(m.Pact), before(m.JoinedAt))
			}
		}
	}
	return list
}

// before is the place ahead of seq; 0 stands for the start.
func before(seq pactwire.Seq) pactwire.Seq {
	if seq == 0 {
		return 0
	}
	return seq - 1
}

// identifiers are the subscription identifiers of the filters that take in a stream.
func (c *Client) identifiers(s pactwire.Stream) []uint32 {
	_, ids, _ := c.covers(newEntry(pactwire.Entry{Stream: s}).topic)
	return ids
}

// snapshot is the session as it is to be stored; false when it is not kept.
func (c *Client) snapshot() (pactwire.Session, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.detached || c.expiry <= 0 {
		return pactwire.Session{}, false
	}
	c.dirty = false
	return c.session(), true
}

// session is the session as it stands. Under c.mu.
func (c *Client) session() pactwire.Session {
	s := pactwire.Session{Key: c.key, Expiry: c.expiry}
	for i := range c.subs {
		s.Filters = append(s.Filters, c.subs[i].SessionFilter)
	}
	for _, cur := range c.cursors {
		s.Cursors = append(s.Cursors, pactwire.Cursor{Stream: cur.stream, Acked: cur.acked, Sent: max(cur.sent, cur.dup)})
	}
	for id := range c.received {
		s.Received = append(s.Received, id)
	}
	return s
}

// Detach ends the connection's hold on the session, which is kept or dropped. Safe to call again.
func (c *Client) Detach() {
	c.mu.Lock()
	if c.detached {
		c.mu.Unlock()
		return
	}
	c.detached = true
	session := c.session()
	c.directs, c.snaps = nil, nil
	c.mu.Unlock()
	h := c.hub
	h.leave(c)
	if session.Expiry > 0 || c.kept {
		session.GoneAt = time.Now() // with no expiry left it is over at once, and what was stored of it goes
		h.saver.park(c, session)
	} else {
		h.saver.drop(c)
	}
	h.seats.stand(c.key, c)
	if !c.operator {
		h.access.Release(c.key.User)
	}
}
