package bridge

import (
	"context"
	"math/rand/v2"
	"slices"
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

// Share names the other nodes, and who tells this node's connections alone. It is called once, before anything else; without
// it there are no others.
func (b *Bridge) Share(p Peers, local Publisher) { b.peers, b.local = p, local }

// here tells this node's connections alone.
func (b *Bridge) here() Publisher {
	if b.local == nil {
		return b.pub
	}
	return b.local
}

// Relearn reads a pact that another node has changed, and tells this node's connections whose membership that changes. Of a
// pact that nobody here has to do with nothing is kept.
func (b *Bridge) Relearn(ctx context.Context, id pactwire.PactID) error {
	if b.cfg.Remote {
		return b.recorded(ctx, id)
	}
	return b.relearn(ctx, id, b.local)
}

// recorded takes what is recorded of a pact of a remote habits-service for what it is: another node has read it, and the service may be
// out of reach of this one.
func (b *Bridge) recorded(ctx context.Context, id pactwire.PactID) error {
	return b.commit(ctx, func(c *commit) error {
		seen, err := c.tx.SeenPact(pactwire.Pact{ID: id}, noRevision)
		if err != nil || seen.Was == 0 || b.notices.same(&seen.Before) {
			return err
		}
		c.undo = append(c.undo, b.notices.note(&seen.Before, seen.Was, b.members.begin()))
		c.changed(seen.Before)
		return nil
	})
}

func (b *Bridge) relearn(ctx context.Context, id pactwire.PactID, pub Publisher) error {
	if b.cfg.Remote {
		return b.Refresh(ctx, id) // tells by itself, of what is new
	}
	p, err := b.members.relearn(ctx, id, pub)
	for i := range p.Members {
		b.heard(p.Members[i].UserID, p.Members[i].UserName)
	}
	return err
}

// unstated is a publisher of changes that may be none: a state that is another is told when the news of it comes. Else whoever asks
// for a pact of others could have its members told of it.
type unstated struct{ Publisher }

func (unstated) StateChanged(pactwire.PactID) {}

// How many pacts that a person may not read they may have looked up: so many in a row, then so many a second. Each costs a read of the
// store, or of the habits-service.
const (
	asksInARow  = 64
	asksASecond = 4
)

// Learn reads pacts again that u wants something of and of which this node may have an old view, and tells its connections of what
// is new before it returns: a person who has just joined through one node may be faster at another than the news. Where nobody else
// changes pacts it does nothing, nor for who asks all the time: they are answered by what this node has heard. It fails with
// Unavailable when one cannot be read.
func (b *Bridge) Learn(ctx context.Context, u pactwire.UserID, pacts []pactwire.PactID) (failed error) {
	if !b.cfg.Shared && !b.cfg.Remote {
		return nil
	}
	for _, p := range pacts {
		if _, ok := b.asks.Take(u, 0); !ok {
			return failed
		}
		switch err := b.relearn(ctx, p, unstated{b.local}); pactwire.CodeOf(err) {
		case "", pactwire.NotFound, pactwire.Denied:
		default:
			failed = &pactwire.Error{Code: pactwire.Unavailable, Message: errStale.Message, Cause: err}
		}
	}
	return failed
}

// mayCommand is nil when u, who is held by Ensure, may command p now; else as Membership.CanCommand. Nobody is refused by an
// old view.
func (b *Bridge) mayCommand(ctx context.Context, u pactwire.UserID, p pactwire.PactID) error {
	err := b.members.CanCommand(ctx, u, p)
	if pactwire.CodeOf(err) != pactwire.Denied || b.cfg.Remote && b.members.get(p) == nil { // that was read just now
		return err
	}
	if err := b.Learn(ctx, u, []pactwire.PactID{p}); err != nil {
		return err
	}
	return b.members.CanCommand(ctx, u, p)
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

// relearn reads a pact, and returns it as it is known then; nothing where there is none.
func (m *Membership) relearn(ctx context.Context, id pactwire.PactID, pub Publisher) (pactwire.Pact, error) {
	for n := range rereadings {
		if !comeApart(ctx, n) {
			break
		}
		changed := m.watch(id)
		p, err := m.read1(ctx, id)
		if pactwire.CodeOf(err) == pactwire.NotFound {
			m.unwatch(id, changed)
			return pactwire.Pact{}, nil // such as one that was being made when it was asked for
		}
		if err != nil {
			m.unwatch(id, changed)
			return pactwire.Pact{}, err
		}
		changes, ok := m.takeUnless(changed, p)
		if !ok {
			continue // what was read may be what was before
		}
		for _, c := range changes {
			pub.PactsChanged(c.user, c.joined, c.left)
		}
		pub.StateChanged(id)
		return p, nil
	}
	return pactwire.Pact{}, errUnclear
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

// watch notes that a pact is being read; the bool becomes true when it is learned from elsewhere meanwhile.
func (m *Membership) watch(id pactwire.PactID) *bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	changed := new(bool)
	m.watched[id] = append(m.watched[id], changed)
	return changed
}

func (m *Membership) unwatch(id pactwire.PactID, changed *bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.watchedBy(id, changed)
}

// spoil has everybody who is reading a pact read it again. Under m.mu.
func (m *Membership) spoil(id pactwire.PactID) {
	for _, changed := range m.watched[id] {
		*changed = true
	}
}

// alike reports whether two states of a pact are one, but for how far its log has come.
func alike(a, b *pactwire.Pact) bool {
	x, y := *a, *b
	x.HeadSeq, y.HeadSeq = 0, 0
	return printOf(&x) == printOf(&y)
}

// watchedBy ends a watch. Under m.mu.
func (m *Membership) watchedBy(id pactwire.PactID, changed *bool) {
	rest := slices.DeleteFunc(m.watched[id], func(x *bool) bool { return x == changed })
	if m.watched[id] = rest; len(rest) == 0 {
		delete(m.watched, id)
	}
}

// takeUnless takes what was read, unless the pact was learned from elsewhere meanwhile.
func (m *Membership) takeUnless(changed *bool, p pactwire.Pact) (changes []change, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.watchedBy(p.ID, changed)
	if *changed {
		return nil, false
	}
	var before *pactwire.Pact
	if v := m.known[p.ID]; v != nil {
		before = v.pact
	}
	changes = m.take(p)
	if m.known[p.ID] != nil && (before == nil || !alike(before, &p)) {
		m.spoil(p.ID) // who read at the same time may have read what was before
	}
	return changes, true
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

// Rename gives a user another name in pacts, as another node has told, and tells this node's connections of it.
func (b *Bridge) Rename(u pactwire.UserID, name string, pacts []pactwire.PactID) {
	b.heard(u, name)
	b.members.Rename(u, name, pacts, b.local)
}

// Rename gives a user another name in pacts, and tells their readers: also where it was read before the news came, since that
// tells nobody.
func (m *Membership) Rename(u pactwire.UserID, name string, pacts []pactwire.PactID, pub Publisher) {
	m.putName(u, name, pacts)
	m.renamed(pacts, pub)
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
