package presence

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/prometheus/client_golang/prometheus"
)

// Defaults of Config.
const (
	DefaultGrace = 10 * time.Second
	DefaultFlush = time.Second
	DefaultLease = 30 * time.Second
)

const (
	batch       = 500             // rows in one call to the store
	loadTimeout = time.Second     // for reading what is kept of who changes; past it the clock alone makes the version
	saveTimeout = 5 * time.Second // for one batch of writes
	touchEvery  = time.Minute     // how stale the kept last sign of life of someone online may be
)

// Config of a Tracker. Zero values mean the defaults.
type Config struct {
	Grace time.Duration // how long what an ended connection said stands
	Flush time.Duration // how long changes are collected before they are written
	Lease time.Duration // how long what another node said holds when it is gone; of Shared alone
	// Unheard reports whether nodes are at work that the board does not hear: of their people it knows nothing. Of Shared alone; nil
	// when there are none.
	Unheard func(context.Context) (bool, error)
}

func (c Config) withDefaults() Config {
	if c.Grace <= 0 {
		c.Grace = DefaultGrace
	}
	if c.Flush <= 0 {
		c.Flush = DefaultFlush
	}
	if c.Lease <= 0 {
		c.Lease = DefaultLease
	}
	return c
}

// Tracker knows who is there. Its methods may be called from any goroutine; all but Start, Stop and Get return at once.
type Tracker struct {
	cfg      Config
	store    Store
	onChange func(pactwire.Presence)
	log      *slog.Logger
	metrics  *metrics

	mu      sync.Mutex
	people  map[pactwire.UserID]*person // who stands, lingers, or is not yet saved
	floor   uint64                      // highest version of those who were forgotten
	online  int                         // how many of them are not offline
	stopped bool

	// ends holds when lingering connections end, in order, since the grace is the same for all. One entry for each
	// connection that ended within the last grace time; an entry whose connection is back is skipped.
	ends []end
	// queue holds people with something to announce, each once. It cannot overflow: it is bounded by people.
	queue []*person
	// dirty holds people with something to save, each once; bounded likewise.
	dirty []*person

	wakeRun  chan struct{} // capacity 1: ends or queue have something new
	wakeSave chan struct{} // capacity 1: dirty has something new

	cancel context.CancelFunc
	done   sync.WaitGroup
}

type end struct {
	p  *person
	at time.Time
}

// New makes a Tracker. onChange gets each change, without a pact; it may be slow, but holds up the announcements then.
func New(cfg Config, store Store, onChange func(pactwire.Presence), log *slog.Logger, reg prometheus.Registerer) *Tracker {
	cfg = cfg.withDefaults()
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	t := &Tracker{
		cfg: cfg, store: store, onChange: onChange, log: log,
		people:  map[pactwire.UserID]*person{},
		wakeRun: make(chan struct{}, 1), wakeSave: make(chan struct{}, 1),
	}
	t.metrics = newMetrics(reg, t.Online)
	return t
}

