package delivery

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/broker/wire"
	"github.com/pactwire/pactwire/topics"
)

// snapshot is a subject of which a client is owed the newest word: a pact's state, its members' presence, or the list of
// the client's own pacts. There is one a subject at most, however often it changes.
type snapshot struct {
	kind   topics.Kind // StateKind, PresenceKind or PactsKind
	pact   pactwire.PactID
	member pactwire.UserID // of PresenceKind: one member, "" for all
	retain bool            // answers a SUBSCRIBE or a resumed session, not a change
}

// owe adds a snapshot, unless it is owed already. Under c.mu.
func (c *Client) owe(s snapshot) {
	for i := range c.snaps {
		x := &c.snaps[i]
		if x.kind == s.kind && x.pact == s.pact && (x.member == "" || x.member == s.member) {
			x.retain = x.retain || s.retain
			return
		}
	}
	c.snaps = append(c.snaps, s)
}

// wantSnapshots owes what belongs to a filter: states first, then presence. Under c.mu.
func (c *Client) wantSnapshots(f topics.Filter) {
	if c.operator {
		return
	}
	var pacts []pactwire.PactID
	switch {
	case f.AllPacts():
		for _, m := range c.hub.access.Pacts(c.key.User) {
			pacts = append(pacts, m.Pact)
		}
	case f.Pact() != "":
		pacts = []pactwire.PactID{f.Pact()}
	case f.Has(topics.PactsKind):
		c.owe(snapshot{kind: topics.PactsKind, retain: true})
		return
	}
	for _, kind := range []topics.Kind{topics.StateKind, topics.PresenceKind} {
		if !f.Has(kind) {
			continue
		}
		for _, p := range pacts {
			s := snapshot{kind: kind, pact: p, retain: true}
			if kind == topics.PresenceKind {
				s.member = f.Member()
			}
			c.owe(s)
		}
	}
}

// owed is a snapshot that a worker makes for a client.
type owed struct {
	client *Client
	snapshot
}

// sendSnapshots makes and sends what the clients are owed. What finds no room stays owed.
func (h *Hub) sendSnapshots(ctx context.Context, batch []*Client) {
	var list []owed
	var pacts []pactwire.PactID
	for _, c := range batch {
		c.mu.Lock()
		if !c.detached && c.room() {
			for _, s := range c.snaps {
				list = append(list, owed{c, s})
				if s.kind == topics.StateKind && !slices.Contains(pacts, s.pact) {
					pacts = append(pacts, s.pact)
				}
			}
			c.snaps = nil
		}
		c.mu.Unlock()
	}
	if len(list) == 0 {
		return
	}
	states := h.statesOf(ctx, pacts)
	people := make(map[pactwire.PactID][]pactwire.Presence)
	for _, o := range list {
		if !o.client.stillMay(o.snapshot) {
			continue
		}
		switch o.kind {
		case topics.StateKind:
			if body := states[o.pact]; body != nil {
				o.client.show(o.snapshot, topics.Topic{Kind: topics.StateKind, Pact: o.pact}, body)
			}
		case topics.PactsKind:
			body, err := h.snaps.PactList(ctx, o.client.key.User)
			if err != nil {
				h.logger.Warn("list pacts", "user", o.client.key.User, "error", err)
				continue
			}
			o.client.show(o.snapshot, topics.Topic{Kind: topics.PactsKind, User: o.client.key.User}, body)
		case topics.PresenceKind:
			if _, done := people[o.pact]; !done {
				list, err := h.snaps.Presences(ctx, o.pact)
				if err != nil {
					h.logger.Warn("read presence", "pact", o.pact, "error", err)
				}
				people[o.pact] = list
			}
			for _, p := range people[o.pact] {
				if o.member != "" && o.member != p.UserID {
					continue
				}
				if body, err := json.Marshal(p); err == nil {
					o.client.show(o.snapshot, topics.Topic{Kind: topics.PresenceKind, Pact: o.pact, User: p.UserID}, body)
				}
			}
		}
	}
}

func (h *Hub) statesOf(ctx context.Context, pacts []pactwire.PactID) map[pactwire.PactID][]byte {
	if len(pacts) == 0 {
		return nil
	}
	bodies, err := h.snaps.States(ctx, pacts)
	if err != nil {
		h.logger.Warn("read states", "error", err)
		return nil
	}
	m := make(map[pactwire.PactID][]byte, len(pacts))
	for i, p := range pacts {
		m[p] = bodies[i]
	}
	return m
}

// stillMay asks the permission check right before sending.
func (c *Client) stillMay(s snapshot) bool {
	return s.pact == "" || c.hub.access.CanRead(c.key.User, s.pact)
}

// show sends one snapshot or change, or owes it until there is room.
func (c *Client) show(s snapshot, t topics.Topic, body []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.detached || !c.started {
		return
	}
	qos, ids, ok := c.covers(t)
	if !ok {
		return
	}
	if !c.room() {
		if !c.operator {
			if s.kind == topics.PresenceKind {
				s.member = t.User
			}
			c.owe(s)
		}
		return
	}
	c.write(wire.Publish{QoS: qos, Retain: s.retain, Topic: t.String(), Identifiers: ids, Payload: body}, slot{})
}

// PresenceChanged tells a pact's readers of one member's presence.
func (h *Hub) PresenceChanged(p pactwire.Presence) {
	body, err := json.Marshal(p)
	if err != nil {
		h.logger.Error("encode presence", "error", err)
		return
	}
	s := snapshot{kind: topics.PresenceKind, pact: p.PactID, member: p.UserID}
	t := topics.Topic{Kind: topics.PresenceKind, Pact: p.PactID, User: p.UserID}
	h.readers(p.PactID, func(c *Client) { c.show(s, t, body) })
	for _, c := range h.watching() {
		c.show(s, t, body)
	}
}

