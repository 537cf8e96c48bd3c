package delivery

import (
	"context"
	"slices"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/topics"
)

// may puts the words' verdict and membership together.
func (c *Client) may(f topics.Filter, v topics.Verdict) bool {
	read := c.hub.access.CanRead
	switch v {
	case topics.Yes, topics.SysFigures:
		return true
	case topics.IfMember:
		return read(c.key.User, f.Pact())
	case topics.IfPartner:
		return read(c.key.User, f.Pact()) && read(f.Member(), f.Pact())
	}
	return false
}

// Subscribe takes filters in and returns one MQTT 5 reason code for each. Nothing is sent for them until AfterSuback.
// It waits until the place of each new stream is known and, for a session that is kept, the filters are stored.
func (c *Client) Subscribe(ctx context.Context, subs []pactwire.Subscription) []byte {
	codes := make([]byte, len(subs))
	heard := c.learn(ctx, asked(subs))
	c.mu.Lock()
	if c.detached {
		c.mu.Unlock()
		return slices.Repeat([]byte{unspecified}, len(subs))
	}
	c.adopt()
	former := slices.Clone(c.subs)
	c.fresh = nil
	for i, s := range subs {
		codes[i] = c.subscribe(s, heard)
	}
	found, moved := c.follow(subs, codes)
	passed := c.passBy(former)
	same := len(moved) == 0 && len(found) == 0 && c.kept && slices.Equal(c.subs, former)
	if slices.ContainsFunc(codes, granted) {
		c.quiet = afterAck
	}
	c.mu.Unlock()

	err := c.place(ctx, found, passed, former)
	if err != nil || len(found) > 0 {
		c.hub.trouble.Change(c.hub.logger, "where filters of clients start cannot be read; they are refused", err)
	}
	if err == nil && !same && c.keeps() {
		err = c.hub.saver.save(ctx, c)
		c.hub.trouble.Change(c.hub.logger, "filters of clients cannot be stored; they are refused", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.undo(former, moved, codes)
		for _, s := range passed {
			delete(c.passed, s)
		}
	}
	c.prune()
	return codes
}

func asked(subs []pactwire.Subscription) []string {
	names := make([]string, len(subs))
	for i := range subs {
		names[i] = subs[i].Filter
	}
	return names
}

func granted(code byte) bool { return code <= 1 }

func (c *Client) keeps() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.expiry > 0
}

// subscribe takes one filter in. With an error of learn nobody can say that a pact may not be read. Under c.mu.
func (c *Client) subscribe(s pactwire.Subscription, unsaid error) byte {
	filter, verdict := topics.Unlimited.Subscribe(c.identity(), false, s.Filter)
	switch {
	case verdict == topics.Malformed:
		return filterInvalid
	case verdict == topics.SharedNo:
		return noSharing
	case !c.may(filter, verdict):
		if unsaid != nil && filter.Pact() != "" {
			return unspecified
		}
		return notAuthorized
	case (filter.Pact() != "" || filter.AllPacts()) && !c.operator && c.hub.access.Stale(c.key.User):
		return unspecified
	}
	sub := subscription{filter: filter, SessionFilter: pactwire.SessionFilter{Filter: s.Filter, QoS: min(s.QoS, 1),
		Identifier: s.Identifier, RetainHandling: s.RetainHandling, NoLocal: s.NoLocal, RetainAsPub: s.RetainAsPublished}}
	i := slices.IndexFunc(c.subs, func(x subscription) bool { return x.Filter == s.Filter })
	switch {
	case i >= 0:
		sub.unplaced = c.subs[i].unplaced
		c.subs[i] = sub
	case len(c.subs) >= c.hub.cfg.Subscriptions:
		return quotaExceeded
	default:
		sub.unplaced = true
		c.subs = append(c.subs, sub)
	}
	if s.RetainHandling == 0 || s.RetainHandling == 1 && i < 0 {
		c.fresh = append(c.fresh, filter)
	}
	return sub.QoS
}

