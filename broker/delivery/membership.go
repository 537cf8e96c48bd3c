package delivery

import (
	"slices"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/topics"
)

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
// connection is cut without sending them; the client comes back through the permission check.
func (c *Client) revoke(p pactwire.PactID) {
	had := slices.ContainsFunc(c.subs, func(s subscription) bool {
		return s.filter.Pact() == p || s.filter.AllPacts()
	})
	c.subs = slices.DeleteFunc(c.subs, func(s subscription) bool { return s.filter.Pact() == p })
	c.fresh = slices.DeleteFunc(c.fresh, func(f topics.Filter) bool { return f.Pact() == p })
	if cur := c.cursor(pactwire.ActivityOf(p)); cur != nil {
		c.bury(cur)
	}
	c.snaps = slices.DeleteFunc(c.snaps, func(s snapshot) bool { return s.pact == p })
	delete(c.passed, pactwire.ActivityOf(p))
	c.shown = slices.DeleteFunc(c.shown, func(x shown) bool { return x.pact == p })
	c.welcomed = slices.DeleteFunc(c.welcomed, func(w welcomed) bool { return w.pact == p })
	c.waits = slices.DeleteFunc(c.waits, func(m waiting) bool {
		if m.about != p {
			return false
		}
		c.heavy -= m.Size()
		return true
	})
	if had && c.tr.Pending() > 0 {
		c.hub.metrics.ended.WithLabelValues("revoked").Inc()
		c.tr.Abort()
	}
}

// welcome lets the client's wildcards take in a pact, and wakes a cursor that waited for permission.
func (c *Client) welcome(m pactwire.Membership) {
	stream := pactwire.ActivityOf(m.Pact)
	cur := c.cursor(stream)
	if cur != nil && cur.away { // joined since, or once more: what was said in between is not theirs
		cur.away = false
		cur.acked = max(cur.acked, before(m.JoinedAt))
		cur.sent = max(cur.sent, cur.acked)
	}
	if cur != nil && cur.state == parked {
		cur.state = behind
	}
	for i := range c.subs {
		s := &c.subs[i]
		if !s.filter.AllPacts() {
			continue
		}
		switch {
		case cur != nil || !s.filter.Has(topics.ActivityKind):
		case s.QoS > 0:
			cur = c.arriving(wanted{stream, before(m.JoinedAt)})
			c.cursors = append(c.cursors, cur)
		case c.hub.shared != nil:
			c.pass(stream, max(c.passed[stream], before(m.JoinedAt)))
		}
		for _, kind := range []topics.Kind{topics.StateKind, topics.PresenceKind} {
			if s.filter.Has(kind) {
				c.owe(snapshot{kind: kind, pact: m.Pact, joined: kind == topics.StateKind})
			}
		}
	}
	c.changed()
}
