package bridge

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/pactwire/pactwire"
)

// MembershipConfig says how long what was read of a remote habits-service may be trusted.
type MembershipConfig struct {
	Remote bool
	TTL    time.Duration // read again after this; 60 s
	Stale  time.Duration // valid for so long while the service is down; 1 h
}

// Membership is the view of who may do what, in memory: the one place that permission is decided by. It knows the pacts of
// the users that are held by Ensure; everything else is denied. With the embedded habits-service it is exact, since
// every change passes through learn; a remote one is read again as it ages.
type Membership struct {
	cfg   MembershipConfig
	pacts func(ctx context.Context, users []pactwire.UserID) (map[pactwire.UserID][]pactwire.Pact, error)
	one   func(ctx context.Context, id pactwire.PactID) (pactwire.Pact, error)
	since func(ctx context.Context, users []pactwire.UserID) (map[pactwire.UserID]map[pactwire.PactID]pactwire.Seq, error)
	log   *slog.Logger

	want  chan struct{} // of size 1: someone waits to be loaded
	stop  context.CancelFunc
	tasks sync.WaitGroup

	mu      sync.RWMutex
	users   map[pactwire.UserID]*holding
	known   map[pactwire.PactID]*pactwire.Pact // values are never changed
	waiting map[pactwire.UserID]*loading
	renewed func(pactwire.Pact) // set by the bridge of a remote service, before the first refresh
}

// holding is a user with connections.
type holding struct {
	refs   int
	pacts  map[pactwire.PactID]pactwire.Seq // where the user's own partner_joined stands
	readAt time.Time
}

// loading is a read under way for a user. Changes that are learned meanwhile make it start over, since it may have read
// what was before.
type loading struct {
	refs  int // who waits
	dirty bool
	done  chan struct{}
	err   error
}

// loadBatch bounds the users of one read, loadTimeout its time.
const (
	loadBatch   = 256
	loadTimeout = 5 * time.Second
)

// NewMembership makes the view and starts its reader; Stop ends it.
func NewMembership(cfg MembershipConfig, habits Habits, store Store, log *slog.Logger) *Membership {
	if cfg.TTL <= 0 {
		cfg.TTL = time.Minute
	}
	if cfg.Stale <= 0 {
		cfg.Stale = time.Hour
	}
	m := &Membership{cfg: cfg, pacts: habits.PactsOf, one: habits.Pact, since: store.JoinedAt, log: log,
		want: make(chan struct{}, 1), users: make(map[pactwire.UserID]*holding),
		known: make(map[pactwire.PactID]*pactwire.Pact), waiting: make(map[pactwire.UserID]*loading)}
	ctx, cancel := context.WithCancel(context.Background())
	m.stop = cancel
	m.tasks.Go(func() { m.read(ctx) })
	if cfg.Remote {
		m.tasks.Go(func() { m.refresh(ctx) })
	}
	return m
}

// Stop ends the reader.
func (m *Membership) Stop() {
	m.stop()
	m.tasks.Wait()
}

// Ensure makes the user's pacts known, and holds them until Release. It fails with Unavailable.
func (m *Membership) Ensure(ctx context.Context, u pactwire.UserID) error {
	m.mu.Lock()
	if h := m.users[u]; h != nil {
		if m.cfg.Remote && time.Since(h.readAt) > m.cfg.Stale {
			m.mu.Unlock()
			return pactwire.Errorf(pactwire.Unavailable, "the habits-service cannot say which pacts are yours; try again")
		}
		h.refs++
		m.mu.Unlock()
		return nil
	}
	l := m.waiting[u]
	if l == nil {
		l = &loading{done: make(chan struct{})}
		m.waiting[u] = l
	}
	l.refs++
	m.mu.Unlock()
	m.ask()
	select {
	case <-l.done:
		return l.err
	case <-ctx.Done():
		m.abandon(u, l)
		return pactwire.Errorf(pactwire.Unavailable, "your pacts could not be read in time; try again")
	}
}

