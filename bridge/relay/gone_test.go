package relay_test

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/bridge/relay"
	"github.com/pactwire/pactwire/internal/testkit"
	"github.com/pactwire/pactwire/redis"
)

// doubtful is a shared store that is away the first times that it is asked whether a node is awake, and then says that it is not.
type doubtful struct {
	steady
	asked atomic.Int32
}

const doubts = 3

func (d *doubtful) NodeAwake(context.Context, string) (bool, error) {
	if d.asked.Add(1) <= doubts {
		return false, errors.New("away")
	}
	return false, nil
}

// TestNobodySpeaksForANodeThatMayBeAwake: whether one that is silent looks after its hold on the store cannot be said while that is away.
func TestNobodySpeaksForANodeThatMayBeAwake(t *testing.T) {
	url := testkit.Redis(t).URL()
	bus := func(addr string) *redis.Client {
		c, err := redis.Open(redis.Config{URL: url, Addr: addr, Lease: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
		return c
	}
	if _, err := bus("b/1").Beat(t.Context()); err != nil {
		t.Fatal(err)
	}
	d := &doubtful{steady: steady{DB: open(t)}}
	gone := make(chan int32, 1) // how often it was asked by then
	r := relay.New(relay.Config{Addr: "a/1", Poll: 50 * time.Millisecond, Lease: time.Second, Lapsed: func(context.Context, []pactwire.NodeBeat) {
		select {
		case gone <- d.asked.Load():
		default:
		}
	}}, bus("a/1"), &hub{user: "alice"}, view{}, d, d, slog.New(slog.DiscardHandler), nil)
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer r.Stop(context.Background())
	testkit.Eventually(t, time.Minute, "b is taken for gone", func() bool { return len(gone) > 0 })
	if n := <-gone; n <= doubts {
		t.Errorf("it was asked %d times, and had no answer", n)
	}
}
