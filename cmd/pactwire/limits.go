package main

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/config"
	"github.com/pactwire/pactwire/internal/ratelimit"
	"github.com/pactwire/pactwire/redis"
)

// limits are the rates of people and of addresses.
type limits struct {
	commands *ratelimit.Limiter[string] // of a person, or a device: see hooks.Purse
	connects *ratelimit.Limiter[netip.Addr]

	end  context.CancelFunc
	done sync.WaitGroup
}

// maxAddresses bounds those that are reckoned with: it takes a flood from so many networks at once to lock others out.
const maxAddresses = 1 << 16

func newLimits(l config.Limits) *limits {
	return &limits{
		commands: ratelimit.New[string](l.CommandsPerSecond, l.CommandsBurst, 0),
		connects: ratelimit.New[netip.Addr](l.ConnectsPerSecond, l.ConnectsBurst, maxAddresses),
		end:      func() {},
	}
}

// share counts what is taken here together with what is taken at the other nodes, until stop.
func (l *limits) share(c *redis.Client) {
	var ctx context.Context
	ctx, l.end = context.WithCancel(context.Background())
	board := func(limit string) ratelimit.Tell {
		return func(ctx context.Context, spent []pactwire.Spent) ([]time.Duration, error) {
			return c.Spend(ctx, limit, spent)
		}
	}
	l.done.Go(func() { l.commands.Share(ctx, func(of string) string { return of }, board("commands")) })
	l.done.Go(func() { l.connects.Share(ctx, netip.Addr.String, board("connects")) })
}

func (l *limits) stop() {
	l.end()
	l.done.Wait()
}
