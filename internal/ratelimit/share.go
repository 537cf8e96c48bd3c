package ratelimit

import (
	"context"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/pace"
)

// Several nodes share a limit by telling a board what was taken at each, some at a time and after the fact, and by hearing from it what
// that makes together: nobody waits for the board. So at a node that has heard nothing yet a key may take more, by about as much as is not
// told of, a quarter of the burst; in the long run all nodes together keep the rate. While the board is away each node counts alone.

// Tell tells a board what was taken, in order, and returns for each how long it takes until all nodes have earned back what
// they took.
type Tell func(ctx context.Context, spent []pactwire.Spent) (ahead []time.Duration, err error)

const (
	inOneCall = 500                   // keys
	apart     = 20 * time.Millisecond // of two calls' beginnings, so that a call has more to tell on a busy node
	callTime  = time.Second           // of one call
	pause     = time.Second           // after a call that failed
)

// Share has what is taken here counted together with what is taken at other nodes, until ctx ends. name tells keys apart in the words of the
// board. It is called once.
func (l *Limiter[K]) Share(ctx context.Context, name func(K) string, tell Tell) {
	if l == nil {
		return
	}
	due := make(chan struct{}, 1)
	l.counts(due)
	defer l.counts(nil)
	calls := pace.Pace{Window: apart}
	for {
		select {
		case <-due:
		case <-ctx.Done():
			return
		}
		calls.Wait(ctx.Done())
		for keys, spent := l.next(name); len(keys) > 0; keys, spent = l.next(name) {
			call, cancel := context.WithTimeout(ctx, callTime)
			ahead, err := tell(call, spent)
			cancel()
			if err == nil {
				l.heard(keys, ahead)
				continue
			}
			l.forget()
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return
			}
		}
	}
}

// counts begins to count for the board, or ends it.
func (l *Limiter[K]) counts(wake chan<- struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wake, l.due = wake, nil
}

// count notes one that was taken, and asks for the board to be told once there are enough.
func (l *Limiter[K]) count(k K, a *account, now time.Duration) {
	if a.untold == 0 {
		a.since = now
	}
	if a.untold++; a.untold != l.atOnce {
		return // not yet, or asked for already
	}
	l.due = append(l.due, k)
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// next returns what is to be told next, and counts from there.
func (l *Limiter[K]) next(name func(K) string) (keys []K, spent []pactwire.Spent) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := min(len(l.due), inOneCall)
	keys, l.due = l.due[:n:n], l.due[n:]
	now := time.Since(l.begun)
	for _, k := range keys {
		a := l.of[k]
		// Of what was taken longer ago, all is earned back.
		spent = append(spent, pactwire.Spent{Key: name(k), Cost: time.Duration(a.untold) * l.every, Age: min(now-a.since, l.full), Full: l.full})
		a.untold = 0
		l.of[k] = a
	}
	return keys, spent
}

// forget drops what was to be told: each node counts alone for now.
func (l *Limiter[K]) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, k := range l.due {
		a := l.of[k]
		a.untold = 0
		l.of[k] = a
	}
	l.due = nil
}

// heard takes over what all nodes together took.
func (l *Limiter[K]) heard(keys []K, ahead []time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Since(l.begun)
	for i, k := range keys {
		a := l.of[k]
		a.until = max(a.until, now+ahead[i]+time.Duration(a.untold)*l.every)
		l.of[k] = a
	}
}
