package delivery

import (
	"context"
	"slices"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/topics"
)

// newsTime is how long a session waits for news that it can do without: a habits-service that hangs is to hold up no CONNECT.
const newsTime = time.Second

// resume loads what was kept of a session, or deletes it for a clean start.
func (h *Hub) resume(ctx context.Context, c *Client, clean bool) (bool, error) {
	if c.operator {
		return false, nil
	}
	if h.shared != nil {
		session, ok, err := h.claim(ctx, c, clean)
		switch {
		case err != nil:
			return false, err
		case !ok:
			c.beginAnew()
			return false, nil
		}
		if err := c.learn(ctx, named(session.Filters)); err != nil {
			session.GoneAt = time.Now()
			h.saver.park(c, session) // it was claimed, and what was not written yet is nowhere else
			return false, err
		}
		if pacts := c.unplaced(session); len(pacts) > 0 {
			call, cancel := context.WithTimeout(ctx, newsTime)
			_ = h.access.Learn(call, c.key.User, pacts) // else it goes on by what is known
			cancel()
		}
		c.placePassed(ctx, c.restore(session, false))
		return true, nil
	}
	session, ok := h.saver.find(c.key)
	stored := !ok
	if !ok {
		var err error
		if session, ok, err = h.sessions.LoadSession(ctx, c.key); err != nil {
			return false, err
		}
	}
	if !ok {
		c.beginAnew()
		return false, nil
	}
	if gone := session.GoneAt; clean || !gone.IsZero() && !gone.Add(session.Expiry).After(time.Now()) {
		c.beginAnew()
		return false, h.saver.drop(ctx, c.key)
	}
	if err := c.learn(ctx, named(session.Filters)); err != nil {
		return false, err
	}
	if session.GoneAt.Before(h.started) {
		session = session.Standing() // the process before may have died in the moment after this client came back
	}
	c.restore(session, stored)
	return true, nil
}

// beginAnew forgets what a connection before may have handed over: it belonged to another session.
func (c *Client) beginAnew() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.anew, c.received = true, nil
}

func (c *Client) isAnew() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.anew
}

// learn has the pacts read again that filters name and that the user may not read as far as this node has heard.
func (c *Client) learn(ctx context.Context, filters []string) error {
	if pacts := c.unheard(filters); len(pacts) > 0 {
		return c.hub.access.Learn(ctx, c.key.User, pacts)
	}
	return nil
}

func named(filters []pactwire.SessionFilter) []string {
	names := make([]string, len(filters))
	for i := range filters {
		names[i] = filters[i].Filter
	}
	return names
}

// unheard lists those pacts.
func (c *Client) unheard(filters []string) (pacts []pactwire.PactID) {
	for _, name := range filters {
		filter, verdict := topics.Unlimited.Subscribe(c.identity(), false, name)
		byPact := verdict == topics.IfMember || verdict == topics.IfPartner
		if byPact && !c.may(filter, verdict) && !slices.Contains(pacts, filter.Pact()) {
			pacts = append(pacts, filter.Pact())
		}
	}
	return pacts
}

// unplaced lists the pacts that a wildcard of the session takes in and where it has no place. They were joined meanwhile; or were left,
// where it was, and that is not known here, since the user has had another connection that goes by an older view.
func (c *Client) unplaced(session pactwire.Session) (pacts []pactwire.PactID) {
	if len(c.hub.of(c.key.User)) < 2 || !slices.ContainsFunc(session.Filters, func(f pactwire.SessionFilter) bool {
		filter, _ := topics.Unlimited.Subscribe(c.identity(), false, f.Filter)
		return f.QoS > 0 && filter.AllPacts() && filter.Has(topics.ActivityKind)
	}) {
		return nil
	}
	for _, m := range c.hub.access.Pacts(c.key.User) {
		stream := pactwire.ActivityOf(m.Pact)
		if !slices.ContainsFunc(session.Cursors, func(cur pactwire.Cursor) bool { return cur.Stream == stream }) {
			pacts = append(pacts, m.Pact)
		}
	}
	return pacts
}

