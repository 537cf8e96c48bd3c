package bridge

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/pactwire/pactwire"
)

// CanRead reports whether u may read p now.
func (m *Membership) CanRead(u pactwire.UserID, p pactwire.PactID) bool {
	pact := m.get(p)
	return pact != nil && pact.CanRead(u, time.Now())
}

// Stale reports whether what is known of u, who is held by Ensure, is too old for anything new: no command, and no subscription.
// What was subscribed before goes on.
func (m *Membership) Stale(u pactwire.UserID) bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.stale(u)
}

// stale is Stale under m.mu.
func (m *Membership) stale(u pactwire.UserID) bool {
	h := m.users[u]
	return m.cfg.Remote && h != nil && time.Since(h.readAt) > m.cfg.Stale
}

// CanCommand is nil when u, who is held by Ensure, may command p now; else Denied, Conflict for a pact that has ended, or
// Unavailable. Of a remote service a pact that is not known is read.
func (m *Membership) CanCommand(ctx context.Context, u pactwire.UserID, p pactwire.PactID) error {
	m.mu.RLock()
	var pact *pactwire.Pact
	if v := m.known[p]; v != nil {
		pact = v.pact
	}
	stale := m.stale(u)
	m.mu.RUnlock()
	if stale {
		return errStale
	}
	if pact == nil && m.cfg.Remote {
		fetched, err := m.find(ctx, question{u, p})
		if err != nil {
			return err
		}
		pact = fetched
	}
	if e := mayCommand(pact, u, time.Now()); e != nil {
		return e
	}
	return nil
}

var errStale = pactwire.Errorf(pactwire.Unavailable, "the habits-service cannot say which pacts are yours; try again")

// mayCommand is nil when u may command the pact. A pact that is not there and one that is not yours look the same.
func mayCommand(pact *pactwire.Pact, u pactwire.UserID, now time.Time) *pactwire.Error {
	switch {
	case pact == nil || !pact.CanRead(u, now):
		return pactwire.Errorf(pactwire.Denied, "there is no such pact, or you are not an active member of it")
	case pact.Status.Ended():
		return pactwire.Errorf(pactwire.Conflict, "this pact has ended; it can still be read, not changed")
	}
	return nil
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
		if v := m.known[p]; v != nil && v.pact.CanRead(u, now) {
			list = append(list, pactwire.Membership{Pact: p, JoinedAt: seq})
		}
	}
	slices.SortFunc(list, func(a, b pactwire.Membership) int { return cmp.Compare(a.Pact, b.Pact) })
	return list
}

// Readers calls f for each user that may read p now, until f returns false.
func (m *Membership) Readers(p pactwire.PactID, f func(pactwire.UserID) bool) {
	if pact := m.get(p); pact != nil {
		readers(pact, f)
	}
}

func readers(pact *pactwire.Pact, f func(pactwire.UserID) bool) {
	now := time.Now()
	for i := range pact.Members {
		if u := pact.Members[i].UserID; pact.CanRead(u, now) && !f(u) {
			return
		}
	}
}

// sharing lists the active pacts of u about a goal.
func (m *Membership) sharing(u pactwire.UserID, g pactwire.GoalID) (list []pactwire.PactID) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	h := m.users[u]
	if h == nil {
		return nil
	}
	for p := range h.pacts {
		if v := m.known[p]; v != nil && takesCheckin(v.pact, u, g) {
			list = append(list, p)
		}
	}
	return list
}

// takesCheckin reports whether a check-in of u for a goal is an activity of the pact.
func takesCheckin(p *pactwire.Pact, u pactwire.UserID, g pactwire.GoalID) bool {
	if p.Status != pactwire.PactActive || p.HabitGoalID != g {
		return false
	}
	member, ok := p.Member(u)
	return ok && member.Status == pactwire.MemberActive
}