// StateChanged tells a pact's readers of its state, at once or as soon as a second has passed since the last time.
func (h *Hub) StateChanged(p pactwire.PactID) {
	if h.anyoneWatches(p) {
		h.states.mark(p)
	}
}

// anyoneWatches spares the reading of a state that nobody is subscribed to.
func (h *Hub) anyoneWatches(p pactwire.PactID) (yes bool) {
	t := topics.Topic{Kind: topics.StateKind, Pact: p}
	ask := func(c *Client) {
		if yes {
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		_, _, yes = c.covers(t)
	}
	h.readers(p, ask)
	for _, c := range h.watching() {
		ask(c)
	}
	return yes
}

// sendStates makes the states that are due, each once for all of a pact's readers.
func (h *Hub) sendStates(ctx context.Context) {
	for {
		due := h.states.wait(ctx)
		if due == nil {
			return
		}
		turn, cancel := context.WithTimeout(ctx, readTimeout)
		for p, body := range h.statesOf(turn, due) {
			if body == nil {
				continue
			}
			s, t := snapshot{kind: topics.StateKind, pact: p}, topics.Topic{Kind: topics.StateKind, Pact: p}
			h.readers(p, func(c *Client) { c.show(s, t, body) })
			for _, c := range h.watching() {
				c.show(s, t, body)
			}
		}
		cancel()
	}
}

// PactsChanged tells the hub that a user's membership has changed: wildcards take in what was joined, from before the
// user's own partner_joined, and nothing more of what was left goes out.
func (h *Hub) PactsChanged(u pactwire.UserID, joined []pactwire.Membership, left []pactwire.PactID) {
	for _, c := range h.of(u) {
		c.pactsChanged(joined, left)
	}
}

func (c *Client) pactsChanged(joined []pactwire.Membership, left []pactwire.PactID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.detached {
		return
	}
	for _, p := range left {
		c.revoke(p)
	}
	for _, m := range joined {
		c.welcome(m)
	}
	if _, _, ok := c.covers(topics.Topic{Kind: topics.PactsKind, User: c.key.User}); ok {
		c.owe(snapshot{kind: topics.PactsKind})
	}
	c.changed()
	if c.waiting() {
		c.enqueue()
	}
}

// revoke ends everything of a pact at once. Bytes that still wait for the kernel cannot be told apart, so with any the
// connection ends; it comes back through the permission check.
func (c *Client) revoke(p pactwire.PactID) {
	c.subs = slices.DeleteFunc(c.subs, func(s subscription) bool { return s.filter.Pact() == p })
	c.cursors = slices.DeleteFunc(c.cursors, func(cur *cursor) bool {
		dead := cur.stream.Pact() == p
		cur.dead = cur.dead || dead
		return dead
	})
	c.snaps = slices.DeleteFunc(c.snaps, func(s snapshot) bool { return s.pact == p })
	if c.tr.Pending() > 0 {
		c.hub.metrics.ended.WithLabelValues("revoked").Inc()
		c.tr.Disconnect(administrative)
	}
}

// welcome lets the client's wildcards take in a pact.
func (c *Client) welcome(m pactwire.Membership) {
	stream := pactwire.ActivityOf(m.Pact)
	for i := range c.subs {
		s := &c.subs[i]
		if !s.filter.AllPacts() {
			continue
		}
		if s.QoS > 0 && s.filter.Has(topics.ActivityKind) && c.cursor(stream) == nil {
			at := before(m.JoinedAt)
			c.cursors = append(c.cursors, &cursor{stream: stream, acked: at, sent: at, head: at, state: behind,
				identifiers: c.identifiers(stream)})
		}
		for _, kind := range []topics.Kind{topics.StateKind, topics.PresenceKind} {
			if s.filter.Has(kind) {
				c.owe(snapshot{kind: kind, pact: m.Pact})
			}
		}
	}
}

// throttle lets each pact through at most once a period; what comes in between is let through at its end. Its size is
// bounded by the pacts that changed within the last period and have subscribers.
type throttle struct {
	every  time.Duration
	signal chan struct{} // of size 1

	mu   sync.Mutex
	due  map[pactwire.PactID]time.Time // when the pact may be told of next
	last map[pactwire.PactID]time.Time
}

func newThrottle(every time.Duration) *throttle {
	return &throttle{every: every, signal: make(chan struct{}, 1),
		due: make(map[pactwire.PactID]time.Time), last: make(map[pactwire.PactID]time.Time)}
}

func (t *throttle) mark(p pactwire.PactID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.due[p]; ok {
		return
	}
	t.due[p] = t.last[p].Add(t.every)
	select {
	case t.signal <- struct{}{}:
	default:
	}
}

// wait returns the pacts whose time has come; nil when ctx ends.
func (t *throttle) wait(ctx context.Context) []pactwire.PactID {
	for {
		due, next := t.take(time.Now())
		if len(due) > 0 {
			return due
		}
		var timer <-chan time.Time
		if next > 0 {
			timer = time.After(next)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.signal:
		case <-timer:
		}
	}
}

func (t *throttle) take(now time.Time) (due []pactwire.PactID, next time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for p, at := range t.last {
		if now.Sub(at) > t.every {
			delete(t.last, p)
		}
	}
	for p, at := range t.due {
		if left := at.Sub(now); left > 0 {
			if next == 0 || left < next {
				next = left
			}
			continue
		}
		delete(t.due, p)
		t.last[p] = now
		due = append(due, p)
	}
	return due, next
}
