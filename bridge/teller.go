package bridge

import (
	"context"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/pace"
)

// tellPage bounds the pending commands that are read at once to tell their senders.
const tellPage = 100

// tellAgain is after how many looks the journal is gone through from its beginning, where nodes share it.
const tellAgain = 10

// tell tells the senders of check-ins that have no answer Config.Told after their commit that they are pending, once.
// It goes through the journal in order of acceptance, so it holds one page and no timer a command.
func (w *worker) tell() {
	ctx := w.b.ctx
	for cursor := int64(0); ctx.Err() == nil; {
		recs, err := w.b.store.PendingCommands(ctx, cursor, tellPage)
		if err != nil {
			pace.Pause(ctx, firstRetry)
			continue
		}
		if len(recs) == 0 {
			cursor = w.rest(ctx, cursor)
			continue
		}
		for i := range recs {
			if wait := time.Until(recs[i].AcceptedAt.Add(w.b.cfg.Told)); wait > 0 {
				pace.Pause(ctx, min(wait, w.b.cfg.Told))
				if wait <= w.b.cfg.Told {
					break // and look again what is still without an answer
				} // else a clock that was ahead said when it was accepted; nobody waits until then
			}
			w.tellPending(&recs[i])
			cursor = recs[i].ID
		}
	}
}

// rest waits for news in the journal and says from where to go on. Other nodes' news come unsaid, and their numbers may be
// committed out of order.
func (w *worker) rest(ctx context.Context, cursor int64) int64 {
	if w.b.cfg.Turns == nil {
		select {
		case <-ctx.Done():
		case <-w.tells:
		}
		return cursor
	}
	pace.Pause(ctx, w.b.cfg.Told/2)
	w.rests++
	if w.rests%tellAgain == 0 {
		return 0
	}
	return cursor
}

// tellPending tells one sender. Whether the command still has no answer, and whether this is the first time, is decided
// in the transaction.
func (w *worker) tellPending(rec *pactwire.CommandRecord) {
	if rec.Told {
		return
	}
	req, err := requestIn(rec)
	if err != nil {
		return // its lane says so
	}
	cmd := &req.Command
	cmd.Answer.Silent = false
	var c *commit
	err = w.b.store.Submit(w.b.ctx, func(tx Tx) error {
		c = w.b.begin(tx)
		if _, err := tx.Head(pactwire.InboxOf(rec.User)); err != nil { // the person first: no other node answers meanwhile
			return err
		}
		first, err := tx.TellCommand(rec.ID)
		if err != nil || !first {
			return err
		}
		_, err = c.answer(cmd, pactwire.EventCheckinPending, pactwire.CheckinPending{PactID: cmd.Pact,
			HabitGoalID: req.Call.HabitGoalID, Status: req.Call.Status, LocalDate: req.Call.ScheduledDate})
		return err
	}, func(err error) {
		if err == nil {
			c.publish()
		}
	})
	if err != nil {
		w.b.log.Debug("pending not told", "command", rec.ID, "error", err)
	}
}
