package bridge

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/pactwire/pactwire"
)

// loading is a read under way for a user. Changes that are learned meanwhile make it start over, since it may have read
// what was before.
type loading struct {
	refs  int  // who waits
	taken bool // a reader is at it
	dirty bool
	done  chan struct{}
	err   error
}

// Bounds of reads.
const (
	loadBatch   = 256 // users of one read of the store; of a remote service each is read on their own
	loadsAtOnce = 32  // readings of a remote service for users who wait
	loadTimeout = 5 * time.Second
	loadMoment  = time.Second // after which who has something to rely on waits no more
	loadsApart  = 8           // of a remote service, when a batch failed in the background: users read at the same time
)

// Ensure makes the user's pacts known, and holds them until Release. It fails with Unavailable. What was read before does, while it is valid,
// when a remote service does not answer within a moment; for some time after that nobody waits for it who has such.
func (m *Membership) Ensure(ctx context.Context, u pactwire.UserID) error {
	m.mu.Lock()
	if m.stopped {
		m.mu.Unlock()
		return errStopping
	}
	h := m.users[u]
	if h != nil && m.current(h) {
		m.hold(u, h, 1)
		m.mu.Unlock()
		return nil
	}
	l := m.waiting[u]
	if l == nil {
		l = &loading{done: make(chan struct{})}
		m.waiting[u] = l
	}
	nudge(m.want)
	var enough <-chan time.Time // waited, for who has something
	if h != nil && m.valid(h) {
		if time.Now().Before(m.slow) {
			m.hold(u, h, 1)
			m.mu.Unlock()
			return nil
		}
		timer := time.NewTimer(loadMoment)
		defer timer.Stop()
		enough = timer.C
	}
	l.refs++
	m.mu.Unlock()
	for {
		select {
		case <-l.done:
			return l.err
		case <-enough:
			if m.settle(u, l) {
				return nil
			}
			enough = nil
		case <-ctx.Done():
			if enough != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) && m.settle(u, l) {
				return nil
			}
			return m.abandon(u, l)
		}
	}
}

// valid reports whether what was read of a user may be relied upon while the remote service does not answer. Under m.mu.
func (m *Membership) valid(h *holding) bool {
	return m.cfg.Remote && time.Since(h.readAt) <= m.cfg.Stale
}

// settle takes back one wait for l and holds what is known instead, if that is valid and l has not come true meanwhile.
func (m *Membership) settle(u pactwire.UserID, l *loading) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	h := m.users[u]
	if m.waiting[u] != l || h == nil || !m.valid(h) {
		return false
	}
	m.slow = time.Now().Add(loadTimeout)
	l.refs--
	m.hold(u, h, 1)
	return true
}

// current reports whether what is known of a user needs no read before it is relied upon: it is fresh, or is kept fresh in
// the background because it is held. Under m.mu.
func (m *Membership) current(h *holding) bool {
	if !m.cfg.Remote {
		return !m.cfg.Shared || h.refs > 0
	}
	age := time.Since(h.readAt)
	return age <= m.cfg.TTL || h.refs > 0 && age <= m.cfg.Stale
}

// hold notes n more who rely on a user being known. Under m.mu.
func (m *Membership) hold(u pactwire.UserID, h *holding, n int) {
	if h.refs += n; h.refs > 0 {
		delete(m.idle, u)
	}
}

// abandon takes back one wait for l, unless it came true meanwhile.
func (m *Membership) abandon(u pactwire.UserID, l *loading) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	select {
	case <-l.done:
		return l.err
	default:
	}
	l.refs--
	return pactwire.Errorf(pactwire.Unavailable, "your pacts could not be read in time; try again")
}

var errStopping = pactwire.Errorf(pactwire.Unavailable, "the server is stopping; try again")

// read loads users in batches of a size, so that a storm of connections costs few reads.
func (m *Membership) read(ctx context.Context, size int) {
	for {
		select {
		case <-ctx.Done():
			m.fail()
			return
		case <-m.want:
		}
		for ctx.Err() == nil {
			batch := m.waitingBatch(size)
			if len(batch) == 0 {
				break
			}
			read := m.begin()
			pacts, since, err := m.fetch(ctx, batch)
			if ctx.Err() == nil {
				m.trouble.Change(m.log, "people's pacts cannot be read", err)
			}
			seen := m.fill(batch, pacts, since, read, err)
			m.record(ctx, m.renew(ctx, seen, read), read) // who did not wait for this may have what they have no more
		}
	}
}