// abandon takes back one wait for l.
func (m *Membership) abandon(u pactwire.UserID, l *loading) {
	m.mu.Lock()
	select {
	case <-l.done: // it came true meanwhile, so there is something to release
		m.mu.Unlock()
		if l.err == nil {
			m.Release(u)
		}
		return
	default:
	}
	l.refs--
	m.mu.Unlock()
}

func (m *Membership) ask() {
	select {
	case m.want <- struct{}{}:
	default:
	}
}

// Release gives back one Ensure. Who is held no more is forgotten, and so is a pact of whose members nobody is.
func (m *Membership) Release(u pactwire.UserID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	h := m.users[u]
	if h == nil {
		return
	}
	if h.refs--; h.refs > 0 {
		return
	}
	delete(m.users, u)
	for p := range h.pacts {
		m.forget(p)
	}
}

// forget drops a pact that no held user has. Under m.mu.
func (m *Membership) forget(p pactwire.PactID) {
	pact := m.known[p]
	if pact == nil {
		return
	}
	for _, member := range pact.Members {
		if h := m.users[member.UserID]; h != nil {
			if _, has := h.pacts[p]; has {
				return
			}
		}
	}
	delete(m.known, p)
}

// read loads users in batches, so that a storm of connections costs few reads.
func (m *Membership) read(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			m.fail(ctx.Err())
			return
		case <-m.want:
		}
		for {
			m.mu.Lock()
			batch := make([]pactwire.UserID, 0, min(len(m.waiting), loadBatch))
			for u, l := range m.waiting {
				if len(batch) == loadBatch {
					break
				}
				l.dirty = false
				batch = append(batch, u)
			}
			m.mu.Unlock()
			if len(batch) == 0 {
				break
			}
			turn, cancel := context.WithTimeout(ctx, loadTimeout)
			pacts, since, err := m.fetch(turn, batch)
			cancel()
			m.fill(batch, pacts, since, err)
		}
	}
}

func (m *Membership) fetch(ctx context.Context, users []pactwire.UserID) (map[pactwire.UserID][]pactwire.Pact, map[pactwire.UserID]map[pactwire.PactID]pactwire.Seq, error) {
	pacts, err := m.pacts(ctx, users)
	if err != nil {
		return nil, nil, err
	}
	since, err := m.since(ctx, users)
	return pacts, since, err
}

func (m *Membership) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for u, l := range m.waiting {
		l.err = pactwire.Errorf(pactwire.Unavailable, "the server is stopping; try again")
		l.err.(*pactwire.Error).Cause = err
		delete(m.waiting, u)
		close(l.done)
	}
}

func (m *Membership) fill(users []pactwire.UserID, pacts map[pactwire.UserID][]pactwire.Pact, since map[pactwire.UserID]map[pactwire.PactID]pactwire.Seq, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	for _, u := range users {
		l := m.waiting[u]
		if l == nil || l.dirty && err == nil {
			continue // learned of a change while reading: read again
		}
		delete(m.waiting, u)
		if err != nil {
			m.log.Warn("read pacts", "user", u, "error", err)
			l.err = &pactwire.Error{Code: pactwire.Unavailable, Message: "your pacts cannot be read now; try again", Cause: err}
			close(l.done)
			continue
		}
		if l.refs > 0 {
			h := &holding{refs: l.refs, pacts: make(map[pactwire.PactID]pactwire.Seq), readAt: now}
			m.users[u] = h
			for i := range pacts[u] {
				p := pacts[u][i]
				if member, ok := p.Member(u); ok && member.Status == pactwire.MemberActive {
					h.pacts[p.ID] = since[u][p.ID]
					if m.known[p.ID] == nil {
						m.known[p.ID] = &p
					}
				}
			}
		}
		close(l.done)
	}
}

