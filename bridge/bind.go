package bridge

import (
	"context"

	"github.com/pactwire/pactwire"
)

// Bindable is a pact that a person may bind a device to: one that they may check in to now. NotFound when it is not theirs,
// Conflict when it has ended.
func (b *Bridge) Bindable(ctx context.Context, u pactwire.UserID, p pactwire.PactID) (pactwire.Pact, error) {
	if err := b.members.Ensure(ctx, u); err != nil {
		return pactwire.Pact{}, err
	}
	defer b.members.Release(u)
	if err := b.mayCommand(ctx, u, p); err != nil {
		if pactwire.CodeOf(err) == pactwire.Denied {
			err = pactwire.Errorf(pactwire.NotFound, "there is no such pact, or you are not in it")
		}
		return pactwire.Pact{}, err
	}
	pact, ok := b.members.Pact(p)
	if !ok {
		return pactwire.Pact{}, errStale
	}
	return pact, nil
}