// restore rebuilds filters and cursors through the permission check of today. The session is written again soon, as one
// that stands, lest it expire while its connection is quiet. It returns the streams that are passed, see passBy.
func (c *Client) restore(session pactwire.Session, stored bool) (passed []pactwire.Stream) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kept, c.stored = true, stored
	for _, id := range session.Received {
		if !slices.Contains(c.received, id) { // the connection before may have handed it over by now
			c.received = append(c.received, id)
		}
	}
	for _, f := range session.Filters {
		filter, verdict := topics.Unlimited.Subscribe(c.identity(), false, f.Filter)
		if c.may(filter, verdict) {
			c.subs = append(c.subs, subscription{SessionFilter: f, filter: filter})
		}
	}
	at := make(map[pactwire.Stream]pactwire.Cursor, len(session.Cursors))
	sent := pactwire.Seq(0) // of streams that the record does not know
	for _, cur := range session.Cursors {
		at[cur.Stream] = cur
		if cur.Sent == pactwire.SentUnknown {
			sent = cur.Sent
		}
	}
	for _, w := range c.streams() {
		cur, known := at[w.stream]
		if !known {
			cur = pactwire.Cursor{Acked: w.from, Sent: sent} // joined meanwhile
		}
		cur.Acked = max(cur.Acked, w.from) // left and joined once more: what was said in between is not theirs
		c.cursors = append(c.cursors, &cursor{stream: w.stream, acked: cur.Acked, sent: cur.Acked, dup: max(cur.Sent, cur.Acked),
			state: held, check: true, identifiers: c.identifiers(w.stream)})
	}
	c.keepPlaces(session.Cursors)
	if c.expiry > 0 {
		c.changed()
	}
	return c.passBy(nil)
}

// keepPlaces keeps the cursors of pacts that a wildcard takes in and the user may not read: they have left, or this node has
// not heard yet that they joined. Then the session goes on where it was at the node that had.
func (c *Client) keepPlaces(cursors []pactwire.Cursor) {
	if !c.takesAll() {
		return
	}
	for _, cur := range cursors {
		if cur.Stream.Pact() != "" && c.cursor(cur.Stream) == nil {
			c.cursors = append(c.cursors, &cursor{stream: cur.Stream, acked: cur.Acked, sent: cur.Acked, dup: max(cur.Sent, cur.Acked),
				state: parked, check: true, away: true, identifiers: c.identifiers(cur.Stream)})
		}
	}
}

// takesAll reports whether a wildcard takes in the activities of all pacts, with QoS 1.
func (c *Client) takesAll() bool {
	return slices.ContainsFunc(c.subs, func(s subscription) bool {
		return s.QoS > 0 && s.filter.AllPacts() && s.filter.Has(topics.ActivityKind)
	})
}

// identity is what permission depends on.
func (c *Client) identity() pactwire.Identity {
	id := pactwire.Identity{UserID: c.key.User, Device: c.device}
	if c.operator {
		id.Roles = pactwire.RoleOperator
	}
	return id
}

// wanted is a stream that a client's QoS 1 filters name, and where it starts for who meets it for the first time.
type wanted struct {
	stream pactwire.Stream
	from   pactwire.Seq
}

// streams lists the streams that the client's QoS 1 filters name now, each once.
func (c *Client) streams() []wanted { return c.streamsBy(func(qos byte) bool { return qos > 0 }) }

// streamsBy lists the streams that the client's filters of some QoS name now, each once.
func (c *Client) streamsBy(of func(qos byte) bool) (list []wanted) {
	if c.operator {
		return nil
	}
	everything := false
	for i := range c.subs {
		f := &c.subs[i]
		if !of(f.QoS) {
			continue
		}
		if f.filter.AllPacts() {
			everything = everything || f.filter.Has(topics.ActivityKind)
		} else if s, ok := f.filter.Stream(); ok && !slices.ContainsFunc(list, func(w wanted) bool { return w.stream == s }) {
			list = append(list, wanted{stream: s})
		}
	}
	if !everything {
		return list
	}
	exact := list
	for _, m := range c.hub.access.Pacts(c.key.User) {
		s := pactwire.ActivityOf(m.Pact)
		if !slices.ContainsFunc(exact, func(w wanted) bool { return w.stream == s }) {
			list = append(list, wanted{s, before(m.JoinedAt)})
		}
	}
	return list
}

