package delivery

import (
	"context"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/topics"
)

// How presence is told again: some clients at a time, and only while the workers have little to do.
const (
	againEvery  = 50 * time.Millisecond
	againAtOnce = 64
)

// PresenceMissed owes each client once more the presence of those whom it sees, since changes may have been lost on their way
// from other nodes. It does not block; it takes its time, and tells only what is news to a client.
func (h *Hub) PresenceMissed() {
	select {
	case h.again <- struct{}{}:
	default: // it is about to begin
	}
}

// tellAgain is the one goroutine that owes presence once more. What is missed meanwhile has it begin anew after that.
func (h *Hub) tellAgain(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.again:
		}
		for list := h.all(); len(list) > 0; {
			if h.work.len() < clientsATurn {
				n := min(len(list), againAtOnce)
				for _, c := range list[:n] {
					c.owePresence(true)
				}
				list = list[n:]
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(againEvery):
			}
		}
	}
}

// PresenceMissedBy is PresenceMissed for one user's clients.
func (h *Hub) PresenceMissedBy(u pactwire.UserID) {
	for _, c := range h.of(u) {
		c.owePresence(false)
	}
}

// owePresence owes what the client's filters take in of others' presence, as a change; companions says whether that of
// people whom the user is connected to is among it. Who has no CONNACK yet gets all of it after that.
func (c *Client) owePresence(companions bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.detached || c.operator || !c.started {
		return
	}
	for i := range c.subs {
		f := c.subs[i].filter
		if companions && f.Has(topics.InboxKind) {
			c.owe(snapshot{kind: topics.InboxKind})
		}
		if !f.Has(topics.PresenceKind) {
			continue
		}
		for _, p := range c.pactsOf(f) {
			c.owe(snapshot{kind: topics.PresenceKind, pact: p, member: f.Member()})
		}
	}
	if len(c.snaps) > 0 {
		c.enqueue()
	}
}
