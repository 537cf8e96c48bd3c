package bridge

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/ratelimit"
)

// Habits is the habits-service, in the same process or another. In the same process Checkin runs inside the bridge's
// transaction; for a remote service tx is nil. Final refusals are *pactwire.Error; what may work later is Unavailable.
type Habits interface {
	Checkin(ctx context.Context, tx Tx, req pactwire.CheckinRequest) (pactwire.CheckinResult, error)
	Pact(ctx context.Context, id pactwire.PactID) (pactwire.Pact, error)
	PactsOf(ctx context.Context, users []pactwire.UserID) (map[pactwire.UserID][]pactwire.Pact, error)
}

// Publisher carries what was recorded to those who are connected. None of its methods blocks.
type Publisher interface {
	Publish(e pactwire.Entry)
	// Direct carries an unlogged message. about is the pact whose content it has, if any: who leaves that gets it no more.
	Direct(u pactwire.UserID, about pactwire.PactID, topic string, payload, correlation []byte)
	PactsChanged(u pactwire.UserID, joined []pactwire.Membership, left []pactwire.PactID)
	StateChanged(p pactwire.PactID)
}

// Pushes writes down, in the transaction of an entry, what people are to be pushed about if none of their devices sees it.
// cause is common to all entries that tell of the same thing.
type Pushes interface {
	// Activity was written as e; members are those who may read the pact.
	Activity(tx Tx, a *pactwire.Activity, e pactwire.Entry, cause string, members []pactwire.UserID) error
	// Event was written as e to u's inbox; by is who caused it.
	Event(tx Tx, u pactwire.UserID, ev *pactwire.Event, e pactwire.Entry, cause string, by pactwire.UserID) error
	// Over says that what u was to be pushed about a pact so far is over: they have joined, declined or left.
	Over(tx Tx, u pactwire.UserID, p pactwire.PactID) error
}

// Config of a Bridge. Zero values mean the defaults of the configuration.
type Config struct {
	Remote     bool          // the habits-service is another process
	Shared     bool          // other nodes write to the same store, so what a transaction decides by is read in it
	Turns      Turns         // whose journal to work on, where nodes share the store; nil = everybody's
	Secret     string        // whsec_…, that signs events; "" = none are taken
	PacketSize int           // answers are split to fit
	Retention  time.Duration // of the log; 0 = for ever
	Timeout    time.Duration // of one attempt at the habits-service
	GiveUp     time.Duration // after which a command is refused that the service never answered
	Told       time.Duration // after which the sender of an unanswered check-in is told that it is pending
	Lanes      int           // persons whose commands are worked on at the same time; more wait in the journal
	Members    MembershipConfig
	RetryAfter func(error) (time.Duration, bool) // how long the habits-service asks to wait, from its error
	// Misconfigured reports whether an error of the habits-service is our own configuration's fault.
	Misconfigured func(error) bool
	NewID         func() string
	Pushes        Pushes      // nil: nobody is pushed
	Companions    *Companions // nil: connected people do not hear of each other's coming and going
	// Sighted is told of devices' check-ins, after their commit. It must not block; nil = nobody asks.
	Sighted func(pactwire.Sighting)
	// LocalDay tells which day it is for a user at a moment, and in which zone. It is asked inside transactions.
	LocalDay func(tx Tx, u pactwire.UserID, at time.Time) (day pactwire.LocalDate, zone string, err error)
}

func (c Config) withDefaults() Config {
	set := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	if c.PacketSize <= 0 {
		c.PacketSize = 64 << 10
	}
	set(&c.Timeout, 5*time.Second)
	set(&c.GiveUp, 24*time.Hour)
	set(&c.Told, 2*time.Second)
	if c.Lanes <= 0 {
		c.Lanes = 4096
	}
	if c.RetryAfter == nil {
		c.RetryAfter = func(error) (time.Duration, bool) { return 0, false }
	}
	if c.Misconfigured == nil {
		c.Misconfigured = func(error) bool { return false }
	}
	if c.NewID == nil {
		c.NewID = func() string { return uuid.Must(uuid.NewV7()).String() }
	}
	c.Members.Remote, c.Members.Shared = c.Remote, c.Shared
	return c
}

