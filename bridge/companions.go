package bridge

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/trouble"
	"github.com/pactwire/pactwire/topics"
)

// Seen reads what people let others know of when they were last seen; who is not in the map hides nothing.
type Seen interface {
	LastSeenVisibility(ctx context.Context, users []pactwire.UserID) (map[pactwire.UserID]pactwire.LastSeenVisibility, error)
}

// Discreet is People as others may see them.
type Discreet struct {
	people People
	seen   Seen
}

// NewDiscreet makes people as others may see them.
func NewDiscreet(people People, seen Seen) *Discreet { return &Discreet{people, seen} }

// Get returns the presence of people, in order, of which each has let the others know what they may.
func (d *Discreet) Get(ctx context.Context, users []pactwire.UserID) ([]pactwire.Presence, error) {
	list, err := d.people.Get(ctx, users)
	if err != nil || len(users) == 0 {
		return list, err
	}
	hide, err := d.seen.LastSeenVisibility(ctx, users)
	if err != nil {
		return nil, err
	}
	for i := range list {
		list[i] = hide[users[i]].Show(list[i])
	}
	return list, nil
}

// Show returns one presence as others may see it. When that cannot be read, nothing is let out.
func (d *Discreet) Show(ctx context.Context, p pactwire.Presence) pactwire.Presence {
	hide, err := d.seen.LastSeenVisibility(ctx, []pactwire.UserID{p.UserID})
	if err != nil {
		return pactwire.LastSeenHidden.Show(p)
	}
	return hide[p.UserID].Show(p)
}

// Companions tell connected people of each other's coming and going, in their inboxes and unlogged: nobody wants to read
// tomorrow who was there today. At most pactwire.MaxPresenceTargets connections of a person are told and shown.
//
// Here who hides when they were seen does not learn it of others either.
type Companions struct {
	store  SocialStore
	seen   Seen
	people *Discreet
	bridge *Bridge
	log    *slog.Logger

	trouble trouble.Log

	mu    sync.Mutex
	there map[pactwire.UserID]struct{} // who was told to be there, by this node, of those with connections
}

// NewCompanions makes them. They speak through the bridge that they are given to.
func NewCompanions(store SocialStore, seen Seen, people *Discreet, log *slog.Logger) *Companions {
	return &Companions{store: store, seen: seen, people: people, log: log, there: map[pactwire.UserID]struct{}{}}
}

// connected are the people whom u is connected to, with the names that u knows them by.
func (c *Companions) connected(ctx context.Context, u pactwire.UserID) ([]pactwire.Connection, error) {
	return c.store.ReadConnections(ctx, u, pactwire.ConnectionAccepted, "", pactwire.MaxPresenceTargets)
}

// Loaded are the events that say to people who of their connections is there. Who is left out has none.
func (c *Companions) Loaded(ctx context.Context, users []pactwire.UserID) (map[pactwire.UserID]pactwire.Event, error) {
	some, err := c.store.HaveConnections(ctx, users)
	if err != nil {
		return nil, err
	}
	events := make(map[pactwire.UserID]pactwire.Event, len(some))
	for _, u := range some {
		list, err := c.connected(ctx, u)
		if err != nil {
			return events, err
		}
		data, err := c.look(ctx, u, list)
		if err != nil {
			return events, err
		}
		if events[u], err = activeEvent(pactwire.EventActiveLoaded, data); err != nil {
			delete(events, u)
			return events, err
		}
	}
	return events, nil
}

// look shows some of a viewer's connections as the viewer may see them.
func (c *Companions) look(ctx context.Context, viewer pactwire.UserID, list []pactwire.Connection) (pactwire.ActiveConnections, error) {
	users := make([]pactwire.UserID, len(list))
	for i := range list {
		users[i] = list[i].UserID
	}
	people, err := c.people.Get(ctx, users)
	if err != nil {
		return pactwire.ActiveConnections{}, err
	}
	hide, err := c.seen.LastSeenVisibility(ctx, []pactwire.UserID{viewer})
	if err != nil {
		return pactwire.ActiveConnections{}, err
	}
	data := pactwire.ActiveConnections{ActiveUsers: make([]pactwire.ActiveConnection, len(people))}
	for i := range people {
		if people[i].UserName == "" {
			people[i].UserName = list[i].UserName
		}
		data.ActiveUsers[i] = active(people[i], hide[viewer])
	}
	return data, nil
}

