package habits

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pactwire/pactwire"
)

const (
	dueEvery = 30 * time.Second // between two looks, when nothing is due earlier
	dueBatch = 64               // appointments at once
	dueLimit = 5 * time.Second  // for one look, and for one transaction
	dueAgain = time.Hour        // after one that failed by itself

	dueMoment = 50 * time.Millisecond // while another process keeps one
)

// DueStore reads appointments outside of transactions.
type DueStore interface {
	// Due are the appointments that are not after until, ascending by time and key.
	Due(ctx context.Context, until time.Time, limit int) ([]pactwire.Due, error)
}

// Scheduler keeps the appointments: it says which streaks are broken, ends pacts on their day, and invitations that nobody
// answers. Several may run over one store; each appointment is kept by one of them.
type Scheduler struct {
	service *Service
	store   DueStore
	log     *slog.Logger
	kept    *prometheus.CounterVec
	late    prometheus.Gauge

	mu   sync.Mutex
	stop context.CancelFunc // nil = not running
	done chan struct{}
}

// NewScheduler makes a scheduler of a service that has an engine.
func NewScheduler(service *Service, store DueStore, log *slog.Logger, reg prometheus.Registerer) *Scheduler {
	s := &Scheduler{service: service, store: store, log: log,
		kept: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pactwire_habits_due_total",
			Help: "Things that happened by themselves when their time had come, by kind."}, []string{"kind"}),
		late: prometheus.NewGauge(prometheus.GaugeOpts{Name: "pactwire_habits_due_late_seconds",
			Help: "How long the oldest thing that is due has been waiting, at the last look."}),
	}
	if reg != nil {
		reg.MustRegister(s.kept, s.late)
	}
	return s
}

// Start begins to keep appointments. Starting twice is as once.
func (s *Scheduler) Start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stop != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.stop, s.done = cancel, make(chan struct{})
	go func(done chan struct{}) {
		defer close(done)
		s.run(ctx)
	}(s.done)
}

// Stop ends what Start began and waits for it.
func (s *Scheduler) Stop() {
	s.mu.Lock()
	stop, done := s.stop, s.done
	s.stop = nil
	s.mu.Unlock()
	if stop != nil {
		stop()
		<-done
	}
}

func (s *Scheduler) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		next, err := s.look(ctx)
		if err != nil && ctx.Err() == nil {
			s.log.Warn("what is due cannot be done; tried again", "error", err)
		}
		timer.Reset(next)
	}
}

// look keeps what is due and tells when to look again.
func (s *Scheduler) look(ctx context.Context) (time.Duration, error) {
	for ctx.Err() == nil {
		now := s.service.now()
		read, cancel := context.WithTimeout(ctx, dueLimit)
		list, err := s.store.Due(read, now.Add(dueEvery), dueBatch)
		cancel()
		if err != nil {
			return dueEvery, fmt.Errorf("read what is due: %w", err)
		}
		n := slices.IndexFunc(list, func(d pactwire.Due) bool { return d.At.After(now) })
		if n == 0 {
			s.late.Set(0)
			return min(list[0].At.Sub(now), dueEvery), nil
		}
		if n > 0 {
			list = list[:n]
		}
		if len(list) == 0 {
			s.late.Set(0)
			return dueEvery, nil
		}
		if at := list[0].At; at.After(settleBefore) {
			s.late.Set(now.Sub(at).Seconds())
		}
		all, err := s.keep(ctx, list, now)
		if err != nil {
			return dueEvery, err
		}
		if !all {
			return dueMoment, nil
		}
	}
	return dueEvery, ctx.Err()
}

// keep keeps appointments, each in a transaction of its own; the store commits them together. Those of one kind go side by
// side, but none before another kind's that was due earlier: a streak that broke before its pact ended is said in the pact.
// all is false when another process was at one of them. The error is the first.
func (s *Scheduler) keep(ctx context.Context, list []pactwire.Due, now time.Time) (all bool, first error) {
	for len(list) > 0 {
		n := slices.IndexFunc(list, func(d pactwire.Due) bool { return kindOf(d) != kindOf(list[0]) })
		if n < 0 {
			n = len(list)
		}
		outcomes := make(chan outcome, n)
		for _, d := range list[:n] {
			go func() { outcomes <- s.one(ctx, d, now) }()
		}
		all = true
		for range n {
			o := <-outcomes
			if all = all && o.settled; first == nil {
				first = o.err
			}
		}
		if !all {
			return false, first
		}
		list = list[n:]
	}
	return true, first
}

