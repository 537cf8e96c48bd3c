package habits

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/pactwire/pactwire"
)

// step is a change that a transaction makes; who caused it and the pact are added at the end. One without a kind is
// written and told to nobody.
type step struct {
	kind   pactwire.ChangeKind
	member pactwire.UserID
	reason string
}

// Act takes a step in a pact's life for id's bearer. Taking the same step again changes nothing and answers the same.
func (s *Service) Act(ctx context.Context, id pactwire.Identity, pact pactwire.PactID, a pactwire.PactAction) (pactwire.Pact, error) {
	act, ok := actions[a]
	if !ok {
		return pactwire.Pact{}, unknownAction()
	}
	return s.change(ctx, id, pact, func(_ Tx, p *pactwire.Pact, me pactwire.Member) ([]step, error) {
		return act(p, me, s.now())
	})
}

func unknownAction() error {
	return pactwire.FieldErrorf("action", "a pact can be accepted, declined, left, abandoned or completed")
}

var actions = map[pactwire.PactAction]func(*pactwire.Pact, pactwire.Member, time.Time) ([]step, error){
	pactwire.ActAccept:   accept,
	pactwire.ActDecline:  decline,
	pactwire.ActLeave:    leave,
	pactwire.ActAbandon:  abandon,
	pactwire.ActComplete: complete,
}

func accept(p *pactwire.Pact, me pactwire.Member, now time.Time) ([]step, error) {
	switch {
	case me.Status == pactwire.MemberActive:
		return nil, nil
	case me.Status != pactwire.MemberPending:
		return nil, noSuchPact()
	case p.Status.Ended():
		return nil, over(p)
	}
	return join(p, me.UserID, now), nil
}

func decline(p *pactwire.Pact, me pactwire.Member, _ time.Time) ([]step, error) {
	switch me.Status {
	case pactwire.MemberDeclined:
		return nil, nil
	case pactwire.MemberActive:
		return nil, pactwire.Errorf(pactwire.Conflict, "you are a member of this pact already; leave it instead")
	case pactwire.MemberPending:
		setMember(p, pactwire.Member{UserID: me.UserID, Status: pactwire.MemberDeclined})
		return []step{{kind: pactwire.ChangeDeclined, member: me.UserID}}, nil
	}
	return nil, noSuchPact()
}

func leave(p *pactwire.Pact, me pactwire.Member, now time.Time) ([]step, error) {
	switch {
	case me.Status == pactwire.MemberLeft:
		return nil, nil
	case me.Status == pactwire.MemberPending || me.Status == pactwire.MemberDeclined:
		return decline(p, me, now)
	case me.Status != pactwire.MemberActive:
		return nil, noSuchPact()
	case p.Status.Ended():
		return nil, over(p)
	}
	return depart(p, me, pactwire.MemberLeft, reasonLeft, abandonedBy(me), now), nil
}

// depart ends a membership, and the pact when fewer than two remain in it, or nobody in one that never began.
func depart(p *pactwire.Pact, m pactwire.Member, to pactwire.MemberStatus, reason, endReason string, now time.Time) []step {
	setMember(p, pactwire.Member{UserID: m.UserID, Status: to})
	steps := []step{{kind: pactwire.ChangeLeft, member: m.UserID, reason: reason}}
	least := pactwire.MinMembers
	if p.Status == pactwire.PactPending {
		least = 1
	}
	if p.Active() < least {
		steps = append(steps, end(p, pactwire.PactAbandoned, pactwire.ChangeAbandoned, endReason, now))
	}
	return steps
}

func abandonedBy(m pactwire.Member) string {
	if m.Role == pactwire.RoleCreator {
		return reasonAbandonedCreator
	}
	return reasonAbandonedPartner
}

func end(p *pactwire.Pact, to pactwire.PactStatus, kind pactwire.ChangeKind, reason string, now time.Time) step {
	at := pactwire.Time(now)
	p.Status, p.EndReason, p.EndedAt = to, reason, &at
	return step{kind: kind, reason: reason}
}

func abandon(p *pactwire.Pact, me pactwire.Member, now time.Time) ([]step, error) {
	switch {
	case me.Status != pactwire.MemberActive:
		return nil, noSuchPact()
	case p.Status == pactwire.PactAbandoned:
		return nil, nil
	case p.Status.Ended():
		return nil, over(p)
	}
	return []step{end(p, pactwire.PactAbandoned, pactwire.ChangeAbandoned, abandonedBy(me), now)}, nil
}

func complete(p *pactwire.Pact, me pactwire.Member, now time.Time) ([]step, error) {
	switch {
	case me.Status != pactwire.MemberActive:
		return nil, noSuchPact()
	case p.Status == pactwire.PactCompleted:
		return nil, nil
	case p.Status.Ended():
		return nil, over(p)
	case p.Status == pactwire.PactPending:
		return nil, pactwire.Errorf(pactwire.Conflict, "this pact has not begun: nobody has accepted yet")
	}
	return []step{end(p, pactwire.PactCompleted, pactwire.ChangeCompleted, reasonCompleted, now)}, nil
}