// adopt gives cursors to the streams that the filters name and that have none: pacts that were joined a moment ago, of
// which word is on its way. Under c.mu.
func (c *Client) adopt() {
	for _, w := range c.streams() {
		if c.cursor(w.stream) == nil {
			c.cursors = append(c.cursors, c.arriving(w))
		}
	}
}

// arriving is the cursor of a stream that was there before the client could know it, so that it starts where the user's own
// story does.
func (c *Client) arriving(w wanted) *cursor {
	return &cursor{stream: w.stream, acked: w.from, sent: w.from, state: behind, check: true, identifiers: c.identifiers(w.stream)}
}

// move is a cursor that a subscriber asked to begin elsewhere. from is nil when there was none.
type move struct{ from, to *cursor }

// follow makes cursors for what the filters newly name, and returns those whose place is to be read. A place that a
// subscriber asked for is taken as it is; workers compare it with what is kept. Under c.mu.
func (c *Client) follow(subs []pactwire.Subscription, codes []byte) (found []*cursor, moved []move) {
	after := make(map[pactwire.Stream]pactwire.Seq)
	for i, s := range subs {
		if s.After == nil || codes[i] != 1 || c.operator {
			continue
		}
		filter, _ := topics.Unlimited.ParseFilter(s.Filter)
		if stream, ok := filter.Stream(); ok {
			after[stream] = *s.After
		}
	}
	for _, w := range c.streams() {
		cur := c.cursor(w.stream)
		ids := c.identifiers(w.stream)
		switch at, asked := after[w.stream]; {
		case asked:
			// A cursor that is moved is a new one: what is under way for the old counts no longer.
			if cur != nil {
				c.bury(cur)
			}
			to := &cursor{stream: w.stream, acked: at, sent: at, state: held, check: true, identifiers: ids}
			c.cursors = append(c.cursors, to)
			moved = append(moved, move{cur, to})
		case cur == nil:
			cur = &cursor{stream: w.stream, identifiers: ids}
			c.cursors = append(c.cursors, cur)
			found = append(found, cur)
		default:
			cur.identifiers = ids
		}
	}
	return found, moved
}

