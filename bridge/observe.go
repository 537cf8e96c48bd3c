package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"hash/maphash"
	"math"
	"slices"
	"sync"

	"github.com/pactwire/pactwire"
)

// A remote habits-service does not tell what happens to pacts, or tells it only by a webhook. What is read of it, whenever
// it is read, is compared with what was read before, and the difference is recorded as if it had been reported.

// noticesHeld bounds the pacts whose last reading is remembered; then those are forgotten that were not asked for of late. Of those
// the store tells, when they are read again, what was recorded.
const noticesHeld = 100_000

// notices remembers of each pact what was recorded last: so that a reading that says the same costs no transaction, and one
// that may be older is not taken for the newest.
//
// Of two readings that overlap nobody knows which is newer. So a reading may follow only what was known to be recorded when it
// began: here, by the number of readings that had begun then; by another node, by the revision of what is stored.
type notices struct {
	mu      sync.Mutex
	last    map[pactwire.PactID]notice
	older   map[pactwire.PactID]notice // what last was, until it was half of what is held
	running map[pactwire.PactID]notice // of the transaction under way
}

type notice struct {
	print    uint64 // of the state, 0 when this node's view may not have it
	revision uint64 // of what is stored
	since    reading
}

// noRevision is that of no state.
const noRevision = math.MaxUint64

var printSeed = maphash.MakeSeed()

// printOf tells two states of a pact apart.
func printOf(p *pactwire.Pact) uint64 {
	body, err := json.Marshal(p)
	if err != nil {
		return 0 // cannot be: a pact always encodes
	}
	return maphash.Bytes(printSeed, body)
}

// same reports whether what was recorded last says the same.
func (n *notices) same(p *pactwire.Pact) bool {
	print := printOf(p)
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, changing := n.running[p.ID]; changing {
		return false // how that ends is not known
	}
	last, ok := n.known(p.ID)
	return ok && last.print == print
}

// follows is the revision that a reading may follow.
func (n *notices) follows(p pactwire.PactID, read reading) uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	known, running := n.running[p]
	if !running {
		known, _ = n.known(p)
	}
	if read.n <= known.since.n {
		return noRevision
	}
	return known.revision
}

// note takes a state for what is recorded, if the transaction under way is committed. now is a reading that would begin now.
// The function that it returns takes that back.
func (n *notices) note(p *pactwire.Pact, revision uint64, now reading) (undo func()) {
	print := printOf(p)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.running == nil {
		n.running = make(map[pactwire.PactID]notice)
	}
	id := p.ID
	was, noted := n.running[id]
	n.running[id] = notice{print, revision, now}
	return func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		if noted {
			n.running[id] = was
		} else {
			delete(n.running, id)
		}
	}
}

// missed notes that there is a revision which this node did not know.
func (n *notices) missed(p pactwire.PactID, revision uint64, now reading) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.running, p)
	n.put(p, notice{revision: revision, since: now})
}

// keep makes what a committed transaction noted of a pact the last reading.
func (n *notices) keep(p pactwire.PactID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now, ok := n.running[p]
	if !ok {
		return
	}
	delete(n.running, p)
	n.put(p, now)
}

// put makes a notice the last one. Under n.mu.
func (n *notices) put(p pactwire.PactID, now notice) {
	if n.last == nil || len(n.last) >= noticesHeld/2 {
		n.older, n.last = n.last, make(map[pactwire.PactID]notice)
	}
	n.last[p] = now
}

// known is what was recorded last of a pact, as far as it is remembered. Under n.mu.
func (n *notices) known(p pactwire.PactID) (notice, bool) {
	if x, ok := n.last[p]; ok {
		return x, true
	}
	x, ok := n.older[p]
	if ok {
		n.put(p, x)
	}
	return x, ok
}

// clear forgets what a transaction noted that was undone.
func (n *notices) clear() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.running)
}

// Refresh reads a pact of a remote habits-service again and records how it differs from what was known.
func (b *Bridge) Refresh(ctx context.Context, id pactwire.PactID) error {
	read := b.members.begin()
	pact, err := b.members.Look(ctx, id)
	if err != nil {
		return err
	}
	return b.sawAll(ctx, []pactwire.Pact{pact}, read)
}

// Saw records how a pact that a remote habits-service has just answered with differs from what was known. The pact is read
// again, since the answer may be older than what was read meanwhile; if that cannot be, the answer is taken.
func (b *Bridge) Saw(ctx context.Context, pact pactwire.Pact) error {
	read := b.members.begin()
	if b.Refresh(ctx, pact.ID) == nil {
		return nil
	}
	return b.sawAll(ctx, []pactwire.Pact{pact}, read)
}