func (m *Membership) waitingBatch(size int) []pactwire.UserID {
	m.mu.Lock()
	defer m.mu.Unlock()
	batch := make([]pactwire.UserID, 0, min(len(m.waiting), size))
	for u, l := range m.waiting {
		if l.taken {
			continue
		}
		if len(batch) == size {
			nudge(m.want) // there is work for another reader
			break
		}
		l.taken, l.dirty = true, false
		batch = append(batch, u)
	}
	return batch
}

// fetch reads users' pacts. Of a remote service what could be read is returned also when some could not; who is missing
// then could not.
func (m *Membership) fetch(ctx context.Context, users []pactwire.UserID) (map[pactwire.UserID][]pactwire.Pact, map[pactwire.UserID]map[pactwire.PactID]pactwire.Seq, error) {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	pacts, err := m.pacts(ctx, users)
	switch {
	case err == nil:
		if pacts == nil {
			pacts = make(map[pactwire.UserID][]pactwire.Pact, len(users))
		}
		for _, u := range users {
			if _, ok := pacts[u]; !ok {
				pacts[u] = nil // was read, and has none
			}
		}
	case !m.cfg.Remote || len(users) == 1:
		return nil, nil, err
	default:
		pacts, err = m.apart(ctx, users)
	}
	since, failed := m.since(ctx, users) // after the pacts, so that it knows of whom they list
	if failed != nil {
		return nil, nil, failed
	}
	return pacts, since, err
}

// apart reads users one by one, so that one whom the service cannot answer for does not fail the others.
func (m *Membership) apart(ctx context.Context, users []pactwire.UserID) (map[pactwire.UserID][]pactwire.Pact, error) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	var failed error
	all := make(map[pactwire.UserID][]pactwire.Pact, len(users))
	slots := make(chan struct{}, loadsApart) // full: the next waits
	for _, u := range users {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			pacts, err := m.pacts(ctx, []pactwire.UserID{u})
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = err
				return
			}
			all[u] = pacts[u]
		})
	}
	wg.Wait()
	return all, failed
}

// fail ends all waits: the view is stopping.
func (m *Membership) fail() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stopped = true
	for u, l := range m.waiting {
		l.err = errStopping
		delete(m.waiting, u)
		close(l.done)
	}
}

// fill makes what was read known and ends the waits for it. It returns what was read of a remote service.
func (m *Membership) fill(users []pactwire.UserID, pacts map[pactwire.UserID][]pactwire.Pact, since map[pactwire.UserID]map[pactwire.PactID]pactwire.Seq, read reading, err error) (seen map[pactwire.UserID][]pactwire.Pact) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cfg.Remote {
		seen = make(map[pactwire.UserID][]pactwire.Pact, len(users))
	}
	for _, u := range users {
		l := m.waiting[u]
		if l == nil {
			continue
		}
		list, ok := pacts[u]
		if ok && l.dirty {
			l.taken = false // learned of a change while reading: read again
			continue
		}
		delete(m.waiting, u)
		h := m.users[u]
		switch {
		case ok:
			if h == nil {
				h = &holding{pacts: make(map[pactwire.PactID]pactwire.Seq)}
				m.users[u] = h
			}
			m.know(u, h, list, since[u], read)
			if m.cfg.Remote {
				seen[u] = list
			}
		case h == nil || time.Since(h.readAt) > m.cfg.Stale:
			l.err = &pactwire.Error{Code: pactwire.Unavailable, Message: "your pacts cannot be read now; try again", Cause: err}
			close(l.done)
			continue
		} // else what was read before is valid while the service is down
		if m.hold(u, h, l.refs); h.refs == 0 {
			m.rest(u) // nobody waits any more
		}
		close(l.done)
	}
	return seen
}

// know sets the pacts of a user as they were read. Who is connected keeps what they have: how that changed is told through
// learn. Under m.mu.
func (m *Membership) know(u pactwire.UserID, h *holding, list []pactwire.Pact, since map[pactwire.PactID]pactwire.Seq, read reading) {
	h.readAt = read.at
	now := time.Now()
	has := make(map[pactwire.PactID]struct{}, len(list))
	for i := range list {
		p := &list[i]
		if !p.CanRead(u, now) {
			continue
		}
		has[p.ID] = struct{}{}
		v := m.known[p.ID]
		if v == nil {
			v = &view{pact: p}
			m.known[p.ID] = v
		}
		_, had := h.pacts[p.ID]
		if !had {
			v.refs++
		}
		if !had || h.refs == 0 { // who is away may have left and joined once more
			h.pacts[p.ID] = since[p.ID]
		}
	}
	if h.refs > 0 {
		return
	}
	for p := range h.pacts {
		if _, still := has[p]; !still {
			delete(h.pacts, p)
			m.unref(p)
		}
	}
}

