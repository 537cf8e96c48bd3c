package presence

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/pace"
)

// speak is the one goroutine that says what has changed here, and announces what that has changed.
func (s *Shared) speak(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	away := false
	for {
		batch, wait := s.take(time.Now())
		if len(batch) > 0 {
			changes, err := s.say(ctx, batch)
			switch {
			case ctx.Err() != nil:
				return
			case err != nil && !away:
				s.log.Warn("presence: other nodes cannot be told; who comes is announced here alone, and nobody as gone", "error", err)
			case err == nil && away:
				s.log.Info("presence: other nodes are told again")
			}
			s.tell(ctx, changes)
			if away = err != nil; !away {
				continue
			}
			wait = sayAgain
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return
		case <-s.wakeSay:
			if away { // not more often for that
				select {
				case <-timer.C:
				case <-ctx.Done():
					return
				}
			}
		case <-timer.C:
		case changes := <-s.changes:
			s.tell(ctx, changes)
		}
	}
}

// tell announces changes: those of many people at the same time, since each may wait for a read of their pacts, and those of
// one person in order.
func (s *Shared) tell(ctx context.Context, changes []pactwire.Presence) {
	var telling sync.WaitGroup
	defer telling.Wait()
	room := make(chan struct{}, tellAtOnce)
	under := make(map[pactwire.UserID]bool, len(changes))
	for _, p := range changes {
		if ctx.Err() != nil {
			return
		}
		if under[p.UserID] {
			telling.Wait()
			clear(under)
		}
		under[p.UserID] = true
		s.metrics.changed(p.Status)
		room <- struct{}{}
		telling.Go(func() {
			defer func() { <-room }()
			s.onChange(p)
		})
	}
}

// less reports whether a person's word would make less of them. Such a word waits while nodes repeat theirs.
func (x *spoken) less() bool { return better(x.status, x.said) != x.status }

// take moves words out of the queue, and tells how long to wait for the next when there are none.
func (s *Shared) take(now time.Time) (words []*spoken, wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	settling := now.Before(s.settled)
	rest := s.queue[:0]
	for i, x := range s.queue {
		if len(words) == batch {
			rest = append(rest, s.queue[i:]...)
			break
		}
		if settling && (x.less() || x.revive) {
			rest = append(rest, x)
			continue
		}
		x.queued = false
		words = append(words, x)
	}
	clear(s.queue[len(rest):])
	if s.queue = rest; len(rest) == 0 {
		s.queue = nil
	}
	if settling && len(rest) > 0 {
		return words, s.settled.Sub(now)
	}
	return words, time.Hour
}

// say says words and returns what is to be announced. When the board is away, they wait, and those are announced whose coming
// is certain.
func (s *Shared) say(ctx context.Context, batch []*spoken) ([]pactwire.Presence, error) {
	s.floors(ctx, batch)
	words := s.words(batch)
	call, cancel := context.WithTimeout(ctx, sayTime)
	said, err := s.board.Say(call, words)
	cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.round)
	s.round = make(chan struct{})
	var changes []pactwire.Presence
	if err != nil {
		s.asked = time.Now()
		for _, x := range batch {
			s.enqueue(x)
			if better(x.status, x.told) != x.told {
				x.alone = true
				changes = append(changes, s.announce(x, pactwire.Said{Status: x.status, LastSeen: x.lastSeen,
					Version: max(x.version+1, uint64(time.Now().Add(ahead).UnixMilli()))})) //nolint:gosec // after 1970
			}
		}
		return changes, err
	}
	s.asked = time.Time{}
	for i, x := range batch {
		x.said = words[i].Status
		switch got := &said[i]; {
		case words[i].Status == pactwire.PresenceOffline && !got.Known && !words[i].Quiet && !words[i].WasThere:
			x.revive = true // others still take the person to be there
			s.settled = time.Now().Add(settleTime)
			s.enqueue(x)
		case got.Changed, x.alone && got.Status != x.told:
			changes = append(changes, s.announce(x, *got))
		default:
			s.keep(x.user, *got)
		}
		if !x.queued {
			x.alone = false
		}
		if x.status == pactwire.PresenceOffline && !x.queued {
			delete(s.people, x.user)
		}
	}
	return changes, nil
}