// learn takes a pact as it is now, and tells the publisher whose membership that changes.
func (m *Membership) learn(p pactwire.Pact, pub Publisher) {
	type change struct {
		user   pactwire.UserID
		joined []pactwire.Membership
		left   []pactwire.PactID
	}
	var told []change
	now := time.Now()
	m.mu.Lock()
	before := m.known[p.ID]
	for _, member := range p.Members {
		if l := m.waiting[member.UserID]; l != nil {
			l.dirty = true
		}
		h := m.users[member.UserID]
		if h == nil {
			continue
		}
		_, had := h.pacts[p.ID]
		switch has := p.CanRead(member.UserID, now); {
		case has && !had:
			seq := joinedSeq(member)
			h.pacts[p.ID] = seq
			told = append(told, change{user: member.UserID, joined: []pactwire.Membership{{Pact: p.ID, JoinedAt: seq}}})
		case !has && had:
			delete(h.pacts, p.ID)
			told = append(told, change{user: member.UserID, left: []pactwire.PactID{p.ID}})
		case has && before != nil && before.Status != p.Status:
			told = append(told, change{user: member.UserID}) // the list of pacts is another
		}
	}
	m.known[p.ID] = &p
	m.forget(p.ID)
	m.mu.Unlock()
	for _, t := range told {
		pub.PactsChanged(t.user, t.joined, t.left)
	}
}

// joinedSeq is where the member's partner_joined stands, when whoever recorded it said so.
func joinedSeq(m pactwire.Member) pactwire.Seq { return m.JoinedSeq }

// CanRead reports whether u may read p now.
func (m *Membership) CanRead(u pactwire.UserID, p pactwire.PactID) bool {
	m.mu.RLock()
	pact := m.known[p]
	m.mu.RUnlock()
	return pact != nil && pact.CanRead(u, time.Now())
}

// CanCommand is nil when u may command p now; else Denied, Conflict for a pact that has ended, or Unavailable.
func (m *Membership) CanCommand(ctx context.Context, u pactwire.UserID, p pactwire.PactID) error {
	m.mu.RLock()
	pact := m.known[p]
	var readAt time.Time
	if h := m.users[u]; h != nil {
		readAt = h.readAt
	}
	m.mu.RUnlock()
	if pact == nil && m.cfg.Remote {
		fetched, err := m.Look(ctx, p)
		if err != nil && pactwire.AsError(err).Retryable() {
			return err
		}
		if err == nil {
			pact = &fetched
		}
	}
	switch {
	case pact == nil || !pact.CanRead(u, time.Now()):
		return pactwire.Errorf(pactwire.Denied, "there is no such pact, or you are not an active member of it")
	case pact.Status.Ended():
		return pactwire.Errorf(pactwire.Conflict, "this pact has ended; it can still be read, not changed")
	case m.cfg.Remote && !readAt.IsZero() && time.Since(readAt) > m.cfg.Stale:
		return pactwire.Errorf(pactwire.Unavailable, "the habits-service cannot say which pacts are yours; try again")
	}
	return nil
}

// Look reads one pact from the habits-service.
func (m *Membership) Look(ctx context.Context, p pactwire.PactID) (pactwire.Pact, error) {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	return m.one(ctx, p)
}

// Pacts are the pacts that u may read now.
func (m *Membership) Pacts(u pactwire.UserID) []pactwire.Membership {
	m.mu.RLock()
	defer m.mu.RUnlock()
	h := m.users[u]
	if h == nil {
		return nil
	}
	now := time.Now()
	list := make([]pactwire.Membership, 0, len(h.pacts))
	for p, seq := range h.pacts {
		if pact := m.known[p]; pact != nil && pact.CanRead(u, now) {
			list = append(list, pactwire.Membership{Pact: p, JoinedAt: seq})
		}
	}
	slices.SortFunc(list, func(a, b pactwire.Membership) int {
		switch {
		case a.Pact < b.Pact:
			return -1
		case a.Pact > b.Pact:
			return 1
		}
		return 0
	})
	return list
}

// Readers calls f for each held user who may read p now.
func (m *Membership) Readers(p pactwire.PactID, f func(pactwire.UserID) bool) {
	m.mu.RLock()
	pact := m.known[p]
	m.mu.RUnlock()
	if pact == nil {
		return
	}
	now := time.Now()
	for i := range pact.Members {
		if u := pact.Members[i].UserID; pact.CanRead(u, now) && !f(u) {
			return
		}
	}
}