// identifiers are the subscription identifiers of the filters that take in a stream.
func (c *Client) identifiers(s pactwire.Stream) []uint32 {
	_, ids, _ := c.covers(topicOf(s))
	return ids
}

// snapshot is the session as it is to be stored while its connection stands; false when it is not kept.
func (c *Client) snapshot() (pactwire.Session, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.detached || !c.resumed || c.expiry <= 0 {
		return pactwire.Session{}, false
	}
	c.dirty, c.kept = false, true
	return c.session().Standing(), true
}

func (c *Client) noteStored() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stored = true
}

// session is the session as it stands. Under c.mu.
func (c *Client) session() pactwire.Session {
	s := pactwire.Session{Key: c.key, Epoch: c.epoch, Expiry: c.expiry, Received: slices.Clone(c.received),
		Filters: make([]pactwire.SessionFilter, 0, len(c.subs)), Cursors: make([]pactwire.Cursor, 0, len(c.cursors))}
	for i := range c.subs {
		if !c.subs[i].unplaced {
			s.Filters = append(s.Filters, c.subs[i].SessionFilter)
		}
	}
	for _, cur := range c.cursors {
		if cur.state != placing {
			s.Cursors = append(s.Cursors, pactwire.Cursor{Stream: cur.stream, Acked: cur.acked, Sent: max(cur.sent, cur.dup)})
		}
	}
	return s
}

// Detach ends the connection's hold on the session, which is kept or dropped. Safe to call again; every call returns after
// the session is where the next connection finds it.
func (c *Client) Detach() { c.end.Do(c.detach) }

func (c *Client) detach() {
	c.mu.Lock()
	c.detached = true
	resumed, inherited := c.resumed, slices.Clone(c.received)
	c.waits, c.heavy, c.snaps = nil, 0, nil
	c.mu.Unlock()
	h := c.hub
	h.leave(c)
	if resumed {
		c.park()
	} else {
		h.saver.leave(c) // whoever opens it finds out, see whole
		for _, id := range inherited {
			h.inherit(c.key, id)
		}
	}
	h.seats.stand(c.key, c)
	h.letGo(c)
}

// park leaves the session where the next connection finds it.
func (c *Client) park() {
	c.mu.Lock()
	session := c.session()
	session.GoneAt = time.Now()
	kept := c.kept
	c.mu.Unlock()
	if session.Expiry > 0 || kept {
		c.hub.saver.park(c, session) // with no expiry left it is over, and what was stored of it goes
	} else {
		c.hub.saver.leave(c)
	}
}

// whole lets the session, which has been resumed, be saved from now on, and reports whether the connection has it still: another node may have
// asked for it meanwhile.
func (c *Client) whole() bool {
	c.mu.Lock()
	c.resumed = true
	gone := c.detached
	if c.dirty && !gone {
		c.hub.saver.touch(c)
	}
	c.mu.Unlock()
	if gone {
		c.park()
	}
	return !gone
}

// inherit gives the packet id of a QoS 2 publish, that was committed after its connection had ended, to the session's
// next connection, or to what is kept of it. A session that began anew knows nothing of it, nor does its client.
func (h *Hub) inherit(key pactwire.SessionKey, id uint16) {
	for _, c := range h.of(key.User) {
		if c.key == key && (c.isAnew() || c.remember(id)) {
			return
		}
	}
	h.saver.amend(key, func(s *pactwire.Session) {
		if s.Expiry > 0 && len(s.Received) < maxReceived && !slices.Contains(s.Received, id) {
			s.Received = append(slices.Clip(s.Received), id)
		}
	})
}