// Bridge is safe for concurrent use.
type Bridge struct {
	cfg     Config
	store   Store
	habits  Habits
	pub     Publisher
	peers   Peers                               // nil on a single node
	local   Publisher                           // nil on a single node
	asks    *ratelimit.Limiter[pactwire.UserID] // of pacts to be looked up for who may not read them, as far as is known
	members *Membership
	log     *slog.Logger
	metrics *metrics
	worker  *worker // nil with the embedded habits-service

	names sync.Map // pactwire.UserID → string: the name that is stored; bounded by namesHeld, written after commits
	held  int      // names in it; on the committing goroutine

	// changing holds the pacts as functions of the transaction under way have left them, which the view learns of after the
	// commit; unused when Shared. On the committing goroutine; bounded by the size of a batch.
	changing map[pactwire.PactID]*pactwire.Pact
	notices  notices

	reads chan struct{} // bounds the history reads under way
	stop  context.CancelFunc
	ctx   context.Context
	tasks sync.WaitGroup

	mu      sync.Mutex
	stopped bool // no task begins any more
}

// spawn runs a task that Stop waits for, or refuses when the bridge is stopping.
func (b *Bridge) spawn(f func()) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stopped {
		return pactwire.Errorf(pactwire.Unavailable, "the server is stopping; try again")
	}
	b.tasks.Go(f)
	return nil
}

// namesHeld bounds the names that are remembered; then all are forgotten.
const namesHeld = 100_000

// maxReads bounds the history reads under way. Who comes on top waits on their own connection's goroutine.
const maxReads = 8

// New makes a bridge. Bind gives it the publisher before Start.
func New(cfg Config, store Store, habits Habits, members *Membership, log *slog.Logger, reg prometheus.Registerer) *Bridge {
	b := &Bridge{cfg: cfg.withDefaults(), store: store, habits: habits, members: members, log: log,
		reads: make(chan struct{}, maxReads), changing: make(map[pactwire.PactID]*pactwire.Pact)}
	b.asks = ratelimit.New[pactwire.UserID](asksASecond, asksInARow, 0)
	b.metrics = newMetrics(reg)
	if cfg.Companions != nil {
		cfg.Companions.bridge = b
	}
	b.ctx, b.stop = context.WithCancel(context.Background())
	store.OnRollback(b.forget)
	if cfg.Remote {
		b.worker = newWorker(b, reg)
		members.seen(b.sawAll)
	}
	return b
}

// forget drops what was learnt inside a transaction that was undone. A function whose writes alone were undone has seen to it
// itself: what others learnt stands.
func (b *Bridge) forget(whole bool) {
	if whole {
		clear(b.changing)
		b.notices.clear()
	}
}

// Bind names the publisher. It is called once, before anything else.
func (b *Bridge) Bind(p Publisher) { b.pub = p }

// Start takes up what an earlier process left, and begins the background work.
func (b *Bridge) Start(ctx context.Context) error {
	if b.worker != nil {
		if err := b.worker.start(ctx); err != nil {
			return err
		}
	}
	return b.spawn(b.prune)
}

// Stop ends the background work. What was accepted and not done stays in the journal.
func (b *Bridge) Stop() {
	b.stop()
	b.mu.Lock()
	b.stopped = true
	b.mu.Unlock()
	b.tasks.Wait()
	if b.worker != nil {
		b.worker.wait()
	}
}

// prune drops what is older than retention, once an hour.
func (b *Bridge) prune() {
	if b.cfg.Retention <= 0 {
		return
	}
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	for {
		now := time.Now()
		if n, err := b.store.Prune(b.ctx, now.Add(-b.cfg.Retention), now.Add(-keysKept)); err != nil && b.ctx.Err() == nil {
			b.log.Warn("prune the log", "error", err)
		} else if n > 0 {
			b.log.Info("pruned the log", "rows", n)
		}
		select {
		case <-b.ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// keysKept is how long idempotency keys are remembered.
const keysKept = 30 * 24 * time.Hour

// past reports whether a day is before all that is kept: who has celebrated its check-ins, and what a remote habits-service said of
// them, is forgotten not long after.
func (c *commit) past(day pactwire.LocalDate) bool {
	kept := c.b.cfg.Retention
	return kept > 0 && string(day) < c.now.Add(-max(kept, keysKept)).UTC().Format(time.DateOnly)
}

// Cause is something that is amiss; Degraded says that the node serves all the same.
type Cause struct {
	Name     string
	Err      error
	Degraded bool
}

// Health tells what is amiss.
func (b *Bridge) Health() []Cause {
	if b.worker == nil {
		return nil
	}
	if err := b.worker.breaker.state(); err != nil {
		return []Cause{{Name: "habits", Err: err, Degraded: true}}
	}
	return nil
}

type metrics struct {
	recorded   *prometheus.CounterVec
	duplicates prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		recorded: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pactwire_activities_recorded_total",
			Help: "Activities written to the log, by type."}, []string{"type"}),
		duplicates: prometheus.NewCounter(prometheus.CounterOpts{Name: "pactwire_commands_duplicate_total",
			Help: "Commands that had been done before and were answered again."}),
	}
	if reg != nil {
		reg.MustRegister(m.recorded, m.duplicates)
	}
	return m
}
