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
		l.beat(now, lease)
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