func kindOf(d pactwire.Due) string {
	kind, _, _ := strings.Cut(d.Key, " ")
	return kind
}

// outcome is what became of an appointment: settled when it was kept or stands back, and nothing after it need wait.
type outcome struct {
	settled bool
	err     error
}

// one keeps one appointment. One that cannot be kept stands back for a while, so that it does not stand before the others.
func (s *Scheduler) one(ctx context.Context, d pactwire.Due, now time.Time) outcome {
	kept := false
	err := s.taking(ctx, d, func(tx Tx, mine bool) ([]pactwire.Change, error) {
		if kept = mine; !mine {
			return nil, nil // another process has kept it, or it was moved
		}
		return s.service.happen(tx, d, now)
	})
	if err == nil {
		if kept {
			s.kept.WithLabelValues(kindOf(d)).Inc()
		}
		return outcome{settled: kept}
	}
	away := pactwire.AsError(err).Code == pactwire.Unavailable // then it is not the appointment that is at fault
	err = fmt.Errorf("%s: %w", d.Key, err)
	if ctx.Err() != nil || away {
		return outcome{err: err}
	}
	back := s.taking(ctx, d, func(tx Tx, mine bool) ([]pactwire.Change, error) {
		if !mine {
			return nil, nil
		}
		return nil, tx.PutDue(d.Key, now.Add(dueAgain))
	})
	return outcome{settled: back == nil, err: errors.Join(err, back)}
}

func (s *Scheduler) taking(ctx context.Context, d pactwire.Due, fn func(tx Tx, mine bool) ([]pactwire.Change, error)) error {
	ctx, cancel := context.WithTimeout(ctx, dueLimit)
	defer cancel()
	return s.service.exec.Do(ctx, func(tx Tx) ([]pactwire.Change, error) {
		mine, err := tx.TakeDue(d)
		if err != nil {
			return nil, err
		}
		return fn(tx, mine)
	})
}

// settleBefore is before the time of every real appointment: a migration makes them for what was there before, with the zero
// of Unix time, and then nothing is said of what was over long ago.
var settleBefore = time.Unix(1, 0)

// happen does what an appointment is about.
func (s *Service) happen(tx Tx, d pactwire.Due, now time.Time) ([]pactwire.Change, error) {
	ids := strings.Split(d.Key, " ")
	switch {
	case ids[0] == dueStreak && len(ids) == 3:
		k := seriesKey{pactwire.UserID(ids[1]), pactwire.GoalID(ids[2])}
		return s.engine.endStreak(tx, k, now, d.At.Before(settleBefore))
	case ids[0] == duePact && len(ids) == 2:
		return s.pactDue(tx, pactwire.PactID(ids[1]), lastDay, now)
	case ids[0] == dueInvites && len(ids) == 2:
		return s.pactDue(tx, pactwire.PactID(ids[1]), endInvites, now)
	}
	return nil, fmt.Errorf("appointment of an unknown kind: a newer version made it") // and keeps it, when it is postponed
}

func (s *Service) pactDue(tx Tx, id pactwire.PactID, due func(Tx, *pactwire.Pact, time.Time) ([]step, error), now time.Time) ([]pactwire.Change, error) {
	p, ok, err := tx.Pact(id)
	if err != nil || !ok {
		return nil, err
	}
	p.Members = slices.Clone(p.Members)
	steps, err := due(tx, &p, now)
	if err != nil || len(steps) == 0 {
		return nil, err
	}
	creator := pactwire.Identity{UserID: p.CreatorUserID}
	if m, ok := p.Member(p.CreatorUserID); ok {
		creator.UserName = m.UserName
	}
	if p, err = s.put(tx, p, steps, now); err != nil {
		return nil, err
	}
	return changes(creator, p, steps), nil
}
