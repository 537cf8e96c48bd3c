package delivery

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/topics"
)

// Reason codes of MQTT 5 that we send.
const (
	sessionTakenOver = 0x8e
	administrative   = 0x98
	quotaExceeded    = 0x97
	notAuthorized    = 0x87
	unspecified      = 0x80
	filterInvalid    = 0x8f
	noSharing        = 0x9e
	notSubscribed    = 0x11
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
	work     *queue
	saver    *saver
	states   *throttle
	seats    seats
	buffers  sync.Pool

	mu        sync.RWMutex
	users     map[pactwire.UserID][]*Client // replaced, never changed in place
	operators []*Client

	stop  context.CancelFunc
	tasks sync.WaitGroup
}

// New makes a hub and starts its workers; Stop ends them.
func New(cfg Config, log Log, sessions SessionStore, access Access, snaps Snapshots, logger *slog.Logger, reg prometheus.Registerer) *Hub {
	h := &Hub{cfg: cfg.withDefaults(), log: log, sessions: sessions, access: access, snaps: snaps, logger: logger,
		users: make(map[pactwire.UserID][]*Client), work: newQueue()}
	h.buffers.New = func() any { b := make([]byte, 0, 1024); return &b }
	h.metrics = newMetrics(reg, h)
	h.saver = newSaver(sessions, logger)
	h.states = newThrottle(h.cfg.StateEvery)
	h.seats.taken = make(map[pactwire.SessionKey]*seat)
	ctx, cancel := context.WithCancel(context.Background())
	h.stop = cancel
	for range h.cfg.Workers {
		h.tasks.Go(func() { h.serve(ctx) })
	}
	h.tasks.Go(func() { h.housekeep(ctx) })
	h.tasks.Go(func() { h.saver.run(ctx) })
	h.tasks.Go(func() { h.sendStates(ctx) })
	return h
}

// Stop saves every session and ends the workers. Connections should be gone by then; those that are not are detached.
func (h *Hub) Stop(ctx context.Context) error {
	for _, c := range h.all() {
		c.Detach()
	}
	h.work.close()
	h.stop()
	h.tasks.Wait()
	return h.saver.flush(ctx)
}

func (h *Hub) buffer() *[]byte { return h.buffers.Get().(*[]byte) }

func (h *Hub) release(b *[]byte) {
	if cap(*b) <= 64<<10 {
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

// entry is an entry on its way to many clients, with its topic spelt once.
type entry struct {
	pactwire.Entry
	name  string
	topic topics.Topic
}

func newEntry(e pactwire.Entry) *entry {
	x := &entry{Entry: e, name: topics.OfStream(e.Stream)}
	if e.Stream.Kind == pactwire.PactStream {
		x.topic = topics.Topic{Kind: topics.ActivityKind, Pact: e.Stream.Pact()}
	} else {
		x.topic = topics.Topic{Kind: topics.InboxKind, User: e.Stream.User()}
	}
	return x
}

// Publish carries a committed entry to its readers. Entries of one stream come in order; it does not block.
func (h *Hub) Publish(e pactwire.Entry) {
	x := newEntry(e)
	if u := e.Stream.User(); u != "" {
		for _, c := range h.of(u) {
			c.offer(x)
		}
	} else {
		h.readers(e.Stream.Pact(), func(c *Client) { c.offer(x) })
	}
	for _, c := range h.watching() {
		c.offer(x)
	}
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

// Direct sends an unlogged message to every client of a user whose filters cover the topic.
func (h *Hub) Direct(u pactwire.UserID, topic string, payload, correlation []byte) {
	t, err := topics.Parse(topic)
	if err != nil {
		return
	}
	for _, c := range h.of(u) {
		c.direct(t, topic, payload, correlation)
	}
	for _, c := range h.watching() {
		c.direct(t, topic, payload, correlation)
	}
}

// Event sends an unlogged event to a user's inbox.
func (h *Hub) Event(u pactwire.UserID, e pactwire.Event) {
	e.ID, e.CreatedAt = h.cfg.NewID(), pactwire.Time(time.Now())
	body, err := json.Marshal(e)
	if err != nil {
		h.logger.Error("encode event", "type", e.Type, "error", err)
		return
	}
	h.Direct(u, topics.Inbox(u), body, nil)
}

// DisconnectUser ends all connections of a user on this node; their sessions stay.
func (h *Hub) DisconnectUser(u pactwire.UserID, reason byte) {
	for _, c := range h.of(u) {
		c.tr.Disconnect(reason)
	}
}

// housekeep ends who takes nothing, and expires sessions.
func (h *Hub) housekeep(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			for _, c := range h.all() {
				c.endIfStalled(now)
			}
			if n%60 == 0 {
				if _, err := h.sessions.ExpireSessions(ctx, now); err != nil && ctx.Err() == nil {
					h.logger.Warn("expire sessions", "error", err)
				}
			}
		}
	}
}

func (c *Client) endIfStalled(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.stalled.IsZero() && !c.detached && now.Sub(c.stalled) >= c.hub.cfg.StallTimeout {
		c.hub.metrics.ended.WithLabelValues("stalled").Inc()
		c.stalled = time.Time{}
		c.tr.Disconnect(quotaExceeded)
	}
}