// Remove takes a member or an invitation out of a pact. Only its creator can.
func (s *Service) Remove(ctx context.Context, id pactwire.Identity, pact pactwire.PactID, user pactwire.UserID) (pactwire.Pact, error) {
	if !pactwire.ValidID(user) {
		return pactwire.Pact{}, pactwire.FieldErrorf("userId", "name the member to remove")
	}
	return s.change(ctx, id, pact, func(_ Tx, p *pactwire.Pact, me pactwire.Member) ([]step, error) {
		if me.Status != pactwire.MemberActive {
			return nil, noSuchPact()
		}
		if me.Role != pactwire.RoleCreator {
			return nil, pactwire.Errorf(pactwire.Denied, "only the creator of a pact can remove members")
		}
		if user == id.UserID {
			return nil, pactwire.FieldErrorf("userId", "one cannot remove oneself; leave the pact instead")
		}
		m, ok := p.Member(user)
		if !ok {
			return nil, &pactwire.Error{Code: pactwire.NotFound, Field: "userId", Message: "no such member"}
		}
		if m.Status == pactwire.MemberRemoved {
			return nil, nil
		}
		if p.Status.Ended() {
			return nil, over(p)
		}
		switch m.Status {
		case pactwire.MemberActive:
			return depart(p, m, pactwire.MemberRemoved, reasonRemoved, reasonAbandonedCreator, s.now()), nil
		case pactwire.MemberPending: // never was a member: nobody left
			setMember(p, pactwire.Member{UserID: user, Status: pactwire.MemberRemoved})
			return []step{{kind: pactwire.ChangeDeclined, member: user, reason: reasonRemoved}}, nil
		}
		setMember(p, pactwire.Member{UserID: user, Status: pactwire.MemberRemoved}) // a code must not let them in again
		return []step{{}}, nil
	})
}

// change runs fn on a pact that the person has a row in. What fn changes in p is written when it returns steps or a
// different p; who has no row gets the same answer as for a pact that is not there.
func (s *Service) change(ctx context.Context, id pactwire.Identity, pact pactwire.PactID,
	fn func(Tx, *pactwire.Pact, pactwire.Member) ([]step, error),
) (pactwire.Pact, error) {
	return s.write(ctx, id, func(tx Tx) (pactwire.Pact, []step, error) {
		p, me, err := pactOf(tx, id.UserID, pact)
		if err != nil {
			return p, nil, err
		}
		steps, err := fn(tx, &p, me)
		return p, steps, err
	})
}

// pactOf reads a pact that the person has a row in. Its members may be changed.
func pactOf(tx Tx, u pactwire.UserID, pact pactwire.PactID) (pactwire.Pact, pactwire.Member, error) {
	p, ok, err := tx.Pact(pact)
	if err != nil {
		return p, pactwire.Member{}, fmt.Errorf("read pact %s: %w", pact, err)
	}
	me, in := p.Member(u)
	if !ok || !in {
		return pactwire.Pact{}, me, noSuchPact()
	}
	p.Members = slices.Clone(p.Members)
	return p, me, nil
}

// write runs fn in a transaction, writes the pact that it returns when there are steps, and returns the pact as the person
// may see it.
func (s *Service) write(ctx context.Context, id pactwire.Identity, fn func(Tx) (pactwire.Pact, []step, error)) (pactwire.Pact, error) {
	var out pactwire.Pact
	err := s.exec.Do(ctx, func(tx Tx) ([]pactwire.Change, error) {
		p, steps, err := fn(tx) // a refusal comes before the first write: so it is the cheapest for the store
		if err != nil {
			return nil, err
		}
		if len(steps) == 0 {
			out = p
			return nil, nil
		}
		if err := ensureUser(tx, id.UserID, id.UserName); err != nil {
			return nil, err
		}
		if p, err = s.put(tx, p, steps, s.now()); err != nil {
			return nil, err
		}
		out = p
		return changes(id, p, steps), nil
	})
	if err != nil {
		return pactwire.Pact{}, err
	}
	return view(out, id.UserID), nil
}

// put writes a pact that steps have changed, and what will happen to it by itself, and returns it with names and habit filled in.
func (s *Service) put(tx Tx, p pactwire.Pact, steps []step, now time.Time) (pactwire.Pact, error) {
	if err := tx.PutPact(p); err != nil {
		return p, fmt.Errorf("write pact %s: %w", p.ID, err)
	}
	if err := appointPact(tx, p, steps, now); err != nil {
		return p, err
	}
	s.engine.ForgetPact(p.ID)
	p, _, err := tx.Pact(p.ID)
	if err != nil {
		return p, fmt.Errorf("read pact %s again: %w", p.ID, err)
	}
	return p, nil
}

func changes(id pactwire.Identity, p pactwire.Pact, steps []step) []pactwire.Change {
	if by, _ := p.Member(id.UserID); id.UserName == "" {
		id.UserName = by.UserName
	}
	cs := make([]pactwire.Change, 0, len(steps))
	for _, st := range steps {
		if st.kind == "" {
			continue
		}
		c := pactwire.Change{Kind: st.kind, Pact: p, User: id.UserID, UserName: id.DisplayName(), Member: st.member, Reason: st.reason}
		if m, ok := p.Member(st.member); ok && st.member != "" {
			c.MemberName = m.UserName
			if c.MemberName == "" {
				c.MemberName = string(m.UserID)
			}
		}
		cs = append(cs, c)
	}
	return cs
}

// view is the pact as a person may see it who has a row in it: who is neither a member nor invited sees no one else.
func view(p pactwire.Pact, u pactwire.UserID) pactwire.Pact {
	m, _ := p.Member(u)
	if m.Status == pactwire.MemberActive || m.Status == pactwire.MemberPending {
		return p
	}
	p.Members, p.HeadSeq = []pactwire.Member{m}, 0
	return p
}
