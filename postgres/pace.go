package postgres

import "time"

// pace decides whether a small batch waits for company. At low rates a commit costs more than all that is in it, so a few
// milliseconds of patience save most of the work; at high rates batches fill by themselves while the disk is busy, and
// waiting would only add latency.
type pace struct {
	window time.Duration // 0 = never wait
	timer  *time.Timer

	since time.Time // start of the present measurement
	count int       // functions committed in it
	busy  bool      // a window would have gathered more than a small batch in the last measurement
}

const paceEvery = 50 * time.Millisecond

// wait blocks for the window when it is worth it and reports whether it did.
func (p *pace) wait(batch int, closing <-chan struct{}) bool {
	if p.window <= 0 || p.busy || batch > smallest {
		return false
	}
	if p.timer == nil {
		p.timer = time.NewTimer(p.window)
	} else {
		p.timer.Reset(p.window)
	}
	select {
	case <-p.timer.C:
	case <-closing:
		p.timer.Stop()
	}
	return true
}

// note takes down a commit.
func (p *pace) note(now time.Time, n int) {
	if p.window <= 0 {
		return
	}
	p.count += n
	if past := now.Sub(p.since); past >= paceEvery {
		p.busy = float64(p.count)*float64(p.window) > smallest*float64(past)
		p.since, p.count = now, 0
	}
}
