package delivery

import (
	"context"
	"slices"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/topics"
)

// may puts the words' verdict and membership together.
func (h *Hub) may(id pactwire.Identity, f topics.Filter, v topics.Verdict) bool {
	switch v {
	case topics.Yes:
		return true
	case topics.IfMember:
		return h.access.CanRead(id.UserID, f.Pact())
	case topics.IfPartner:
		return h.access.CanRead(id.UserID, f.Pact()) && h.access.CanRead(f.Member(), f.Pact())
	}
	return false
}

// Subscribe takes filters in and returns one MQTT 5 reason code for each. Nothing is sent for them until AfterSuback.
// It waits until the place of each new stream is known and, for a session that is kept, the filters are stored.
func (c *Client) Subscribe(ctx context.Context, subs []pactwire.Subscription) []byte {
	codes := make([]byte, len(subs))
	c.mu.Lock()
	c.fresh = c.fresh[:0]
	for i, s := range subs {
		codes[i] = c.subscribe(s)
	}
	found := c.follow(subs, codes)
	c.mu.Unlock()

	if err := c.place(ctx, found); err != nil {
		return c.undo(subs, codes, err)
	}
	if session, ok := c.snapshot(); ok {
		c.mu.Lock()
		c.kept = true
		c.mu.Unlock()
		if err := c.hub.sessions.SaveSessions(ctx, []pactwire.Session{session}); err != nil {
			return c.undo(subs, codes, err)
		}
	}
	return codes
}

// subscribe takes one filter in. Under c.mu.
func (c *Client) subscribe(s pactwire.Subscription) byte {
	identity := pactwire.Identity{UserID: c.key.User}
	if c.operator {
		identity.Roles = pactwire.RoleOperator
	}
	filter, verdict := topics.Subscribe(identity, false, s.Filter)
	switch {
	case verdict == topics.Malformed:
		return filterInvalid
	case verdict == topics.SharedNo:
		return noSharing
	case !c.hub.may(identity, filter, verdict):
		return notAuthorized
	}
	granted := subscription{filter: filter, SessionFilter: pactwire.SessionFilter{Filter: s.Filter, QoS: min(s.QoS, 1),
		Identifier: s.Identifier, RetainHandling: s.RetainHandling, NoLocal: s.NoLocal, RetainAsPub: s.RetainAsPublished}}
	i := slices.IndexFunc(c.subs, func(x subscription) bool { return x.Filter == s.Filter })
	known := i >= 0
	switch {
	case known:
		c.subs[i] = granted
	case len(c.subs) >= c.hub.cfg.Subscriptions:
		return quotaExceeded
	default:
		i = len(c.subs)
		c.subs = append(c.subs, granted)
	}
	if !c.operator && (s.RetainHandling == 0 || s.RetainHandling == 1 && !known) {
		c.fresh = append(c.fresh, i)
	}
	return granted.QoS
}

// follow brings the cursors in line with the filters and returns those whose place is not known. Under c.mu.
func (c *Client) follow(subs []pactwire.Subscription, codes []byte) (found []*cursor) {
	want := c.streams()
	for _, w := range want {
		cur := c.cursor(w.stream)
		if cur == nil {
			cur = &cursor{stream: w.stream}
			c.cursors = append(c.cursors, cur)
			found = append(found, cur)
		}
		cur.identifiers = c.identifiers(w.stream)
	}
	c.cursors = slices.DeleteFunc(c.cursors, func(cur *cursor) bool {
		cur.dead = !slices.ContainsFunc(want, func(w wanted) bool { return w.stream == cur.stream })
		return cur.dead
	})
	for i, s := range subs {
		if s.After == nil || codes[i] != 1 {
			continue
		}
		filter, _ := topics.ParseFilter(s.Filter)
		stream, ok := filter.Stream()
		if !ok {
			continue
		}
		// A cursor that is moved is a new one: what is under way for the old no longer counts.
		old := c.cursor(stream)
		if old == nil {
			continue
		}
		moved := &cursor{stream: stream, acked: *s.After, sent: *s.After, head: max(old.head, *s.After), identifiers: old.identifiers}
		old.dead = true
		c.cursors[slices.Index(c.cursors, old)] = moved
		found = slices.DeleteFunc(found, func(cur *cursor) bool { return cur == old })
	}
	return found
}

// place puts new cursors at the head of their streams. Entries that come meanwhile are seen in cur.head, since the cursors
// are in place before the heads are read.
func (c *Client) place(ctx context.Context, found []*cursor) error {
	if len(found) == 0 {
		return nil
	}
	streams := make([]pactwire.Stream, len(found))
	for i, cur := range found {
		streams[i] = cur.stream
	}
	bounds, err := c.hub.log.Bounds(ctx, streams)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, cur := range found {
		at := bounds[i].Head
		cur.acked, cur.sent, cur.head = at, at, max(cur.head, at)
	}
	return nil
}

// undo takes filters back that could not be placed or stored.
func (c *Client) undo(subs []pactwire.Subscription, codes []byte, err error) []byte {
	c.hub.logger.Warn("subscribe", "user", c.key.User, "error", err)
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, s := range subs {
		if codes[i] <= 1 {
			codes[i] = unspecified
			c.remove(s.Filter)
		}
	}
	c.fresh = c.fresh[:0]
	return codes
}

// remove drops a filter and the cursors that only it held. Under c.mu.
func (c *Client) remove(filter string) bool {
	i := slices.IndexFunc(c.subs, func(s subscription) bool { return s.Filter == filter })
	if i < 0 {
		return false
	}
	c.subs = slices.Delete(c.subs, i, i+1)
	c.follow(nil, nil)
	return true
}

// Unsubscribe drops filters and returns one MQTT 5 reason code for each.
func (c *Client) Unsubscribe(filters []string) []byte {
	codes := make([]byte, len(filters))
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, f := range filters {
		if !c.remove(f) {
			codes[i] = notSubscribed
		}
	}
	c.changed()
	return codes
}

// AfterSuback sends what belongs to the filters of the last Subscribe: snapshots, then replay, then live.
func (c *Client) AfterSuback() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, i := range c.fresh {
		if i < len(c.subs) {
			c.wantSnapshots(c.subs[i].filter)
		}
	}
	c.fresh = c.fresh[:0]
	c.settle()
}

// Start lets the client speak, once CONNACK is written.
func (c *Client) Start() {
	c.mu.Lock()
	c.started = true
	for i := range c.subs {
		if c.subs[i].RetainHandling == 0 {
			c.wantSnapshots(c.subs[i].filter)
		}
	}
	c.settle()
	join := c.autoJoin
	c.mu.Unlock()
	if join {
		c.join()
	}
}

// settle lets cursors that waited for their first snapshots go on: workers make the snapshots first. Under c.mu.
func (c *Client) settle() {
	for _, cur := range c.cursors {
		if cur.state == starting {
			cur.state = behind
		}
	}
	if c.waiting() {
		c.enqueue()
	}
}

// join subscribes to the inbox and all pacts without being asked.
func (c *Client) join() {
	ctx, cancel := context.WithTimeout(context.Background(), c.hub.cfg.StallTimeout)
	defer cancel()
	var subs []pactwire.Subscription
	for _, f := range []string{topics.Inbox(c.key.User), "pacts/+/activity", "pacts/+/state", "pacts/+/presence/+"} {
		subs = append(subs, pactwire.Subscription{Filter: f, QoS: 1, RetainHandling: 1})
	}
	c.Subscribe(ctx, subs)
	c.AfterSuback()
}
