package relay_test

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/bridge/relay"
	"github.com/pactwire/pactwire/internal/testkit"
	"github.com/pactwire/pactwire/redis"
	"github.com/pactwire/pactwire/sqlite"
)

// steady is a shared store that is asked for changes with each look, and has somebody come after each that was for no arrival.
type steady struct {
	*sqlite.DB
	come    func()
	arrived atomic.Bool // streams were asked for just now
	looks   atomic.Int32
	others  atomic.Int32 // looks for other nodes
}

func (s *steady) Bounds(ctx context.Context, streams []pactwire.Stream) ([]pactwire.Bounds, error) {
	s.arrived.Store(len(streams) > 0)
	return s.DB.Bounds(ctx, streams)
}

func (s *steady) ChangedPacts(context.Context, uint64) ([]pactwire.PactChange, uint64, error) {
	s.looks.Add(1)
	if !s.arrived.Swap(false) && s.come != nil {
		s.come()
	}
	return nil, 1, nil
}

func (s *steady) NodesBesides(context.Context, []string) (held, awake int, err error) {
	s.others.Add(1)
	return 0, 0, nil
}

func (s *steady) NodeAlive(context.Context, string) (bool, error) { return true, nil }
func (s *steady) NodeAwake(context.Context, string) (bool, error) { return true, nil }

// TestWhoComesAllTheTimeHoldsUpNoLook: the looks that are made now and then come by the number of polls, whatever comes in between.
func TestWhoComesAllTheTimeHoldsUpNoLook(t *testing.T) {
	c, err := redis.Open(redis.Config{URL: testkit.Redis(t).URL(), Addr: "a/1"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}()
	s := &steady{DB: open(t)}
	r := relay.New(relay.Config{Addr: "a/1", Poll: 20 * time.Millisecond}, c, &hub{user: "alice"}, view{}, s, s, slog.New(slog.DiscardHandler), nil)
	s.come = func() { r.Moved("alice") }
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer r.Stop(context.Background())
	testkit.Eventually(t, time.Minute, "it has looked", func() bool { return s.looks.Load() > 200 })
	if n := s.others.Load(); n < 8 {
		t.Errorf("%d looks for other nodes in %d", n, s.looks.Load())
	}
}
