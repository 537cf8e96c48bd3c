package main

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/bridge"
	"github.com/pactwire/pactwire/bridge/presence"
	"github.com/pactwire/pactwire/bridge/relay"
	"github.com/pactwire/pactwire/internal/config"
	"github.com/pactwire/pactwire/redis"
)

// presences knows who is there, at this node alone or at all of them.
type presences interface {
	bridge.People
	Arrive(c presence.Conn)
	Say(c presence.Conn, status pactwire.PresenceStatus)
	Leave(c presence.Conn)
	Start(ctx context.Context) error
	Stop(ctx context.Context) error
}

// others joins this node to the others of its database.
type others struct {
	addr  string        // of this start of this node
	redis *redis.Client // nil: they have the database alone
	relay *relay.Relay
}

// findOthers prepares to be one of several nodes, if the database is one that they can share.
func findOthers(cfg config.Config, db store) (*others, error) {
	if !db.shared() {
		return nil, nil
	}
	id, err := config.NodeID(cfg)
	if err != nil {
		return nil, err
	}
	o := &others{addr: id + "/" + strconv.FormatInt(time.Now().UnixMicro(), 36)}
	if cfg.Redis.URL != "" {
		o.redis, err = redis.Open(redis.Config{URL: string(cfg.Redis.URL), Addr: o.addr, Lease: cfg.Presence.Lease})
	}
	return o, err
}

func (n *node) newPeople() presences {
	cfg := presence.Config{Grace: n.cfg.Presence.Grace, Lease: n.cfg.Presence.Lease}
	if n.others == nil || n.others.redis == nil {
		return presence.New(cfg, n.store, n.untold.changed, n.log, n.reg)
	}
	cfg.Unheard = func(ctx context.Context) (bool, error) { return n.others.relay.Unheard(ctx) }
	return presence.NewShared(cfg, n.others.redis, n.store, n.untold.changed, n.log, n.reg)
}

// join has the hub and the bridge speak with the other nodes. Without others the bridge speaks with the hub.
func (n *node) join() {
	if n.others == nil {
		n.bridge.Bind(n.hub)
		return
	}
	cfg := relay.Config{Addr: n.others.addr, Poll: n.cfg.Store.Poll, Grace: n.cfg.Presence.Grace, Lease: n.cfg.Presence.Lease,
		Revoked: n.revoked.LookSoon}
	if s, ok := n.people.(*presence.Shared); ok {
		cfg.Reset, cfg.Lapsed = s.Repeat, s.Bury
	}
	var bus relay.Bus
	if n.others.redis != nil {
		bus = n.others.redis
	}
	if s, ok := n.store.(postgresStore); ok {
		cfg.Company = s.Share
	}
	r := relay.New(cfg, bus, n.hub, relayView{n.members, n.bridge}, n.store, n.store.(relay.Shared), n.log, n.reg)
	n.others.relay = r
	n.hub.Share(n.others.addr, n.store, r)
	n.bridge.Bind(r)
	n.bridge.Share(r, n.hub)
	n.revoked.Share(r.Revoked)
}

// tellPresence tells everybody who may see it of a person's presence.
func (n *node) tellPresence(p pactwire.Presence, pacts []pactwire.PactID) {
	if n.others != nil {
		n.others.relay.PresenceChanged(p, pacts)
		return
	}
	for _, id := range pacts {
		p.PactID = id
		n.hub.PresenceChanged(p)
	}
}

func (o *others) start(ctx context.Context) error {
	if o == nil {
		return nil
	}
	return o.relay.Start(ctx)
}

func (o *others) stop(ctx context.Context) error {
	if o == nil {
		return nil
	}
	o.relay.Stop(ctx)
	return o.close()
}

func (o *others) close() error {
	if o == nil || o.redis == nil {
		return nil
	}
	return o.redis.Close()
}

// err is why the way to the other nodes is not what it should be.
func (o *others) err() error {
	if o == nil {
		return nil
	}
	return o.relay.Err()
}

// relayView is the view of membership as the relay sees it. What other nodes tell is told to this node's connections alone.
type relayView struct {
	*bridge.Membership
	bridge *bridge.Bridge
}

func (v relayView) Relearn(ctx context.Context, p pactwire.PactID) error {
	return v.bridge.Relearn(ctx, p)
}

func (v relayView) Rename(u pactwire.UserID, name string, pacts []pactwire.PactID) {
	v.bridge.Rename(u, name, pacts)
}

// pollOf is how often to look at what other nodes wrote; 0 = there are none.
func pollOf(cfg config.Config, db store) time.Duration {
	if db.shared() {
		return cfg.Store.Poll
	}
	return 0
}

// abandon closes what newNode has opened so far.
func (n *node) abandon(err error) error { return errors.Join(err, n.others.close(), n.store.Close()) }

// access is the view of membership as delivery sees it.
type access struct {
	*bridge.Membership
	bridge *bridge.Bridge
}

func (a access) Learn(ctx context.Context, u pactwire.UserID, pacts []pactwire.PactID) error {
	return a.bridge.Learn(ctx, u, pacts)
}
