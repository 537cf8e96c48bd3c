package redis

import (
	"context"
	"hash/crc32"
	"math/rand/v2"
	"strconv"
	"sync"

	goredis "github.com/redis/go-redis/v9"

	"github.com/pactwire/pactwire"
)

// Users move far less often than they are asked for. So each of a few groups of users has a version, which becomes another one after
// any of their routes has changed, and a route that was read under the present version is not read again.

// groups is how many there are: on a busy service each has a mover now and then only.
const groups = 1024

func groupOf(u pactwire.UserID) uint32 { return crc32.ChecksumIEEE([]byte(u)) % groups }

// routes are those that were read, each with the version of its group from before that.
type routes struct {
	mu    sync.Mutex
	of    map[pactwire.UserID]route
	addrs map[string]string // each once
}

type route struct {
	version string
	addrs   []string
}

// routesHeld bounds them; then all are forgotten, and read again.
const routesHeld = 50_000

func (r *routes) get(u pactwire.UserID, version string) (addrs []string, ok bool) {
	if version == "" {
		return nil, false
	}
	at, ok := r.of[u]
	return at.addrs, ok && at.version == version
}

func (r *routes) put(u pactwire.UserID, at route) {
	if at.version == "" {
		return // Redis has forgotten it: what others say from now on may be missed
	}
	if r.of == nil || len(r.of) >= routesHeld {
		r.of, r.addrs = make(map[pactwire.UserID]route), make(map[string]string)
	}
	for i, a := range at.addrs {
		if _, ok := r.addrs[a]; !ok {
			r.addrs[a] = a
		}
		at.addrs[i] = r.addrs[a]
	}
	r.of[u] = at
}

// Here says that users are connected to this node.
func (c *Client) Here(ctx context.Context, users []pactwire.UserID) error {
	return c.move(ctx, users, func(p goredis.Pipeliner, u pactwire.UserID) {
		p.SAdd(ctx, routeKey(u), c.cfg.Addr)
		p.PExpire(ctx, routeKey(u), keep)
	})
}

// Gone says that users are not connected to this node any more.
func (c *Client) Gone(ctx context.Context, users []pactwire.UserID) error {
	return c.move(ctx, users, func(p goredis.Pipeliner, u pactwire.UserID) { p.SRem(ctx, routeKey(u), c.cfg.Addr) })
}

// Forget removes addresses of nodes that are no more from users' routes.
func (c *Client) Forget(ctx context.Context, stale map[pactwire.UserID][]string) error {
	users := make([]pactwire.UserID, 0, len(stale))
	for u := range stale {
		users = append(users, u)
	}
	return c.move(ctx, users, func(p goredis.Pipeliner, u pactwire.UserID) {
		for _, addr := range stale[u] {
			p.SRem(ctx, routeKey(u), addr)
		}
	})
}

// move changes routes, and only then the versions: who reads the old version and an old route has read both before this returns.
func (c *Client) move(ctx context.Context, users []pactwire.UserID, change func(goredis.Pipeliner, pactwire.UserID)) error {
	if len(users) == 0 {
		return nil
	}
	if err := c.pipelined(ctx, len(users), func(p goredis.Pipeliner, i int) { change(p, users[i]) }); err != nil {
		return err
	}
	// By chance, not by counting: after Redis has forgotten everything no version may come again.
	version := strconv.FormatUint(rand.Uint64(), 36) //nolint:gosec // no secret
	moved := make(map[uint32]struct{}, len(users))
	values := make([]any, 0, 2*len(users))
	for _, u := range users {
		g := groupOf(u)
		if _, ok := moved[g]; !ok {
			moved[g] = struct{}{}
			values = append(values, strconv.Itoa(int(g)), version)
		}
	}
	return c.pipelined(ctx, 1, func(p goredis.Pipeliner, _ int) {
		p.HSet(ctx, versionsKey, values...)
		p.PExpire(ctx, versionsKey, keep)
	})
}

// Routes tells at which nodes each user is connected, as of now. Addresses may be of nodes that are no more. The lists are not to
// be changed.
func (c *Client) Routes(ctx context.Context, users []pactwire.UserID) ([][]string, error) {
	if len(users) == 0 {
		return nil, nil
	}
	versions, err := c.versions(ctx, users)
	if err != nil {
		return nil, err
	}
	r := &c.routes
	found := make([][]string, len(users))
	var unknown []int
	r.mu.Lock()
	for i, u := range users {
		var ok bool
		if found[i], ok = r.get(u, versions[groupOf(u)]); !ok {
			unknown = append(unknown, i)
		}
	}
	r.mu.Unlock()
	if len(unknown) == 0 {
		return found, nil
	}
	cmds := make([]*goredis.StringSliceCmd, len(unknown))
	if err := c.pipelined(ctx, len(unknown), func(p goredis.Pipeliner, i int) {
		cmds[i] = p.SMembers(ctx, routeKey(users[unknown[i]]))
	}); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for n, i := range unknown {
		found[i] = cmds[n].Val()
		r.put(users[i], route{versions[groupOf(users[i])], found[i]})
	}
	return found, nil
}

// versions are those of the users' groups; "" of one that Redis has none for.
func (c *Client) versions(ctx context.Context, users []pactwire.UserID) (map[uint32]string, error) {
	versions := make(map[uint32]string, len(users))
	list := make([]uint32, 0, len(users))
	fields := make([]string, 0, len(users))
	for _, u := range users {
		g := groupOf(u)
		if _, ok := versions[g]; !ok {
			versions[g] = ""
			list, fields = append(list, g), append(fields, strconv.Itoa(int(g)))
		}
	}
	values, err := c.c.HMGet(ctx, versionsKey, fields...).Result()
	if err != nil {
		return nil, err
	}
	for i, v := range values {
		versions[list[i]], _ = v.(string)
	}
	return versions, nil
}
