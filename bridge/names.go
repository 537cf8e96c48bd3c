package bridge

import (
	"maps"
	"slices"

	"github.com/pactwire/pactwire"
)

// What people are called is part of a pact as it is known.

// rename gives a user another name in the pacts that are known, and lists those.
func (m *Membership) rename(u pactwire.UserID, name string, pub Publisher) []pactwire.PactID {
	m.mu.RLock()
	var pacts []pactwire.PactID
	if h := m.users[u]; h != nil {
		pacts = slices.Collect(maps.Keys(h.pacts))
	}
	m.mu.RUnlock()
	told := m.putName(u, name, pacts)
	m.renamed(told, pub)
	return told
}

// heard says how a user is called by what is stored now, perhaps by another node. What this node stored before holds no more then: the
// next token may say it anew.
func (b *Bridge) heard(u pactwire.UserID, name string) {
	if known, ok := b.names.Load(u); ok && known != name && name != "" {
		b.names.Delete(u)
	}
}

// renamed tells the readers of pacts that a member has another name there.
func (m *Membership) renamed(pacts []pactwire.PactID, pub Publisher) {
	for _, p := range pacts {
		if m.get(p) == nil {
			continue
		}
		pub.StateChanged(p)
		m.Readers(p, func(reader pactwire.UserID) bool {
			pub.PactsChanged(reader, nil, nil) // their list of pacts is another
			return true
		})
	}
}

// putName gives a member another name in those of the pacts that are known, and lists where that was news. Who is reading any of
// them may have read the name of before.
func (m *Membership) putName(u pactwire.UserID, name string, pacts []pactwire.PactID) (told []pactwire.PactID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range pacts {
		m.spoil(id)
		v := m.known[id]
		if v == nil {
			continue
		}
		for _, member := range v.pact.Members {
			if l := m.waiting[member.UserID]; l != nil {
				l.dirty = true
			}
		}
		i := slices.IndexFunc(v.pact.Members, func(x pactwire.Member) bool { return x.UserID == u })
		if i < 0 || v.pact.Members[i].UserName == name {
			continue
		}
		p := *v.pact
		p.Members = slices.Clone(p.Members)
		p.Members[i].UserName = name
		v.pact = &p
		told = append(told, id)
	}
	return told
}

// nameOf is a user's name in the pacts that are known, or "".
func (m *Membership) nameOf(u pactwire.UserID) string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	h := m.users[u]
	if h == nil {
		return ""
	}
	for p := range h.pacts {
		if v := m.known[p]; v != nil {
			if member, _ := v.pact.Member(u); member.UserName != "" {
				return member.UserName
			}
		}
	}
	return ""
}
