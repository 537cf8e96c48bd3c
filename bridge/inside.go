package bridge

import (
	"cmp"
	"slices"

	"github.com/pactwire/pactwire"
)

// truth reports whether the store, and not the view, says what pacts are inside a transaction: other nodes change them too.
func (b *Bridge) truth() bool { return b.cfg.Shared && !b.cfg.Remote }

// sharing lists the active pacts of u about a goal as they are inside the transaction under way, in order of id, the one that
// was named first.
func (c *commit) sharing(u pactwire.UserID, g pactwire.GoalID, named pactwire.PactID) ([]pactwire.PactID, error) {
	var list []pactwire.PactID
	if c.b.truth() {
		active, err := c.tx.ActivePacts(u, g)
		if err != nil {
			return nil, err
		}
		list = slices.Clone(active)
	} else {
		list = c.b.viewed(u, g)
	}
	slices.SortFunc(list, func(x, y pactwire.PactID) int {
		switch {
		case x == y:
			return 0
		case x == named:
			return -1
		case y == named:
			return 1
		}
		return cmp.Compare(x, y)
	})
	return list, nil
}

// viewed are the active pacts of u about a goal as the view and the transaction under way have them.
func (b *Bridge) viewed(u pactwire.UserID, g pactwire.GoalID) []pactwire.PactID {
	list := b.members.sharing(u, g)
	for id, p := range b.changing {
		at := slices.Index(list, id)
		switch takes := takesCheckin(p, u, g); {
		case takes && at < 0:
			list = append(list, id)
		case !takes && at >= 0:
			list = slices.Delete(list, at, at+1)
		}
	}
	return list
}

// pactNow is a pact as it is inside the transaction under way, or nil when it is not known.
func (c *commit) pactNow(p pactwire.PactID) (*pactwire.Pact, error) {
	if c.b.truth() {
		pact, ok, err := c.tx.Pact(p)
		if err != nil || !ok {
			return nil, err
		}
		return &pact, nil
	}
	if pact := c.b.changing[p]; pact != nil {
		return pact, nil
	}
	return c.b.members.get(p), nil
}
