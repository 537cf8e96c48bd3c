package bridge

import (
	"context"
	"fmt"
	"time"

	"github.com/pactwire/pactwire"
)

// Explanation says what a user may do with a pact, and why.
type Explanation struct {
	CanRead, CanCommand, Involved bool
	Because                       string
}

// Why explains the view's answer about u and p, reading the pact when the view does not hold it.
func (m *Membership) Why(ctx context.Context, u pactwire.UserID, p pactwire.PactID) (Explanation, error) {
	pact, ok := m.Pact(p)
	if !ok {
		var err error
		if pact, err = m.Look(ctx, p); err != nil {
			if code := pactwire.CodeOf(err); code == pactwire.NotFound || code == pactwire.Denied {
				return Explanation{Because: "there is no such pact"}, nil
			}
			return Explanation{}, err
		}
	}
	member, involved := pact.Member(u)
	now := time.Now()
	e := Explanation{CanRead: pact.CanRead(u, now), CanCommand: mayCommand(&pact, u, now) == nil, Involved: involved}
	switch {
	case !involved:
		e.Because = fmt.Sprintf("%s is not and was never a member of this pact", u)
	case member.Status == pactwire.MemberPending:
		e.Because = fmt.Sprintf("%s is invited and has not accepted yet", u)
	case member.Status != pactwire.MemberActive:
		e.Because = fmt.Sprintf("%s is no longer a member: %s", u, member.Status)
	case pact.Status.Ended() && !e.CanRead:
		e.Because = "the pact ended more than 30 days ago"
	case pact.Status.Ended():
		e.Because = fmt.Sprintf("%s is a member, and the pact is %s: it can be read for 30 days", u, pact.Status)
	default:
		e.Because = fmt.Sprintf("%s is an active member (%s) of a pact that is %s", u, member.Role, pact.Status)
	}
	return e, nil
}
