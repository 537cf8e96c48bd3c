package presence

import (
	"context"
	"time"

	"github.com/pactwire/pactwire"
)

// announce is the one goroutine that ends graces and calls onChange.
func (t *Tracker) announce(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		if next, ok := t.expire(time.Now()); ok {
			timer.Reset(time.Until(next))
		}
		for ctx.Err() == nil && t.announceBatch(ctx) {
		}
		select {
		case <-ctx.Done():
			return
		case <-t.wakeRun:
		case <-timer.C:
		}
	}
}

// expire ends the graces that are over and tells when the next one is.
func (t *Tracker) expire(now time.Time) (next time.Time, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := 0
	for ; i < len(t.ends) && !t.ends[i].at.After(now); i++ {
		p := t.ends[i].p
		t.ends[i] = end{}
		p.expire(now)
		t.settled(p, now)
		t.release(p)
	}
	t.ends = t.ends[i:]
	if len(t.ends) == 0 {
		t.ends = nil
		return time.Time{}, false
	}
	return t.ends[0].at, true
}

// announceBatch announces some of the queue and reports whether it found any. At the end of the process what is left
// is not announced.
func (t *Tracker) announceBatch(ctx context.Context) bool {
	people, load := t.take()
	if len(people) == 0 {
		return false
	}
	kept := t.load(ctx, load)
	for _, p := range people {
		if ctx.Err() != nil {
			return false
		}
		if pr, ok := t.tell(p, kept); ok {
			t.metrics.changed(pr.Status)
			t.onChange(pr)
		}
	}
	return true
}

// take moves the front of the queue out of it, and names those for whom the store must be asked first.
func (t *Tracker) take() (people []*person, load []pactwire.UserID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := min(len(t.queue), batch)
	people, t.queue = t.queue[:n:n], t.queue[n:]
	if len(t.queue) == 0 {
		t.queue = nil
	}
	for _, p := range people {
		if !p.loaded {
			load = append(load, p.user)
		}
	}
	return people, load
}

// load asks the store, for a short time only: an announcement may not wait for a database that is away. nil = no answer.
func (t *Tracker) load(ctx context.Context, users []pactwire.UserID) map[pactwire.UserID]pactwire.Seen {
	if len(users) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	kept, err := t.lastSeen(ctx, users)
	if err != nil {
		t.metrics.loadErrors.Inc()
		t.log.Warn("presence: versions are made from the clock alone, since what is kept of them cannot be read", "users", len(users), "error", err)
		return nil
	}
	return kept
}

// tell settles a person and returns what to announce, if that is anything.
func (t *Tracker) tell(p *person, kept map[pactwire.UserID]pactwire.Seen) (pactwire.Presence, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p.queued = false
	if !p.loaded && kept != nil {
		p.merge(kept[p.user])
	}
	t.settle(p, time.Now())
	t.note(p, touchEvery)
	if p.version == p.told {
		t.release(p)
		return pactwire.Presence{}, false
	}
	p.told = p.version
	pr := p.presence()
	t.release(p)
	return pr, true
}

func (t *Tracker) lastSeen(ctx context.Context, users []pactwire.UserID) (map[pactwire.UserID]pactwire.Seen, error) {
	return readSeen(ctx, t.store, users)
}

// readSeen reads in bounded batches.
func readSeen(ctx context.Context, store Store, users []pactwire.UserID) (map[pactwire.UserID]pactwire.Seen, error) {
	if len(users) <= batch {
		m, err := store.LastSeen(ctx, users)
		if m == nil && err == nil {
			m = map[pactwire.UserID]pactwire.Seen{}
		}
		return m, err
	}
	out := make(map[pactwire.UserID]pactwire.Seen, len(users))
	for len(users) > 0 {
		n := min(len(users), batch)
		m, err := store.LastSeen(ctx, users[:n])
		if err != nil {
			return nil, err
		}
		for u, s := range m {
			out[u] = s
		}
		users = users[n:]
	}
	return out, nil
}
