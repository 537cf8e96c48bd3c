package redis

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/pactwire/pactwire"
)

// beat notes a node's sign of life and returns whether its former one held until now, the time, and all nodes: others speak
// for a node whose lease is over, and send it nothing. The server's clock is the only one that counts.
var beat = goredis.NewScript(`
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local known = redis.call('ZSCORE', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[1], string.format('%.0f', now + ARGV[2]), ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return {known and tonumber(known) > now and 1 or 0, string.format('%.0f', now), redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')}`)

// Beat says that this node lives, and prolongs its lease.
func (c *Client) Beat(ctx context.Context) (pactwire.Beat, error) {
	lease := c.cfg.Lease.Milliseconds()
	answers, err := c.run(ctx, beat, 1, func(int) (string, []any) {
		return nodesKey, []any{c.cfg.Addr, lease, keep.Milliseconds()}
	})
	if err != nil {
		return pactwire.Beat{}, err
	}
	err = c.pipelined(ctx, 1, func(p goredis.Pipeliner, _ int) {
		p.PExpire(ctx, inboxKey(c.cfg.Addr), 4*c.cfg.Lease)
		p.PExpire(ctx, peopleKey(c.cfg.Addr), keep)
	})
	if err != nil {
		return pactwire.Beat{}, err
	}
	return c.readBeat(answers[0])
}

func (c *Client) readBeat(v any) (b pactwire.Beat, err error) {
	a, ok := v.([]any)
	if !ok || len(a) != 3 {
		return b, fmt.Errorf("redis: beat answered %v", v)
	}
	if b.Known = a[0] == int64(1); !b.Known {
		c.prolonged.clear() // all may have been forgotten
	}
	now := number(a[1])
	list, _ := a[2].([]any)
	for i := 0; i+1 < len(list); i += 2 {
		addr, _ := list[i].(string)
		until := number(list[i+1])
		age := time.Duration(now-until)*time.Millisecond + c.cfg.Lease
		b.Nodes = append(b.Nodes, pactwire.NodeBeat{Addr: addr, Age: max(age, 0), Lapsed: until <= now})
	}
	return b, nil
}

// number reads an integer as scripts give it.
func number(v any) int64 {
	switch v := v.(type) {
	case int64:
		return v
	case string:
		f, _ := strconv.ParseFloat(v, 64)
		return int64(f)
	}
	return 0
}

// leave shortens a node's lease.
var leave = goredis.NewScript(`
local t = redis.call('TIME')
return redis.call('ZADD', KEYS[1], 'XX', string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000) + ARGV[2]), ARGV[1])`)

// Leave says that this node ends now, and that its words hold for so long.
func (c *Client) Leave(ctx context.Context, hold time.Duration) error {
	_, err := c.run(ctx, leave, 1, func(int) (string, []any) { return nodesKey, []any{c.cfg.Addr, hold.Milliseconds()} })
	return err
}

// Remove forgets another node, whose people have been seen to.
func (c *Client) Remove(ctx context.Context, addr string) error {
	return c.pipelined(ctx, 1, func(p goredis.Pipeliner, _ int) {
		p.ZRem(ctx, nodesKey, addr)
		p.Del(ctx, inboxKey(addr))
		p.Del(ctx, peopleKey(addr))
	})
}

// prolonged says when the inbox of each node was last given longer to live by this one. Its reader does so with each beat: of one
// whose reader is gone, senders must not leave it behind for ever, which takes no more than a word now and then.
type prolonged struct {
	mu sync.Mutex
	at map[string]time.Time
}

// prolongedHeld bounds it; then all is forgotten, and said again.
const prolongedHeld = 1000

func (p *prolonged) due(addr string, now time.Time, every time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at, ok := p.at[addr]; ok && now.Sub(at) < every {
		return false
	}
	if p.at == nil || len(p.at) >= prolongedHeld {
		p.at = make(map[string]time.Time)
	}
	p.at[addr] = now
	return true
}

func (p *prolonged) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.at)
}

// Send puts one message into the inbox of each node named.
func (c *Client) Send(ctx context.Context, messages map[string][]byte) error {
	addrs := make([]string, 0, len(messages))
	for addr := range messages {
		addrs = append(addrs, addr)
	}
	return c.pipelined(ctx, len(addrs), func(p goredis.Pipeliner, i int) {
		key := inboxKey(addrs[i])
		p.XAdd(ctx, &goredis.XAddArgs{Stream: key, MaxLen: c.cfg.Inbox, Approx: true, Values: []any{"m", messages[addrs[i]]}})
		if c.prolonged.due(addrs[i], time.Now(), c.cfg.Lease) {
			p.PExpire(ctx, key, 4*c.cfg.Lease)
		}
	})
}

// Receive waits at most about a second for messages. fresh says that the connection is a new one, so that messages may have
// been lost, and all that was said before as well. It is for one goroutine.
func (c *Client) Receive(ctx context.Context) (messages [][]byte, fresh bool, err error) {
	got, err := c.inbox.XRead(ctx, &goredis.XReadArgs{Streams: []string{inboxKey(c.cfg.Addr), c.last}, Count: 256, Block: readTime}).Result()
	if err != nil && err != goredis.Nil { //nolint:errorlint // as go-redis documents it
		return nil, false, err
	}
	n := c.conns.Load()
	fresh, c.seen = n != c.seen, n
	for _, stream := range got {
		for _, m := range stream.Messages {
			c.last = m.ID
			if v, ok := m.Values["m"].(string); ok {
				messages = append(messages, []byte(v))
			}
		}
	}
	return messages, fresh, nil
}
