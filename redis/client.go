package redis

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Config of a node's connection to Redis. Zero values mean the defaults.
type Config struct {
	// URL as go-redis reads it: redis://, rediss:// or unix://, with its parameters. One with addr parameters is a cluster.
	URL string
	// Addr is this start of this node, "id/start".
	Addr string
	// Lease is how long a node's words hold without a beat; 30 s.
	Lease time.Duration
	// Inbox is about how many messages wait for a node; then the oldest go, and the node looks into the log. 10,000.
	Inbox int64
}

// Bounds and times.
const (
	callTime = time.Second // of one call, when the URL says nothing else
	readTime = time.Second // the blocking read of the inbox
	atOnce   = 500         // commands in one pipeline
	keep     = 24 * time.Hour
)

// Client is a node's connection to Redis. It needs no server to be made: each call fails while there is none.
type Client struct {
	cfg   Config
	c     goredis.UniversalClient
	inbox goredis.UniversalClient // one connection, for the blocking read alone
	last  string                  // id of the last message that was read
	seen  int64                   // connections of inbox when it was last asked
	conns atomic.Int64            // connections of inbox so far

	prolonged prolonged
	routes    routes
}

// quiet drops what go-redis would print: who calls hears of each error, and says it once.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

var hush sync.Once

// Open reads the URL. It does not connect.
func Open(cfg Config) (*Client, error) {
	if cfg.Addr == "" || strings.ContainsAny(cfg.Addr, "{}") {
		return nil, fmt.Errorf("redis: %q is no address of a node", cfg.Addr)
	}
	if cfg.Lease <= 0 {
		cfg.Lease = 30 * time.Second
	}
	if cfg.Inbox <= 0 {
		cfg.Inbox = 10_000
	}
	hush.Do(func() { goredis.SetLogger(quiet{}) })
	c := &Client{cfg: cfg, last: "0-0"}
	var err error
	if c.c, err = connect(cfg.URL, 0, nil); err != nil {
		return nil, err
	}
	if c.inbox, err = connect(cfg.URL, 1, func(context.Context, *goredis.Conn) error {
		c.conns.Add(1)
		return nil
	}); err != nil {
		return nil, errors.Join(err, c.c.Close())
	}
	return c, nil
}

// connect makes a client as a URL says. Where it is silent, calls are short: whoever waits for Redis has a better way.
func connect(raw string, pool int, onConnect func(context.Context, *goredis.Conn) error) (goredis.UniversalClient, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("redis.url cannot be read as an address")
	}
	q := u.Query()
	short := func(d *time.Duration, parameter string) {
		if !q.Has(parameter) {
			*d = callTime
		}
	}
	if q.Has("addr") {
		o, err := goredis.ParseClusterURL(raw)
		if err != nil {
			return nil, fmt.Errorf("redis.url: %w", err)
		}
		short(&o.DialTimeout, "dial_timeout")
		short(&o.ReadTimeout, "read_timeout")
		short(&o.WriteTimeout, "write_timeout")
		o.ContextTimeoutEnabled, o.DisableIdentity, o.OnConnect = true, true, onConnect
		o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
		if pool > 0 {
			o.PoolSize, o.MaxRetries, o.ReadTimeout = pool, -1, 3*readTime
		}
		return goredis.NewClusterClient(o), nil
	}
	o, err := goredis.ParseURL(raw)
	if err != nil {
		return nil, fmt.Errorf("redis.url: %w", err)
	}
	short(&o.DialTimeout, "dial_timeout")
	short(&o.ReadTimeout, "read_timeout")
	short(&o.WriteTimeout, "write_timeout")
	if !q.Has("max_retries") {
		o.MaxRetries = 1
	}
	o.ContextTimeoutEnabled, o.DisableIdentity, o.OnConnect = true, true, onConnect
	o.DialerRetries = 1
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	if pool > 0 {
		o.PoolSize, o.MaxRetries, o.ReadTimeout = pool, -1, 3*readTime
	}
	return goredis.NewClient(o), nil
}

// Check asks the Redis of a URL for its time.
func Check(ctx context.Context, url string) (clock time.Time, err error) {
	c, err := Open(Config{URL: url, Addr: "nobody"})
	if err != nil {
		return clock, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	return c.c.Time(ctx).Result()
}

// Close ends the connections. A Receive under way returns within about a second.
func (c *Client) Close() error { return errors.Join(c.inbox.Close(), c.c.Close()) }

// pipelined runs n commands in pipelines of a bounded size.
func (c *Client) pipelined(ctx context.Context, n int, add func(goredis.Pipeliner, int)) error {
	for from := 0; from < n; from += atOnce {
		to := min(from+atOnce, n)
		if _, err := c.c.Pipelined(ctx, func(p goredis.Pipeliner) error {
			for i := from; i < to; i++ {
				add(p, i)
			}
			return nil
		}); err != nil && !errors.Is(err, goredis.Nil) {
			return err
		}
	}
	return nil
}

// run calls a script for each of n keys, in pipelines, and returns the answers. A server that does not know the script yet is
// told it.
func (c *Client) run(ctx context.Context, s *goredis.Script, n int, args func(int) (key string, argv []any)) ([]any, error) {
	answers := make([]any, n)
	for from := 0; from < n; from += atOnce {
		to := min(from+atOnce, n)
		cmds := make([]*goredis.Cmd, 0, to-from)
		call := func() error {
			cmds = cmds[:0]
			_, err := c.c.Pipelined(ctx, func(p goredis.Pipeliner) error {
				for i := from; i < to; i++ {
					key, argv := args(i)
					cmds = append(cmds, s.EvalSha(ctx, p, []string{key}, argv...))
				}
				return nil
			})
			return err
		}
		err := call()
		if goredis.HasErrorPrefix(err, "NOSCRIPT") {
			if err = c.load(ctx, s); err == nil {
				err = call()
			}
		}
		if err != nil {
			return nil, err
		}
		for i, cmd := range cmds {
			answers[from+i] = cmd.Val()
		}
	}
	return answers, nil
}

func (c *Client) load(ctx context.Context, s *goredis.Script) error {
	if cluster, ok := c.c.(*goredis.ClusterClient); ok {
		return cluster.ForEachMaster(ctx, func(ctx context.Context, one *goredis.Client) error { return s.Load(ctx, one).Err() })
	}
	return s.Load(ctx, c.c).Err()
}
