package bridge

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/pactwire/pactwire"
)

// Turns keep the nodes that share a store from working on one person's journal at the same time. A turn is one node's claim
// of one person, under a number of its own; it lapses unless it is renewed, so that others finish what a dead node began.
type Turns interface {
	// ClaimTurn takes a person for as long as d and returns the number of the turn, or 0 when another node has them.
	ClaimTurn(ctx context.Context, u pactwire.UserID, d time.Duration) (int64, error)
	// RenewTurns makes turns last for d from now, and returns those that are lost.
	RenewTurns(ctx context.Context, turns []int64, d time.Duration) (lost []int64, err error)
	// EndTurns gives persons free. A turn that is lost already is passed over.
	EndTurns(ctx context.Context, turns []int64) error
	// Answered are those of the commands that have an answer.
	Answered(ctx context.Context, commands []int64) ([]pactwire.CommandRecord, error)
	// Unserved are persons with pending commands, accepted before a time, of whom nobody has the turn.
	Unserved(ctx context.Context, before time.Time, limit int) ([]pactwire.UserID, error)
}

const (
	turnTime   = 12 * time.Second
	turnSpare  = 3 * time.Second        // before its end a turn is not relied upon
	renewEvery = 3 * time.Second        // and what is unserved is looked for
	turnRetry  = 100 * time.Millisecond // while another node has the turn
	adoptAfter = 2 * time.Second        // that a command waits before a node looks after what it did not accept
)

// takeTurn sees to it that this node has the person's turn. fresh says that it has not had it before now, so that what is known of
// the journal may be done already.
func (w *worker) takeTurn(ctx context.Context, u pactwire.UserID, l *lane) (fresh, ok bool) {
	if w.mine(l) {
		return false, true
	}
	asked := time.Now()
	turn, err := w.b.cfg.Turns.ClaimTurn(ctx, u, turnTime)
	if err != nil || turn == 0 {
		return false, false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.endTurn(l)
	l.turn, l.until = turn, asked.Add(turnTime-turnSpare)
	return true, true
}

// endTurn has a lane's turn given free. Under w.mu.
func (w *worker) endTurn(l *lane) {
	if l.turn != 0 {
		w.ended = append(w.ended, l.turn)
		l.turn = 0
	}
}

// leaveTurn is endTurn for a lane that the end of the bridge ends.
func (w *worker) leaveTurn(l *lane) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.endTurn(l)
}

// mine reports whether a lane's turn stands; on a single node it always does.
func (w *worker) mine(l *lane) bool {
	if w.b.cfg.Turns == nil {
		return true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return l.turn != 0 && time.Now().Before(l.until)
}

// keepTurns renews the turns of all lanes, gives free those of lanes that have ended, and gives lanes to persons whom no
// node serves.
func (w *worker) keepTurns() {
	ctx := w.b.ctx
	tick := time.NewTicker(renewEvery)
	defer tick.Stop()
	w.adopt(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			w.renewTurns(ctx)
			w.adopt(ctx)
		case <-w.scans: // a lane has ended
			w.mu.Lock()
			behind := w.behind
			w.behind = false
			w.mu.Unlock()
			if behind {
				w.adopt(ctx)
			}
		}
		w.endTurns(ctx)
	}
}

func (w *worker) renewTurns(ctx context.Context) {
	renewed := map[int64]bool{}
	w.mu.Lock()
	for _, l := range w.lanes {
		if l.turn != 0 {
			renewed[l.turn] = true
		}
	}
	w.mu.Unlock()
	if len(renewed) == 0 {
		return
	}
	asked := time.Now()
	lost, err := w.b.cfg.Turns.RenewTurns(ctx, slices.Collect(maps.Keys(renewed)), turnTime)
	if err != nil {
		w.b.log.Debug("turns not renewed", "error", err)
		return // they lapse, here as well
	}
	for _, turn := range lost {
		renewed[turn] = false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.lanes {
		switch stands, told := renewed[l.turn]; {
		case !told: // claimed meanwhile
		case stands:
			l.until = asked.Add(turnTime - turnSpare)
		default:
			l.turn = 0
		}
	}
}

// endTurns gives free what lanes have left. What fails lapses.
func (w *worker) endTurns(ctx context.Context) {
	w.mu.Lock()
	ended := w.ended
	w.ended = nil
	w.mu.Unlock()
	if len(ended) == 0 {
		return
	}
	if err := w.b.cfg.Turns.EndTurns(ctx, ended); err != nil {
		w.b.log.Debug("turns not ended", "error", err)
	}
}

// adopt gives lanes to those whose node died or had no lane to give.
func (w *worker) adopt(ctx context.Context) {
	if n, err := w.b.store.CountPending(ctx); err == nil {
		w.pending.Set(float64(n))
	}
	users, err := w.b.cfg.Turns.Unserved(ctx, time.Now().Add(-adoptAfter), scanPage)
	if err != nil {
		w.b.log.Debug("unserved commands not looked for", "error", err)
		return
	}
	for _, u := range users {
		if !w.serve(u) {
			return
		}
	}
}
