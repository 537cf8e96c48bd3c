package delivery

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/broker/wire"
	"github.com/pactwire/pactwire/topics"
)

// reading is one cursor that is served in a turn.
type reading struct {
	client  *Client
	cur     *cursor
	after   pactwire.Seq
	limit   int
	checked bool // compared with what is kept, in this turn
	skip    bool // nothing is to be read
}

// catchUp reads the log for the clients' cursors that are behind, and reports whether there are any. With snapshotsFirst, clients that
// are owed snapshots wait.
func (h *Hub) catchUp(ctx context.Context, batch []*Client, snapshotsFirst bool) (looked bool, err error) {
	var reads []reading
	quota := max(entriesMin, entriesATurn/len(batch))
	for _, c := range batch {
		reads = c.readings(reads, quota, snapshotsFirst)
	}
	looked = len(reads) > 0
	if err := h.check(ctx, reads); err != nil {
		return looked, err
	}
	reqs := make([]pactwire.ReadRequest, 0, len(reads))
	todo := reads[:0]
	for _, r := range reads {
		if !r.skip {
			todo = append(todo, r)
			reqs = append(reqs, pactwire.ReadRequest{Stream: r.cur.stream, After: r.after, Limit: r.limit})
		}
	}
	if len(reqs) == 0 {
		return looked, nil
	}
	entries, err := h.log.ReadMany(ctx, reqs)
	if err != nil {
		return looked, err
	}
	for i, r := range todo {
		e := r.client.hearOfLeaving(ctx, r.cur.stream.Pact(), entries[i])
		if e == nil {
			e = r.client.replay(r, entries[i])
		}
		if e != nil {
			err = e
		}
	}
	return looked, err
}

// readings chooses what to read for a client within its window, a little of each of many streams.
func (c *Client) readings(reads []reading, quota int, snapshotsFirst bool) []reading {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.detached || !c.room() || snapshotsFirst && len(c.snaps) > 0 {
		return reads
	}
	c.splice()
	n := 0
	for _, cur := range c.cursors {
		if cur.state == behind {
			n++
		}
	}
	if n == 0 {
		return reads
	}
	free := min(c.window-c.ring.len, quota)
	each := max(1, free/n)
	for i := range c.cursors {
		cur := c.cursors[(i+c.turn)%len(c.cursors)]
		if cur.state != behind {
			continue
		}
		reads = append(reads, reading{client: c, cur: cur, after: cur.sent, limit: each, checked: cur.check})
		if free -= each; free < each {
			c.turn = (i + c.turn + 1) % len(c.cursors) // the others come first next time
			break
		}
	}
	return reads
}

// splice makes cursors live for which nothing is to be read.
func (c *Client) splice() {
	for _, cur := range c.cursors {
		if cur.state == behind && cur.caughtUp() {
			cur.state = live
		}
	}
}

// mayRead asks the permission check right before sending; "" is what is the user's own.
func (c *Client) mayRead(p pactwire.PactID) bool {
	return p == "" || c.operator || c.hub.access.CanRead(c.key.User, p)
}

// check compares the places of cursors that may be out of what is kept with the streams' bounds.
func (h *Hub) check(ctx context.Context, reads []reading) error {
	var streams []pactwire.Stream
	for _, r := range reads {
		if r.checked {
			streams = append(streams, r.cur.stream)
		}
	}
	if len(streams) == 0 {
		return nil
	}
	bounds, err := h.log.Bounds(ctx, streams)
	if err != nil {
		return err
	}
	for i := range reads {
		if r := &reads[i]; r.checked {
			r.client.checked(r, bounds[0])
			bounds = bounds[1:]
		}
	}
	return nil
}

