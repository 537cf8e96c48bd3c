package bridge

import (
	"context"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/pace"
)

// settle records what a command came to, once, and tells everyone. The store may be away; it is tried until it is back.
func (w *worker) settle(ctx context.Context, rec *pactwire.CommandRecord, req request, res pactwire.CheckinResult, refusal error) bool {
	if refusal == nil {
		// The activity goes to every active pact of that person and habit, so these must be known, connected or not.
		for w.b.members.Ensure(ctx, rec.User) != nil {
			if !pace.Pause(ctx, firstRetry) {
				return false
			}
		}
		defer w.b.members.Release(rec.User)
	}
	for {
		answer, err := w.record(ctx, rec, req, res, refusal)
		if ctx.Err() == nil {
			w.trouble.Change(w.b.log, "what the habits-service answered cannot be recorded; tried again", err)
		}
		if err == nil {
			w.pending.Dec()
			if answer != nil {
				w.deliver(rec.ID, *answer)
			}
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		if !pace.Pause(ctx, firstRetry) {
			return false
		}
	}
}

// record makes one attempt to commit what a command came to. Without an answer it had one: of an attempt before, whose outcome
// nobody knew, or of another node.
func (w *worker) record(ctx context.Context, rec *pactwire.CommandRecord, req request, res pactwire.CheckinResult, refusal error) (*pactwire.Event, error) {
	cmd := &req.Command
	awaited := cmd.Answer.Silent
	var c *commit
	var answer *pactwire.Event
	done := make(chan error, 1)
	err := w.b.store.Submit(ctx, func(tx Tx) (err error) {
		c, answer = w.b.begin(tx), nil
		if err := c.expectOutcome(rec, res, refusal); err != nil {
			return err
		}
		if _, err := tx.Head(pactwire.InboxOf(rec.User)); err != nil { // the person first, as everywhere
			return err
		}
		if pending, err := tx.PendingCommand(rec.ID); err != nil || !pending {
			return err
		}
		// Who waited over HTTP and went finds the answer in the inbox.
		cmd.Answer.Silent = awaited && w.claim(rec.ID)
		typ, data := pactwire.EventCheckinLogged, any(nil)
		if refusal != nil {
			typ, data = pactwire.EventError, refusalData(refusal, cmd.Topic)
		} else if data, err = c.settled(cmd, res); err != nil {
			return err
		}
		if answer, err = c.answer(cmd, typ, data); err != nil {
			return err
		}
		return tx.FinishCommand(rec.ID, appendStored(nil, typ, answer.Data), c.now)
	}, func(err error) {
		if err == nil {
			c.publish()
		}
		done <- err
	})
	if err == nil {
		err = <-done
	}
	return answer, err
}

// expectOutcome lets the store fetch at once what the outcome of a command will ask for.
func (c *commit) expectOutcome(rec *pactwire.CommandRecord, res pactwire.CheckinResult, refusal error) error {
	if refusal != nil {
		return c.tx.ExpectOutcome(rec.User, rec.ID, nil, nil)
	}
	return c.tx.ExpectOutcome(rec.User, rec.ID, &res.Checkin, c.b.viewed(rec.User, res.Checkin.HabitGoalID))
}

// refusalData is the error as its sender sees it. An internal error of the service is its last word.
func refusalData(refusal error, topic string) pactwire.ErrorData {
	e := pactwire.AsError(refusal)
	data := e.Data(topic)
	data.Retryable = e.Code == pactwire.Unavailable
	return data
}

// settled completes the answer of a remote service with what only we know, and records it. What the log holds decides:
// a check-in that it has not is written, also when the service has it already, since we may have crashed between its answer
// and our commit; one that it has with the same words is a duplicate.
func (c *commit) settled(cmd *pactwire.Command, res pactwire.CheckinResult) (any, error) {
	before, known, err := c.tx.SeenCheckin(res.Checkin)
	if err != nil {
		return nil, err
	}
	return c.settledAfter(cmd, res, before, known)
}

// settledAfter is settled for a check-in that the log has now, and had as before if it was known.
func (c *commit) settledAfter(cmd *pactwire.Command, res pactwire.CheckinResult, before pactwire.Checkin, known bool) (any, error) {
	switch {
	case known:
		res.PreviousStatus = before.Status
		res.Duplicate = before.Status == res.Checkin.Status && before.Notes == res.Checkin.Notes
	case res.Duplicate:
		res.Duplicate, res.PreviousStatus = false, ""
	}
	if before.Status == pactwire.StatusDeleted {
		res.PreviousStatus = "" // taken back, and now said anew
	}
	if res.Duplicate {
		res.Milestones = nil
	}
	var said []pactwire.Milestone
	for _, m := range res.Milestones {
		isNew, err := c.tx.SaidMilestone(cmd.Sender.UserID, res.Checkin.HabitGoalID, res.Checkin.ID, m.StreakDays)
		if err != nil {
			return nil, err
		}
		if isNew {
			said = append(said, m)
		}
	}
	res.Milestones = said
	return c.record(cmd, res)
}

// waiter is an HTTP request that waits for the answer to a journalled command.
type waiter struct {
	answer  chan pactwire.Event // of size 1
	again   bool                // the command had been accepted before
	claimed bool                // the answer is being committed and goes to the waiter alone; under worker.mu
}

// expect notes, before its lane begins, that someone waits for the answer to a command.
func (w *worker) expect(id int64, again bool) *waiter {
	x := &waiter{answer: make(chan pactwire.Event, 1), again: again}
	w.mu.Lock()
	w.waiters[id] = append(w.waiters[id], x)
	w.mu.Unlock()
	nudge(w.awaited)
	return x
}

// claim reports whether someone waits for the answer to a command, and keeps them waiting until it is committed.
func (w *worker) claim(id int64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, x := range w.waiters[id] {
		x.claimed = true
	}
	return len(w.waiters[id]) > 0
}

func (w *worker) deliver(id int64, e pactwire.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, x := range w.waiters[id] {
		if x.again {
			x.answer <- w.duplicate(e)
		} else {
			x.answer <- e
		}
	}
	delete(w.waiters, id)
}

// duplicate is an answer as who repeats a command gets it.
func (w *worker) duplicate(e pactwire.Event) pactwire.Event {
	data, err := asDuplicate(storedAnswer{e.Type, e.Data})
	if err == nil {
		e.Data, err = encode(data)
	}
	if err != nil {
		w.b.log.Error("encode an answer", "type", e.Type, "error", err)
	}
	return e
}

// leave takes a waiter back, unless its answer is being committed.
func (w *worker) leave(id int64, x *waiter, always bool) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if x.claimed && !always {
		return false
	}
	rest := w.waiters[id][:0:0]
	for _, other := range w.waiters[id] {
		if other != x {
			rest = append(rest, other)
		}
	}
	if w.waiters[id] = rest; len(rest) == 0 {
		delete(w.waiters, id)
	}
	return true
}

// await waits for the answer to a journalled command, at most until the time when its sender is told that it is pending.
func (w *worker) await(ctx context.Context, id int64, x *waiter, until time.Time) Result {
	t := time.NewTimer(time.Until(until))
	defer t.Stop()
	select {
	case e := <-x.answer:
		return Result{Answer: e}
	case <-t.C:
	case <-ctx.Done():
	}
	if w.leave(id, x, false) {
		return Result{Pending: true}
	}
	t.Reset(w.b.cfg.Timeout) // it is in a commit; the store says within this time how that ends
	select {
	case e := <-x.answer:
		return Result{Answer: e}
	case <-t.C:
	}
	w.leave(id, x, true)
	return Result{Pending: true}
}
