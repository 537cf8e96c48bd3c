package pace

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestCommitsBeginAWindowApart, and who comes alone does not wait.
func TestCommitsBeginAWindowApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		closing := make(chan struct{})
		p := &Pace{Window: 10 * time.Millisecond}
		start := time.Now()
		for _, c := range []struct {
			comes, begins time.Duration // since start, in ms
		}{
			{0, 0},   // alone
			{1, 10},  // soon after another
			{17, 20}, // after a commit that took 7
			{45, 45}, // after one that took longer than the window
			{80, 80}, // alone again
			{89, 90},
			{90, 100},
		} {
			if rest := c.comes*time.Millisecond - time.Since(start); rest > 0 {
				<-time.After(rest)
			}
			came := time.Since(start)
			waited := p.Wait(closing)
			if got := time.Since(start); got != c.begins*time.Millisecond || waited != (got > came) {
				t.Errorf("who came at %v begins at %v, waited %v; want %d ms", came, got, waited, c.begins)
			}
		}
		enough := make(chan struct{}, 1)
		p.Enough = enough
		p.Wait(closing)
		enough <- struct{}{}
		if at := time.Now(); !p.Wait(closing) || time.Since(at) > 0 {
			t.Error("waits though enough has come")
		}
		if at := time.Now(); !p.Wait(closing) || time.Since(at) != p.Window {
			t.Error("does not wait for a window after a commit that had enough")
		}
		if (&Pace{}).Wait(closing) {
			t.Error("waits without a window")
		}
		close(closing)
		p.Window = time.Hour
		if !p.Wait(closing) {
			t.Error("does not fill a last time when it closes")
		}
		if time.Since(start) > time.Minute {
			t.Error("waits although it closes")
		}
	})
}