func activeEvent(typ pactwire.EventType, data any) (pactwire.Event, error) {
	raw, err := json.Marshal(data)
	return pactwire.Event{Type: typ, Data: raw}, err
}

// active is a presence as a viewer may see it who shows as much of their own.
func active(p pactwire.Presence, viewer pactwire.LastSeenVisibility) pactwire.ActiveConnection {
	p = viewer.Show(p)
	return pactwire.ActiveConnection{UserID: p.UserID, UserName: p.UserName, IsOnline: p.IsOnline, Status: p.Status, LastSeen: p.LastSeen, Version: p.Version}
}

// Changed tells a person's connections of a change, which is shown as others may see it.
func (c *Companions) Changed(ctx context.Context, p pactwire.Presence) {
	list, err := c.connected(ctx, p.UserID)
	if err != nil || len(list) == 0 {
		c.mu.Lock()
		delete(c.there, p.UserID) // nobody is to be told of them any more
		c.mu.Unlock()
		c.complain(err)
		return
	}
	viewers := make([]pactwire.UserID, len(list))
	for i := range list {
		viewers[i] = list[i].UserID
	}
	hide, err := c.seen.LastSeenVisibility(ctx, viewers)
	if err != nil {
		c.complain(err)
		return
	}
	typ := c.change(p)
	for _, v := range viewers {
		raw, err := json.Marshal(active(p, hide[v]))
		if err != nil {
			c.complain(err)
			return
		}
		c.bridge.say(v, pactwire.Event{Type: typ, Data: raw})
	}
	c.complain(nil)
}

// change names a change by what was told before.
func (c *Companions) change(p pactwire.Presence) pactwire.EventType {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, was := c.there[p.UserID]
	if !p.IsOnline {
		delete(c.there, p.UserID)
		if p.LoggedOut {
			return pactwire.EventActiveLoggedOut
		}
		return pactwire.EventActiveDisconnected
	}
	c.there[p.UserID] = struct{}{}
	if was {
		return pactwire.EventActiveRefreshed
	}
	return pactwire.EventActiveLoggedIn
}

// Connected tells two people who have just become connected of each other. Who is there has been told to be, from now on.
func (c *Companions) Connected(ctx context.Context, a, b pactwire.Connection) {
	for _, pair := range [][2]pactwire.Connection{{a, b}, {b, a}} {
		viewer, other := pair[0].UserID, pair[1]
		data, err := c.look(ctx, viewer, []pactwire.Connection{other})
		if err != nil {
			c.complain(err)
			return
		}
		if data.ActiveUsers[0].IsOnline {
			c.mu.Lock()
			c.there[other.UserID] = struct{}{}
			c.mu.Unlock()
		}
		e, err := activeEvent(pactwire.EventActiveAdded, data)
		if err != nil {
			c.complain(err)
			return
		}
		c.bridge.say(viewer, e)
	}
}

func (c *Companions) complain(err error) {
	c.trouble.Change(c.log, "connections cannot be told of people's presence", err)
}

// say sends an unlogged event to a person's inbox, on whichever node they are. It does not block.
func (b *Bridge) say(u pactwire.UserID, e pactwire.Event) {
	e.ID, e.CreatedAt = b.cfg.NewID(), pactwire.Time(time.Now())
	b.pub.Direct(u, "", topics.Inbox(u), appendEvent(nil, &e), nil)
}

// introduce tells two people who have become connected of each other. It runs on the committing goroutine and does not block.
func (b *Bridge) introduce(m meeting) {
	if b.cfg.Companions == nil {
		return
	}
	_ = b.spawn(func() { // while the server stops nobody needs to know who is there
		ctx, cancel := context.WithTimeout(b.ctx, introduceTime)
		defer cancel()
		b.cfg.Companions.Connected(ctx, m.a, m.b)
	})
}

// introduceTime bounds what is read to tell two people of each other.
const introduceTime = 5 * time.Second
