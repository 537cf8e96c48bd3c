package main

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/bridge"
	"github.com/pactwire/pactwire/bridge/payload"
	"github.com/pactwire/pactwire/bridge/push"
	"github.com/pactwire/pactwire/broker"
	"github.com/pactwire/pactwire/broker/delivery"
	"github.com/pactwire/pactwire/devices"
	"github.com/pactwire/pactwire/habits"
	"github.com/pactwire/pactwire/hooks"
	"github.com/pactwire/pactwire/httpapi"
	"github.com/pactwire/pactwire/internal/auth"
	"github.com/pactwire/pactwire/internal/config"
	"github.com/pactwire/pactwire/topics"
)

// node is one whole server, put together.
type node struct {
	cfg      config.Config
	log      *slog.Logger
	reg      *prometheus.Registry
	store    store
	verifier *auth.Verifier
	revoked  *auth.Revocations
	devices  *devices.Registry
	members  *bridge.Membership
	bridge   *bridge.Bridge
	people   presences
	untold   *untold
	shown    *bridge.Discreet // people as others may see them
	met      *bridge.Companions
	others   *others // nil on a single node
	limits   *limits
	hub      *delivery.Hub
	broker   *broker.Server
	api      *httpapi.Server
	pusher   *push.Pusher      // nil when no channel is configured
	service  *habits.Service   // nil with a remote habits-service
	engine   *habits.Embedded  // nil with a remote habits-service
	due      *habits.Scheduler // and so is this
	client   *habits.Client    // nil with the embedded one
	stopping sync.Once
}

// newVerifier believes whom the configuration says. stands refuses who was revoked; nil = nobody is.
func newVerifier(cfg config.Config, stands func(pactwire.Identity) error, log *slog.Logger) (*auth.Verifier, error) {
	j := cfg.Auth.JWT
	c := auth.Config{JWKSURL: j.JWKSURL, Issuer: j.Issuer, Audience: j.Audience, Brand: j.Brand, Stands: stands}
	if c.JWKSURL == "" {
		if _, err := config.MakeSigningKey(cfg); err != nil {
			return nil, err
		}
		key, err := config.SigningKey(cfg)
		if err != nil {
			return nil, err
		}
		c.Secret = key
	}
	return auth.New(c, log)
}

