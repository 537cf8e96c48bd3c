package devices

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/pactwire/pactwire"
)

// How often signs of life are written, and how often those of devices that stay connected without a word.
const (
	flushEvery  = time.Second
	standsEvery = 5 * time.Minute
	flushTime   = 5 * time.Second
)

// sightings collects signs of life until they are written.
type sightings struct {
	store Store
	log   *slog.Logger
	quit  context.CancelFunc
	ctx   context.Context
	task  sync.WaitGroup

	mu   sync.Mutex
	next map[pactwire.DeviceID]pactwire.Sighting // to be written; newest wins
	here map[pactwire.DeviceID]int               // connections on this node
}

func newSightings(store Store, log *slog.Logger) *sightings {
	s := &sightings{store: store, log: log, next: make(map[pactwire.DeviceID]pactwire.Sighting), here: make(map[pactwire.DeviceID]int)}
	s.ctx, s.quit = context.WithCancel(context.Background())
	return s
}

func (s *sightings) start() { s.task.Go(s.run) }

func (s *sightings) stop(ctx context.Context) error {
	s.quit()
	s.task.Wait()
	return s.flush(ctx)
}

func (s *sightings) saw(at pactwire.Sighting) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.note(at)
}

// note keeps a sighting, and the battery of an earlier one that this one does not speak of. Under s.mu.
func (s *sightings) note(at pactwire.Sighting) {
	before, ok := s.next[at.Device]
	if ok && at.Battery == nil {
		at.Battery = before.Battery
	}
	if ok && before.At.After(at.At) {
		at.At = before.At
	}
	s.next[at.Device] = at
}

func (s *sightings) count(d pactwire.DeviceID, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.note(pactwire.Sighting{Device: d, At: time.Now()})
	if s.here[d] += n; s.here[d] <= 0 {
		delete(s.here, d)
	}
}

// complete adds to a device what is not written yet.
func (s *sightings) complete(d *pactwire.Device) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, waits := s.next[d.ID]
	if s.here[d.ID] > 0 {
		at.At = time.Now()
	} else if !waits {
		return
	}
	seen := pactwire.Time(at.At)
	if d.LastSeen == nil || d.LastSeen.Std().Before(at.At) {
		d.LastSeen = &seen
	}
	if at.Battery != nil {
		d.Battery = at.Battery
	}
}

func (s *sightings) run() {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	stood := time.Now()
	for {
		select {
		case <-s.ctx.Done():
			return
		case now := <-tick.C:
			if now.Sub(stood) >= standsEvery {
				stood = now
				s.standing(now)
			}
		}
		if err := s.flush(s.ctx); err != nil && s.ctx.Err() == nil {
			s.log.Warn("devices' signs of life not written", "error", err)
		}
	}
}

// standing notes that every device that is connected is alive.
func (s *sightings) standing(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for d := range s.here {
		s.note(pactwire.Sighting{Device: d, At: now})
	}
}

// flush writes what waits. What could not be written waits on, unless something newer came meanwhile.
func (s *sightings) flush(ctx context.Context) error {
	s.mu.Lock()
	batch := make([]pactwire.Sighting, 0, len(s.next))
	for _, at := range s.next {
		batch = append(batch, at)
	}
	clear(s.next)
	s.mu.Unlock()
	if len(batch) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, flushTime)
	defer cancel()
	err := s.store.SawDevices(ctx, batch)
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, old := range batch {
			if newer, ok := s.next[old.Device]; !ok {
				s.next[old.Device] = old
			} else if newer.Battery == nil {
				newer.Battery = old.Battery
				s.next[old.Device] = newer
			}
		}
	}
	return err
}
