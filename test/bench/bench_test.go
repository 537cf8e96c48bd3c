// Package bench_test runs each scenario of the load generator at a tiny size against a real server: what it counts has to
// add up, and nothing may be lost.
package bench_test

import (
	"context"
	"io"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/bench"
	"github.com/pactwire/pactwire/internal/testkit"
)

// people makes pacts on a server.
func people(t *testing.T, s *testkit.Server, pacts, members int) []bench.Member {
	t.Helper()
	p := bench.Prepare{Server: "http://" + s.HTTP, Pacts: pacts, Members: members, Parallel: 2,
		Sign: func(u pactwire.UserID, _ string) (string, error) { return testkit.Token(u), nil }}
	list, err := p.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// shown fails the test when a report cannot be shown.
func shown(t *testing.T, r interface{ Table(w io.Writer) error }) {
	t.Helper()
	if err := r.Table(t.Output()); err != nil {
		t.Error(err)
	}
}

// patience is how long the last deliveries may take on a machine that is busy with other tests.
const patience = 30 * time.Second

func TestScenarios(t *testing.T) {
	s := testkit.Start(t, map[string]string{"lab.enabled": "true", "log.level": "warn"})
	target := bench.Target{Addr: s.TCP, Transport: "tcp"}
	t.Run("one busy pact", func(t *testing.T) {
		members := bench.Busiest(append(people(t, s, 1, 2), people(t, s, 1, 4)...))
		b := bench.Pairs{Name: "busy", Target: target, Members: members, Rate: 100, Duration: time.Second, Drain: patience}
		r, err := b.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		shown(t, r)
		if r.Scenario != "busy" || r.Pacts != 1 || r.Connections != 4 || r.Sent != 100 || r.Acked != 100 || r.Expected != 300 || r.Received != 300 ||
			r.Lost+r.Duplicates+r.OrderError+r.Dropped+r.Refused != 0 {
			t.Errorf("%+v", r)
		}
	})
	t.Run("presence storm", func(t *testing.T) {
		b := bench.Storm{Target: target, Members: people(t, s, 3, 3), Rounds: 2, Drain: patience}
		r, err := b.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		shown(t, r)
		if r.Watchers != 3 || r.People != 6 || r.Expected != 24 || r.Told != 24 || r.Untold+r.Dropped != 0 || r.Come.Count != 12 || r.Go.Count != 12 {
			t.Errorf("%+v", r)
		}
	})
	t.Run("evening", func(t *testing.T) {
		b := bench.Evening{Target: target, Members: people(t, s, 4, 3), Rate: 100, Duration: 2 * time.Second, Drain: patience}
		r, err := b.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		shown(t, r)
		done := r.Checkins + r.Messages + r.Celebrations + r.Reactions
		if done+r.Reconnects+r.Skipped != 200 || r.Acked != done || r.Expected != 2*done || r.Received != r.Expected ||
			r.Lost+r.Duplicates+r.OrderError+r.Dropped+r.Refused != 0 {
			t.Errorf("%+v", r)
		}
		if r.Checkins == 0 || r.Messages == 0 || r.Celebrations == 0 || r.Reactions == 0 || r.Reconnects == 0 {
			t.Errorf("not everything was done: %+v", r)
		}
	})
	t.Run("idle", func(t *testing.T) {
		b := bench.Idle{Target: target, Members: people(t, s, 1, 2), Connections: 4, Settle: time.Millisecond, PIDs: []int{os.Getpid()}}
		r, err := b.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		shown(t, r)
		if r.Connections != 4 || r.AfterMiB <= 0 {
			t.Errorf("%+v", r)
		}
	})
	t.Run("reconnect", func(t *testing.T) {
		b := bench.Reconnect{Target: target, Members: people(t, s, 1, 2), Connections: 4, Rounds: 2}
		r, err := b.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		shown(t, r)
		if len(r.Seconds) != 2 {
			t.Errorf("%+v", r)
		}
	})
	t.Run("fan-out", func(t *testing.T) {
		b := bench.Fanout{Target: target, Subscribers: 5, Duration: 200 * time.Millisecond,
			Sign: func(u pactwire.UserID) (string, error) { return testkit.Token(u, "lab"), nil }}
		r, err := b.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		shown(t, r)
		if r.Events == 0 || r.Deliveries != uint64(5*r.Events) || r.Lost != 0 {
			t.Errorf("%+v", r)
		}
	})
}

// TestALostServerIsReported: a generator whose server dies says so, and does not hang.
func TestALostServerIsReported(t *testing.T) {
	s := testkit.Start(t, map[string]string{"log.level": "warn"})
	members := people(t, s, 2, 2)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	killed := false
	b := bench.Evening{Target: bench.Target{Addr: s.TCP, Transport: "tcp"}, Members: members, Rate: 50, Duration: 2 * time.Second, Drain: time.Millisecond,
		Progress: func(phase string, done, _ int) {
			if phase == "evening" && done >= 50 && !killed {
				killed = true
				s.Kill()
			}
		}}
	r, err := b.Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if r.Dropped < 4 || r.Acked > 60 {
		t.Errorf("%+v", r)
	}
}

// TestALimitOfConnectsIsWaitedFor: a server with limits lets everybody in, if not at once.
func TestALimitOfConnectsIsWaitedFor(t *testing.T) {
	s := testkit.Start(t, map[string]string{"limits.connects_per_second": "40", "limits.connects_burst": "4", "log.level": "warn"})
	members := people(t, s, 10, 2)
	for transport, addr := range map[string]string{"tcp": s.TCP, "ws": s.WS} {
		var away atomic.Int64
		b := bench.Pairs{Target: bench.Target{Addr: addr, Transport: transport, TurnedAway: &away}, Members: members, Rate: 50, Duration: time.Second, Drain: patience}
		r, err := b.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if r.Connections != 20 || r.Received != r.Expected || r.Lost+r.Duplicates+r.OrderError+r.Dropped+r.Refused != 0 || away.Load() == 0 {
			t.Errorf("%s: %d turned away, %+v", transport, away.Load(), r)
		}
	}
}

// TestAStormBeginsWhenAllAreGone: who was here a moment ago is not told of again when they come back within the grace time.
func TestAStormBeginsWhenAllAreGone(t *testing.T) {
	s := testkit.Start(t, map[string]string{"presence.grace": "2s", "log.level": "warn"})
	target := bench.Target{Addr: s.TCP, Transport: "tcp"}
	members := people(t, s, 3, 2)
	before := bench.Pairs{Target: target, Members: members, Rate: 20, Duration: 500 * time.Millisecond, Drain: patience}
	if _, err := before.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := bench.Storm{Target: target, Members: members, Rounds: 1, Drain: patience}
	if r, err := b.Run(t.Context()); err != nil || r.Told != 6 || r.Untold != 0 {
		t.Errorf("%+v %v", r, err)
	}
}
