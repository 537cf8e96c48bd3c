package bridge

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/trouble"
)

// MembershipConfig says how long what was read of a remote habits-service may be trusted.
type MembershipConfig struct {
	Remote bool
	Shared bool          // other nodes change pacts too: who is not held is read again
	TTL    time.Duration // read again after this; 60 s
	Stale  time.Duration // valid for so long while the service is down; 1 h
}

// Bounds of what is remembered besides those who are held.
const (
	idleUsers   = 10_000      // released and still known, so that who comes back costs no read; then any one goes
	absentPacts = 10_000      // of a remote service, that it did not know, each by who asked; then all are forgotten
	absentFor   = time.Second // it may know them by then
)

// Membership is the view of who may do what, in memory: the one place that permission is decided by. It knows the pacts of
// the users that are held by Ensure, and of some who were; everything else is denied. With the embedded habits-service it
// is exact, since every change passes through learn; a remote one is read again as it ages. Where several nodes share the
// store the others tell of changes in the pacts of those who are held, and a transaction decides by what it reads itself.
type Membership struct {
	cfg   MembershipConfig
	pacts func(ctx context.Context, users []pactwire.UserID) (map[pactwire.UserID][]pactwire.Pact, error)
	one   func(ctx context.Context, id pactwire.PactID) (pactwire.Pact, error)
	since func(ctx context.Context, users []pactwire.UserID) (map[pactwire.UserID]map[pactwire.PactID]pactwire.Seq, error)
	log   *slog.Logger

	trouble trouble.Log

	want  chan struct{} // of size 1: someone waits to be loaded
	stop  context.CancelFunc
	tasks sync.WaitGroup

	readings atomic.Uint64 // of a remote service, begun so far

	mu      sync.RWMutex
	stopped bool
	slow    time.Time // until then a remote service is not waited for that did not answer within a moment
	users   map[pactwire.UserID]*holding
	idle    map[pactwire.UserID]struct{} // of users: who is not held; at most idleUsers
	known   map[pactwire.PactID]*view
	waiting map[pactwire.UserID]*loading
	watched map[pactwire.PactID][]*bool // being read again, and whether it was learned meanwhile; one a reader
	absent  map[question]time.Time      // when a remote service was asked, and said that there is no such pact
	saw     func(ctx context.Context, pacts []pactwire.Pact, read reading) error
}

// question is what a person asks of a pact. What one is told is no answer to another, who may know better.
type question struct {
	user pactwire.UserID
	pact pactwire.PactID
}

// view is a pact as it is known. The pact is never changed, but replaced.
type view struct {
	pact *pactwire.Pact
	refs int // users who have it
}

// holding is a user whose pacts are known.
type holding struct {
	refs   int                              // connections; 0 = idle
	pacts  map[pactwire.PactID]pactwire.Seq // where the user's own partner_joined stands
	readAt time.Time
}

// NewMembership makes the view and starts its reader; Stop ends it.
func NewMembership(cfg MembershipConfig, habits Habits, store Store, log *slog.Logger) *Membership {
	if cfg.TTL <= 0 {
		cfg.TTL = time.Minute
	}
	if cfg.Stale <= 0 {
		cfg.Stale = time.Hour
	}
	m := &Membership{cfg: cfg, pacts: habits.PactsOf, one: habits.Pact, since: store.JoinedAt, log: log,
		want: make(chan struct{}, 1), users: make(map[pactwire.UserID]*holding), idle: make(map[pactwire.UserID]struct{}),
		known: make(map[pactwire.PactID]*view), waiting: make(map[pactwire.UserID]*loading),
		watched: make(map[pactwire.PactID][]*bool), absent: make(map[question]time.Time)}
	ctx, cancel := context.WithCancel(context.Background())
	m.stop = cancel
	if !cfg.Remote {
		m.tasks.Go(func() { m.read(ctx, loadBatch) })
		return m
	}
	for range loadsAtOnce {
		m.tasks.Go(func() { m.read(ctx, 1) })
	}
	m.tasks.Go(func() { m.refresh(ctx) })
	return m
}

// Stop ends the reader.
func (m *Membership) Stop() {
	m.stop()
	m.tasks.Wait()
}

// seen names who records pacts of a remote service as they are read, in one transaction, and calls learn for each.
func (m *Membership) seen(f func(ctx context.Context, pacts []pactwire.Pact, read reading) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.saw = f
}

