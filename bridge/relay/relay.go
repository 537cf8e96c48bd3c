package relay

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/trouble"
)

// Config of a Relay. Zero values mean the defaults.
type Config struct {
	Addr  string        // of this node, "id/start"
	Poll  time.Duration // how often to look at the log while Redis is away, and to beat, or more often for the lease; 500 ms
	Grace time.Duration // how long this node's words hold after it has stopped; 10 s
	Lease time.Duration // how long they hold without a beat; 30 s
	// Reset is called when all that this node had said on the bus may be lost, and is to be said again. Lapsed is called with
	// nodes whose leases are over, again and again until they are removed, from one goroutine.
	// Reset must not block; Lapsed may take its time.
	Reset  func()
	Lapsed func(ctx context.Context, nodes []pactwire.NodeBeat)
	// Revoked is called when another node has taken credentials back. It must not block.
	Revoked func()
	// Company is called with how many nodes live, this one among them, at each beat. It must not block.
	Company func(nodes int)
}

// Bounds and times.
const (
	queued      = 16_384                 // items that wait for other nodes; more are left out, and the nodes told to look
	takeMax     = 512                    // items in one message
	gathering   = 3 * time.Millisecond   // what a message waits for more items
	learning    = 10_000                 // pacts that wait to be read; more are found by ChangedPacts
	streamsRead = 1024                   // streams in one look
	fillStreams = 64                     // streams filled by one read
	fillEntries = 256                    // of one stream
	callTime    = time.Second            // of one call to the bus
	readTime    = 5 * time.Second        // of one read of the log
	retryAfter  = 200 * time.Millisecond // after a failure
	patientLook = 10                     // polls from one look to the next while all is well
	renewEvery  = 6 * time.Hour          // routes, whose keys live for a day
	silent      = 3                      // polls without a beat after which another node may be cut off
	eagerLooks  = 6                      // frequent looks after the last sign that messages may be missing
	usersAtOnce = 500                    // registered by one call
	forgetEvery = 1200                   // looks after which streams are forgotten that had no readers since as many before
	yieldTime   = time.Second            // for another node's answer
	yields      = 64                     // sessions let go at the same time; who asks on top is not answered
	repeatTime  = 5 * time.Second        // for all nodes to notice that Redis has forgotten all, and to say it again
)

// Relay joins this node to the others. Its methods may be called from any goroutine; all but Start, Stop and Yield return
// at once.
type Relay struct {
	cfg     Config
	bus     Bus // nil: there is none, and the log alone tells of other nodes
	hub     Hub
	view    View
	store   Log
	shared  Shared // nil: this is the only node that writes the store
	log     *slog.Logger
	metrics *metrics
	seq     *sequencer
	lost    atomic.Uint64 // how often something was left out
	alone   atomic.Bool   // no other node is known
	sick    atomic.Pointer[error]
	apart   atomic.Pointer[error] // nodes of this store are not heard of
	blind   bool                  // of poll: the store could not be asked at the last look
	unheard int                   // of poll: looks in a row for which that was so
	nodes   atomic.Pointer[map[string]pactwire.NodeBeat]
	eager   atomic.Int32 // frequent looks still to be made

	strangers strangers
	lapsed    chan []pactwire.NodeBeat
	trouble   trouble.Log
	suspects  []pactwire.Stream          // of poll: where something may be missing
	mark      uint64                     // of poll: from where to ask for changed pacts
	changes   map[pactwire.PactID]uint64 // of poll: the pacts' changes that were seen and may be listed again

	asks  asks
	slots chan struct{} // for sessions being let go

	out   queue[item]
	moved set[pactwire.UserID]

	arrived set[pactwire.UserID] // registered, and not yet looked after
	came    set[pactwire.UserID] // of those who moved: who is to be told of presence once they are registered
	fills   set[pactwire.Stream]
	learn   lessons
	look    chan struct{} // of size 1: look at everything soon
	met     chan struct{} // of size 1: there is a node that no beat has listed so far
	fresh   atomic.Bool   // the receiver has a new connection
	missed  missed
	leases  leases            // of beat
	warned  map[string]uint64 // of beat: each other node was told that so much was left out

	stop  context.CancelFunc
	tasks sync.WaitGroup
}

// New makes a relay. bus and shared may be nil.
func New(cfg Config, bus Bus, hub Hub, view View, store Log, shared Shared, log *slog.Logger, reg prometheus.Registerer) *Relay {
	if cfg.Poll <= 0 {
		cfg.Poll = 500 * time.Millisecond
	}
	if cfg.Grace <= 0 {
		cfg.Grace = 10 * time.Second
	}
	if cfg.Lease <= 0 {
		cfg.Lease = 30 * time.Second
	}
	r := &Relay{cfg: cfg, bus: bus, hub: hub, view: view, store: store, shared: shared, log: log,
		out: newQueue[item](queued), moved: newSet[pactwire.UserID](), arrived: newSet[pactwire.UserID](), came: newSet[pactwire.UserID](), fills: newSet[pactwire.Stream](), learn: newLessons(),
		warned: make(map[string]uint64), look: make(chan struct{}, 1), met: make(chan struct{}, 1), slots: make(chan struct{}, yields), lapsed: make(chan []pactwire.NodeBeat, 1)}
	r.eager.Store(eagerLooks)
	r.asks.waiting = make(map[uint64]chan bool)
	r.metrics = newMetrics(reg, r)
	r.seq = newSequencer(r.publish, r.behind, r.fills.add)
	r.nodes.Store(&map[string]pactwire.NodeBeat{})
	return r
}

// Start begins to beat, to listen and to look. Without the store it fails.
func (r *Relay) Start(ctx context.Context) error {
	if r.shared != nil {
		call, cancel := context.WithTimeout(ctx, readTime)
		defer cancel()
		var err error
		if _, r.mark, err = r.shared.ChangedPacts(call, 0); err != nil {
			return err
		}
	}
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r.stop = cancel
	spawn := func(f func(context.Context)) { r.tasks.Go(func() { f(run) }) }
	if r.bus != nil {
		r.beat(ctx, true) // so that others know this node before anyone connects to it
		spawn(r.beats)
		spawn(r.send)
		spawn(r.receive)
		spawn(r.bury)
	}
	spawn(r.register)
	spawn(r.fillGaps)
	spawn(r.readPacts)
	spawn(r.poll)
	return nil
}

// Stop ends the relay. Other nodes go on with what this one said for the grace time.
func (r *Relay) Stop(ctx context.Context) {
	if r.stop == nil {
		return
	}
	r.stop()
	r.tasks.Wait()
	if r.bus == nil {
		return
	}
	call, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	if err := r.bus.Leave(call, r.cfg.Grace); err != nil {
		r.log.Info("the other nodes were not told that this one stops", "error", err)
	}
}

// Err tells what is amiss with the way to other nodes; nil while it works.
func (r *Relay) Err() error {
	if e := r.sick.Load(); e != nil {
		return fmt.Errorf("Redis cannot be used, and other nodes' events come by the database: %w", *e) //nolint:staticcheck // a name
	}
	if e := r.apart.Load(); e != nil {
		return *e
	}
	return nil
}

// cut reports whether Redis cannot be used at all.
func (r *Relay) cut() bool { return r.sick.Load() != nil }

// lookSoon has everything looked at.
func (r *Relay) lookSoon() {
	select {
	case r.look <- struct{}{}:
	default:
	}
}

// meet has this node beat now, and so learn of a node that has just started.
func (r *Relay) meet() {
	select {
	case r.met <- struct{}{}:
	default:
	}
}
