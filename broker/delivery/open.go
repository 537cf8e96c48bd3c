package delivery

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/pactwire/pactwire"
)

// seats lets one connection at a time hold a session.
type seats struct {
	mu    sync.Mutex
	taken map[pactwire.SessionKey]*seat
}

// seat is the right to a session key. Opening holds its turn; the client that won stays until it is detached.
type seat struct {
	turn   chan struct{} // of size 1: holds a token while nobody opens
	client *Client
	users  int // openers and the client; the seat goes with the last
}

func (s *seats) take(key pactwire.SessionKey) *seat {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.taken[key]
	if x == nil {
		x = &seat{turn: make(chan struct{}, 1)}
		x.turn <- struct{}{}
		s.taken[key] = x
	}
	x.users++
	return x
}

func (s *seats) leave(key pactwire.SessionKey, x *seat) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if x.users--; x.users == 0 {
		delete(s.taken, key)
	}
}

// sit gives the seat to a client, after the one before has stood up.
func (s *seats) sit(x *seat, c *Client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x.client = c
	x.users++
}

// stand ends a client's hold, if it still has it.
func (s *seats) stand(key pactwire.SessionKey, c *Client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if x := s.taken[key]; x != nil && x.client == c {
		x.client = nil
		if x.users--; x.users == 0 {
			delete(s.taken, key)
		}
	}
}

func (s *seats) holder(x *seat) *Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	return x.client
}

// Open makes the client of a connection that has proven who it is. Whoever held the session before is disconnected and
// detached when it returns; of many that come at once one at a time is served. present says whether a kept session goes
// on. Errors: TooMany for a connection too many, Unavailable when membership or session cannot be read now.
func (h *Hub) Open(ctx context.Context, in pactwire.Connecting, tr Transport) (c *Client, present bool, err error) {
	key := pactwire.SessionKey{User: in.Identity.UserID, ClientID: in.ClientID}
	x := h.seats.take(key)
	defer h.seats.leave(key, x)
	select {
	case <-x.turn:
	case <-ctx.Done():
		return nil, false, pactwire.Errorf(pactwire.Unavailable, "too many connections with this client id at once; try again")
	}
	defer func() { x.turn <- struct{}{} }()

	if before := h.seats.holder(x); before != nil {
		before.giveWay()
	}
	c = &Client{hub: h, key: key, device: in.Identity.Device, tr: tr, operator: in.Identity.Is(pactwire.RoleOperator),
		human:    in.Identity.Device == "" && in.Kind.Human(),
		autoJoin: in.AutoJoin, version: in.Version, expiry: in.Expiry, window: maxWindow, maxPacket: int(in.MaximumPacketSize), terse: in.NoReasons, quiet: afterAck}
	if in.ReceiveMaximum > 0 {
		c.window = min(c.window, int(in.ReceiveMaximum))
	}
	if c.operator {
		c.expiry = 0
	} else if err := h.access.Ensure(ctx, key.User); err != nil {
		return nil, false, err
	}
	h.seats.sit(x, c)
	// Findable first: what happens from here on is seen by the client, and what happened before is read. Seated before that,
	// since who is found may be detached, by another node that wants the session.
	if !h.enter(c) {
		h.seats.stand(key, c)
		h.letGo(c)
		return nil, false, pactwire.Errorf(pactwire.TooMany, "too many connections are open already; close one first")
	}
	if present, err = h.resume(ctx, c, in.Clean); err != nil {
		c.Detach()
		return nil, false, err
	}
	if !c.whole() {
		return nil, false, pactwire.Errorf(pactwire.Unavailable, "another connection has taken your session over; try again")
	}
	tr.OnDrained(c.wake)
	return c, present, nil
}

// lastWords is how long a connection that is taken over is heard out. The DISCONNECT by which its client left may be on its way through
// another goroutine, and says for how long the session is kept.
const lastWords = 250 * time.Millisecond

// giveWay ends the connection for another one of the same session.
func (c *Client) giveWay() {
	c.tr.HearOut(lastWords)
	if c.stands() {
		c.hub.metrics.ended.WithLabelValues("taken_over").Inc()
		c.tr.Disconnect(sessionTakenOver)
	}
	c.Detach()
}

func (c *Client) stands() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.detached
}

// letGo gives back what a client holds of membership.
func (h *Hub) letGo(c *Client) {
	if !c.operator {
		h.access.Release(c.key.User)
	}
}

// connectionsPerDevice bounds the connections of one thing. They are counted apart from their owner's, so that a thing
// gone wild locks nobody out.
const connectionsPerDevice = 4

// enter makes a client findable, unless its user or device has as many as may be.
func (h *Hub) enter(c *Client) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c.operator {
		mine := 0
		for _, x := range h.operators {
			if x.key.User == c.key.User {
				mine++
			}
		}
		if mine >= h.cfg.ConnectionsPerUser {
			return false
		}
		h.operators = append(slices.Clip(slices.Clone(h.operators)), c)
		h.moved("")
		return true
	}
	list := h.users[c.key.User]
	most := h.cfg.ConnectionsPerUser
	if c.device != "" {
		most = connectionsPerDevice
	}
	mine := 0
	for _, x := range list {
		if x.device == c.device {
			mine++
		}
	}
	if mine >= most {
		return false
	}
	h.users[c.key.User] = append(slices.Clip(slices.Clone(list)), c)
	if len(list) == 0 {
		h.moved(c.key.User)
	}
	return true
}

func (h *Hub) leave(c *Client) {
	h.mu.Lock()
	defer h.mu.Unlock()
	without := func(list []*Client) []*Client {
		return slices.DeleteFunc(slices.Clone(list), func(x *Client) bool { return x == c })
	}
	if c.operator {
		h.operators = without(h.operators)
		h.moved("")
		return
	}
	if rest := without(h.users[c.key.User]); len(rest) > 0 {
		h.users[c.key.User] = rest
	} else {
		delete(h.users, c.key.User)
		h.moved(c.key.User)
	}
}
