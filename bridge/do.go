package bridge

import (
	"context"

	"github.com/pactwire/pactwire"
)

// Refuse tells the sender of a command that was refused before the journal why: where they wanted the answer, or in their
// inbox. It may wait for room in the store's queue, so it is not for the committing goroutine.
func (b *Bridge) Refuse(cmd pactwire.Command, err error) {
	e := pactwire.AsError(err)
	if cmd.Answer.Topic != "" && !cmd.Answer.Silent {
		b.tell(&cmd, "", pactwire.EventError, e.Data(cmd.Topic))
		return
	}
	var c *commit
	submitted := b.store.Submit(b.ctx, func(tx Tx) error {
		c = b.begin(tx)
		_, err := c.answer(&cmd, pactwire.EventError, e.Data(cmd.Topic))
		return err
	}, func(err error) {
		if err == nil {
			c.publish()
		}
	})
	if submitted != nil {
		b.log.Debug("refusal not told", "user", cmd.Sender.UserID, "error", submitted)
	}
}

// Heard answers a command that changes nothing in the store, and so nothing in the inbox: on its Response Topic, if it has one.
func (b *Bridge) Heard(cmd pactwire.Command) {
	if cmd.Answer.Topic != "" {
		b.tell(&cmd, "", pactwire.EventCommandDone, pactwire.CommandDone{})
	}
}

// Result is what became of one command that was done for a caller who waits.
type Result struct {
	Answer  pactwire.Event // unless Pending
	Pending bool
}

// Do carries commands out for a caller who waits for the answers, at most Config.Told. An error means that none was
// accepted, or for a single command its refusal.
func (b *Bridge) Do(ctx context.Context, cmds []pactwire.Command) ([]Result, error) {
	for i := range cmds {
		cmds[i].Answer = pactwire.Answer{Silent: true}
	}
	op, err := b.operation(ctx, cmds)
	if err != nil {
		return nil, err
	}
	defer op.release()
	waiters := make([]*waiter, len(cmds))
	done := make(chan error, 1)
	if err := b.store.Submit(ctx, op.apply, func(err error) {
		if err == nil {
			for i := range op.results {
				if id := op.results[i].journal; id != 0 {
					waiters[i] = b.worker.expect(id, op.results[i].again)
				}
			}
			op.committed()
		}
		done <- err
	}); err != nil {
		return nil, err
	}
	if err := <-done; err != nil {
		return nil, err
	}
	if len(cmds) == 1 && op.results[0].refusal != nil {
		return nil, op.results[0].refusal
	}
	until := op.now.Add(b.cfg.Told)
	results := make([]Result, len(cmds))
	for i := range op.results {
		if r := &op.results[i]; r.answer != nil {
			results[i].Answer = *r.answer
		} else {
			results[i] = b.worker.await(ctx, r.journal, waiters[i], until)
		}
	}
	return results, nil
}
