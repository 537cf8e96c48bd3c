package relay

import (
	"context"
	"sync"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/pace"
)

// lessonsAtOnce bounds the pacts that are read at the same time.
const lessonsAtOnce = 8

// lessons are the pacts that are to be read because they were changed elsewhere.
type lessons struct {
	pacts set[pactwire.PactID]
	mu    *sync.Mutex
	held  map[pactwire.PactID]struct{} // of which nothing is published before they are read
}

func newLessons() lessons {
	return lessons{newSet[pactwire.PactID](), new(sync.Mutex), make(map[pactwire.PactID]struct{})}
}

// relearn has a pact read. With hold, nothing more of its stream is published before that. It reports false when too many
// wait; the store is asked again for those that were changed.
func (r *Relay) relearn(p pactwire.PactID, hold bool) bool {
	l := r.learn
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pacts.len() >= learning && !l.pacts.has(p) {
		return false
	}
	if _, held := l.held[p]; hold && !held {
		l.held[p] = struct{}{}
		r.seq.hold(pactwire.ActivityOf(p))
	}
	l.pacts.add(p)
	return true
}

// learned lets a stream go on, unless its pact was changed once more meanwhile.
func (r *Relay) learned(p pactwire.PactID) {
	l := r.learn
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, held := l.held[p]; held && !l.pacts.has(p) {
		delete(l.held, p)
		r.seq.release(pactwire.ActivityOf(p))
	}
}

// readPacts is the one goroutine that reads pacts that were changed elsewhere. What cannot be read is tried again, and held
// until then.
func (r *Relay) readPacts(ctx context.Context) {
	for {
		batch := r.learn.pacts.take(ctx, lessonsAtOnce)
		if batch == nil {
			return
		}
		failed := make([]error, len(batch))
		var wg sync.WaitGroup
		for i, p := range batch {
			wg.Go(func() {
				call, cancel := context.WithTimeout(ctx, readTime)
				defer cancel()
				failed[i] = r.view.Relearn(call, p)
			})
		}
		wg.Wait()
		var err error
		for i, p := range batch {
			if failed[i] == nil {
				r.learned(p)
				continue
			}
			err = failed[i]
			r.learn.pacts.add(p)
		}
		if err != nil && !pace.Pause(ctx, retryAfter) {
			return
		}
		r.trouble.Change(r.log, "nodes: pacts that another node has changed cannot be read", err)
	}
}
