package push

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pactwire/pactwire"
)

// Config of a Pusher. Zero values mean the defaults of the configuration.
type Config struct {
	DailyCap int           // pushes a person gets on one of their days
	Poll     time.Duration // how often the store is looked at for what is due
	Timeout  time.Duration // of one attempt
	NewID    func() string
}

// How much is done at once, and how long things are kept.
const (
	maxSeen    = 16 << 10 // acknowledgements that wait to be written; more are dropped: a push too many
	seenATurn  = 256      // of them in one transaction
	seenEvery  = 200 * time.Millisecond
	peopleAt   = 32               // people whose jobs are weighed in one transaction
	attempts   = 8                // attempts of one channel under way
	leaseTime  = 30 * time.Second // longer than an attempt and what follows
	giveUp     = 24 * time.Hour
	keepDead   = 30 * 24 * time.Hour
	pruneEvery = time.Hour
	pruneAt    = 200
)

func (c Config) withDefaults() Config {
	if c.DailyCap <= 0 {
		c.DailyCap = 20
	}
	if c.Poll <= 0 {
		c.Poll = time.Second
	}
	if c.Timeout <= 0 {
		c.Timeout = 10 * time.Second
	}
	if c.NewID == nil {
		c.NewID = func() string { return uuid.Must(uuid.NewV7()).String() }
	}
	return c
}

// Pusher turns due jobs into messages and carries them to the channels. One goroutine keeps the jobs, one a channel hands
// out its messages; Stop ends them.
type Pusher struct {
	cfg      Config
	store    Store
	channels []*lane
	log      *slog.Logger
	metrics  *metrics

	mu   sync.Mutex
	seen []mark
	last mark // of seen, so that a repetition costs nothing

	look  chan struct{} // of size 1: something was seen
	ctx   context.Context
	stop  context.CancelFunc
	tasks sync.WaitGroup
}

// mark is an acknowledgement of an entry.
type mark struct {
	user   pactwire.UserID
	stream pactwire.Stream
	seq    pactwire.Seq
}

// New makes a pusher.
func New(cfg Config, store Store, channels []Channel, log *slog.Logger, reg prometheus.Registerer) *Pusher {
	p := &Pusher{cfg: cfg.withDefaults(), store: store, log: log, metrics: newMetrics(reg), look: make(chan struct{}, 1)}
	p.ctx, p.stop = context.WithCancel(context.Background())
	for _, c := range channels {
		p.channels = append(p.channels, &lane{p: p, channel: c, wake: make(chan struct{}, 1), free: make(chan struct{}, attempts)})
	}
	return p
}

// Start begins the work, with what an earlier process left first.
func (p *Pusher) Start() {
	p.tasks.Go(p.keep)
	p.tasks.Go(p.prune)
	for _, l := range p.channels {
		p.tasks.Go(l.run)
	}
}

// Stop ends the work. Attempts under way are broken off; what they left is tried again at the next start. What was seen a
// moment ago is written first.
func (p *Pusher) Stop() {
	p.stop()
	p.tasks.Wait()
	for p.writeSeen(context.Background()) {
	}
	for _, l := range p.channels {
		l.channel.Close()
	}
}

// Saw takes note that a device of a person acknowledged an entry. It does not block.
func (p *Pusher) Saw(u pactwire.UserID, of pactwire.Stream, seq pactwire.Seq) {
	m := mark{u, of, seq}
	p.mu.Lock()
	full := len(p.seen) >= maxSeen
	if !full && m != p.last {
		p.seen, p.last = append(p.seen, m), m
	}
	p.mu.Unlock()
	if full {
		p.metrics.overflow.Inc()
	}
	nudge(p.look)
}

func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// keep writes what was seen, weighs the jobs that are due, and wakes the channels.
func (p *Pusher) keep() {
	tick := time.NewTicker(p.cfg.Poll)
	defer tick.Stop()
	for {
		for p.writeSeen(p.ctx) {
		}
		jobs, channels, err := p.store.PushWork(p.ctx, time.Now())
		if err == nil && jobs {
			err = p.weigh(&channels)
		}
		if err != nil && p.ctx.Err() == nil {
			p.log.Warn("look for pushes", "error", err)
		}
		for _, l := range p.channels {
			for _, name := range channels {
				if name == l.channel.Name() {
					nudge(l.wake)
				}
			}
		}
		select {
		case <-p.ctx.Done():
			return
		case <-tick.C:
			continue
		case <-p.look:
		}
		// Many acknowledgements share one transaction.
		select {
		case <-p.ctx.Done():
			return
		case <-time.After(seenEvery):
		}
	}
}

// writeSeen cancels jobs for some of what was seen, and reports whether there is more. What cannot be written is kept.
func (p *Pusher) writeSeen(ctx context.Context) (more bool) {
	p.mu.Lock()
	batch := p.seen[:min(len(p.seen), seenATurn)]
	p.mu.Unlock()
	if len(batch) == 0 {
		return false
	}
	cancelled := 0
	err := p.store.Push(ctx, func(tx Tx) error {
		cancelled = 0
		for _, m := range batch {
			there, err := tx.SeenPush(m.user, m.stream, m.seq)
			if err != nil {
				return err
			}
			if there {
				cancelled++
			}
		}
		return nil
	})
	if err != nil {
		if ctx.Err() == nil {
			p.log.Warn("note what was seen", "error", err)
		}
		return false
	}
	p.metrics.cancelled.Add(float64(cancelled))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = append(p.seen[:0:0], p.seen[len(batch):]...)
	if len(p.seen) == 0 {
		p.seen, p.last = nil, mark{}
	}
	return len(p.seen) > 0
}

// weigh decides about all jobs that are due. The channels that got something are added to names.
func (p *Pusher) weigh(names *[]string) error {
	for p.ctx.Err() == nil {
		var w weighing
		err := p.store.Push(p.ctx, func(tx Tx) error {
			w = weighing{p: p, tx: tx, now: time.Now()}
			return w.run()
		})
		if err != nil {
			return err
		}
		w.count()
		*names = append(*names, w.channels...)
		if w.people == 0 {
			return nil
		}
	}
	return nil
}

// prune forgets, once an hour, what was given up long ago.
func (p *Pusher) prune() {
	tick := time.NewTicker(pruneEvery)
	defer tick.Stop()
	for {
		for n := pruneAt; n == pruneAt && p.ctx.Err() == nil; {
			err := p.store.Push(p.ctx, func(tx Tx) (err error) {
				n, err = tx.PrunePushes(time.Now().Add(-keepDead), pruneAt)
				return err
			})
			if err != nil && p.ctx.Err() == nil {
				p.log.Warn("prune pushes", "error", err)
				break
			}
		}
		select {
		case <-p.ctx.Done():
			return
		case <-tick.C:
		}
	}
}
