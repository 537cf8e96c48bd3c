package delivery

import (
	"context"
	"time"

	"github.com/pactwire/pactwire"
)

// How long a claim waits for another node to let a session go. Cursors that moved are saved each second, so after it the
// store has all that was acknowledged to a connection that its client has left.
const (
	yieldTime = 1200 * time.Millisecond
	yieldLook = 100 * time.Millisecond
)

// sessionsARead bounds one question about sessions that may be lost.
const sessionsARead = 512

// shared is what a hub needs where several nodes share the store.
type shared struct {
	node   string
	owners Owners
	peers  Peers
}

// Share makes the hub one of several over a store. node is the address of this one. It is called once, before any
// connection is opened.
func (h *Hub) Share(node string, owners Owners, peers Peers) { h.shared = &shared{node, owners, peers} }

// moved tells the other nodes whom to find here. "" stands for the operators. Under h.mu, so in order.
func (h *Hub) moved(u pactwire.UserID) {
	if h.shared != nil {
		h.shared.peers.Moved(u)
	}
}

// claim takes a session for this node. The node that holds it is asked to let it go first, so that nothing that was
// acknowledged there is sent again; a node that does not answer loses it all the same.
func (h *Hub) claim(ctx context.Context, c *Client, clean bool) (pactwire.Session, bool, error) {
	defer h.saver.claiming(c.key)()
	claim := pactwire.SessionClaim{Key: c.key, Node: h.shared.node, Clean: clean}
	late := time.Now().Add(yieldTime)
	asked := false
	for {
		got, err := h.shared.owners.ClaimSession(ctx, claim)
		if err != nil {
			return pactwire.Session{}, false, err
		}
		if got.Holder == "" {
			return h.claimed(c, got, clean)
		}
		switch {
		case !asked:
			asked = true
			claim.Force = h.shared.peers.Yield(ctx, got.Holder, c.key)
		case time.Now().After(late):
			claim.Force = true
		default:
			if err := pause(ctx, yieldLook); err != nil {
				return pactwire.Session{}, false, err
			}
		}
	}
}

// claimed chooses what the session goes on from: what this node had not written yet, if nobody else held it since.
func (h *Hub) claimed(c *Client, got pactwire.SessionClaimed, clean bool) (pactwire.Session, bool, error) {
	c.mu.Lock()
	c.epoch, c.kept = got.Session.Epoch, true
	c.mu.Unlock()
	parked, ok := h.saver.take(c.key)
	if !ok || clean || parked.Epoch != got.Before {
		return got.Session, got.Found, nil
	}
	parked.Epoch = got.Session.Epoch
	return parked, parked.GoneAt.Add(parked.Expiry).After(time.Now()), nil
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return &pactwire.Error{Code: pactwire.Unavailable, Message: "your session is held elsewhere; try again", Cause: ctx.Err()}
	}
}

// Yield ends this node's connection of a session, for another node that wants it, and returns when it is saved.
func (h *Hub) Yield(ctx context.Context, key pactwire.SessionKey) error {
	for _, c := range h.of(key.User) {
		if c.key == key {
			c.giveWay()
		}
	}
	return h.saver.settle(ctx)
}

// lost ends the connections whose sessions another node has claimed.
func (h *Hub) lost(sessions []pactwire.Session) {
	for _, s := range sessions {
		for _, c := range h.of(s.Key.User) {
			if c.key == s.Key && c.epochNow() == s.Epoch {
				h.metrics.ended.WithLabelValues("taken_over").Inc()
				c.tr.Disconnect(sessionTakenOver)
			}
		}
	}
}

func (c *Client) epochNow() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.epoch
}

// CheckSessions asks the store whether sessions that are held here have been claimed by another node, which may not have
// been able to say so, and ends their connections.
func (h *Hub) CheckSessions(ctx context.Context) error {
	if h.shared == nil {
		return nil
	}
	var held []pactwire.Session
	for _, c := range h.all() {
		if e := c.epochNow(); e > 0 {
			held = append(held, pactwire.Session{Key: c.key, Epoch: e})
		}
	}
	for len(held) > 0 {
		n := min(len(held), sessionsARead)
		lost, err := h.shared.owners.LostSessions(ctx, held[:n])
		if err != nil {
			return err
		}
		h.lost(lost)
		held = held[n:]
	}
	return nil
}

// Users are the users who are connected to this node.
func (h *Hub) Users() []pactwire.UserID {
	h.mu.RLock()
	defer h.mu.RUnlock()
	list := make([]pactwire.UserID, 0, len(h.users))
	for u := range h.users {
		list = append(list, u)
	}
	return list
}

// Operators reports whether any operator is connected to this node.
func (h *Hub) Operators() bool { return len(h.watching()) > 0 }

// Behind says that a stream has come to a head of which the entries are not at hand: cursors that lack some read them.
func (h *Hub) Behind(s pactwire.Stream, head pactwire.Seq) {
	tell := func(u pactwire.UserID) bool {
		for _, c := range h.of(u) {
			c.behind(s, head)
		}
		return true
	}
	if u := s.User(); u != "" {
		tell(u)
		return
	}
	h.access.Readers(s.Pact(), tell)
}

func (c *Client) behind(s pactwire.Stream, head pactwire.Seq) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cur := c.cursor(s)
	if c.detached || cur == nil || head <= cur.head {
		return
	}
	cur.head = head
	if cur.state == parked || cur.state == live && head > cur.sent {
		cur.state = behind
		c.enqueue()
	}
}