// reading numbers the readings of a remote service in the order in which they began.
type reading struct {
	n  uint64
	at time.Time
}

func (m *Membership) begin() reading { return reading{m.readings.Add(1), time.Now()} }

// record hands pacts that were read of a remote service to the bridge, which compares them with what it knew.
func (m *Membership) record(ctx context.Context, pacts []pactwire.Pact, read reading) {
	m.mu.RLock()
	saw := m.saw
	m.mu.RUnlock()
	if saw == nil || len(pacts) == 0 {
		return
	}
	// A pact that is listed for several people was read several times. If it changed meanwhile, nobody knows which is newer.
	prints := make(map[pactwire.PactID]uint64, len(pacts))
	once := make([]pactwire.Pact, 0, len(pacts))
	var unclear []pactwire.PactID
	for i := range pacts {
		p := &pacts[i]
		switch print, again := prints[p.ID]; {
		case !again:
			prints[p.ID] = printOf(p)
			once = append(once, *p)
		case print != printOf(p):
			unclear = append(unclear, p.ID)
		}
	}
	slices.Sort(unclear)
	unclear = slices.Compact(unclear)
	once = slices.DeleteFunc(once, func(p pactwire.Pact) bool { _, found := slices.BinarySearch(unclear, p.ID); return found })
	err := saw(ctx, once, read)
	for _, id := range unclear {
		again := m.begin()
		p, failed := m.Look(ctx, id)
		if failed == nil {
			failed = saw(ctx, []pactwire.Pact{p}, again)
		}
		err = errors.Join(err, failed)
	}
	if err != nil && ctx.Err() == nil {
		m.log.Warn("record pacts", "count", len(pacts), "error", err)
	}
}

// find reads one pact of a remote service that is not known, and makes it known. Nil is no such pact.
func (m *Membership) find(ctx context.Context, q question) (*pactwire.Pact, error) {
	m.mu.RLock()
	at, absent := m.absent[q]
	m.mu.RUnlock()
	if absent && time.Since(at) < absentFor {
		return nil, nil
	}
	told := m.watch(q.pact)
	read := m.begin()
	pact, err := m.Look(ctx, q.pact)
	if err == nil {
		m.unwatch(q.pact, told)
		m.record(ctx, []pactwire.Pact{pact}, read)
		return &pact, nil
	}
	if e := pactwire.AsError(err); e.Code == pactwire.Unavailable || e.Code == pactwire.Internal {
		m.unwatch(q.pact, told)
		return nil, &pactwire.Error{Code: pactwire.Unavailable, Message: errStale.Message, Cause: err}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.watchedBy(q.pact, told)
	switch v := m.known[q.pact]; {
	case v != nil:
		return v.pact, nil // made while it was asked for
	case *told:
		return nil, nil
	}
	if len(m.absent) >= absentPacts {
		clear(m.absent)
	}
	m.absent[q] = read.at
	return nil, nil
}

// Listed says that the habits-service has just shown these pacts to u. What is news of that is read, so that it takes effect for the
// connections of u at once; who has none is read anew with the next.
func (b *Bridge) Listed(ctx context.Context, u pactwire.UserID, pacts []pactwire.Pact) {
	for _, p := range b.members.unheard(u, pacts) {
		if err := b.Refresh(ctx, p); err != nil {
			b.log.Debug("read a listed pact", "pact", p, "error", err)
		}
	}
}

// unheard are those that u may read, and is not known to.
func (m *Membership) unheard(u pactwire.UserID, pacts []pactwire.Pact) (news []pactwire.PactID) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	h := m.users[u]
	if h == nil {
		return nil
	}
	for i := range pacts {
		if _, known := h.pacts[pacts[i].ID]; !known && pacts[i].CanRead(u, time.Now()) {
			news = append(news, pacts[i].ID)
		}
	}
	return news
}

// Look reads one pact from the habits-service.
func (m *Membership) Look(ctx context.Context, p pactwire.PactID) (pactwire.Pact, error) {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	return m.one(ctx, p)
}
