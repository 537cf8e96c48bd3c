package redis_test

import (
	"testing"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/testkit"
	"github.com/pactwire/pactwire/redis"
)

// TestWhatNodesSpendAddsUp, each limit and each key for itself. What was spent before now is earned back since then.
func TestWhatNodesSpendAddsUp(t *testing.T) {
	r := testkit.Redis(t)
	a, b := open(t, r.URL(), "a/1"), open(t, r.URL(), "b/1")
	begun := time.Now()
	for i, c := range []struct {
		node      *redis.Client
		limit, of string
		cost, age time.Duration
		ahead     time.Duration
	}{
		{a, "commands", "alice", time.Minute, 0, time.Minute},
		{b, "commands", "alice", time.Minute, 0, 2 * time.Minute},
		{b, "commands", "alice", time.Minute, time.Hour, 3 * time.Minute}, // the bucket was not full all that time
		{a, "commands", "bob", time.Minute, 20 * time.Second, 40 * time.Second},
		{a, "commands", "carol", time.Minute, 2 * time.Minute, 0},
		{b, "commands", "carol", 90 * time.Second, 2 * time.Minute, 30 * time.Second}, // carol had not earned back the first at once
		{a, "connects", "alice", time.Minute, 0, time.Minute},
	} {
		ahead := must(c.node.Spend(t.Context(), c.limit, []pactwire.Spent{{Key: c.of, Cost: c.cost, Age: c.age, Full: time.Hour}}))(t)[0]
		if ahead > c.ahead || ahead < c.ahead-time.Since(begun) {
			t.Errorf("number %d: %v ahead, not %v", i, ahead, c.ahead)
		}
	}
}

// TestSpendingIsForgottenOnceItMayBe: not before all is earned back, nor while it may still be told of what was spent earlier.
func TestSpendingIsForgottenOnceItMayBe(t *testing.T) {
	r := testkit.Redis(t)
	a := open(t, r.URL(), "a/1")
	begun := time.Now()
	must(a.Spend(t.Context(), "commands", []pactwire.Spent{{Key: "alice", Cost: time.Minute, Full: time.Hour}}))(t)
	ttl, err := time.ParseDuration(r.Do("TTL", "pactwire:rate:commands:{alice}") + "s")
	if err != nil {
		t.Fatal(err)
	}
	if most := time.Hour + time.Minute; ttl > most || ttl < most-time.Since(begun)-time.Second {
		t.Errorf("kept for %v", ttl)
	}
}
