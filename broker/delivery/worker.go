package delivery

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// How much one turn of a worker takes on.
const (
	clientsATurn = 32
	entriesATurn = 512 // of all clients together, but at least entriesMin
	entriesMin   = 16  // of one client
	readTimeout  = 5 * time.Second
)

// queue holds the clients that wait for a worker. A client stands in it once at most, so the number of clients bounds it.
type queue struct {
	mu     sync.Mutex
	wait   []*Client
	signal chan struct{} // of size 1
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

func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.wait)
}

// take waits for clients and returns some of them; nil at the end.
func (q *queue) take(ctx context.Context) []*Client {
	for {
		q.mu.Lock()
		n := min(len(q.wait), clientsATurn)
		batch := slices.Clone(q.wait[:n])
		clear(q.wait[:n])
		if q.wait = q.wait[n:]; len(q.wait) == 0 {
			q.wait = nil
		} else {
			q.notify() // for another worker
		}
		q.mu.Unlock()
		if ctx.Err() != nil {
			return nil
		}
		if n > 0 {
			return batch
		}
		select {
		case <-q.signal:
		case <-ctx.Done():
			return nil
		}
	}
}

// serve is a worker: for each waiting client it makes snapshots and then reads the log.
func (h *Hub) serve(ctx context.Context) {
	for {
		batch := h.work.take(ctx)
		if batch == nil {
			return
		}
		for _, c := range batch {
			c.mu.Lock()
			c.queued, c.busy = false, true
			c.mu.Unlock()
		}
		turn, cancel := context.WithTimeout(ctx, readTimeout)
		asked, shown := h.sendSnapshots(turn, batch)
		looked, read := h.catchUp(turn, batch, shown == nil)
		cancel()
		if ctx.Err() == nil && (asked || looked) { // else it says nothing of how the store is
			h.trouble.Change(h.logger, "clients cannot be served from the log; tried again", errors.Join(shown, read))
		}
		for _, c := range batch {
			c.endTurn(shown != nil || read != nil)
		}
	}
}

// endTurn gives a client back. What could not be read is tried again at the next look.
func (c *Client) endTurn(failed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy = false
	if c.quiet == afterSnapshots && (len(c.snaps) == 0 || failed || !c.room()) {
		c.quiet = open
	}
	c.sendWaits()
	if !c.waiting() {
		return
	}
	if failed || c.ring.len > c.window/2 {
		c.block()
		return
	}
	c.enqueue()
}

// waiting reports whether there is something to send that a worker has to see to, or that waits for room.
func (c *Client) waiting() bool {
	return len(c.waits) > 0 || len(c.snaps) > 0 || slices.ContainsFunc(c.cursors, func(cur *cursor) bool { return cur.state == behind })
}

// enqueue asks for a worker, or for a look later when there is no room. A client that a worker has is seen to at the end of
// its turn, one that is about to get its SUBACK or CONNACK after that.
func (c *Client) enqueue() {
	switch {
	case c.queued || c.busy || c.detached || c.quiet == afterAck:
	case !c.room():
		c.block()
	default:
		c.queued = true
		c.hub.work.push(c)
	}
}

// block has the client looked after until nothing waits in it.
func (c *Client) block() {
	if c.stalled.IsZero() {
		c.stalled, c.pending = time.Now(), c.tr.Pending()
	}
	if !c.blocked && !c.detached {
		c.blocked = true
		c.hub.blocked.add(c)
	}
}

// wake is called when the transport has drained.
func (c *Client) wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stalled, c.lossy = time.Time{}, false
	c.sendWaits()
	if c.waiting() {
		c.enqueue()
	}
}

// look sees after a client in which something waits: it goes on where there is room, and is ended when it took nothing for
// long. It reports whether to look again.
func (c *Client) look(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lossy && c.fits() {
		c.lossy = false
	}
	c.sendWaits()
	if c.detached || !c.waiting() && !c.lossy {
		c.blocked, c.stalled = false, time.Time{}
		return false
	}
	if c.room() || !c.started {
		c.stalled = time.Time{}
		c.enqueue()
		return true
	}
	p := c.tr.Pending()
	if c.stalled.IsZero() || p < c.pending {
		c.stalled = now
	}
	c.pending = p
	if now.Sub(c.stalled) >= c.hub.cfg.StallTimeout {
		c.stalled = now
		c.hub.metrics.ended.WithLabelValues("stalled").Inc()
		c.tr.Disconnect(quotaExceeded)
	}
	return true
}

// blockedSet holds the clients in which something waits. The number of clients bounds it.
type blockedSet struct {
	mu  sync.Mutex
	set map[*Client]struct{}
}

func (b *blockedSet) add(c *Client) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.set[c] = struct{}{}
}

// look has each client looked after.
func (b *blockedSet) look(now time.Time) {
	b.mu.Lock()
	list := make([]*Client, 0, len(b.set))
	for c := range b.set {
		list = append(list, c)
	}
	clear(b.set)
	b.mu.Unlock()
	for _, c := range list {
		if c.look(now) {
			b.add(c)
		}
	}
}