// Release gives back one Ensure.
func (m *Membership) Release(u pactwire.UserID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	h := m.users[u]
	if h == nil || h.refs == 0 {
		return
	}
	if h.refs--; h.refs > 0 {
		return
	}
	m.rest(u)
}

// rest keeps a user known who is not held, in the place of another when there are too many. Under m.mu.
func (m *Membership) rest(u pactwire.UserID) {
	m.idle[u] = struct{}{}
	if len(m.idle) > idleUsers {
		for other := range m.idle {
			if other != u {
				m.drop(other)
				break
			}
		}
	}
}

// drop forgets an idle user, and the pacts that nobody else has. Under m.mu.
func (m *Membership) drop(u pactwire.UserID) {
	h := m.users[u]
	delete(m.idle, u)
	delete(m.users, u)
	for p := range h.pacts {
		m.unref(p)
	}
}

// unref takes back one user's hold on a pact. Under m.mu.
func (m *Membership) unref(p pactwire.PactID) {
	if v := m.known[p]; v != nil {
		if v.refs--; v.refs <= 0 {
			delete(m.known, p)
		}
	}
}

// change is what a changed pact means for one user.
type change struct {
	user   pactwire.UserID
	joined []pactwire.Membership
	left   []pactwire.PactID
}

// learn takes a pact as it is now, and tells the publisher whose membership that changes.
func (m *Membership) learn(p pactwire.Pact, pub Publisher) {
	m.mu.Lock()
	m.spoil(p.ID)
	changes := m.take(p)
	m.mu.Unlock()
	for _, c := range changes {
		pub.PactsChanged(c.user, c.joined, c.left)
	}
}

// take takes a pact, and lists what that means for whom. Under m.mu.
func (m *Membership) take(p pactwire.Pact) (changes []change) {
	now := time.Now()
	v := m.known[p.ID]
	if v == nil {
		v = &view{}
		m.known[p.ID] = v
	}
	before := v.pact
	v.pact = &p
	for _, member := range p.Members {
		delete(m.absent, question{member.UserID, p.ID})
		if l := m.waiting[member.UserID]; l != nil {
			l.dirty = true
		}
		h := m.users[member.UserID]
		if h == nil {
			continue
		}
		since, had := h.pacts[p.ID]
		joined := []pactwire.Membership{{Pact: p.ID, JoinedAt: member.JoinedSeq}}
		switch has := p.CanRead(member.UserID, now); {
		case has && !had:
			h.pacts[p.ID] = member.JoinedSeq
			v.refs++
			changes = append(changes, change{user: member.UserID, joined: joined})
		case !has && had:
			delete(h.pacts, p.ID)
			v.refs--
			changes = append(changes, change{user: member.UserID, left: []pactwire.PactID{p.ID}})
		case has && member.JoinedSeq > since && (since > 0 || !m.cfg.Remote): // left and joined once more; a remote service's are recorded late
			h.pacts[p.ID] = member.JoinedSeq
			changes = append(changes, change{user: member.UserID, joined: joined, left: []pactwire.PactID{p.ID}})
		case has && before != nil && listedOtherwise(before, &p):
			changes = append(changes, change{user: member.UserID}) // the list of pacts is another
		}
	}
	if before != nil {
		for _, was := range before.Members { // a remote service may leave out who has left
			if _, still := p.Member(was.UserID); still {
				continue
			}
			if h := m.users[was.UserID]; h != nil {
				if _, had := h.pacts[p.ID]; had {
					delete(h.pacts, p.ID)
					v.refs--
					changes = append(changes, change{user: was.UserID, left: []pactwire.PactID{p.ID}})
				}
			}
		}
	}
	if v.refs <= 0 {
		delete(m.known, p.ID)
	}
	return changes
}

// listedOtherwise reports whether a list of pacts shows two states of one pact in two ways.
func listedOtherwise(a, b *pactwire.Pact) bool {
	return a.Status != b.Status || !slices.EqualFunc(a.Members, b.Members, func(x, y pactwire.Member) bool {
		return x.UserID == y.UserID && x.UserName == y.UserName && x.Role == y.Role && x.Status == y.Status
	})
}

// get is the pact as it is known, or nil.
func (m *Membership) get(p pactwire.PactID) *pactwire.Pact {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if v := m.known[p]; v != nil {
		return v.pact
	}
	return nil
}

// Pact is the pact as the view has it.
func (m *Membership) Pact(p pactwire.PactID) (pactwire.Pact, bool) {
	if pact := m.get(p); pact != nil {
		return *pact, true
	}
	return pactwire.Pact{}, false
}
