package redis

import (
	"context"
	"fmt"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/pactwire/pactwire"
)

// say takes one node's word for a person, and returns what all nodes' words make of them. A change is told to the one
// speaker whose word brought it about, so that it is announced once. A quiet word repeats what was said before: it
// announces nothing while nobody has said anything else than such words. That somebody is not there of whom nothing is known
// leaves nothing behind, unless others take them to be there.
//
// ARGV: address, status, last sign of life, floor of the version, quiet, was there, time to live of who is there, and of who
// is not.
var say = goredis.NewScript(`
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local rank = {offline = 0, away = 1, active = 2}
local quiet = ARGV[5] == '1'
if ARGV[2] == 'offline' then
	redis.call('HDEL', KEYS[1], ARGV[1])
else
	redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
end
local said, version, seen, made, best, any = nil, 0, 0, 0, 'offline', false
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
	local k, v = all[i], all[i + 1]
	if k == '@said' then said = v
	elseif k == '@version' then version = tonumber(v)
	elseif k == '@seen' then seen = tonumber(v)
	elseif k == '@made' then made = tonumber(v)
	else
		any = true
		if rank[v] > rank[best] then best = v end
	end
end
seen = math.max(seen, tonumber(ARGV[3]))
version = math.max(version, tonumber(ARGV[4]))
if said == nil and not any and ARGV[6] == '1' then said = 'active' end
if said == nil and not any then
	return {0, 'offline', string.format('%.0f', version), string.format('%.0f', seen), 0}
end
local changed = 0
if said == nil then
	if quiet then made = now else changed = 1 end
	version = math.max(version + 1, now)
elseif best ~= said then
	version = math.max(version + 1, now)
	if not (quiet and made > now - 5000 and rank[best] > rank[said]) then changed = 1 end
end
if changed == 1 then made = 0 end
redis.call('HSET', KEYS[1], '@said', best, '@version', string.format('%.0f', version), '@seen', string.format('%.0f', seen),
	'@made', string.format('%.0f', made))
redis.call('PEXPIRE', KEYS[1], any and ARGV[7] or ARGV[8])
return {changed, best, string.format('%.0f', version), string.format('%.0f', seen), said ~= nil and 1 or 0}`)

// Say takes this node's words, in order, and returns what they make of each person.
func (c *Client) Say(ctx context.Context, words []pactwire.Word) ([]pactwire.Said, error) {
	return c.sayFor(ctx, c.cfg.Addr, words)
}

// SayFor takes words for another node, which can speak for itself no more.
func (c *Client) SayFor(ctx context.Context, addr string, words []pactwire.Word) ([]pactwire.Said, error) {
	return c.sayFor(ctx, addr, words)
}

func (c *Client) sayFor(ctx context.Context, addr string, words []pactwire.Word) ([]pactwire.Said, error) {
	// A person is listed before anything is said, and until all is said, so that nobody is left behind by a node that dies.
	if err := c.list(ctx, addr, words, true); err != nil {
		return nil, err
	}
	answers, err := c.run(ctx, say, len(words), func(i int) (string, []any) {
		w := &words[i]
		return presenceKey(w.User), []any{addr, string(w.Status), millis(w.LastSeen), w.Floor, flag(w.Quiet), flag(w.WasThere),
			2 * keep.Milliseconds(), keep.Milliseconds()}
	})
	if err != nil {
		return nil, err
	}
	said := make([]pactwire.Said, len(words))
	for i, v := range answers {
		a, ok := v.([]any)
		if !ok || len(a) != 5 {
			return nil, fmt.Errorf("redis: say answered %v", v)
		}
		status, _ := a[1].(string)
		said[i] = pactwire.Said{Known: a[4] == int64(1), Changed: a[0] == int64(1), Status: pactwire.PresenceStatus(status),
			Version: uint64(number(a[2])), LastSeen: timeOf(number(a[3]))} //nolint:gosec // counts up from a time
	}
	return said, c.list(ctx, addr, words, false)
}

// list keeps a node's set of people: those who are there, and those of whom it is being said that they are not.
func (c *Client) list(ctx context.Context, addr string, words []pactwire.Word, before bool) error {
	var there, gone []any
	for i := range words {
		if words[i].Status == pactwire.PresenceOffline {
			gone = append(gone, string(words[i].User))
		} else {
			there = append(there, string(words[i].User))
		}
	}
	key := peopleKey(addr)
	return c.pipelined(ctx, 1, func(p goredis.Pipeliner, _ int) {
		if before && len(there) > 0 {
			p.SAdd(ctx, key, there...)
			p.PExpire(ctx, key, keep)
		}
		if !before && len(gone) > 0 {
			p.SRem(ctx, key, gone...)
		}
		if p.Len() == 0 {
			p.Ping(ctx)
		}
	})
}

// People returns some of those of whose presence a node has said something; none when all was taken back.
func (c *Client) People(ctx context.Context, addr string, n int64) ([]pactwire.UserID, error) {
	list, err := c.c.SRandMemberN(ctx, peopleKey(addr), n).Result()
	users := make([]pactwire.UserID, len(list))
	for i, u := range list {
		users[i] = pactwire.UserID(u)
	}
	return users, err
}

// Presence tells what is said of people.
func (c *Client) Presence(ctx context.Context, users []pactwire.UserID) ([]pactwire.Said, error) {
	cmds := make([]*goredis.SliceCmd, len(users))
	if err := c.pipelined(ctx, len(users), func(p goredis.Pipeliner, i int) {
		cmds[i] = p.HMGet(ctx, presenceKey(users[i]), "@said", "@version", "@seen")
	}); err != nil {
		return nil, err
	}
	said := make([]pactwire.Said, len(users))
	for i, cmd := range cmds {
		v := cmd.Val()
		status, ok := v[0].(string)
		if !ok {
			continue
		}
		said[i] = pactwire.Said{Known: true, Status: pactwire.PresenceStatus(status), Version: uint64(number(v[1])), //nolint:gosec // counts up from a time
			LastSeen: timeOf(number(v[2]))}
	}
	return said, nil
}

func flag(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func timeOf(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