// checked brings a cursor between the bounds of its stream. What was removed from the log is said with SERVER:FEED_RESET,
// whose acknowledgement moves the cursor: until then it is said again after each return.
func (c *Client) checked(r *reading, b pactwire.Bounds) {
	allowed := c.mayRead(r.cur.stream.Pact())
	c.mu.Lock()
	defer c.mu.Unlock()
	cur := r.cur
	r.skip = true
	if c.detached || cur.dead || cur.state != behind || !c.room() {
		return
	}
	if !allowed {
		cur.state = parked
		return
	}
	cur.head = max(cur.head, b.Head)
	cur.dup = min(cur.dup, cur.head)
	switch {
	case cur.sent > cur.head: // asked to start behind the end
		cur.sent, cur.acked = cur.head, cur.head
	case cur.sent < b.Floor:
		cur.sent = b.Floor
		c.sendReset(cur, b)
	}
	cur.check = false
	r.after = cur.sent
	if r.skip = cur.caughtUp(); r.skip {
		cur.state = live
	}
}

func (c *Client) sendReset(cur *cursor, b pactwire.Bounds) {
	data, _ := json.Marshal(pactwire.FeedReset{Stream: topics.OfStream(cur.stream), FromSeq: b.Floor + 1, HeadSeq: cur.head})
	body, err := c.hub.encode(pactwire.Event{Type: pactwire.EventFeedReset, Data: data})
	if err != nil {
		c.hub.logger.Error("encode event", "type", pactwire.EventFeedReset, "error", err)
		return
	}
	_, ids, _ := c.covers(topics.Topic{Kind: topics.InboxKind, User: c.key.User})
	c.write(wire.Publish{QoS: 1, Topic: topics.Inbox(c.key.User), Identifiers: ids, Payload: body}, slot{cur: cur, seq: b.Floor})
	c.changed()
}

// encode writes an unlogged event.
func (h *Hub) encode(e pactwire.Event) ([]byte, error) {
	e.ID, e.CreatedAt = h.cfg.NewID(), pactwire.Time(time.Now())
	return json.Marshal(e)
}

// hearOfLeaving has a pact read again when what was read of its log says that the client's person has left, later than they joined as
// far as this node has heard: what follows is not theirs.
func (c *Client) hearOfLeaving(ctx context.Context, p pactwire.PactID, entries []pactwire.Entry) error {
	if c.hub.shared == nil || c.operator || p == "" {
		return nil
	}
	for _, e := range slices.Backward(entries) {
		if pactwire.WhoLeft(e.Payload) != c.key.User {
			continue
		}
		mine := c.hub.access.Pacts(c.key.User)
		if slices.ContainsFunc(mine, func(m pactwire.Membership) bool { return m.Pact == p && m.JoinedAt < e.Seq }) {
			return c.hub.access.Learn(ctx, c.key.User, []pactwire.PactID{p})
		}
		break
	}
	return nil
}

// replay sends what was read, and splices a cursor that has come to the end into live delivery. Whatever is committed
// after the read is seen in cur.head, or offered to the cursor once it is live.
func (c *Client) replay(r reading, entries []pactwire.Entry) error {
	allowed := c.mayRead(r.cur.stream.Pact())
	c.mu.Lock()
	defer c.mu.Unlock()
	cur := r.cur
	if c.detached || cur.dead || cur.state != behind || cur.sent != r.after {
		return nil
	}
	if !allowed {
		cur.state = parked
		return nil
	}
	if hole := len(entries) == 0 && cur.head > cur.sent || len(entries) > 0 && entries[0].Seq != cur.sent+1; hole {
		if r.checked {
			return fmt.Errorf("stream %s is not whole after %d", topics.OfStream(cur.stream), cur.sent)
		}
		cur.check = true // removed since: compare, and say so
		return nil
	}
	c.gather()
	var x entry
	for _, e := range entries {
		if !c.room() || e.Seq != cur.sent+1 {
			break
		}
		x.set(e)
		x.matters = c.hub.matters(e)
		c.sendEntry(cur, &x)
		c.hub.metrics.replayed.Inc()
	}
	c.handOver()
	if cur.caughtUp() && len(entries) < r.limit {
		cur.state = live
	}
	return nil
}
