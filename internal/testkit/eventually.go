package testkit

import (
	"testing"
	"time"
)

// poll is how often a condition is looked at.
const poll = 5 * time.Millisecond

// Eventually waits until the condition holds and fails the test when it does not within the limit.
func Eventually(t testing.TB, limit time.Duration, what string, condition func() bool) {
	t.Helper()
	if !Within(limit, condition) {
		t.Fatalf("not within %v: %s", limit, what)
	}
}

// Within reports whether the condition comes to hold within the limit.
func Within(limit time.Duration, condition func() bool) bool {
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		if condition() {
			return true
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			return condition()
		}
	}
}

// Never watches a condition for a while and fails the test when it holds.
func Never(t testing.TB, watch time.Duration, what string, condition func() bool) {
	t.Helper()
	if Within(watch, condition) {
		t.Fatalf("happened: %s", what)
	}
}
