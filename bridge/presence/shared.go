package presence

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pactwire/pactwire"
)

const (
	sayTime    = time.Second            // of one call to the board
	sayAgain   = 500 * time.Millisecond // after a call that failed
	settleTime = 3 * time.Second        // for all nodes to repeat their words to a board that has forgotten
	ahead      = 2 * time.Second        // that a version is dated in advance which is made without asking: others may be unsaved yet
	tellAtOnce = 64                     // people whose changes are announced at the same time
	ownTime    = 250 * time.Millisecond // that a snapshot waits for what this node is about to say
)

// Shared is presence where several nodes share the store: a Tracker decides what this node says of a person, the Board what
// all nodes' words make of them, and whichever node's word brought a change about announces it.
//
// While the board is away, who comes is announced here, since that is certain, and nobody is announced to have gone: they may
// be at another node. It is told what was missed when it is back. When it has forgotten all, each node repeats its words
// without announcing anything; what makes less of a person waits meanwhile.
type Shared struct {
	local    *Tracker
	board    Board
	store    Store
	cfg      Config
	onChange func(pactwire.Presence)
	log      *slog.Logger
	metrics  *metrics

	mu      sync.Mutex
	people  map[pactwire.UserID]*spoken // who is here, or of whom something is still to be said
	queue   []*spoken                   // each once
	settled time.Time                   // until then no word that makes less of a person
	asked   time.Time                   // the board was away then
	dirty   map[pactwire.UserID]pactwire.Seen
	round   chan struct{} // closed when some words have been said
	sweepAt time.Time

	wakeSay, wakeSave, wakeSweep chan struct{}            // of size 1
	changes                      chan []pactwire.Presence // found by others, for the one goroutine that announces

	began  time.Time
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// spoken is what this node says of a person.
type spoken struct {
	user     pactwire.UserID
	name     string
	status   pactwire.PresenceStatus // as it is here
	said     pactwire.PresenceStatus // as the board has it from here
	lastSeen time.Time
	told     pactwire.PresenceStatus // as it was announced last, as far as this node knows
	version  uint64                  // at least that of any announcement before
	loaded   bool                    // the store was asked for version
	queued   bool
	out      bool // status is offline because they said so, on a connection that stands here
	alone    bool // told was announced here without asking the board
	revive   bool // the board has forgotten that the person was there
}

// NewShared makes a Shared. onChange gets the changes that are this node's to announce: a person's
// in order, and those of several people at the same time.
func NewShared(cfg Config, board Board, store Store, onChange func(pactwire.Presence), log *slog.Logger, reg prometheus.Registerer) *Shared {
	cfg = cfg.withDefaults()
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Shared{board: board, store: store, cfg: cfg, onChange: onChange, log: log,
		people: make(map[pactwire.UserID]*spoken), dirty: make(map[pactwire.UserID]pactwire.Seen), round: make(chan struct{}),
		wakeSay: make(chan struct{}, 1), wakeSave: make(chan struct{}, 1), wakeSweep: make(chan struct{}, 1),
		changes: make(chan []pactwire.Presence)}
	s.local = New(cfg, here{s}, s.heard, log, nil)
	s.metrics = newMetrics(reg, s.local.Online)
	return s
}

// Start begins to speak. Who was online when an earlier process ended is the business of whoever finds that its lease is over,
// or of the sweep, when nothing is left of its words.
func (s *Shared) Start(ctx context.Context) error {
	if err := s.local.Start(ctx); err != nil {
		return err
	}
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.cancel, s.began = cancel, time.Now()
	s.sweepLater()
	s.done.Go(func() { s.speak(run) })
	s.done.Go(func() { s.save(run) })
	s.done.Go(func() { s.sweeps(run) })
	return nil
}

// Stop says and saves what is left to. It announces nobody, and takes no word back: they hold for the grace time.
func (s *Shared) Stop(ctx context.Context) error {
	err := s.local.Stop(ctx)
	if s.cancel == nil {
		return err
	}
	s.cancel()
	s.done.Wait()
	s.mu.Lock()
	s.settled = time.Now().Add(time.Hour) // nothing that makes less of anybody
	s.mu.Unlock()
	for ctx.Err() == nil {
		batch, _ := s.take(time.Now())
		if len(batch) == 0 {
			break
		}
		if _, failed := s.say(ctx, batch); failed != nil {
			err = errors.Join(err, fmt.Errorf("say who is here: %w", failed))
			break
		}
	}
	return errors.Join(err, s.saveDirty(ctx))
}

// Arrive, Say, Touch and Leave are those of the Tracker.
func (s *Shared) Arrive(c Conn) { s.local.Arrive(c) }

// Say takes a connection's own word for its status.
func (s *Shared) Say(c Conn, status pactwire.PresenceStatus) { s.local.Say(c, status) }

// Touch notes a sign of life.
func (s *Shared) Touch(c Conn) { s.local.Touch(c) }

// Leave says that a connection ended.
func (s *Shared) Leave(c Conn) { s.local.Leave(c) }

// heard takes what has changed at this node.
func (s *Shared) heard(p pactwire.Presence) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.person(p.UserID)
	x.status, x.out = p.Status, p.LoggedOut
	if p.UserName != "" {
		x.name = p.UserName
	}
	x.seen(p.LastSeen)
	s.enqueue(x)
}

