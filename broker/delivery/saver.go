package delivery

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/pactwire/pactwire"
)

// saver writes sessions behind the clients' backs: moved cursors once a second, ended connections at once. It holds at
// most one record a session; what is not yet written is found in it by who comes back.
type saver struct {
	store  SessionStore
	logger *slog.Logger
	every  time.Duration
	now    chan struct{} // of size 1: someone has ended

	mu      sync.Mutex
	moved   map[*Client]struct{}
	parked  map[pactwire.SessionKey]pactwire.Session
	writing sync.Mutex // one flush at a time, so that an older record never follows a newer one
}

func newSaver(store SessionStore, logger *slog.Logger) *saver {
	return &saver{store: store, logger: logger, every: time.Second, now: make(chan struct{}, 1),
		moved: make(map[*Client]struct{}), parked: make(map[pactwire.SessionKey]pactwire.Session)}
}

// touch notes that a client's session has changed. May be called under Client.mu.
func (s *saver) touch(c *Client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.moved[c] = struct{}{}
}

// park takes the session of a connection that has ended.
func (s *saver) park(c *Client, session pactwire.Session) {
	s.mu.Lock()
	delete(s.moved, c)
	s.parked[session.Key] = session
	s.mu.Unlock()
	select {
	case s.now <- struct{}{}:
	default:
	}
}

// drop forgets a session and a client that are no more.
func (s *saver) drop(c *Client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.moved, c)
}

// find returns a session that is not yet written.
func (s *saver) find(key pactwire.SessionKey) (pactwire.Session, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	session, ok := s.parked[key]
	return session, ok
}

// forget drops what waits for a key.
func (s *saver) forget(key pactwire.SessionKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.parked, key)
}

func (s *saver) run(ctx context.Context) {
	tick := time.NewTicker(s.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.now:
		case <-tick.C:
		}
		if err := s.flush(ctx); err != nil && ctx.Err() == nil {
			s.logger.Warn("save sessions", "error", err)
		}
	}
}

// flush writes what has changed. What could not be written stays for the next time.
func (s *saver) flush(ctx context.Context) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	moved, parked := s.moved, s.parked
	batch := make([]pactwire.Session, 0, len(moved)+len(parked))
	s.moved = make(map[*Client]struct{})
	for _, session := range parked {
		batch = append(batch, session)
	}
	s.mu.Unlock()
	ended := len(batch)
	for c := range moved {
		if session, ok := c.snapshot(); ok {
			batch = append(batch, session)
		}
	}
	if len(batch) == 0 {
		return nil
	}
	if err := s.store.SaveSessions(ctx, batch); err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		for c := range moved {
			s.moved[c] = struct{}{}
		}
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, session := range batch[:ended] {
		if now, ok := s.parked[session.Key]; ok && now.GoneAt.Equal(session.GoneAt) {
			delete(s.parked, session.Key)
		}
	}
	return nil
}
