package relay

import (
	"context"
	"log/slog"
	"sync"
)

// said remembers which troubles were logged, so that each is said when it begins and when it is over.
type said struct {
	mu *sync.Mutex
	on map[string]bool
}

func newSaid() said { return said{new(sync.Mutex), make(map[string]bool)} }

// change logs a trouble that has begun, or that is over when err is nil.
func (s said) change(log *slog.Logger, what string, err error) {
	s.mu.Lock()
	was := s.on[what]
	s.on[what] = err != nil
	s.mu.Unlock()
	switch {
	case err != nil && !was:
		log.Warn("nodes: "+what, "error", err)
	case err == nil && was:
		log.Log(context.Background(), slog.LevelInfo, "nodes: over: "+what)
	}
}
