package bridge

import (
	"context"

	"github.com/pactwire/pactwire"
)

// Record runs fn in a transaction and writes the changes in pacts' lives that it returns to the log: activities for the
// members, events for those whom it concerns. It returns after the commit, when delivery has been told. This is how the
// embedded habits-service makes its changes known.
func (b *Bridge) Record(ctx context.Context, fn func(Tx) ([]pactwire.Change, error)) error {
	var c *commit
	done := make(chan error, 1)
	err := b.store.Submit(ctx, func(tx Tx) error {
		c = b.begin(tx)
		changes, err := fn(tx)
		if err != nil {
			return err
		}
		return c.changes(changes)
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

func (c *commit) change(ch *pactwire.Change) error {
	pact := ch.Pact
	pact.Members = append([]pactwire.Member(nil), pact.Members...)
	about := pactwire.MembershipData{MemberUserID: ch.Member, MemberUserName: ch.MemberName, Reason: ch.Reason}
	var typ pactwire.ActivityType
	switch ch.Kind {
	case pactwire.ChangeInvited:
		data := pactwire.PactInvitation{Pact: pact, FromUserID: ch.User, FromUserName: ch.UserName}
		if err := c.event(ch.Member, &pactwire.Event{Type: pactwire.EventPactInvitation}, data); err != nil {
			return err
		}
	case pactwire.ChangeJoined:
		typ = pactwire.PartnerJoined
	case pactwire.ChangeStarted:
		typ, about = pactwire.PactStarted, pactwire.MembershipData{}
	case pactwire.ChangeLeft:
		typ = pactwire.MemberLeftPact
		data := pactwire.LeftPact{PactID: pact.ID, Reason: ch.Reason}
		if err := c.event(ch.Member, &pactwire.Event{Type: pactwire.EventLeftPact}, data); err != nil {
			return err
		}
	case pactwire.ChangeCompleted:
		typ, about = pactwire.PactCompletedA, pactwire.MembershipData{Reason: ch.Reason}
	case pactwire.ChangeAbandoned:
		typ, about = pactwire.PactAbandonedA, pactwire.MembershipData{Reason: ch.Reason}
	case pactwire.ChangeExpired:
		typ, about = pactwire.PactExpiredA, pactwire.MembershipData{Reason: ch.Reason}
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
	c.pacts = append(c.pacts, pact)
	c.states = append(c.states, pact.ID)
	return nil
}

// Refresh reads a pact of a remote habits-service again and records how it differs from what was known.
func (b *Bridge) Refresh(ctx context.Context, id pactwire.PactID) error {
	pact, err := b.members.Look(ctx, id)
	if err != nil {
		return err
	}
	return b.Saw(ctx, pact)
}

// Saw compares a pact of a remote habits-service with what was known of it and records the difference: who has come and
// gone, and that it began or ended. Of a pact that is seen for the first time nothing is written.
func (b *Bridge) Saw(ctx context.Context, pact pactwire.Pact) error {
	return b.Record(ctx, func(tx Tx) ([]pactwire.Change, error) {
		before, known, err := tx.SeenPact(pact)
		if err != nil {
			return nil, err
		}
		if !known {
			return []pactwire.Change{{Kind: pactwire.ChangeCreated, Pact: pact}}, nil
		}
		return differences(before, pact), nil
	})
}

// differences tells two states of a pact apart, in the order in which the changes make sense.
func differences(before, after pactwire.Pact) (list []pactwire.Change) {
	add := func(kind pactwire.ChangeKind, m pactwire.Member, reason string) {
		list = append(list, pactwire.Change{Kind: kind, Pact: after, User: m.UserID, UserName: m.UserName,
			Member: m.UserID, MemberName: m.UserName, Reason: reason})
	}
	creator, _ := after.Member(after.CreatorUserID)
	for _, m := range after.Members {
		was, _ := before.Member(m.UserID)
		switch {
		case m.Status == was.Status:
		case m.Status == pactwire.MemberActive:
			add(pactwire.ChangeJoined, m, "")
		case was.Status == pactwire.MemberActive:
			add(pactwire.ChangeLeft, m, string(m.Status))
		}
	}
	for _, was := range before.Members {
		if _, still := after.Member(was.UserID); !still && was.Status == pactwire.MemberActive {
			was.Status = pactwire.MemberLeft
			after.Members = append(after.Members, was)
			add(pactwire.ChangeLeft, was, string(pactwire.MemberLeft))
		}
	}
	if before.Status == after.Status {
		return list
	}
	switch after.Status {
	case pactwire.PactActive:
		add(pactwire.ChangeStarted, creator, "")
	case pactwire.PactCompleted:
		add(pactwire.ChangeCompleted, creator, after.EndReason)
	case pactwire.PactAbandoned:
		add(pactwire.ChangeAbandoned, creator, after.EndReason)
	case pactwire.PactExpired:
		add(pactwire.ChangeExpired, creator, after.EndReason)
	}
	return list
}
