package redis

import (
	"context"
	"fmt"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/pactwire/pactwire"
)

// spend adds what a node took to what all nodes took, and returns for how long from now that is not earned back. As in the nodes themselves
// one time is kept, at which all will be; it is kept for a while after it has passed, as what was taken may be told later.
//
// ARGV in microseconds: cost, age, and in which time all that may be taken at once is earned back.
var spend = goredis.NewScript(`
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local till = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now - ARGV[2]) + ARGV[1]
redis.call('SET', KEYS[1], string.format('%.0f', till), 'PX', math.ceil((math.max(till - now, 0) + ARGV[3]) / 1000))
return math.max(till - now, 0)`)

// Spend adds what this node took of a limit, and returns for each how long it takes until all nodes have earned back what they took.
func (c *Client) Spend(ctx context.Context, limit string, spent []pactwire.Spent) ([]time.Duration, error) {
	answers, err := c.run(ctx, spend, len(spent), func(i int) (string, []any) {
		s := &spent[i]
		return rateKey(limit, s.Key), []any{s.Cost.Microseconds(), s.Age.Microseconds(), max(s.Full, time.Millisecond).Microseconds()}
	})
	if err != nil {
		return nil, err
	}
	ahead := make([]time.Duration, len(spent))
	for i, v := range answers {
		us, ok := v.(int64)
		if !ok {
			return nil, fmt.Errorf("redis: spend answered %v", v)
		}
		ahead[i] = time.Duration(us) * time.Microsecond
	}
	return ahead, nil
}
