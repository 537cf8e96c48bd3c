package bridge

import (
	"context"
	"slices"

	"github.com/pactwire/pactwire"
)

// Record runs fn in a transaction and writes the changes in pacts' lives that it returns to the log: activities for the
// members, events for those whom it concerns. It returns after the commit, when delivery has been told. This is how the
// embedded habits-service makes its changes known.
func (b *Bridge) Record(ctx context.Context, fn func(Tx) ([]pactwire.Change, error)) error {
	return b.commit(ctx, func(c *commit) error {
		changes, err := fn(c.tx)
		if err != nil {
			return err
		}
		return c.changes(changes)
	})
}

// commit runs fn in a transaction and returns after the commit, when delivery has been told.
func (b *Bridge) commit(ctx context.Context, fn func(*commit) error) error {
	var c *commit
	done := make(chan error, 1)
	err := b.store.Submit(ctx, func(tx Tx) error {
		c = b.begin(tx)
		stands := false
		defer func() {
			if !stands { // also when it panics
				c.unwind()
			}
		}()
		err := fn(c)
		stands = err == nil
		return err
	}, func(err error) {
		if err == nil {
			c.publish()
		}
		done <- err
	})
	if err != nil {
		return err
	}
	return <-done
}

// changes writes what happened to pacts.
func (c *commit) changes(changes []pactwire.Change) error {
	for i := range changes {
		if err := c.change(&changes[i]); err != nil {
			return err
		}
	}
	return nil
}

// changed notes a pact as it is now, for later functions of this transaction and, after the commit, for the view.
func (c *commit) changed(p pactwire.Pact) {
	if !c.b.cfg.Shared {
		was := c.b.changing[p.ID]
		c.b.changing[p.ID] = &p
		c.undo = append(c.undo, func() {
			if was == nil {
				delete(c.b.changing, p.ID)
			} else {
				c.b.changing[p.ID] = was
			}
		})
	}
	c.pacts = append(c.pacts, p)
}

// unwind makes memory what it was before a run that failed, the rest of whose transaction may stand.
func (c *commit) unwind() {
	for _, f := range slices.Backward(c.undo) {
		f()
	}
	c.undo = nil
}

func (c *commit) change(ch *pactwire.Change) error {
	ch.UserName = c.b.Called(ch.User, ch.UserName) // a service may give no names
	if ch.Member != "" {
		ch.MemberName = c.b.Called(ch.Member, ch.MemberName)
	}
	if ch.Kind == pactwire.ChangeStreakBroken {
		return c.broken(ch)
	}
	pact := ch.Pact
	pact.Members = append([]pactwire.Member(nil), pact.Members...)
	c.about("", ch.User)
	about := pactwire.MembershipData{MemberUserID: ch.Member, MemberUserName: ch.MemberName, Reason: ch.Reason}
	if ch.Member == "" { // of the pact's beginning and end: who brought it about
		about.MemberUserID, about.MemberUserName = ch.User, ch.UserName
	}
	var typ pactwire.ActivityType
	switch ch.Kind {
	case pactwire.ChangeInvited:
		if err := c.invited(ch); err != nil {
			return err
		}
	case pactwire.ChangeJoined:
		typ = pactwire.PartnerJoined
	case pactwire.ChangeStarted:
		typ = pactwire.PactStarted
	case pactwire.ChangeLeft:
		typ = pactwire.MemberLeftPact
		data := pactwire.LeftPact{PactID: pact.ID, Reason: ch.Reason}
		if err := c.event(ch.Member, &pactwire.Event{Type: pactwire.EventLeftPact}, data); err != nil {
			return err
		}
	case pactwire.ChangeCompleted:
		typ = pactwire.PactCompletedA
	case pactwire.ChangeAbandoned:
		typ = pactwire.PactAbandonedA
	case pactwire.ChangeExpired:
		typ = pactwire.PactExpiredA
	}
	if typ != "" {
		a := pactwire.Activity{PactID: pact.ID, Type: typ, UserID: ch.User, UserName: ch.UserName}
		if err := c.activity(&a, about); err != nil {
			return err
		}
		if ch.Kind == pactwire.ChangeJoined {
			if err := c.tx.Joined(pact.ID, ch.Member, a.Seq); err != nil {
				return err
			}
			for i := range pact.Members {
				if pact.Members[i].UserID == ch.Member {
					pact.Members[i].JoinedSeq = a.Seq
				}
			}
		}
	}
	c.changed(pact)
	c.news = append(c.news, pact)
	c.stateChanged(pact.ID)
	switch ch.Kind {
	case pactwire.ChangeDeclined, pactwire.ChangeJoined:
		if err := c.answered(ch.Member, invitationTo(pact.ID)); err != nil {
			return err
		}
	}
	switch ch.Kind {
	case pactwire.ChangeLeft, pactwire.ChangeDeclined, pactwire.ChangeJoined:
		// Who joined had an invitation to be pushed about, if anything.
		return c.pushOver(ch.Member, pact.ID)
	case pactwire.ChangeCompleted, pactwire.ChangeAbandoned, pactwire.ChangeExpired:
		for _, m := range pact.Members {
			if m.Status == pactwire.MemberActive {
				continue // what they did together may still be told
			}
			if err := c.pushOver(m.UserID, pact.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

// broken says in each pact that shares a habit that a member's streak is over.
func (c *commit) broken(ch *pactwire.Change) error {
	c.about("", ch.User)
	for _, p := range ch.Pacts {
		a := pactwire.Activity{PactID: p, Type: pactwire.StreakBroken, UserID: ch.User, UserName: ch.UserName}
		if err := c.activity(&a, ch.Broken); err != nil {
			return err
		}
	}
	return nil
}
