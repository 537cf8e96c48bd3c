package delivery

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/trouble"
)

// saver is the one writer of sessions, so that an older record never follows a newer one: moved cursors once a second,
// subscriptions and ended connections at once, many in one call. It holds one record a session at most, of those that
// ended since the last write that succeeded; who comes back finds them here.
type saver struct {
	store   SessionStore
	logger  *slog.Logger
	trouble trouble.Log
	every   time.Duration
	now     chan struct{}            // of size 1: something is not to wait for the tick
	lost    func([]pactwire.Session) // told which sessions belong to another node now

	mu     sync.Mutex
	moved  map[*Client]struct{} // changed since they were written
	urgent map[*Client]struct{} // of those, the ones that someone waits for
	parked map[pactwire.SessionKey]*pactwire.Session
	claims map[pactwire.SessionKey]struct{} // under way: who makes one wants what is parked, also when the claim fences it off
	drops  []pactwire.SessionKey
	waits  []chan error // one a caller of save and drop; each has room for one
}

func newSaver(store SessionStore, logger *slog.Logger, every time.Duration, lost func([]pactwire.Session)) *saver {
	return &saver{store: store, logger: logger, every: every, lost: lost, now: make(chan struct{}, 1),
		moved: make(map[*Client]struct{}), urgent: make(map[*Client]struct{}), parked: make(map[pactwire.SessionKey]*pactwire.Session),
		claims: make(map[pactwire.SessionKey]struct{})}
}

// touch notes that a client's session has changed. May be called under Client.mu.
func (s *saver) touch(c *Client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.moved[c] = struct{}{}
}

// save writes a client's session and returns when it is durable.
func (s *saver) save(ctx context.Context, c *Client) error {
	return s.wait(ctx, func() { s.urgent[c] = struct{}{} })
}

// drop deletes a session and returns when it is gone for good.
func (s *saver) drop(ctx context.Context, key pactwire.SessionKey) error {
	return s.wait(ctx, func() {
		delete(s.parked, key)
		s.drops = append(s.drops, key)
	})
}

func (s *saver) wait(ctx context.Context, note func()) error {
	done := make(chan error, 1)
	s.mu.Lock()
	note()
	s.waits = append(s.waits, done)
	s.mu.Unlock()
	s.hurry()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return &pactwire.Error{Code: pactwire.Unavailable, Message: "your session cannot be stored now; try again", Cause: ctx.Err()}
	}
}

func (s *saver) hurry() {
	select {
	case s.now <- struct{}{}:
	default:
	}
}

// park takes the session of a connection that has ended.
func (s *saver) park(c *Client, session pactwire.Session) {
	s.mu.Lock()
	delete(s.moved, c)
	delete(s.urgent, c)
	s.parked[session.Key] = &session
	s.mu.Unlock()
	s.hurry()
}

// leave forgets a client whose session is not kept.
func (s *saver) leave(c *Client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.moved, c)
	delete(s.urgent, c)
}

// find returns a session that is not yet written.
func (s *saver) find(key pactwire.SessionKey) (pactwire.Session, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.parked[key]; p != nil {
		return *p, true
	}
	return pactwire.Session{}, false
}

// take returns a session that is not yet written, and leaves it to the caller.
func (s *saver) take(key pactwire.SessionKey) (pactwire.Session, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.parked[key]
	if p == nil {
		return pactwire.Session{}, false
	}
	delete(s.parked, key)
	return *p, true
}

// claiming keeps what is parked of a session, though it be fenced off, until done is called.
func (s *saver) claiming(key pactwire.SessionKey) (done func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.claims[key] = struct{}{}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.claims, key)
	}
}

// settle returns when what has changed by now is durable.
func (s *saver) settle(ctx context.Context) error { return s.wait(ctx, func() {}) }

// amend changes a session that is not yet written.
func (s *saver) amend(key pactwire.SessionKey, f func(*pactwire.Session)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.parked[key]; p != nil {
		changed := *p
		f(&changed)
		s.parked[key] = &changed
	}
}

func (s *saver) run(ctx context.Context) {
	tick := time.NewTicker(s.every)
	defer tick.Stop()
	for {
		all := false
		select {
		case <-ctx.Done():
			return
		case <-s.now:
		case <-tick.C:
			all = true
		}
		if err := s.flush(ctx, all); ctx.Err() == nil {
			s.trouble.Change(s.logger, "sessions cannot be saved; tried again each second", err)
		}
	}
}

// flush writes what is urgent, or all that has changed; it is called by run, and by Stop after run has ended. What could
// not be written stays for the next tick.
func (s *saver) flush(ctx context.Context, all bool) error {
	s.mu.Lock()
	clients := s.urgent
	s.urgent = make(map[*Client]struct{})
	for c := range clients {
		delete(s.moved, c)
	}
	if all {
		maps.Copy(clients, s.moved)
		s.moved = make(map[*Client]struct{})
	}
	ended := make([]*pactwire.Session, 0, len(s.parked))
	batch := make([]pactwire.Session, 0, len(s.parked)+len(clients))
	for _, p := range s.parked {
		ended = append(ended, p)
		batch = append(batch, *p)
	}
	drops, waits := s.drops, s.waits
	s.drops, s.waits = nil, nil
	s.mu.Unlock()

	written := make([]*Client, 0, len(clients))
	for c := range clients {
		if session, ok := c.snapshot(); ok {
			batch = append(batch, session)
			written = append(written, c)
		}
	}
	fenced, err := s.write(ctx, batch, drops)
	if err == nil {
		for _, c := range written {
			c.noteStored()
		}
	}
	for _, done := range waits {
		done <- err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		maps.Copy(s.moved, clients)
		return err
	}
	for _, p := range ended {
		if s.parked[p.Key] == p && !s.wanted(p.Key, fenced) {
			delete(s.parked, p.Key)
		}
	}
	return nil
}

// wanted reports whether a session that was not written is about to be taken up here. Under s.mu.
func (s *saver) wanted(key pactwire.SessionKey, fenced []pactwire.Session) bool {
	_, claimed := s.claims[key]
	return claimed && slices.ContainsFunc(fenced, func(f pactwire.Session) bool { return f.Key == key })
}

func (s *saver) write(ctx context.Context, batch []pactwire.Session, drops []pactwire.SessionKey) (fenced []pactwire.Session, err error) {
	if len(batch) > 0 {
		if fenced, err = s.store.SaveSessions(ctx, batch); err != nil {
			return nil, err
		}
		s.lost(fenced)
	}
	for _, key := range drops {
		if err := s.store.DeleteSession(ctx, key); err != nil {
			return fenced, err
		}
	}
	return fenced, nil
}
