package presence_test

import (
	"context"
	"errors"
	"sync"

	"github.com/pactwire/pactwire"
)

// memory is a Store that outlives Trackers, and that can be away.
type memory struct {
	mu    sync.Mutex
	rows  map[pactwire.UserID]pactwire.Seen
	saves int // rows written
	away  bool
}

var errAway = errors.New("the store is away")

func newMemory() *memory { return &memory{rows: map[pactwire.UserID]pactwire.Seen{}} }

func (m *memory) LastSeen(_ context.Context, users []pactwire.UserID) (map[pactwire.UserID]pactwire.Seen, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.away {
		return nil, errAway
	}
	out := map[pactwire.UserID]pactwire.Seen{}
	for _, u := range users {
		if s, ok := m.rows[u]; ok {
			out[u] = s
		}
	}
	return out, nil
}

func (m *memory) SaveSeen(_ context.Context, seen []pactwire.Seen) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.away {
		return errAway
	}
	for _, s := range seen {
		m.rows[s.User] = s
	}
	m.saves += len(seen)
	return nil
}

func (m *memory) WereOnline(context.Context) ([]pactwire.UserID, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.away {
		return nil, errAway
	}
	var out []pactwire.UserID
	for u, s := range m.rows {
		if s.Online {
			out = append(out, u)
		}
	}
	return out, nil
}

func (m *memory) goAway(away bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.away = away
}

func (m *memory) row(u pactwire.UserID) pactwire.Seen {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rows[u]
}

// heard collects announcements.
type heard struct {
	mu   sync.Mutex
	list []pactwire.Presence
}

func (h *heard) on(p pactwire.Presence) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.list = append(h.list, p)
}

// take returns the announcements since the last call.
func (h *heard) take() []pactwire.Presence {
	h.mu.Lock()
	defer h.mu.Unlock()
	l := h.list
	h.list = nil
	return l
}
