package bridge

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/pace"
)

// Peers are the other nodes of a shared store, who are told what their views of membership lack. Nothing here blocks.
type Peers interface {
	// PactChanged says that a pact, or its members, are others now; those who have left are among them.
	PactChanged(p pactwire.Pact)
	// Renamed says that a user has another name in these pacts.
	Renamed(u pactwire.UserID, name string, pacts []pactwire.PactID)
}

// Share names the other nodes. It is called once, before anything else; without it there are none.
func (b *Bridge) Share(p Peers) { b.peers = p }

// Relearn reads a pact that another node has changed, and tells pub whose membership that changes. Of a pact that nobody here
// has to do with nothing is kept.
func (b *Bridge) Relearn(ctx context.Context, id pactwire.PactID, pub Publisher) error {
	if b.cfg.Remote {
		return b.Refresh(ctx, id) // tells by itself
	}
	return b.members.relearn(ctx, id, pub)
}

// rereadings bounds how often one call reads a pact that changes meanwhile. Where several nodes do so because of each other,
// they come apart by a pause of up to firstPause, which doubles.
const (
	rereadings = 8
	firstPause = 5 * time.Millisecond
)

// comeApart pauses before a reading that is not the first, and reports whether to go on.
func comeApart(ctx context.Context, n int) bool {
	return n == 0 || pace.Pause(ctx, rand.N(firstPause<<n))
}

func (m *Membership) relearn(ctx context.Context, id pactwire.PactID, pub Publisher) error {
	for range rereadings {
		changed := m.watch(id)
		p, err := m.read1(ctx, id)
		if pactwire.CodeOf(err) == pactwire.NotFound {
			m.unwatch(id)
			return nil // such as one that was being made when it was asked for
		}
		if err != nil {
			m.unwatch(id)
			return err
		}
		changes, ok := m.takeUnless(changed, p)
		if !ok {
			continue // what was read may be what was before
		}
		for _, c := range changes {
			pub.PactsChanged(c.user, c.joined, c.left)
		}
		pub.StateChanged(id)
		return nil
	}
	return errUnclear
}

// read1 reads one pact, with where its members' own stories begin.
func (m *Membership) read1(ctx context.Context, id pactwire.PactID) (pactwire.Pact, error) {
	p, err := m.Look(ctx, id)
	if err != nil {
		return p, err
	}
	users := make([]pactwire.UserID, len(p.Members))
	for i := range p.Members {
		users[i] = p.Members[i].UserID
	}
	since, err := m.since(ctx, users)
	if err != nil {
		return p, err
	}
	for i := range p.Members {
		p.Members[i].JoinedSeq = since[users[i]][id]
	}
	return p, nil
}

// watch notes that a pact is being read; the bool becomes true when it is learned from elsewhere meanwhile. Each pact is
// watched by one at a time.
func (m *Membership) watch(id pactwire.PactID) *bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	changed := new(bool)
	m.watched[id] = changed
	return changed
}

func (m *Membership) unwatch(id pactwire.PactID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.watched, id)
}

// takeUnless takes what was read, unless the pact was learned from elsewhere meanwhile.
func (m *Membership) takeUnless(changed *bool, p pactwire.Pact) (changes []change, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.watched, p.ID)
	if *changed {
		return nil, false
	}
	return m.take(p), true
}

// Members are those who may read a pact now, connected here or not.
func (m *Membership) Members(ctx context.Context, id pactwire.PactID) (list []pactwire.UserID, err error) {
	add := func(u pactwire.UserID) bool { list = append(list, u); return true }
	if m.Readers(id, add); list != nil {
		return list, nil
	}
	p, err := m.Look(ctx, id)
	if err == nil {
		readers(&p, add)
	}
	return list, err
}

// Rename gives a user another name in pacts, as another node has told.
func (m *Membership) Rename(u pactwire.UserID, name string, pacts []pactwire.PactID, pub Publisher) {
	for _, p := range m.renameIn(u, name, pacts) {
		pub.StateChanged(p)
	}
}

// tellPeers tells the other nodes what this commit made of pacts.
func (c *commit) tellPeers() {
	if c.b.peers == nil {
		return
	}
	for _, p := range c.news {
		c.b.peers.PactChanged(p)
	}
}