// newNode opens the store and wires everything; nothing listens before Start.
func newNode(ctx context.Context, cfg config.Config, log *slog.Logger) (n *node, err error) {
	n = &node{cfg: cfg, log: log, reg: prometheus.NewRegistry()}
	n.reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if n.store, err = openStore(ctx, cfg, log, n.reg); err != nil {
		return nil, err
	}
	if n.others, err = findOthers(cfg, n.store); err != nil {
		return nil, n.abandon(err)
	}
	n.revoked = auth.NewRevocations(n.store, pollOf(cfg, n.store), log)
	if n.verifier, err = newVerifier(cfg, n.revoked.Stands, log); err != nil {
		return nil, n.abandon(err)
	}
	remote := cfg.Habits.Mode == config.HabitsHTTP
	var habitsPort bridge.Habits
	var engine *habits.Embedded
	if remote {
		n.client, err = habits.NewClient(habits.ClientConfig{URL: cfg.Habits.URL, Secret: string(cfg.Habits.Secret), Timeout: cfg.Habits.Timeout})
		if err != nil {
			return nil, n.abandon(err)
		}
		habitsPort = remoteHabits{n.client}
	} else {
		engine = habits.NewEmbedded(n.store, habits.EngineOptions{NoCache: n.store.shared()})
		n.store.OnRollback(func(bool) { engine.Forget() })
		habitsPort = embeddedHabits{engine}
	}
	if n.pusher, err = newPusher(cfg.Push, n.store.pushes(), log, n.reg); err != nil {
		return nil, n.abandon(err)
	}
	var pushes bridge.Pushes
	var eye delivery.Witness
	if n.pusher != nil {
		pushes, eye = pushRules{push.Rules{Delay: cfg.Push.Delay}}, witness{n.pusher}
	}
	members := bridge.MembershipConfig{Remote: remote, Shared: n.store.shared(), TTL: cfg.Habits.MembershipTTL, Stale: cfg.Habits.MembershipStale}
	n.members = bridge.NewMembership(members, habitsPort, n.store, log)
	n.untold = newUntold(n.tellChange, log)
	n.people = n.newPeople()
	n.shown = bridge.NewDiscreet(n.people, n.store)
	n.met = bridge.NewCompanions(n.store, n.store, n.shown, log)
	n.limits = newLimits(cfg.Limits)
	n.bridge = bridge.New(bridge.Config{
		Remote: remote, Shared: n.store.shared(), Turns: n.store.turns(), Secret: string(cfg.Habits.Secret), PacketSize: int(cfg.Limits.PacketSize),
		Retention: cfg.Store.Retention, Timeout: cfg.Habits.Timeout, GiveUp: cfg.Habits.GiveUp, Members: members,
		RetryAfter: habits.RetryAfter, Misconfigured: habits.Misconfigured, LocalDay: localDay, Pushes: pushes, Companions: n.met,
		Sighted: func(s pactwire.Sighting) { n.devices.Saw(s) },
	}, n.store, habitsPort, n.members, log, n.reg)
	n.devices = devices.New(n.store, n.bridge, n.revoked, log)
	// The service keeps profiles and goals here; with a remote one, profiles alone.
	n.engine = engine
	n.service = habits.NewService(recorder{n.bridge}, n.store, engine, habits.ServiceOptions{})
	var current bridge.Streaks
	if !remote {
		n.due = habits.NewScheduler(n.service, n.store, log, n.reg)
		current = streaks{n.service}
	}
	n.hub = delivery.New(delivery.Config{
		Subscriptions: cfg.Limits.Subscriptions, ConnectionsPerUser: cfg.Limits.ConnectionsPerUser,
		OutboundBytes: int(cfg.Limits.OutboundBytes), Witness: eye,
	}, n.store, n.store, access{n.members, n.bridge}, bridge.NewSnapshots(n.bridge, current, n.shown), log, n.reg)
	n.join()
	if n.broker, err = n.newBroker(); err != nil {
		return nil, n.abandon(err)
	}
	n.api = httpapi.New(httpapi.Config{Addr: cfg.HTTP.Addr, AdminAddr: cfg.HTTP.AdminAddr}, n.ports(remote), log, n.reg)
	return n, nil
}

func (n *node) newBroker() (*broker.Server, error) {
	cfg, l := n.cfg, n.cfg.Limits
	ends := hooks.NewSessions(l.SessionExpiry)
	figures := hooks.NewMetrics(n.reg)
	who := presenceHooks{n.people, n.bridge.Called}
	gate := hooks.NewAuth(hooks.AuthConfig{
		Lab: cfg.Lab.Enabled, AutoJoin: cfg.MQTT.AutoJoin, KeepaliveMin: l.KeepaliveMin, KeepaliveMax: l.KeepaliveMax,
		SessionExpiry: l.SessionExpiry, ConnectTimeout: l.ConnectTimeout,
		Topics: topics.Limits{Bytes: l.TopicBytes, Levels: l.TopicLevels}, Parse: payload.Parse, Stands: n.revoked.Stands,
	}, mqttVerifier{n.verifier, n.devices}, sessions{n.hub, n.bridge, n.devices}, n.log)
	commands := hooks.NewCommands(n.bridge, payload.Parse, who, n.limits.commands, figures, n.log)
	server, err := broker.New(broker.Config{
		TCP: cfg.MQTT.TCP, TLS: cfg.MQTT.TLS, WS: cfg.MQTT.WS, WSS: cfg.MQTT.WSS,
		CertFile: cfg.MQTT.CertFile, KeyFile: cfg.MQTT.KeyFile, Origins: cfg.MQTT.Origins, TrustedProxies: cfg.MQTT.TrustedProxies,
		Limits: broker.Limits{
			PacketSize: int(l.PacketSize), ConnectTimeout: l.ConnectTimeout,
			KeepaliveMax: l.KeepaliveMax, SessionExpiry: l.SessionExpiry, OutboundBytes: int(l.OutboundBytes),
		},
		Connects: n.limits.connects,
	}, n.log, n.reg,
		figures,
		hooks.NewPresence(who), // before what lets a session speak
		gate,
		hooks.NewACL(cfg.Lab.Enabled, l.ConnectTimeout, l.Subscriptions),
		commands,
		ends,
	)
	if err != nil {
		return nil, err
	}
	ends.Use(server.MQTT())
	commands.Use(server.MQTT())
	n.revoked.OnRevoked(func() { server.Each(func(c *broker.Conn) { gate.EndRevoked(c) }) })
	return server, nil
}