func (x *spoken) seen(at *pactwire.Time) {
	if at != nil && at.Std().After(x.lastSeen) {
		x.lastSeen = at.Std()
	}
}

// here is the store of this node's Tracker: what it would keep is said instead.
type here struct{ s *Shared }

func (here) LastSeen(context.Context, []pactwire.UserID) (map[pactwire.UserID]pactwire.Seen, error) {
	return nil, nil
}

func (here) WereOnline(context.Context) ([]pactwire.UserID, error) { return nil, nil }

func (h here) SaveSeen(_ context.Context, seen []pactwire.Seen) error {
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	for _, row := range seen {
		if x := h.s.people[row.User]; x != nil && row.LastSeen.After(x.lastSeen) {
			x.lastSeen = row.LastSeen
			h.s.enqueue(x)
		}
	}
	return nil
}

func (s *Shared) person(u pactwire.UserID) *spoken {
	x := s.people[u]
	if x == nil {
		x = &spoken{user: u, status: pactwire.PresenceOffline, said: pactwire.PresenceOffline, told: pactwire.PresenceOffline}
		s.people[u] = x
	}
	return x
}

// enqueue has something said. Under s.mu.
func (s *Shared) enqueue(x *spoken) {
	if !x.queued {
		x.queued = true
		s.queue = append(s.queue, x)
		wake(s.wakeSay)
	}
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Repeat has everything said again, since the board may have forgotten it. It does not block.
func (s *Shared) Repeat() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settled = time.Now().Add(settleTime)
	s.asked = time.Time{}
	for _, x := range s.people {
		s.enqueue(x)
	}
	s.sweepSoon()
}

// Get returns the presence of each user, in order, without a pact.
func (s *Shared) Get(ctx context.Context, users []pactwire.UserID) ([]pactwire.Presence, error) {
	s.waitForOwn(ctx, users)
	var said []pactwire.Said
	var err error
	if s.reachable() {
		call, cancel := context.WithTimeout(ctx, sayTime)
		said, err = s.board.Presence(call, users)
		cancel()
		if err != nil {
			s.unreachable()
		}
	}
	here, _ := s.local.Get(ctx, users) // never asks a store
	out := make([]pactwire.Presence, len(users))
	var unknown []pactwire.UserID
	for i, u := range users {
		if said == nil || !said[i].Known {
			unknown = append(unknown, u)
			continue
		}
		row := pactwire.Seen{User: u, LastSeen: said[i].LastSeen, Version: said[i].Version}
		if at := here[i].LastSeen; at != nil && at.Std().After(row.LastSeen) {
			row.LastSeen = at.Std()
		}
		out[i] = view(row, here[i].UserName, said[i].Status)
	}
	if len(unknown) == 0 {
		return out, nil
	}
	kept, err := readSeen(ctx, s.store, unknown)
	if err != nil {
		return nil, err
	}
	for i, u := range users {
		if said == nil || !said[i].Known {
			out[i] = s.guess(here[i], kept[u], u)
		}
	}
	return out, nil
}

// guess makes out a person of whom the board does not tell: who is here is, and for the others what was written last holds.
func (s *Shared) guess(here pactwire.Presence, kept pactwire.Seen, u pactwire.UserID) pactwire.Presence {
	status := here.Status
	if status == pactwire.PresenceOffline && kept.Online {
		status = pactwire.PresenceActive
	}
	s.mu.Lock()
	if x := s.people[u]; x != nil {
		kept.Version = max(kept.Version, x.version)
	}
	s.mu.Unlock()
	if at := here.LastSeen; at != nil && at.Std().After(kept.LastSeen) {
		kept.LastSeen = at.Std()
	}
	kept.User = u
	return view(kept, here.UserName, status)
}

// waitForOwn waits, shortly, until what makes more of these people at this node has been said, so that a snapshot that is
// asked for after a connection has come tells of it.
func (s *Shared) waitForOwn(ctx context.Context, users []pactwire.UserID) {
	timer := time.NewTimer(ownTime)
	defer timer.Stop()
	for s.reachable() {
		s.mu.Lock()
		round := s.round
		s.mu.Unlock()
		here, err := s.local.Get(ctx, users)
		if err != nil || !s.lacks(users, here) {
			return
		}
		select {
		case <-round:
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

func (s *Shared) lacks(users []pactwire.UserID, here []pactwire.Presence) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, u := range users {
		said := pactwire.PresenceOffline
		if x := s.people[u]; x != nil {
			said = x.said
		}
		if better(said, here[i].Status) != said {
			return true
		}
	}
	return false
}

// reachable is false for a moment after the board did not answer.
func (s *Shared) reachable() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Since(s.asked) > sayTime
}

func (s *Shared) unreachable() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = time.Now()
}
