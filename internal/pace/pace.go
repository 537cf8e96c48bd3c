// Package pace decides how often what costs the same for one and for many begins: a group commit, a call for all who wait.
package pace

import (
	"context"
	"time"
)

// Pause waits; false when ctx ended first.
func Pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// Pace spaces commits. One costs more than all that is in a small one, so of those that come close together the later waits
// until a window has passed since the earlier one began, and takes along whatever has come by then. Who comes alone does not
// wait; nobody waits longer than the window, nor when there is enough for a commit; and when a commit takes longer than that, the next
// begins at once. It is for one goroutine.
type Pace struct {
	Window time.Duration   // 0 = never wait
	Enough <-chan struct{} // tells that so much waits that a commit is worth it; may be nil

	begun time.Time // the last commit
	timer *time.Timer
}

// Wait blocks until a commit may begin, or closing is closed, and reports whether that took any time.
func (p *Pace) Wait(closing <-chan struct{}) (waited bool) {
	if p.Window <= 0 {
		return false
	}
	now := time.Now()
	rest := p.Window - now.Sub(p.begun)
	if rest <= 0 {
		p.begun = now
		return false
	}
	if p.timer == nil {
		p.timer = time.NewTimer(rest)
	} else {
		p.timer.Reset(rest)
	}
	select {
	case p.begun = <-p.timer.C:
	case <-p.Enough:
		p.timer.Stop()
		p.begun = time.Now()
	case <-closing:
		p.timer.Stop()
	}
	return true
}
