package relay

import (
	"testing"
	"time"
)

func TestMissedPresenceIsToldWhenAllHaveRepeated(t *testing.T) {
	start := time.Now()
	var m missed
	due := func(after time.Duration, want bool) {
		t.Helper()
		if got := m.due(start.Add(after)); got != want {
			t.Errorf("after %v: %v", after, got)
		}
	}
	due(time.Hour, false)
	m.all(start)
	m.all(start.Add(time.Second)) // forgotten again: all begin anew
	due(repeatTime, false)
	due(repeatTime+time.Second, true)
	due(time.Hour, false)

	m.some(start)
	m.some(start.Add(time.Second)) // and again and again
	due(repeatTime-1, false)
	due(repeatTime, true)
	due(time.Hour, false)
}
