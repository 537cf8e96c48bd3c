package bridge

import (
	"context"
	"time"

	"github.com/pactwire/pactwire"
)

// refresh reads a remote service's pacts again as they age. What cannot be read stays valid until MembershipConfig.Stale.
func (m *Membership) refresh(ctx context.Context) {
	tick := time.NewTicker(m.cfg.TTL / 4)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for batch := m.aged(); len(batch) > 0; {
			n := min(len(batch), loadBatch)
			read := m.begin()
			pacts, _, err := m.fetch(ctx, batch[:n])
			if err != nil {
				m.log.Debug("refresh pacts", "error", err)
			}
			m.record(ctx, m.renew(ctx, pacts, read), read)
			if err != nil && len(pacts) == 0 {
				break // it is down
			}
			batch = batch[n:]
		}
	}
}

// aged lists the held users who were read some time ago, and drops the idle ones that are past use.
func (m *Membership) aged() (old []pactwire.UserID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for u, h := range m.users {
		switch age := time.Since(h.readAt); {
		case h.refs > 0 && age > m.cfg.TTL/2:
			old = append(old, u)
		case h.refs == 0 && age > m.cfg.Stale:
			m.drop(u)
		}
	}
	return old
}

// renew notes that users were read again, and lists the pacts to record: those of the users, and those that they had and
// that are not among theirs any more, each read on its own.
func (m *Membership) renew(ctx context.Context, pacts map[pactwire.UserID][]pactwire.Pact, read reading) []pactwire.Pact {
	listed := make(map[pactwire.PactID]struct{})
	var all []pactwire.Pact
	for _, list := range pacts {
		for _, p := range list {
			listed[p.ID] = struct{}{}
		}
		all = append(all, list...)
	}
	gone := make(map[pactwire.PactID][]pactwire.UserID)
	m.mu.Lock()
	for u := range pacts {
		if h := m.users[u]; h != nil {
			h.readAt = read.at
			for p := range h.pacts {
				if _, ok := listed[p]; !ok {
					gone[p] = append(gone[p], u)
				}
			}
		}
	}
	m.mu.Unlock()
	for id, users := range gone {
		p, err := m.Look(ctx, id)
		if pactwire.CodeOf(err) == pactwire.NotFound || pactwire.CodeOf(err) == pactwire.Denied {
			p, err = m.without(id, users), nil
		}
		if err == nil && p.ID != "" {
			all = append(all, p)
		}
	}
	return all
}

// without is a pact as it is known, less members whom the service does not count any more.
func (m *Membership) without(id pactwire.PactID, users []pactwire.UserID) pactwire.Pact {
	known := m.get(id)
	if known == nil {
		return pactwire.Pact{}
	}
	p := *known
	p.Members = append([]pactwire.Member(nil), p.Members...)
	for i := range p.Members {
		for _, u := range users {
			if p.Members[i].UserID == u {
				p.Members[i].Status = pactwire.MemberLeft
			}
		}
	}
	return p
}
