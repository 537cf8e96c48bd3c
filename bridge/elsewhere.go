package bridge

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/pace"
)

// findAnswers is the one goroutine that looks, as long as anybody waits over HTTP, for the answers that another node has recorded:
// it had the person's turn, or the same command came to it first.
func (w *worker) findAnswers() {
	ctx := w.b.ctx
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.awaited:
		}
		for ids := w.expected(); len(ids) > 0; ids = w.expected() {
			if !pace.Pause(ctx, turnRetry) {
				return
			}
			w.findAnswersTo(ctx, ids)
		}
	}
}

// expected are the commands that are waited for.
func (w *worker) expected() []int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Collect(maps.Keys(w.waiters))
}

func (w *worker) findAnswersTo(ctx context.Context, ids []int64) {
	recs, err := w.b.cfg.Turns.Answered(ctx, ids)
	if err != nil {
		w.b.log.Debug("answers of other nodes not looked for", "error", err)
		return
	}
	for i := range recs {
		e, err := w.b.answered(&recs[i])
		if err != nil {
			w.b.log.Error("an answer cannot be read back", "command", recs[i].ID, "error", err)
			continue
		}
		w.deliver(recs[i].ID, e)
	}
}

// answered is the answer that a command has.
func (b *Bridge) answered(rec *pactwire.CommandRecord) (e pactwire.Event, err error) {
	var a storedAnswer
	if err := json.Unmarshal(rec.Answer, &a); err != nil {
		return e, fmt.Errorf("the answer to command %d: %w", rec.ID, err)
	}
	return pactwire.Event{ID: b.cfg.NewID(), Type: a.Type, CommandID: commandID(&pactwire.Command{ID: rec.Key}), Data: a.Data,
		CreatedAt: pactwire.Time(time.Now())}, nil
}
