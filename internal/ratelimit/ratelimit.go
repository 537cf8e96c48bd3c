// Package ratelimit bounds how often each of many may do something, at one node or at all of them together.
package ratelimit

import (
	"math"
	"sync"
	"time"
)

// Limiter lets each of many, told apart by a key, take PerSecond in the long run, and Burst at once. It keeps one time a key: the moment
// at which all that was taken will have been earned back (the generic cell rate algorithm). A key whose moment has passed says
// nothing, so the table is swept of those when it grows.
//
// A nil Limiter limits nothing. All methods may be called concurrently.
type Limiter[K comparable] struct {
	every  time.Duration // one is earned back in
	full   time.Duration // all are
	atOnce uint32        // as many are told of together
	most   int           // keys; 0 = any number
	begun  time.Time     // times are kept as since then, by a clock that nobody sets

	mu    sync.Mutex
	of    map[K]account
	sweep int             // at which size to look for keys that say nothing
	swept time.Duration   // when that was last done
	due   []K             // of whom the board is to be told; each once
	wake  chan<- struct{} // tells that there are such; nil while nothing is shared
}

const firstSweep = 1024

// account is what is kept of one key.
type account struct {
	until  time.Duration // all is earned back then
	since  time.Duration // the first of those that are untold
	untold uint32        // taken here, and not told of yet
}

// Forever is the patience of who waits for as long as it takes.
const Forever = time.Duration(math.MaxInt64)

// New makes a Limiter: nil, which limits nothing, for a rate of 0. A burst is at least 1. most bounds the keys, where strangers choose them:
// while so many have not earned back what they took, others may take nothing. 0 is no bound. All of a burst must be earned back within 100 years.
func New[K comparable](perSecond float64, burst, most int) *Limiter[K] {
	if perSecond <= 0 {
		return nil
	}
	burst = max(burst, 1)
	every := time.Duration(float64(time.Second) / perSecond)
	return &Limiter[K]{every: every, full: time.Duration(burst) * every, atOnce: uint32(max(1, burst/4)), //nolint:gosec // configured
		most: most, begun: time.Now(), of: make(map[K]account), sweep: firstSweep}
}

// Take takes one, if it may be had within patience, and returns how long to wait before using it.
func (l *Limiter[K]) Take(k K, patience time.Duration) (wait time.Duration, ok bool) {
	if l == nil {
		return 0, true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Since(l.begun)
	a, known := l.of[k]
	until := max(a.until, now) + l.every
	wait = max(until-now-l.full, 0)
	if wait > patience || !known && len(l.of) >= l.sweep && !l.makeRoom(now) {
		return 0, false
	}
	a.until = until
	if l.wake != nil {
		l.count(k, &a, now)
	}
	l.of[k] = a
	return wait, true
}

// makeRoom forgets what says nothing. Looking takes time under everybody's lock, so a full table is not looked at more than
// once a second.
func (l *Limiter[K]) makeRoom(now time.Duration) bool {
	if l.most > 0 && len(l.of) >= l.most && now-l.swept < time.Second {
		return false
	}
	l.swept = now
	for k, a := range l.of {
		if a.until <= now && a.untold < l.atOnce && (a.untold == 0 || now-a.since >= l.full) {
			delete(l.of, k)
		}
	}
	l.sweep = max(firstSweep, 2*len(l.of))
	if l.most == 0 {
		return true
	}
	l.sweep = min(l.sweep, l.most)
	return len(l.of) < l.most
}
