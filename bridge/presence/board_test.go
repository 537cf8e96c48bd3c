package presence_test

import (
	"context"
	"sync"
	"time"

	"github.com/pactwire/pactwire"
)

// memoryBoard is a Board without a server, for tests in which time does not pass by itself. The one that there is outside of
// tests keeps the same rules and has tests of its own on a real server.
type memoryBoard struct {
	mu     sync.Mutex
	away   bool
	people map[pactwire.UserID]*posted
	lists  map[string]map[pactwire.UserID]bool
}

type posted struct {
	words   map[string]pactwire.PresenceStatus
	said    pactwire.PresenceStatus
	version uint64
	seen    time.Time
	made    time.Time // by a quiet word
}

// nodeBoard is the board as one node uses it.
type nodeBoard struct {
	*memoryBoard
	node string
}

func (b *memoryBoard) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.people, b.lists = nil, nil
}

func (b *memoryBoard) goAway(away bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.away = away
}

func rank(s pactwire.PresenceStatus) int {
	return map[pactwire.PresenceStatus]int{offline: 0, away: 1, active: 2}[s]
}

func (b nodeBoard) Say(ctx context.Context, words []pactwire.Word) ([]pactwire.Said, error) {
	return b.SayFor(ctx, b.node, words)
}

func (b *memoryBoard) SayFor(_ context.Context, node string, words []pactwire.Word) ([]pactwire.Said, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.away {
		return nil, errAway
	}
	out := make([]pactwire.Said, len(words))
	for i, w := range words {
		out[i] = b.say(node, w, time.Now())
	}
	return out, nil
}

func (b *memoryBoard) say(node string, w pactwire.Word, now time.Time) pactwire.Said {
	if b.people == nil {
		b.people, b.lists = map[pactwire.UserID]*posted{}, map[string]map[pactwire.UserID]bool{}
	}
	if b.lists[node] == nil {
		b.lists[node] = map[pactwire.UserID]bool{}
	}
	p, known := b.people[w.User]
	if !known && w.WasThere {
		p, known = &posted{words: map[string]pactwire.PresenceStatus{}, said: active}, true
		b.people[w.User] = p
	}
	if !known && w.Status == offline {
		return pactwire.Said{Status: offline, Version: w.Floor, LastSeen: w.LastSeen}
	}
	if !known {
		p = &posted{words: map[string]pactwire.PresenceStatus{}, said: offline}
		b.people[w.User] = p
	}
	if w.Status == offline {
		delete(p.words, node)
		delete(b.lists[node], w.User)
	} else {
		p.words[node] = w.Status
		b.lists[node][w.User] = true
	}
	best := offline
	for _, s := range p.words {
		if rank(s) > rank(best) {
			best = s
		}
	}
	if w.LastSeen.After(p.seen) {
		p.seen = w.LastSeen
	}
	p.version = max(p.version, w.Floor)
	next := max(p.version+1, uint64(now.UnixMilli()))
	changed := false
	switch {
	case !known:
		changed = !w.Quiet && best != offline
		if w.Quiet {
			p.made = now
		}
		p.version = next
	case best != p.said:
		changed = !w.Quiet || now.Sub(p.made) > 5*time.Second || rank(best) < rank(p.said)
		p.version = next
	}
	if changed {
		p.made = time.Time{}
	}
	p.said = best
	return pactwire.Said{Known: known, Changed: changed, Status: best, Version: p.version, LastSeen: p.seen}
}

func (b *memoryBoard) Presence(_ context.Context, users []pactwire.UserID) ([]pactwire.Said, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.away {
		return nil, errAway
	}
	out := make([]pactwire.Said, len(users))
	for i, u := range users {
		if p := b.people[u]; p != nil {
			out[i] = pactwire.Said{Known: true, Status: p.said, Version: p.version, LastSeen: p.seen}
		}
	}
	return out, nil
}

func (b *memoryBoard) People(_ context.Context, node string, n int64) (list []pactwire.UserID, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.away {
		return nil, errAway
	}
	for u := range b.lists[node] {
		if len(list) < int(n) {
			list = append(list, u)
		}
	}
	return list, nil
}

func (b *memoryBoard) Remove(_ context.Context, node string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.away {
		return errAway
	}
	delete(b.lists, node)
	return nil
}
