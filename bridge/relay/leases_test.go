package relay

import (
	"testing"
	"time"
)

// TestALeaseProvesNothingAfterAPause: of the own beats, by whichever clock.
func TestALeaseProvesNothingAfterAPause(t *testing.T) {
	const lease = 30 * time.Second
	var l leases
	now := time.Date(2026, 5, 1, 8, 0, 0, 0, time.UTC)
	after := func(d time.Duration) bool {
		now = now.Add(d)
		l.beat(now, lease, time.Second)
		return l.tell(now)
	}
	for _, tt := range []struct {
		after time.Duration
		want  bool
	}{
		{0, false}, // who has just started
		{repeatTime, true},
		{lease / 3, true},
		{lease/3 + time.Second, false},
		{repeatTime / 2, false},
		{repeatTime / 2, true},
		{time.Hour, false},
		{repeatTime, true},
	} {
		if got := after(tt.after); got != tt.want {
			t.Errorf("%v later: %v, want %v", tt.after, got, tt.want)
		}
	}
}

// TestALeaseCountsHoweverSeldomNodesBeat: a pause is one between beats that are late, not the usual one, be it a good part of a lease.
func TestALeaseCountsHoweverSeldomNodesBeat(t *testing.T) {
	for _, tt := range []struct{ lease, poll time.Duration }{{time.Second, 500 * time.Millisecond}, {30 * time.Second, 15 * time.Second}} {
		var l leases
		now := time.Date(2026, 5, 1, 8, 0, 0, 0, time.UTC)
		counts := false
		for begun := now; now.Sub(begun) < repeatTime+2*tt.poll; now = now.Add(tt.poll + tt.poll/10) {
			l.beat(now, tt.lease, tt.poll)
			counts = l.tell(now)
		}
		if !counts {
			t.Errorf("a lease of %v never counts with a beat each %v", tt.lease, tt.poll)
		}
	}
}
