package bridge

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/pace"
)

const (
	breakAfter = 5               // failures in a row, of more than one person, open the breaker
	probeEvery = 3 * time.Second // while it is open

	askEvery  = 3 * time.Second // whether the service is there, and for so long at most
	awayAfter = 2               // such questions in a row without an answer
	failedFor = time.Minute     // that calls failed says something; who is waiting calls again sooner than that
)

// nobodysPact is asked for to see whether the service is there: an id that none makes.
const nobodysPact pactwire.PactID = "is-anybody-there"

// breaker holds calls back after failures in a row, and lets one through at a time to see whether the service is back. It
// opens only when the calls of more than one person failed: what the service cannot do for one must not keep others
// waiting.
type breaker struct {
	mu     sync.Mutex
	failed int             // in a row
	who    pactwire.UserID // of the first of them
	many   bool            // another person's failed too
	misled bool            // the last failure is our own configuration's fault
	cause  error
	at     time.Time     // of the last failure
	away   int           // questions in a row without an answer
	silent error         // to the last of those
	astray bool          // which is our own configuration's fault
	probe  time.Time     // when the next call may be tried, while open
	closed chan struct{} // closed and replaced when the breaker closes
}

func newBreaker() *breaker { return &breaker{closed: make(chan struct{})} }

// state is nil while calls go well enough, else what the last one failed of.
func (k *breaker) state() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	misled, away, cause := k.misled, k.failed >= breakAfter, k.cause
	if time.Since(k.at) > failedFor {
		misled, away = false, false // nobody calls any more
	}
	if !misled && !away {
		misled, away, cause = k.astray, k.away >= awayAfter, k.silent
	}
	switch {
	case misled:
		return amiss("the habits-service does not accept our credentials, or is none: look at habits.url and habits.secret", cause)
	case away:
		return amiss("the habits-service does not answer; check-ins are kept and retried", cause)
	}
	return nil
}

// amiss is a sentence for operators with what the last call failed of, less what a person is told of that: it says the same again.
func amiss(sentence string, err error) error {
	var told *pactwire.Error
	if errors.As(err, &told) && told.Cause != nil {
		err = told.Cause
	}
	return fmt.Errorf("%s: %w", sentence, err)
}

// ask asks the service all the time whether it is there, so that this is known also while nobody checks in. It has no say in
// whether calls are held back: who answers a question need not be able to write.
func (w *worker) ask() {
	for pace.Pause(w.b.ctx, askEvery) {
		ctx, cancel := context.WithTimeout(w.b.ctx, min(askEvery, w.b.cfg.Timeout))
		_, err := w.b.habits.Pact(ctx, nobodysPact)
		cancel()
		if _, asked := w.b.cfg.RetryAfter(err); asked || err != nil && isFinal(err) {
			err = nil // it has spoken
		}
		w.breaker.answered(err, err != nil && w.b.cfg.Misconfigured(err))
	}
}

// answered notes whether a question was answered.
func (k *breaker) answered(err error, astray bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.away++; err == nil {
		k.away = 0
	}
	k.silent, k.astray = err, astray
}

// held reports whether calls are held back. Under k.mu.
func (k *breaker) held() bool { return k.failed >= breakAfter && k.many }

// open reports whether calls are held back.
func (k *breaker) open() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.held()
}

// failing reports whether nobody's call has worked for some time.
func (k *breaker) failing() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.failed >= breakAfter
}

// enter waits until a call may be made; false when ctx ends.
func (k *breaker) enter(ctx context.Context) bool {
	for {
		k.mu.Lock()
		wait := time.Until(k.probe)
		if held := k.held(); !held || wait <= 0 {
			if held {
				k.probe = time.Now().Add(probeEvery)
			}
			k.mu.Unlock()
			return ctx.Err() == nil
		}
		closed := k.closed
		k.mu.Unlock()
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return false
		case <-closed:
		case <-t.C:
		}
		t.Stop()
	}
}

// succeed notes that the service answered.
func (k *breaker) succeed() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.held() {
		close(k.closed)
		k.closed = make(chan struct{})
	}
	k.failed, k.who, k.many, k.misled, k.cause = 0, "", false, false, nil
}

// fail notes a call for u that had no answer, or none that stands.
func (k *breaker) fail(u pactwire.UserID, err error, misled bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	before := k.held()
	k.failed++
	if k.who == "" {
		k.who = u
	}
	k.many = k.many || k.who != u
	k.cause, k.misled, k.at = err, misled, time.Now()
	if !before && k.held() {
		k.probe = time.Now().Add(probeEvery)
	}
}
