package delivery

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/broker/wire"
	"github.com/pactwire/pactwire/topics"
)

// snapshot is a subject of which a client is owed the newest word: a pact's state, its members' presence, the list of the
// client's own pacts, or who of the people is there whom they are connected to. There is one a subject at most, however often it changes.
type snapshot struct {
	kind   topics.Kind // StateKind, PresenceKind, PactsKind or InboxKind
	pact   pactwire.PactID
	member pactwire.UserID // of PresenceKind: one member, "" for all
	retain bool            // answers a SUBSCRIBE or a resumed session, not a change
	joined bool            // of StateKind: tells a newcomer of the pact
	unread bool            // it could not be read when that was tried

	version uint64 // of PresenceKind: which is told; 0 = not known yet
}

// owe adds a snapshot, unless it is owed already. Presence of all members takes in what was owed of single ones. Under c.mu.
func (c *Client) owe(s snapshot) {
	for i := range c.snaps {
		x := &c.snaps[i]
		if x.kind == s.kind && x.pact == s.pact && (x.member == "" || x.member == s.member) {
			x.retain = x.retain || s.retain
			x.joined = s.joined || s.retain && x.joined // the word of a change that a newcomer would hear after it has come
			return
		}
	}
	if s.kind == topics.PresenceKind && s.member == "" {
		c.snaps = slices.DeleteFunc(c.snaps, func(x snapshot) bool {
			same := x.kind == s.kind && x.pact == s.pact
			s.retain = s.retain || same && x.retain
			return same
		})
	}
	c.snaps = append(c.snaps, s)
}

// takeSnapshots takes what is owed, in the order in which it is promised: presence comes after states, also where a change
// of it was owed before its SUBSCRIBE was acknowledged. Under c.mu.
func (c *Client) takeSnapshots() []snapshot {
	list := c.snaps
	c.snaps = nil
	slices.SortStableFunc(list, func(a, b snapshot) int { return cmp.Compare(a.place(), b.place()) })
	return list
}

func (s snapshot) place() int {
	if s.kind == topics.PresenceKind {
		return 1
	}
	return 0
}