// Start reads who was online when the process before ended and gives them the grace time from now. Call it before
// connections are accepted.
func (t *Tracker) Start(ctx context.Context) error {
	users, err := t.store.WereOnline(ctx)
	if err != nil {
		return fmt.Errorf("read who was online: %w", err)
	}
	kept, err := t.lastSeen(ctx, users)
	if err != nil {
		return fmt.Errorf("read when they were seen: %w", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.cancel != nil {
		return nil
	}
	now := time.Now()
	until := now.Add(t.cfg.Grace)
	for _, u := range users {
		p := t.person(u)
		p.merge(kept[u])
		p.lingers = append(p.lingers, lingering{status: pactwire.PresenceActive, until: until})
		t.settle(p, now)
		p.told = p.version // the others were told before
		t.ends = append(t.ends, end{p, until})
	}
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	t.cancel = cancel
	t.done.Go(func() { t.announce(run) })
	t.done.Go(func() { t.save(run) })
	wake(t.wakeRun)
	return nil
}

// Stop ends the announcements and saves who is online now. It announces nobody; connections that end afterwards count
// as standing when the process ended.
func (t *Tracker) Stop(ctx context.Context) error {
	t.mu.Lock()
	if t.stopped || t.cancel == nil {
		t.stopped = true
		t.mu.Unlock()
		return nil
	}
	t.stopped = true
	t.mu.Unlock()
	t.cancel()
	t.done.Wait()
	return t.saveLast(ctx)
}

// Arrive says that a connection counts from now on. Calling it again for the same connection is a sign of life.
func (t *Tracker) Arrive(c Conn) {
	if !c.Kind.Human() {
		return
	}
	t.change(c.User, true, func(p *person, now time.Time) {
		if c.Name != "" {
			p.name = c.Name
		}
		s := p.ensure(c)
		if !s.arrived {
			s.arrived = true
			p.stopLingering(c.ClientID)
		}
		p.lastSeen = now
	})
}

// Say takes a connection's own word for its status. Before Arrive it is remembered and has no effect.
func (t *Tracker) Say(c Conn, status pactwire.PresenceStatus) {
	if !c.Kind.Human() || better(status, pactwire.PresenceOffline) != status {
		return
	}
	t.change(c.User, true, func(p *person, now time.Time) {
		s := p.ensure(c)
		s.status = status
		if s.arrived {
			p.lastSeen = now
		}
	})
}

// Touch notes a sign of life of a connection that counts.
func (t *Tracker) Touch(c Conn) {
	t.change(c.User, false, func(p *person, now time.Time) {
		if s := p.find(c.ID); s != nil && s.arrived {
			p.lastSeen = now
		}
	})
}

// Leave says that a connection ended. It must be called for each that was named to Arrive or Say.
func (t *Tracker) Leave(c Conn) {
	t.change(c.User, false, func(p *person, now time.Time) {
		s := p.find(c.ID)
		if s == nil {
			return
		}
		if s.arrived {
			p.lastSeen = now
			t.note(p, 0)
		}
		until := now.Add(t.cfg.Grace)
		if p.remove(c.ID, until) {
			t.ends = append(t.ends, end{p, until})
			if len(t.ends) == 1 {
				wake(t.wakeRun)
			}
		}
	})
}

// Get returns the presence of each user, in order, without a pact. UserName is empty for who was not here since the
// start.
func (t *Tracker) Get(ctx context.Context, users []pactwire.UserID) ([]pactwire.Presence, error) {
	out := make([]pactwire.Presence, len(users))
	unknown := t.get(users, out, nil)
	if len(unknown) == 0 {
		return out, nil
	}
	kept, err := t.lastSeen(ctx, unknown)
	if err != nil {
		return nil, err
	}
	t.get(users, out, kept)
	return out, nil
}

// get fills out. Without kept it returns the users for whom the store must be asked.
func (t *Tracker) get(users []pactwire.UserID, out []pactwire.Presence, kept map[pactwire.UserID]pactwire.Seen) (unknown []pactwire.UserID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	for i, u := range users {
		p := t.people[u]
		switch {
		case p != nil && (p.loaded || kept != nil):
			if !p.loaded {
				p.merge(kept[u])
				t.settled(p, now)
			}
			out[i] = p.presence()
		case kept == nil:
			unknown = append(unknown, u)
		default:
			s := kept[u]
			s.User = u
			out[i] = view(s, "", pactwire.PresenceOffline)
		}
	}
	return unknown
}

// Online counts the people who are online.
func (t *Tracker) Online() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.online
}

// change runs f on a person under the lock and sees to what follows from it.
func (t *Tracker) change(u pactwire.UserID, create bool, f func(*person, time.Time)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopped {
		return
	}
	p := t.people[u]
	if p == nil {
		if !create {
			return
		}
		p = t.person(u)
	}
	now := time.Now()
	f(p, now)
	t.settled(p, now)
	t.release(p)
}

// settled brings a person's status in line and queues what must be announced and saved. Who is not loaded yet is settled by
// the announcer, which may ask the store.
func (t *Tracker) settled(p *person, now time.Time) {
	if p.loaded {
		t.settle(p, now)
	}
	if p.version != p.told || !p.loaded && p.best() != p.status {
		t.enqueue(p)
	}
	t.note(p, touchEvery)
}

// settle changes status, and the count of who is online with it.
func (t *Tracker) settle(p *person, now time.Time) {
	was := p.status
	p.settle(now, t.floor)
	switch off := pactwire.PresenceOffline; {
	case was == off && p.status != off:
		t.online++
	case was != off && p.status == off:
		t.online--
	}
}

func (t *Tracker) person(u pactwire.UserID) *person {
	p := t.people[u]
	if p == nil {
		p = &person{user: u, status: pactwire.PresenceOffline}
		t.people[u] = p
	}
	return p
}

// release forgets who is offline and saved. The end of a grace may name a person who was forgotten meanwhile, and came back as
// another.
func (t *Tracker) release(p *person) {
	if t.people[p.user] == p && p.idle() {
		t.floor = max(t.floor, p.version) // who comes back within this millisecond must not get the same again
		delete(t.people, p.user)
	}
}

func (t *Tracker) enqueue(p *person) {
	if !p.queued {
		p.queued = true
		t.queue = append(t.queue, p)
		wake(t.wakeRun)
	}
}