// words are what is to be said of a batch, of each person one.
func (s *Shared) words(batch []*spoken) []pactwire.Word {
	s.mu.Lock()
	defer s.mu.Unlock()
	words := make([]pactwire.Word, 0, len(batch))
	for _, x := range batch {
		w := pactwire.Word{User: x.user, Status: x.status, LastSeen: x.lastSeen, Floor: x.version}
		if x.alone {
			w.Floor++ // what is told now comes after that
		}
		w.WasThere = x.revive && x.status == pactwire.PresenceOffline
		w.Quiet = x.status == x.said && !x.alone && !w.WasThere
		x.revive = false
		words = append(words, w)
	}
	return words
}

// announce makes what is told of a person, and has it saved. Why they are gone is the reason of the node whose word made them so.
// Under s.mu.
func (s *Shared) announce(x *spoken, what pactwire.Said) pactwire.Presence {
	s.keep(x.user, what)
	x.told, x.version = what.Status, what.Version
	p := view(rowOf(x.user, what), x.name, what.Status)
	p.LoggedOut = x.out && what.Status == pactwire.PresenceOffline
	return p
}

func rowOf(u pactwire.UserID, what pactwire.Said) pactwire.Seen {
	return pactwire.Seen{User: u, LastSeen: what.LastSeen, Version: what.Version, Online: what.Status != pactwire.PresenceOffline}
}

// floors finds out which versions those had before of whom nothing was said here yet. When the store does not answer, the
// clock alone makes the next ones.
func (s *Shared) floors(ctx context.Context, batch []*spoken) {
	var unknown []pactwire.UserID
	s.mu.Lock()
	for _, x := range batch {
		if row, ok := s.dirty[x.user]; ok {
			x.version, x.loaded = max(x.version, row.Version), true
		}
		if !x.loaded {
			unknown = append(unknown, x.user)
		}
	}
	s.mu.Unlock()
	if len(unknown) == 0 {
		return
	}
	call, cancel := context.WithTimeout(ctx, loadTimeout)
	kept, err := readSeen(call, s.store, unknown)
	cancel()
	if err != nil {
		s.metrics.loadErrors.Inc()
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range batch {
		if !x.loaded {
			x.version, x.loaded = max(x.version, kept[x.user].Version), true
		}
	}
}

// keep has a row written. Under s.mu.
func (s *Shared) keep(u pactwire.UserID, what pactwire.Said) {
	row := rowOf(u, what)
	if before, ok := s.dirty[u]; ok && before.Version > row.Version {
		return
	}
	s.dirty[u] = row
	wake(s.wakeSave)
}

// save is the one goroutine that writes. It collects for a while, then writes all.
func (s *Shared) save(ctx context.Context) {
	failed := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wakeSave:
		}
		if !pace.Pause(ctx, s.cfg.Flush) {
			return
		}
		err := s.saveDirty(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failed:
			s.log.Error("presence: cannot be saved; tried again each second", "error", err)
		case err == nil && failed:
			s.log.Info("presence: saved again")
		}
		if failed = err != nil; failed {
			wake(s.wakeSave)
		}
	}
}

// saveDirty writes what is to be written now, in bounded batches. After an error the rest stays.
func (s *Shared) saveDirty(ctx context.Context) error {
	for {
		var rows []pactwire.Seen
		s.mu.Lock()
		for u, row := range s.dirty {
			if len(rows) == batch {
				break
			}
			rows = append(rows, row)
			delete(s.dirty, u)
		}
		s.mu.Unlock()
		if len(rows) == 0 {
			return nil
		}
		call, cancel := context.WithTimeout(ctx, saveTimeout)
		err := s.store.SaveSeen(call, rows)
		cancel()
		if err == nil {
			continue
		}
		s.metrics.saveErrors.Inc()
		s.mu.Lock()
		for _, row := range rows {
			if _, newer := s.dirty[row.User]; !newer {
				s.dirty[row.User] = row
			}
		}
		s.mu.Unlock()
		return fmt.Errorf("save the presence of %d people: %w", len(rows), err)
	}
}
