package delivery

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/trouble"
	"github.com/pactwire/pactwire/topics"
)

// Reason codes of MQTT 5 that we send.
const (
	notSubscribed    = 0x11
	unspecified      = 0x80
	notAuthorized    = 0x87
	serverBusy       = 0x89
	sessionTakenOver = 0x8e
	filterInvalid    = 0x8f
	idNotFound       = 0x92
	receiveMaximum   = 0x93
	quotaExceeded    = 0x97
	noSharing        = 0x9e
)

// Config bounds what clients may hold. Zero values mean the defaults of the configuration.
type Config struct {
	Subscriptions      int // a connection
	ConnectionsPerUser int
	OutboundBytes      int           // a connection
	StallTimeout       time.Duration // who takes nothing for so long while something waits is disconnected
	FlushEvery         time.Duration // how often moved cursors are saved
	StateEvery         time.Duration // least time between two states of a pact
	Workers            int
	NewID              func() string
	Witness            Witness // nil: nobody asks who saw what
}

func (c Config) withDefaults() Config {
	if c.Subscriptions <= 0 {
		c.Subscriptions = 64
	}
	if c.ConnectionsPerUser <= 0 {
		c.ConnectionsPerUser = 16
	}
	if c.OutboundBytes <= 0 {
		c.OutboundBytes = 256 << 10
	}
	if c.StallTimeout <= 0 {
		c.StallTimeout = 10 * time.Second
	}
	if c.FlushEvery <= 0 {
		c.FlushEvery = time.Second
	}
	if c.StateEvery <= 0 {
		c.StateEvery = time.Second
	}
	if c.Workers <= 0 {
		c.Workers = 2
	}
	if c.NewID == nil {
		c.NewID = func() string { return uuid.Must(uuid.NewV7()).String() }
	}
	return c
}

// Hub knows the clients of this node and carries entries, snapshots and answers to them. All methods are safe for
// concurrent use.
type Hub struct {
	cfg      Config
	log      Log
	sessions SessionStore
	access   Access
	snaps    Snapshots
	logger   *slog.Logger
	metrics  *metrics
	places   *places
	work     *queue
	blocked  blockedSet
	saver    *saver
	states   *throttle
	again    chan struct{} // of size 1: presence is to be told again
	seats    seats
	started  time.Time
	shared   *shared // nil on a single node
	trouble  trouble.Log
	buffers  sync.Pool // of *[]byte
	entries  sync.Pool // of *fanout

	mu        sync.RWMutex
	users     map[pactwire.UserID][]*Client // replaced, never changed in place
	operators []*Client

	stop  context.CancelFunc
	tasks sync.WaitGroup
}

// New makes a hub and starts its workers; Stop ends them.
func New(cfg Config, log Log, sessions SessionStore, access Access, snaps Snapshots, logger *slog.Logger, reg prometheus.Registerer) *Hub {
	h := &Hub{cfg: cfg.withDefaults(), log: log, sessions: sessions, access: access, snaps: snaps, logger: logger,
		users: make(map[pactwire.UserID][]*Client), work: newQueue(), started: time.Now()}
	h.buffers.New = func() any { b := make([]byte, 0, 1024); return &b }
	h.entries.New = func() any { return newFanout(h) }
	h.metrics = newMetrics(reg, h)
	h.places = newPlaces(log)
	h.blocked.set = make(map[*Client]struct{})
	h.saver = newSaver(sessions, logger, h.cfg.FlushEvery, h.lost)
	h.states = newThrottle(h.cfg.StateEvery)
	h.again = make(chan struct{}, 1)
	h.seats.taken = make(map[pactwire.SessionKey]*seat)
	ctx, cancel := context.WithCancel(context.Background())
	h.stop = cancel
	for range h.cfg.Workers {
		h.tasks.Go(func() { h.serve(ctx) })
	}
	h.tasks.Go(func() { h.housekeep(ctx) })
	h.tasks.Go(func() { h.places.run(ctx) })
	h.tasks.Go(func() { h.saver.run(ctx) })
	h.tasks.Go(func() { h.sendStates(ctx) })
	h.tasks.Go(func() { h.tellAgain(ctx) })
	return h
}

// Stop saves every session and ends the workers. Connections should be gone by then; those that are not are detached.
func (h *Hub) Stop(ctx context.Context) error {
	for _, c := range h.all() {
		c.Detach()
	}
	h.stop()
	h.tasks.Wait()
	return h.saver.flush(ctx, true)
}

// maxPooled is how large a buffer may be that is kept for another time.
const maxPooled = 64 << 10