// ports joins the API to what does the work: the service in this process, or the one that calls are forwarded to.
func (n *node) ports(remote bool) httpapi.Ports {
	rate := rate{n.limits.commands}
	p := httpapi.Ports{
		Verifier: n.verifier, Profile: n.service, Commands: commands{n.bridge, rate}, Parse: payload.Parse, History: n.bridge, People: n.bridge,
		Inbox: n.bridge, Events: events{n.bridge}, Why: why{n.members}, Heads: n.bridge, Ready: n.causes, Metrics: n.reg,
		Devices: n.devices, Revocations: n.revoked,
	}
	if n.pusher != nil {
		p.PushTokens, p.Pushes = n.pusher, n.pusher
		if n.cfg.Push.WebPush.PrivateKey != "" {
			p.WebPushKey = n.cfg.Push.WebPush.PublicKey
		}
	}
	if p.Forwards = remote; remote {
		f := n.client.Forwarder()
		seen := watched{f, n.bridge}
		p.Goals, p.Pacts, p.Invitations, p.Membership, p.Streaks, p.Checkins = f, seen, invitations{seen, rate}, seen, f, seen
		p.Profile = profiles{n.service, f}
	} else {
		p.Checkins = takeBack{n.bridge, n.engine}
		p.Goals, p.Pacts, p.Invitations, p.Membership, p.Streaks = n.service, n.service, invitations{n.service, rate}, n.service, n.service
	}
	return p
}

// watched passes calls on to a remote habits-service and sees what they did to pacts, so that it takes effect at once.
type watched struct {
	*habits.Forwarder
	bridge *bridge.Bridge
}

func (w watched) saw(ctx context.Context, p pactwire.Pact, err error) (pactwire.Pact, error) {
	if err == nil {
		// The answer is what this person may see of the pact, which is little for who has just left: read all of it.
		err = w.bridge.Refresh(ctx, p.ID)
	}
	return p, err
}

func (w watched) CreatePact(ctx context.Context, id pactwire.Identity, in pactwire.PactInput) (pactwire.Pact, error) {
	p, err := w.Forwarder.CreatePact(ctx, id, in)
	return w.saw(ctx, p, err)
}

func (w watched) Pacts(ctx context.Context, id pactwire.Identity, status string) ([]pactwire.Pact, error) {
	list, err := w.Forwarder.Pacts(ctx, id, status)
	w.bridge.Listed(ctx, id.UserID, list)
	return list, err
}

func (w watched) Pact(ctx context.Context, id pactwire.Identity, pact pactwire.PactID) (pactwire.Pact, error) {
	p, err := w.Forwarder.Pact(ctx, id, pact)
	if err == nil {
		w.bridge.Listed(ctx, id.UserID, []pactwire.Pact{p})
	}
	return p, err
}

func (w watched) Invite(ctx context.Context, id pactwire.Identity, pact pactwire.PactID, users []pactwire.UserID) (pactwire.Pact, error) {
	p, err := w.Forwarder.Invite(ctx, id, pact, users)
	return w.saw(ctx, p, err)
}

func (w watched) Claim(ctx context.Context, id pactwire.Identity, code string) (pactwire.Pact, error) {
	p, err := w.Forwarder.Claim(ctx, id, code)
	return w.saw(ctx, p, err)
}

func (w watched) Act(ctx context.Context, id pactwire.Identity, pact pactwire.PactID, a pactwire.PactAction) (pactwire.Pact, error) {
	p, err := w.Forwarder.Act(ctx, id, pact, a)
	return w.saw(ctx, p, err)
}