// sawAll compares pacts of a remote habits-service with what was known of them and records the differences: who has come and
// gone, and that one began or ended. Of a pact that is seen for the first time nothing is written but the invitations that
// stand. Where something was recorded since the reading began, nobody knows which is newer: that pact is read again.
func (b *Bridge) sawAll(ctx context.Context, pacts []pactwire.Pact, read reading) (failed error) {
	var unclear []pactwire.PactID
	for n := range rereadings {
		if n > 0 {
			if !comeApart(ctx, n) {
				break
			}
			pacts, read = nil, b.members.begin()
			for _, id := range unclear {
				p, err := b.members.Look(ctx, id)
				if err != nil {
					failed = errors.Join(failed, err)
					continue
				}
				pacts = append(pacts, p)
			}
		}
		var news []pactwire.Pact
		for i := range pacts {
			if !b.notices.same(&pacts[i]) {
				news = append(news, pacts[i])
			}
		}
		if len(news) == 0 {
			return failed
		}
		err := b.commit(ctx, func(c *commit) error {
			for i := range news {
				if err := c.saw(news[i], read); err != nil {
					return err
				}
			}
			unclear = c.unclear
			return nil
		})
		if err != nil {
			return err
		}
		if len(unclear) == 0 {
			return failed
		}
	}
	return errors.Join(failed, errUnclear)
}

var errUnclear = pactwire.Errorf(pactwire.Unavailable, "the pact changes all the time; try again")

func (c *commit) saw(pact pactwire.Pact, read reading) error {
	from := c.b.notices.follows(pact.ID, read)
	seen, err := c.tx.SeenPact(pact, from)
	if err != nil {
		return err
	}
	before, now := seen.Before, c.b.members.begin()
	if seen.Was != from && printOf(&before) != printOf(&pact) {
		c.b.notices.missed(pact.ID, seen.Was, now)
		c.unclear = append(c.unclear, pact.ID)
		return nil
	}
	c.undo = append(c.undo, c.b.notices.note(&pact, seen.Now, now))
	if seen.Was == 0 {
		before = pactwire.Pact{Status: pact.Status}
		for _, m := range pact.Members {
			if m.Status != pactwire.MemberPending || pact.Status != pactwire.PactPending {
				before.Members = append(before.Members, m)
			}
		}
	}
	pact.Members = slices.Clone(pact.Members)
	for i := range pact.Members { // another node may have written who joined, so that nothing is left to write here
		was, _ := before.Member(pact.Members[i].UserID)
		pact.Members[i].JoinedSeq = was.JoinedSeq
	}
	list := differences(before, pact)
	if len(list) == 0 {
		c.changed(pact) // the view may not have it yet
		return nil
	}
	return c.changes(list)
}

// differences tells two states of a pact apart, in the order in which the changes make sense.
func differences(before, after pactwire.Pact) (list []pactwire.Change) {
	for _, was := range before.Members { // a service may leave out who has left
		if _, still := after.Member(was.UserID); !still && was.Status == pactwire.MemberActive {
			was.Status = pactwire.MemberLeft
			after.Members = append(after.Members[:len(after.Members):len(after.Members)], was)
		}
	}
	creator, ok := after.Member(after.CreatorUserID)
	if !ok {
		creator = pactwire.Member{UserID: after.CreatorUserID}
	}
	add := func(kind pactwire.ChangeKind, by, about pactwire.Member, reason string) {
		list = append(list, pactwire.Change{Kind: kind, Pact: after, User: by.UserID, UserName: by.UserName,
			Member: about.UserID, MemberName: about.UserName, Reason: reason})
	}
	starter := creator
	for _, m := range after.Members {
		was, _ := before.Member(m.UserID)
		switch {
		case m.Status == was.Status:
		case m.Status == pactwire.MemberPending:
			add(pactwire.ChangeInvited, creator, m, "")
		case m.Status == pactwire.MemberActive && m.UserID == after.CreatorUserID && was.Status == "":
		case m.Status == pactwire.MemberActive:
			add(pactwire.ChangeJoined, m, m, "")
			if starter.UserID == creator.UserID {
				starter = m
			}
			if before.Status == pactwire.PactPending && after.Status == pactwire.PactActive {
				before.Status = after.Status
				add(pactwire.ChangeStarted, starter, starter, "")
			}
		case was.Status == pactwire.MemberActive && m.Status == pactwire.MemberRemoved:
			add(pactwire.ChangeLeft, creator, m, string(m.Status))
		case was.Status == pactwire.MemberActive:
			add(pactwire.ChangeLeft, m, m, string(m.Status))
		case m.Status == pactwire.MemberDeclined:
			add(pactwire.ChangeDeclined, m, m, "")
		}
	}
	if before.Status == after.Status || before.Status == "" {
		return list
	}
	switch after.Status {
	case pactwire.PactActive:
		add(pactwire.ChangeStarted, starter, starter, "")
	case pactwire.PactCompleted:
		add(pactwire.ChangeCompleted, creator, creator, after.EndReason)
	case pactwire.PactAbandoned:
		add(pactwire.ChangeAbandoned, creator, creator, after.EndReason)
	case pactwire.PactExpired:
		add(pactwire.ChangeExpired, creator, creator, after.EndReason)
	}
	return list
}
