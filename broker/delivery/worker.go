package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/broker/wire"
	"github.com/pactwire/pactwire/topics"
)

// How much one turn of a worker takes on.
const (
	clientsATurn = 32
	streamsATurn = 16 // of one client
	entriesATurn = 64 // of one stream
	readTimeout  = 5 * time.Second
)

// queue holds the clients that wait for a worker. A client stands in it once at most, so the number of clients bounds it.
type queue struct {
	mu     sync.Mutex
	wait   []*Client
	signal chan struct{} // of size 1
	closed bool
}

func newQueue() *queue { return &queue{signal: make(chan struct{}, 1)} }

func (q *queue) push(c *Client) {
	q.mu.Lock()
	q.wait = append(q.wait, c)
	q.mu.Unlock()
	q.notify()
}

func (q *queue) notify() {
	select {
	case q.signal <- struct{}{}:
	default:
	}
}

func (q *queue) close() {
	q.mu.Lock()
	q.closed, q.wait = true, nil
	q.mu.Unlock()
	q.notify()
}

// take waits for clients and returns some of them; nil at the end.
func (q *queue) take(ctx context.Context) []*Client {
	for {
		q.mu.Lock()
		if q.closed {
			q.mu.Unlock()
			q.notify()
			return nil
		}
		if n := min(len(q.wait), clientsATurn); n > 0 {
			batch := append([]*Client(nil), q.wait[:n]...)
			if q.wait = q.wait[n:]; len(q.wait) == 0 {
				q.wait = nil
			}
			more := len(q.wait) > 0
			q.mu.Unlock()
			if more {
				q.notify()
			}
			return batch
		}
		q.mu.Unlock()
		select {
		case <-q.signal:
		case <-ctx.Done():
			return nil
		}
	}
}

// serve is a worker: for each waiting client it sends what waits for room, makes snapshots and reads the log.
func (h *Hub) serve(ctx context.Context) {
	for {
		batch := h.work.take(ctx)
		if batch == nil {
			return
		}
		for _, c := range batch {
			c.mu.Lock()
			c.queued = false
			c.mu.Unlock()
		}
		turn, cancel := context.WithTimeout(ctx, readTimeout)
		h.sendSnapshots(turn, batch)
		err := h.catchUp(turn, batch)
		cancel()
		if err != nil && ctx.Err() == nil {
			h.logger.Warn("read the log", "error", err)
			h.again(ctx, batch)
		}
	}
}

// again gives clients another turn after a failed read, a little later.
func (h *Hub) again(ctx context.Context, batch []*Client) {
	select {
	case <-ctx.Done():
	case <-time.After(200 * time.Millisecond):
	}
	for _, c := range batch {
		c.wake()
	}
}

// reading is one stream that is read for one client.
type reading struct {
	client *Client
	cur    *cursor
	after  pactwire.Seq
	limit  int
}

// catchUp reads the log for the clients' cursors that are behind.
func (h *Hub) catchUp(ctx context.Context, batch []*Client) error {
	var reads []reading
	var reqs []pactwire.ReadRequest
	for _, c := range batch {
		for _, r := range c.readings() {
			reads = append(reads, r)
			reqs = append(reqs, pactwire.ReadRequest{Stream: r.cur.stream, After: r.after, Limit: r.limit})
		}
	}
	if len(reqs) == 0 {
		return nil // what waits and found no room has begun to count
	}
	entries, err := h.log.ReadMany(ctx, reqs)
	if err != nil {
		return err
	}
	for i, r := range reads {
		if len(entries[i]) > 0 && entries[i][0].Seq != r.after+1 {
			if err := h.reset(ctx, r, entries[i][0].Seq); err != nil {
				return err
			}
		}
		r.client.replay(r, entries[i])
	}
	for _, c := range batch {
		c.mu.Lock()
		c.goOn()
		c.mu.Unlock()
	}
	return nil
}

// goOn asks for another turn while there is something to send and room for it; without room the clock begins to run.
// Under c.mu.
func (c *Client) goOn() {
	switch {
	case c.detached || !c.waiting():
	case c.room():
		c.enqueue()
	case c.stalled.IsZero():
		c.stalled = time.Now()
	}
}

// readings chooses what to read for a client, and sends the answers that waited.
func (c *Client) readings() (rs []reading) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.detached {
		return nil
	}
	for len(c.directs) > 0 && c.room() {
		c.write(c.directs[0], slot{})
		c.directs = c.directs[1:]
	}
	free := c.window - c.ring.len
	if !c.room() {
		c.goOn()
		return nil
	}
	for _, cur := range c.cursors {
		if cur.state == behind && len(rs) < streamsATurn && free > 0 {
			rs = append(rs, reading{client: c, cur: cur, after: cur.sent, limit: min(entriesATurn, free)})
		}
	}
	return rs
}

// replay sends what was read, and splices a cursor that has come to the head into live delivery. Between the read and now
// nothing else has sent for it: a cursor that is behind is served by the worker that took its client.
func (c *Client) replay(r reading, entries []pactwire.Entry) {
	p := r.cur.stream.Pact()
	allowed := p == "" || c.hub.access.CanRead(c.key.User, p)
	c.mu.Lock()
	defer c.mu.Unlock()
	cur := r.cur
	if c.detached || cur.dead || cur.state != behind || !allowed {
		return
	}
	for _, e := range entries {
		if e.Seq <= cur.sent {
			continue
		}
		if !c.room() || e.Seq != cur.sent+1 {
			break
		}
		c.sendEntry(cur, newEntry(e))
	}
	if cur.sent >= cur.head && len(entries) < r.limit && (len(entries) == 0 || cur.sent >= entries[len(entries)-1].Seq) {
		cur.state = live
	}
}

// reset tells a client that what lies before seq is no longer kept, and moves the cursor there.
func (h *Hub) reset(ctx context.Context, r reading, seq pactwire.Seq) error {
	bounds, err := h.log.Bounds(ctx, []pactwire.Stream{r.cur.stream})
	if err != nil {
		return err
	}
	data, err := json.Marshal(pactwire.FeedReset{Stream: topics.OfStream(r.cur.stream), FromSeq: seq, HeadSeq: bounds[0].Head})
	if err != nil {
		return err
	}
	body, err := json.Marshal(pactwire.Event{ID: h.cfg.NewID(), Type: pactwire.EventFeedReset, Data: data,
		CreatedAt: pactwire.Time(time.Now())})
	if err != nil {
		return err
	}
	c := r.client
	c.mu.Lock()
	defer c.mu.Unlock()
	if seq > bounds[0].Floor+1 {
		return errors.New("the log has a hole")
	}
	if r.cur.dead || r.cur.state != behind || r.cur.sent != r.after || !c.room() {
		return nil
	}
	r.cur.sent, r.cur.acked = seq-1, seq-1
	c.write(wire.Publish{QoS: 1, Topic: topics.Inbox(c.key.User), Payload: body}, slot{})
	return nil
}