func (w watched) Remove(ctx context.Context, id pactwire.Identity, pact pactwire.PactID, user pactwire.UserID) (pactwire.Pact, error) {
	p, err := w.Forwarder.Remove(ctx, id, pact, user)
	return w.saw(ctx, p, err)
}

func (w watched) DeleteCheckin(ctx context.Context, id pactwire.Identity, checkin string) (pactwire.CheckinResult, error) {
	res, err := w.Forwarder.DeleteCheckin(ctx, id, checkin)
	if err == nil {
		err = w.bridge.TakenBack(ctx, id, res)
	}
	return res, err
}

// tellChange tells the readers of each of a person's pacts of a change of presence. The person may have no connection left, so their pacts
// are read for it.
func (n *node) tellChange(read context.Context, p pactwire.Presence) error {
	if err := n.members.Ensure(read, p.UserID); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), tellTime)
	defer cancel()
	defer n.members.Release(p.UserID)
	p = n.shown.Show(ctx, p)
	n.met.Changed(ctx, p)
	var pacts []pactwire.PactID
	for _, m := range n.members.Pacts(p.UserID) {
		pact, ok := n.members.Pact(m.Pact)
		if !ok {
			continue
		}
		pacts = append(pacts, m.Pact)
		if member, _ := pact.Member(p.UserID); p.UserName == "" {
			p.UserName = member.UserName
		}
	}
	n.tellPresence(p, pacts)
	return nil
}

// causes tells what is amiss, for /readyz.
func (n *node) causes() []httpapi.Cause {
	var list []httpapi.Cause
	if err := n.broker.Ready(); err != nil {
		list = append(list, httpapi.Cause{Name: "mqtt", Error: err.Error()})
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := n.store.Ready(ctx); err != nil {
		list = append(list, httpapi.Cause{Name: "store", Error: err.Error()})
	}
	if err := n.others.err(); err != nil {
		list = append(list, httpapi.Cause{Name: "redis", Error: err.Error(), Degraded: true})
	}
	for _, c := range n.bridge.Health() {
		list = append(list, httpapi.Cause{Name: c.Name, Error: c.Err.Error(), Degraded: c.Degraded})
	}
	return list
}

// Start takes up what an earlier process left, then listens.
func (n *node) Start(ctx context.Context) error {
	if err := n.revoked.Start(ctx); err != nil {
		return err
	}
	n.verifier.Start(ctx)
	n.devices.Start()
	if err := n.bridge.Start(ctx); err != nil {
		return err
	}
	if n.due != nil {
		n.due.Start()
	}
	if err := n.people.Start(ctx); err != nil {
		return fmt.Errorf("presence: %w", err)
	}
	n.untold.start()
	if n.pusher != nil {
		n.pusher.Start()
	}
	if err := n.others.start(ctx); err != nil {
		return err
	}
	if n.others != nil && n.others.redis != nil {
		n.limits.share(n.others.redis)
	}
	if err := n.broker.Start(ctx); err != nil {
		return err
	}
	return n.api.Start(ctx)
}

// Stop drains: nothing new comes in, who is connected is told to come back, sessions are saved, the store is closed last.
func (n *node) Stop(ctx context.Context) {
	n.stopping.Do(func() {
		n.broker.Drain(ctx)
		if err := n.api.Stop(ctx); err != nil {
			n.log.Warn("stop http", "error", err)
		}
		if err := n.people.Stop(ctx); err != nil {
			n.log.Warn("stop presence", "error", err)
		}
		n.untold.end()
		if n.due != nil {
			n.due.Stop()
		}
		n.bridge.Stop()
		if err := n.hub.Stop(ctx); err != nil {
			n.log.Warn("save sessions", "error", err)
		}
		n.limits.stop()
		if err := n.others.stop(ctx); err != nil {
			n.log.Warn("disconnect from Redis", "error", err)
		}
		if err := n.devices.Stop(ctx); err != nil {
			n.log.Warn("save devices' signs of life", "error", err)
		}
		if n.pusher != nil {
			n.pusher.Stop()
		}
		n.members.Stop()
		n.verifier.Stop()
		n.revoked.Stop()
		if n.client != nil {
			n.client.Close()
		}
		if err := n.store.Close(); err != nil {
			n.log.Error("close the store", "error", err)
		}
	})
}
