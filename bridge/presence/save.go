package presence

import (
	"context"
	"fmt"
	"time"

	"github.com/pactwire/pactwire"
)

// note marks a person to be saved when the store's picture is wrong, or its last sign of life older than slack. Called
// under the lock.
func (t *Tracker) note(p *person, slack time.Duration) {
	s := p.seen()
	if p.dirty || s.Online == p.saved.Online && s.Version == p.saved.Version && s.LastSeen.Sub(p.saved.LastSeen) <= slack {
		return
	}
	p.dirty = true
	t.dirty = append(t.dirty, p)
	wake(t.wakeSave)
}

// save is the one goroutine that writes. It collects for a while, then writes all.
func (t *Tracker) save(ctx context.Context) {
	timer := time.NewTimer(t.cfg.Flush)
	timer.Stop()
	failed := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.wakeSave:
		}
		timer.Reset(t.cfg.Flush)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		err := t.saveDirty(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failed:
			t.log.Error("presence: cannot be saved; tried again each second", "error", err)
		case err == nil && failed:
			t.log.Info("presence: saved again")
		}
		if failed = err != nil; failed {
			wake(t.wakeSave)
		}
	}
}

// saveDirty writes what is dirty now, in bounded batches. After an error the rest stays dirty.
func (t *Tracker) saveDirty(ctx context.Context) error {
	t.mu.Lock()
	todo := len(t.dirty)
	t.mu.Unlock()
	for todo > 0 {
		people, rows := t.takeDirty(min(todo, batch))
		if len(people) == 0 {
			return nil
		}
		todo -= len(people)
		c, cancel := context.WithTimeout(ctx, saveTimeout)
		err := t.store.SaveSeen(c, rows)
		cancel()
		t.saved(people, err)
		if err != nil {
			t.metrics.saveErrors.Inc()
			return fmt.Errorf("save the presence of %d people: %w", len(rows), err)
		}
	}
	return nil
}

func (t *Tracker) takeDirty(n int) (people []*person, rows []pactwire.Seen) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n = min(n, len(t.dirty))
	people, t.dirty = t.dirty[:n:n], t.dirty[n:]
	if len(t.dirty) == 0 {
		t.dirty = nil
	}
	for _, p := range people {
		p.dirty, p.saving = false, true
		p.saved = p.seen()
		rows = append(rows, p.saved)
	}
	return people, rows
}

func (t *Tracker) saved(people []*person, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range people {
		p.saving = false
		if err != nil && !p.dirty {
			p.dirty = true
			t.dirty = append(t.dirty, p)
		}
		t.release(p)
	}
}

// saveLast writes the truth at the end of the process: who stands is seen alive now. Nobody calls in anymore.
func (t *Tracker) saveLast(ctx context.Context) error {
	t.mu.Lock()
	var load []pactwire.UserID
	for _, p := range t.people {
		if !p.loaded {
			load = append(load, p.user)
		}
	}
	t.mu.Unlock()
	kept := t.load(ctx, load)
	t.mu.Lock()
	now := time.Now()
	for _, p := range t.people {
		if !p.loaded && kept != nil {
			p.merge(kept[p.user])
		}
		for i := range p.standing {
			if p.standing[i].arrived {
				p.lastSeen = now
			}
		}
		t.settle(p, now)
		t.note(p, 0)
	}
	t.mu.Unlock()
	return t.saveDirty(ctx)
}
