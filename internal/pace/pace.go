// Package pace decides how long a group commit waits for company.
package pace

import "time"

// Smallest is the size up to which a batch may wait for company.
const Smallest = 8

// Pace decides whether a small batch waits for company. At low rates a commit costs more than all that is in it, so a few
// milliseconds of patience save most of the work; at high rates batches fill by themselves while the disk is busy, and
// waiting would only add latency. It is for one goroutine.
type Pace struct {
	Window time.Duration // 0 = never wait
	timer  *time.Timer

	since time.Time // start of the present measurement
	count int       // functions committed in it
	busy  bool      // a window would have gathered more than a small batch in the last measurement
}

const paceEvery = 50 * time.Millisecond

// Wait blocks for the window when it is worth it and reports whether it did.
func (p *Pace) Wait(batch int, closing <-chan struct{}) bool {
	if p.Window <= 0 || p.busy || batch > Smallest {
		return false
	}
	if p.timer == nil {
		p.timer = time.NewTimer(p.Window)
	} else {
		p.timer.Reset(p.Window)
	}
	select {
	case <-p.timer.C:
	case <-closing:
		p.timer.Stop()
	}
	return true
}

// Note takes down a commit.
func (p *Pace) Note(now time.Time, n int) {
	if p.Window <= 0 {
		return
	}
	p.count += n
	if past := now.Sub(p.since); past >= paceEvery {
		p.busy = float64(p.count)*float64(p.Window) > Smallest*float64(past)
		p.since, p.count = now, 0
	}
}
