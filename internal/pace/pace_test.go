package pace

import (
	"testing"
	"time"
)

// TestPace: small batches wait only while a window would not gather more than a small batch.
func TestPace(t *testing.T) {
	closing := make(chan struct{})
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	if (&Pace{}).Wait(1, closing) {
		t.Error("waits without a window")
	}
	p := &Pace{Window: time.Microsecond, since: start}
	if !p.Wait(1, closing) || p.Wait(Smallest+1, closing) {
		t.Error("a small batch waits, a large one does not")
	}
	p = &Pace{Window: 5 * time.Millisecond, since: start}
	p.Note(start.Add(10*time.Millisecond), 200)
	if p.busy {
		t.Error("a short measurement decides")
	}
	p.Note(start.Add(100*time.Millisecond), 1) // 201 in 100 ms = 10 a window
	if !p.busy || p.Wait(1, closing) {
		t.Error("waits at 2,000/s")
	}
	p.Note(start.Add(200*time.Millisecond), 50) // 2.5 a window
	if p.busy {
		t.Error("does not wait at 500/s")
	}
	close(closing)
	p.Window = time.Hour
	if !p.Wait(1, closing) {
		t.Error("does not fill a last time when it closes")
	}
}