func (h *Hub) buffer() *[]byte { return h.buffers.Get().(*[]byte) }

func (h *Hub) release(b *[]byte) {
	if cap(*b) <= maxPooled {
		h.buffers.Put(b)
	}
}

func (h *Hub) all() (cs []*Client) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	cs = slices.Clone(h.operators)
	for _, list := range h.users {
		cs = append(cs, list...)
	}
	return cs
}

// of returns the clients of a user; the slice is not to be changed.
func (h *Hub) of(u pactwire.UserID) []*Client {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.users[u]
}

func (h *Hub) watching() []*Client {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.operators
}

// Connections is how many clients a user has on this node.
func (h *Hub) Connections(u pactwire.UserID) int { return len(h.of(u)) }

// Clients is how many clients this node has.
func (h *Hub) Clients() int {
	h.mu.RLock()
	defer h.mu.RUnlock()
	n := len(h.operators)
	for _, list := range h.users {
		n += len(list)
	}
	return n
}

// Publish carries a committed entry to its readers. Entries of one stream come in order; it does not block.
func (h *Hub) Publish(e pactwire.Entry) {
	x := h.entries.Get().(*fanout)
	x.set(e)
	x.matters = h.matters(e)
	if u := e.Stream.User(); u != "" {
		x.user(u)
	} else {
		h.access.Readers(e.Stream.Pact(), x.user)
	}
	for _, c := range h.watching() {
		c.offer(&x.entry)
	}
	if cap(x.packets[0])+cap(x.packets[1]) <= maxPooled {
		x.Entry = pactwire.Entry{} // its payload may go
		h.entries.Put(x)
	}
}

// matters reports whether the acknowledgement of an entry is to be told.
func (h *Hub) matters(e pactwire.Entry) bool { return h.cfg.Witness != nil && h.cfg.Witness.Matters(e) }

// fanout is an entry and the step that offers it to a user's clients, kept together so that Publish allocates little.
type fanout struct {
	entry
	user func(pactwire.UserID) bool
}

func newFanout(h *Hub) *fanout {
	x := &fanout{}
	x.user = func(u pactwire.UserID) bool {
		for _, c := range h.of(u) {
			c.offer(&x.entry)
		}
		return true
	}
	return x
}

// readers calls f for each client of each user who may read p now.
func (h *Hub) readers(p pactwire.PactID, f func(*Client)) {
	h.access.Readers(p, func(u pactwire.UserID) bool {
		for _, c := range h.of(u) {
			f(c)
		}
		return true
	})
}

// Direct sends an unlogged message to every client of a user whose filters cover the topic. about is the pact whose content it
// has, if any.
func (h *Hub) Direct(u pactwire.UserID, about pactwire.PactID, topic string, payload, correlation []byte) {
	t, err := topics.Unlimited.Parse(topic)
	if err != nil {
		return
	}
	for _, c := range h.of(u) {
		c.direct(about, t, topic, payload, correlation)
	}
	for _, c := range h.watching() {
		c.direct(about, t, topic, payload, correlation)
	}
}

// Tell sends an unlogged event of a connection's own to it, if it has subscribed to its user's inbox. The event's id and time are
// set here.
func (c *Client) Tell(e pactwire.Event) {
	body, err := c.hub.encode(e)
	if err != nil {
		c.hub.logger.Error("encode event", "type", e.Type, "error", err)
		return
	}
	c.direct("", topics.Topic{Kind: topics.InboxKind, User: c.key.User}, topics.Inbox(c.key.User), body, nil)
}

// DisconnectUser ends all connections of a user on this node; their sessions stay.
func (h *Hub) DisconnectUser(u pactwire.UserID, reason byte) {
	for _, c := range h.of(u) {
		c.tr.Disconnect(reason)
	}
}

// DisconnectDevice ends the connections of one of a user's things.
func (h *Hub) DisconnectDevice(u pactwire.UserID, d pactwire.DeviceID, reason byte) {
	for _, c := range h.of(u) {
		if c.device == d {
			c.tr.Disconnect(reason)
		}
	}
}

// housekeep looks after those in whom something waits, and expires sessions once a minute.
func (h *Hub) housekeep(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			h.blocked.look(now)
		}
		if n%60 == 0 {
			h.expire(ctx)
		}
	}
}

func (h *Hub) expire(ctx context.Context) {
	turn, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	if _, err := h.sessions.ExpireSessions(turn, time.Now()); err != nil && ctx.Err() == nil {
		h.logger.Warn("expire sessions", "error", err)
	}
}