// place puts new cursors at the head of their streams. Entries that come meanwhile are seen in cur.head, since the cursors
// are findable before the heads are read. Who had the stream with QoS 0 until now misses none of those. Of the streams that are
// passed, the heads are read as well.
func (c *Client) place(ctx context.Context, found []*cursor, passed []pactwire.Stream, former []subscription) error {
	var bounds []pactwire.Bounds
	if len(found)+len(passed) > 0 {
		streams := make([]pactwire.Stream, 0, len(found)+len(passed))
		for _, cur := range found {
			streams = append(streams, cur.stream)
		}
		streams = append(streams, passed...)
		var err error
		if bounds, err = c.hub.places.bounds(ctx, streams); err != nil {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, cur := range found {
		at := bounds[i].Head
		if cur.first > 0 && slices.ContainsFunc(former, func(s subscription) bool { return s.filter.Covers(topicOf(cur.stream)) }) {
			at = min(at, before(cur.first))
		}
		cur.acked, cur.sent, cur.head, cur.state = at, at, max(cur.head, at), held
	}
	for i, s := range passed {
		c.pass(s, bounds[len(found)+i].Head)
	}
	for i := range c.subs {
		c.subs[i].unplaced = false
	}
	return nil
}

// undo goes back to the filters and places of before, but for those whose pact was left meanwhile. Under c.mu.
func (c *Client) undo(former []subscription, moved []move, codes []byte) {
	for i := range codes {
		if granted(codes[i]) {
			codes[i] = unspecified
		}
	}
	c.subs = slices.DeleteFunc(former, func(s subscription) bool {
		return s.filter.Pact() != "" && !c.operator && !c.hub.access.CanRead(c.key.User, s.filter.Pact())
	})
	for _, m := range moved {
		if m.from == nil || m.to.dead {
			continue
		}
		c.bury(m.to)
		m.from.dead, m.from.head = false, max(m.from.head, m.to.head)
		if m.from.state == live && !m.from.caughtUp() {
			m.from.state = behind
		}
		c.cursors = append(c.cursors, m.from)
	}
	c.identify()
	c.fresh = nil
	c.changed()
}

// identify gives each cursor the subscription identifiers of the filters that stand. Under c.mu.
func (c *Client) identify() {
	for _, cur := range c.cursors {
		cur.identifiers = c.identifiers(cur.stream)
	}
}

// prune drops the cursors that no filter holds any more. A wildcard holds those too whose pact cannot be read just now, see
// keepPlaces. Under c.mu.
func (c *Client) prune() {
	want, all := c.streams(), c.takesAll()
	for _, cur := range slices.Clone(c.cursors) {
		if all && cur.state == parked && cur.stream.Pact() != "" {
			continue
		}
		if !slices.ContainsFunc(want, func(w wanted) bool { return w.stream == cur.stream }) || cur.state == placing {
			c.bury(cur)
		}
	}
}

// bury ends a cursor. What is under way for it is forgotten.
func (c *Client) bury(cur *cursor) {
	cur.dead = true
	c.cursors = slices.DeleteFunc(c.cursors, func(x *cursor) bool { return x == cur })
}

// Unsubscribe drops filters and returns one MQTT 5 reason code for each.
func (c *Client) Unsubscribe(filters []string) []byte {
	codes := make([]byte, len(filters))
	c.mu.Lock()
	for i, f := range filters {
		n := len(c.subs)
		c.subs = slices.DeleteFunc(c.subs, func(s subscription) bool { return s.Filter == f })
		if len(c.subs) == n {
			codes[i] = notSubscribed
		}
	}
	c.prune()
	c.identify()
	keep := c.expiry > 0 && !c.detached
	c.mu.Unlock()
	if keep {
		ctx, cancel := context.WithTimeout(context.Background(), readTimeout)
		defer cancel()
		if err := c.hub.saver.save(ctx, c); err != nil { // it stays marked, and is written later
			c.hub.logger.Warn("unsubscribe", "user", c.key.User, "error", err)
		}
	}
	return codes
}

// AfterSuback sends what belongs to the filters of the last Subscribe: snapshots, then replay, then live.
func (c *Client) AfterSuback() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.fresh {
		c.wantSnapshots(f)
	}
	c.fresh = nil
	c.settle()
}

// Start lets the client speak, once CONNACK is written.
func (c *Client) Start() {
	c.mu.Lock()
	c.started = true
	for i := range c.subs {
		if c.subs[i].RetainHandling != 2 {
			c.wantSnapshots(c.subs[i].filter)
		}
	}
	c.settle()
	join := c.autoJoin && c.device == "" && !c.operator
	c.mu.Unlock()
	if join {
		c.join()
	}
}

// settle lets what waited for an acknowledgement go on: snapshots first, where there are any. Under c.mu.
func (c *Client) settle() {
	for _, cur := range c.cursors {
		if cur.state == held {
			cur.state = behind
		}
	}
	if c.quiet = open; len(c.snaps) > 0 {
		c.quiet = afterSnapshots
	} else if !c.busy {
		c.splice()
		c.sendWaits()
	}
	if c.waiting() {
		c.enqueue()
	}
}

// join subscribes to the inbox and all pacts without being asked. One that fails ends the connection: it comes back.
func (c *Client) join() {
	ctx, cancel := context.WithTimeout(context.Background(), readTimeout)
	defer cancel()
	var subs []pactwire.Subscription
	for _, f := range []string{topics.Inbox(c.key.User), "pacts/+/activity", "pacts/+/state", "pacts/+/presence/+"} {
		subs = append(subs, pactwire.Subscription{Filter: f, QoS: 1, RetainHandling: 1})
	}
	if codes := c.Subscribe(ctx, subs); slices.Contains(codes, unspecified) {
		c.hub.metrics.ended.WithLabelValues("auto_join").Inc()
		c.tr.Disconnect(serverBusy)
		return
	}
	c.AfterSuback()
}