// Pact is the pact as the view has it.
func (m *Membership) Pact(p pactwire.PactID) (pactwire.Pact, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if pact := m.known[p]; pact != nil {
		return *pact, true
	}
	return pactwire.Pact{}, false
}

// sharing lists the active pacts of u about a goal, the one that was named first.
func (m *Membership) sharing(u pactwire.UserID, g pactwire.GoalID, named pactwire.PactID) []pactwire.PactID {
	list := []pactwire.PactID{named}
	m.mu.RLock()
	defer m.mu.RUnlock()
	h := m.users[u]
	if h == nil {
		return list
	}
	for p := range h.pacts {
		if pact := m.known[p]; pact != nil && p != named && pact.HabitGoalID == g && pact.Status == pactwire.PactActive {
			list = append(list, p)
		}
	}
	slices.Sort(list[1:])
	return list
}

// Explanation says what a user may do with a pact, and why.
type Explanation struct {
	CanRead, CanCommand, Involved bool
	Because                       string
}

// Why explains the view's answer about u and p, reading the pact when the view does not hold it.
func (m *Membership) Why(ctx context.Context, u pactwire.UserID, p pactwire.PactID) (Explanation, error) {
	pact, ok := m.Pact(p)
	if !ok {
		var err error
		if pact, err = m.Look(ctx, p); err != nil {
			if pactwire.CodeOf(err) == pactwire.NotFound {
				return Explanation{Because: "there is no such pact"}, nil
			}
			return Explanation{}, err
		}
	}
	member, involved := pact.Member(u)
	e := Explanation{CanRead: pact.CanRead(u, time.Now()), Involved: involved}
	e.CanCommand = e.CanRead && !pact.Status.Ended()
	switch {
	case !involved:
		e.Because = fmt.Sprintf("%s is not and was never a member of this pact", u)
	case member.Status == pactwire.MemberPending:
		e.Because = fmt.Sprintf("%s is invited and has not accepted yet", u)
	case member.Status != pactwire.MemberActive:
		e.Because = fmt.Sprintf("%s is no longer a member: %s", u, member.Status)
	case pact.Status.Ended() && !e.CanRead:
		e.Because = "the pact ended more than 30 days ago"
	case pact.Status.Ended():
		e.Because = fmt.Sprintf("%s is a member, and the pact is %s: it can be read for 30 days", u, pact.Status)
	default:
		e.Because = fmt.Sprintf("%s is an active member (%s) of a pact that is %s", u, member.Role, pact.Status)
	}
	return e, nil
}

// refresh reads a remote service's pacts again as they age. What cannot be read stays valid until Config.Stale.
func (m *Membership) refresh(ctx context.Context) {
	tick := time.NewTicker(m.cfg.TTL / 4)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		var old []pactwire.UserID
		m.mu.RLock()
		for u, h := range m.users {
			if time.Since(h.readAt) > m.cfg.TTL*3/4 {
				old = append(old, u)
			}
		}
		m.mu.RUnlock()
		for batch := range slices.Chunk(old, loadBatch) {
			turn, cancel := context.WithTimeout(ctx, loadTimeout)
			pacts, err := m.pacts(turn, batch)
			cancel()
			if err != nil {
				m.log.Debug("refresh pacts", "error", err)
				break
			}
			m.renew(batch, pacts)
		}
	}
}

// renew notes that users were read again, and hands each pact to the bridge, which compares it with what it knew.
func (m *Membership) renew(users []pactwire.UserID, pacts map[pactwire.UserID][]pactwire.Pact) {
	m.mu.Lock()
	for _, u := range users {
		if h := m.users[u]; h != nil {
			h.readAt = time.Now()
		}
	}
	renewed := m.renewed
	m.mu.Unlock()
	if renewed == nil {
		return
	}
	for _, list := range pacts {
		for _, p := range list {
			renewed(p)
		}
	}
}

// seen names who is handed each pact that a refresh has read.
func (m *Membership) seen(f func(pactwire.Pact)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.renewed = f
}