// wantSnapshots owes what belongs to a filter: states first, then presence. Under c.mu.
func (c *Client) wantSnapshots(f topics.Filter) {
	if c.operator {
		return
	}
	if f.Has(topics.InboxKind) {
		c.owe(snapshot{kind: topics.InboxKind})
	}
	if f.Has(topics.PactsKind) {
		c.owe(snapshot{kind: topics.PactsKind, retain: true})
	}
	pacts := c.pactsOf(f)
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

// pactsOf are the pacts that a filter takes in now.
func (c *Client) pactsOf(f topics.Filter) (pacts []pactwire.PactID) {
	switch {
	case f.AllPacts():
		for _, m := range c.hub.access.Pacts(c.key.User) {
			pacts = append(pacts, m.Pact)
		}
	case f.Pact() != "":
		pacts = []pactwire.PactID{f.Pact()}
	}
	return pacts
}

// owes reports whether a subject is owed already.
func (c *Client) owes(s snapshot) bool {
	return slices.ContainsFunc(c.snaps, func(x snapshot) bool {
		return x.kind == s.kind && x.pact == s.pact && (x.member == "" || x.member == s.member)
	})
}

// owed is a snapshot that a worker makes for a client.
type owed struct {
	client *Client
	snapshot
}

// sendSnapshots makes and sends what the clients are owed, and reports whether that says how the store is: presence may be known without
// it. What finds no room, or cannot be read now, stays owed.
func (h *Hub) sendSnapshots(ctx context.Context, batch []*Client) (asked bool, err error) {
	var list []owed
	for _, c := range batch {
		c.mu.Lock()
		if !c.detached && c.quiet != afterAck && c.room() {
			for _, s := range c.takeSnapshots() {
				list = append(list, owed{c, s})
			}
		}
		c.mu.Unlock()
	}
	if len(list) == 0 {
		return false, nil
	}
	made := bodies{hub: h}
	err = made.read(ctx, list)
	asked = err != nil || slices.ContainsFunc(list, func(o owed) bool { return o.kind != topics.PresenceKind || o.unread })
	for len(list) > 0 {
		n := 1
		for n < len(list) && list[n].client == list[0].client {
			n++
		}
		if e := made.send(list[:n]); e != nil {
			err = errors.Join(err, e)
		}
		list = list[n:]
	}
	return asked, err
}

// bodies are what the snapshots of one turn show. Each is read once, and all of a kind together. What could not be read is not there, and
// its kind is unread.
type bodies struct {
	hub    *Hub
	states map[pactwire.PactID][]byte
	lists  map[pactwire.UserID][]byte
	people map[pactwire.PactID][]pactwire.Presence
	active map[pactwire.UserID]pactwire.Event
	unread map[topics.Kind]bool
}

func (b *bodies) read(ctx context.Context, list []owed) error {
	pacts, users := make(map[topics.Kind][]pactwire.PactID), make(map[topics.Kind][]pactwire.UserID)
	for _, o := range list {
		switch k := o.kind; k {
		case topics.StateKind, topics.PresenceKind:
			pacts[k] = append(pacts[k], o.pact)
		default:
			users[k] = append(users[k], o.client.key.User)
		}
	}
	var errs []error
	b.unread = make(map[topics.Kind]bool)
	note := func(k topics.Kind, err error) {
		b.unread[k] = err != nil
		errs = append(errs, err)
	}
	var err error
	b.states, err = b.hub.statesOf(ctx, distinct(pacts[topics.StateKind]))
	note(topics.StateKind, err)
	if asked := distinct(pacts[topics.PresenceKind]); len(asked) > 0 {
		b.people, err = b.hub.snaps.Presences(ctx, asked)
		note(topics.PresenceKind, err)
	}
	if asked := distinct(users[topics.InboxKind]); len(asked) > 0 {
		b.active, err = b.hub.snaps.ActiveConnections(ctx, asked)
		note(topics.InboxKind, err)
	}
	b.lists = make(map[pactwire.UserID][]byte)
	for _, u := range distinct(users[topics.PactsKind]) {
		if b.lists[u], err = b.hub.snaps.PactList(ctx, u); err != nil {
			note(topics.PactsKind, err)
		}
	}
	return errors.Join(errs...)
}

func distinct[T cmp.Ordered](list []T) []T {
	slices.Sort(list)
	return slices.Compact(list)
}

// send sends one client's snapshots, in one piece, each through the permission check of this moment. What was not read is
// owed again. It keeps the client's lock, so that nothing which was checked is still to be sent when somebody leaves.
func (b *bodies) send(list []owed) (err error) {
	c := list[0].client
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gather()
	defer c.handOver()
	for _, o := range list {
		if !c.mayRead(o.pact) {
			continue
		}
		there, e := b.show(o)
		if !c.detached && (e != nil || !there && b.unread[o.kind]) {
			o.unread = true
			c.owe(o.snapshot)
		}
		err = errors.Join(err, e)
	}
	return err
}

// show sends one snapshot. False: there is nothing to show. Under the client's lock.
func (b *bodies) show(o owed) (there bool, err error) {
	c := o.client
	switch o.kind {
	case topics.StateKind:
		body := b.states[o.pact]
		if body == nil {
			return false, nil
		}
		c.showNow(o.snapshot, topics.Topic{Kind: topics.StateKind, Pact: o.pact}, body, true)
	case topics.PactsKind:
		body := b.lists[c.key.User]
		if body == nil {
			return false, nil
		}
		c.showNow(o.snapshot, topics.Topic{Kind: topics.PactsKind, User: c.key.User}, body, true)
	case topics.InboxKind:
		e, ok := b.active[c.key.User]
		if !ok {
			return false, nil
		}
		body, err := b.hub.encode(e)
		if err != nil {
			return false, err
		}
		c.showNow(o.snapshot, topics.Topic{Kind: topics.InboxKind, User: c.key.User}, body, true)
	case topics.PresenceKind:
		people, ok := b.people[o.pact]
		if !ok {
			return false, nil
		}
		for _, p := range people {
			if o.member != "" && o.member != p.UserID {
				continue
			}
			body, err := json.Marshal(p)
			if err != nil {
				return false, err
			}
			s := o.snapshot
			s.version = p.Version
			c.showNow(s, topics.Topic{Kind: topics.PresenceKind, Pact: o.pact, User: p.UserID}, body, true)
		}
	}
	return true, nil
}

func (h *Hub) statesOf(ctx context.Context, pacts []pactwire.PactID) (map[pactwire.PactID][]byte, error) {
	m := make(map[pactwire.PactID][]byte, len(pacts))
	if len(pacts) == 0 {
		return m, nil
	}
	read, err := h.snaps.States(ctx, pacts)
	if err != nil {
		return nil, err
	}
	for i, p := range pacts {
		m[p] = read[i]
	}
	return m, nil
}

// show sends one snapshot or change, or owes it until there is room. A change of what a worker is reading for the client,
// or is to read, is owed as well, lest the older word follow the newer.
func (c *Client) show(s snapshot, t topics.Topic, body []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.showNow(s, t, body, false)
}

// showNow is show for who holds the lock; worker: it is what was read for the client in this turn. Under c.mu.
func (c *Client) showNow(s snapshot, t topics.Topic, body []byte, worker bool) {
	if c.detached || !c.started {
		return
	}
	qos, ids, ok := c.covers(t)
	if !ok || !c.mayRead(s.pact) { // who leaves has it cut off after this, under the same lock
		return
	}
	if s.kind == topics.PresenceKind {
		s.member = t.User
		if c.told(s) {
			return
		}
	}
	switch {
	case c.operator:
		if c.room() {
			c.write(wire.Publish{QoS: qos, Topic: t.String(), Identifiers: ids, Payload: body}, slot{})
			c.tell(s)
		} else {
			c.hub.metrics.dropped.Inc()
		}
	case !worker && (c.busy || c.quiet != open || c.owes(s)), !c.room():
		c.owe(s)
		c.enqueue()
	case c.echoes(s, body):
	default:
		c.write(wire.Publish{QoS: qos, Retain: s.retain, Topic: t.String(), Identifiers: ids, Payload: body}, slot{})
		c.tell(s)
	}
}

// PresenceChanged tells a pact's readers, and operators, of one member's presence.
func (h *Hub) PresenceChanged(p pactwire.Presence) {
	body, err := json.Marshal(p)
	if err != nil {
		h.logger.Error("encode presence", "error", err)
		return
	}
	s := snapshot{kind: topics.PresenceKind, pact: p.PactID, member: p.UserID, version: p.Version}
	t := topics.Topic{Kind: topics.PresenceKind, Pact: p.PactID, User: p.UserID}
	h.readers(p.PactID, func(c *Client) { c.show(s, t, body) })
	for _, c := range h.watching() {
		c.show(s, t, body)
	}
}

// StateChanged tells a pact's readers of its state, at once or as soon as a second has passed since the last time.
func (h *Hub) StateChanged(p pactwire.PactID) {
	if !h.states.due(p) && h.anyoneWatches(p) {
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
		yes = slices.ContainsFunc(c.subs, func(s subscription) bool { return s.filter.Covers(t) })
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
		states, err := h.statesOf(turn, due)
		cancel()
		if ctx.Err() == nil {
			h.trouble.Change(h.logger, "states of pacts cannot be read; tried again each second", err)
		}
		if err != nil {
			for _, p := range due {
				h.states.mark(p) // once more, a second later
			}
			continue
		}
		for p, body := range states {
			if body == nil {
				continue
			}
			s, t := snapshot{kind: topics.StateKind, pact: p}, topics.Topic{Kind: topics.StateKind, Pact: p}
			h.readers(p, func(c *Client) { c.show(s, t, body) })
			for _, c := range h.watching() {
				c.show(s, t, body)
			}
		}
	}
}
