package bridge

import (
	"context"

	"github.com/pactwire/pactwire"
)

// TakeBack runs fn, by which the embedded habits-service deletes a check-in of a person, in a transaction, and writes what
// came of it into every active pact that knew of the check-in.
func (b *Bridge) TakeBack(ctx context.Context, id pactwire.Identity, fn func(Tx) (pactwire.CheckinResult, error)) (res pactwire.CheckinResult, err error) {
	if err := b.members.Ensure(ctx, id.UserID); err != nil {
		return res, err
	}
	defer b.members.Release(id.UserID)
	var out pactwire.CheckinResult
	err = b.commit(ctx, func(c *commit) error {
		if out, err = fn(c.tx); err != nil {
			return err
		}
		if err := c.touch(id); err != nil {
			return err
		}
		by := id
		by.UserName = c.called(id)
		_, err := c.record(&pactwire.Command{Sender: by, Pact: out.Checkin.PactID}, out)
		return err
	})
	if err != nil {
		return res, err
	}
	return out, nil
}

// TakenBack records that a remote habits-service has deleted a check-in, unless its webhook did before. res may be empty but
// for the check-in's id.
func (b *Bridge) TakenBack(ctx context.Context, id pactwire.Identity, res pactwire.CheckinResult) error {
	d := &webhookData{ID: res.Checkin.ID, UserID: id.UserID, UserName: id.UserName, StreakUpdate: res.Streak}
	d.HabitGoal.Name, d.at = res.HabitName, res.Checkin.UpdatedAt.Std()
	return b.of(ctx, id.UserID, b.cfg.Timeout, func() error { return b.commit(ctx, func(c *commit) error { return c.deleted(d) }) })
}
