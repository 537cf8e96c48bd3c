// Package trouble logs what is amiss when it begins and when it is over, however often it is met meanwhile: with the database
// away every client that comes back meets it, again and again.
package trouble

import (
	"log/slog"
	"sync"
	"time"
)

const (
	quiet  = 10 * time.Second // after it was logged that it began: what comes and goes faster is not said each time
	remind = time.Minute      // after which it is said again of what lasts
)

// Log remembers what was logged. Its zero value has logged nothing; a Log is not to be copied.
type Log struct {
	mu sync.Mutex
	of map[string]*state
}

type state struct {
	said bool      // that it began, and not that it is over
	at   time.Time // when it was said last that it began, or lasts
}

// Change takes how something went that may be in trouble: err, or nil when it went well. what is constant, and says what is amiss.
func (l *Log) Change(log *slog.Logger, what string, err error) {
	begins, over := l.change(what, err != nil, time.Now())
	switch {
	case begins:
		log.Warn(what, "error", err)
	case over:
		log.Info("over: " + what) //nolint:sloglint // a constant, but for the word before it
	}
}

func (l *Log) change(what string, lasts bool, now time.Time) (begins, over bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.of[what]
	if s == nil {
		if !lasts {
			return false, false
		}
		s = &state{}
		if l.of == nil {
			l.of = make(map[string]*state)
		}
		l.of[what] = s
	}
	wait := quiet
	if s.said {
		wait = remind
	}
	switch {
	case lasts && (s.at.IsZero() || now.Sub(s.at) >= wait):
		s.at, s.said = now, true
		return true, false
	case !lasts && s.said:
		s.said = false
		return false, true
	}
	return false, false
}
