package bridge

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/pace"
	"github.com/pactwire/pactwire/internal/trouble"
)

// Calls of the habits-service and their retries.
const (
	firstRetry   = 500 * time.Millisecond
	longestRetry = 15 * time.Second
	longestAsked = 5 * time.Minute // of Retry-After
	callsAtOnce  = 64
	lanePage     = 16  // commands of one person read at once
	scanPage     = 500 // commands of all read at once
)

// worker carries journalled check-ins to a remote habits-service. Each person with pending commands has a lane, a goroutine
// that works through their part of the journal, one command at a time, in order of acceptance; nobody waits for another.
//
// At most callsAtOnce calls are under way; more wait their turn. At most lanesMax persons have a lane; what others sent
// stays in the journal, which the scanner goes through in pages as lanes end. A lane holds one page of commands.
type worker struct {
	b        *Bridge
	breaker  *breaker
	calls    chan struct{}
	lanesMax int
	tasks    sync.WaitGroup
	scans    chan struct{} // of size 1: there may be room for persons without a lane
	tells    chan struct{} // of size 1: something was journalled
	awaited  chan struct{} // of size 1: somebody waits for an answer
	rests    int           // of the teller
	retries  prometheus.Counter
	pending  prometheus.Gauge
	trouble  trouble.Log

	mu       sync.Mutex
	stopped  bool
	lanes    map[pactwire.UserID]*lane
	behind   bool // the journal may hold commands of persons without a lane
	overflow int  // counts the persons who found no lane
	waiters  map[int64][]*waiter
	ended    []int64 // turns of lanes that have ended
}

// lane is the work on one person's journal.
type lane struct {
	more  bool          // the journal has grown since the lane looked last; under worker.mu
	done  chan struct{} // closed at its end
	turn  int64         // where nodes share the store, else 0; under worker.mu
	until time.Time     // that the turn is relied upon
}

func newWorker(b *Bridge, reg prometheus.Registerer) *worker {
	w := &worker{b: b, breaker: newBreaker(), calls: make(chan struct{}, callsAtOnce), lanesMax: b.cfg.Lanes,
		scans: make(chan struct{}, 1), tells: make(chan struct{}, 1), awaited: make(chan struct{}, 1),
		lanes: make(map[pactwire.UserID]*lane), waiters: make(map[int64][]*waiter),
		retries: prometheus.NewCounter(prometheus.CounterOpts{Name: "pactwire_habits_retries_total",
			Help: "Calls to the habits-service that failed and are made again."}),
		pending: prometheus.NewGauge(prometheus.GaugeOpts{Name: "pactwire_habits_pending",
			Help: "Check-ins that were accepted and that the habits-service has not answered."})}
	if reg != nil {
		reg.MustRegister(w.retries, w.pending, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "pactwire_habits_breaker_open", Help: "1 while calls to the habits-service are held back after failures."},
			func() float64 {
				if w.breaker.open() {
					return 1
				}
				return 0
			}))
	}
	return w
}

// start takes up what an earlier process left in the journal.
func (w *worker) start(ctx context.Context) error {
	n, err := w.b.store.CountPending(ctx)
	if err != nil {
		return err
	}
	w.pending.Add(float64(n))
	if w.b.cfg.Turns != nil {
		w.tasks.Go(w.keepTurns)
		w.tasks.Go(w.findAnswers)
	} else {
		w.behind = true
		w.tasks.Go(w.scan)
	}
	w.tasks.Go(w.tell)
	w.tasks.Go(w.ask)
	nudge(w.scans)
	nudge(w.tells)
	return nil
}

// wait returns when the goroutines are gone. The bridge's context has ended.
func (w *worker) wait() {
	w.mu.Lock()
	w.stopped = true
	w.mu.Unlock()
	w.tasks.Wait()
	if w.b.cfg.Turns != nil { // others may go on at once
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		w.endTurns(ctx)
	}
}

// nudge wakes a goroutine that waits on a channel of size 1. What comes while it is full is covered by that one.
func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// accepted begins the work on a command of u that was just journalled. It runs on the committing goroutine.
func (w *worker) accepted(u pactwire.UserID) {
	w.pending.Inc()
	nudge(w.tells)
	w.serve(u)
}

// serve sees to it that u's journal is worked on, and reports whether u has a lane; without one the scanner comes to it.
func (w *worker) serve(u pactwire.UserID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if l := w.lanes[u]; l != nil {
		l.more = true
		return true
	}
	if w.stopped {
		return false
	}
	if len(w.lanes) >= w.lanesMax {
		w.behind = true
		w.overflow++
		return false
	}
	l := &lane{done: make(chan struct{})}
	w.lanes[u] = l
	w.tasks.Go(func() { w.run(u, l) })
	return true
}

// scan gives lanes to those whose commands are in the journal and who have none.
func (w *worker) scan() {
	ctx := w.b.ctx
	cursor := int64(0)
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.scans:
		}
		for {
			w.mu.Lock()
			behind, overflow := w.behind, w.overflow
			w.mu.Unlock()
			if !behind {
				break
			}
			recs, err := w.b.store.PendingCommands(ctx, cursor, scanPage)
			if err != nil {
				if !pace.Pause(ctx, firstRetry) {
					return
				}
				continue
			}
			served := 0
			for served < len(recs) && w.serve(recs[served].User) {
				cursor = recs[served].ID
				served++
			}
			if served < len(recs) {
				break // every lane is taken; the next that ends wakes us
			}
			if len(recs) < scanPage {
				w.mu.Lock()
				w.behind = w.overflow != overflow // came while we read
				w.mu.Unlock()
			}
		}
	}
}

// run works through one person's journal.
func (w *worker) run(u pactwire.UserID, l *lane) {
	ctx := w.b.ctx
	defer close(l.done)
	defer w.leaveTurn(l)
	for after := int64(0); ctx.Err() == nil; {
		recs, err := w.b.store.PendingCommandsOf(ctx, u, after, lanePage)
		if err != nil {
			pace.Pause(ctx, firstRetry)
			continue
		}
		if len(recs) > 0 && w.b.cfg.Turns != nil {
			fresh, ok := w.takeTurn(ctx, u, l)
			if !ok {
				pace.Pause(ctx, turnRetry)
			}
			if fresh || !ok { // another node may have done what was read
				after = 0
				continue
			}
		}
		for i := range recs {
			if !w.do(ctx, l, &recs[i]) {
				break
			}
			after = recs[i].ID
		}
		if len(recs) > 0 {
			continue
		}
		w.mu.Lock()
		if !l.more {
			delete(w.lanes, u)
			if w.behind || l.turn != 0 {
				nudge(w.scans)
			}
			w.endTurn(l)
			w.mu.Unlock()
			return
		}
		l.more = false
		w.mu.Unlock()
	}
}

// do calls the habits-service for one command until there is an answer that stands, and records it. It reports false when
// the bridge is stopping, or the turn was lost; the command then stays in the journal.
func (w *worker) do(ctx context.Context, l *lane, rec *pactwire.CommandRecord) bool {
	req, err := requestIn(rec)
	if err != nil {
		w.b.log.Error("a journalled command cannot be read", "command", rec.ID, "error", err)
		req.Command.Sender.UserID = rec.User
		return w.settle(ctx, rec, req, pactwire.CheckinResult{}, pactwire.Errorf(pactwire.Internal, "the command could not be read back; send it again"))
	}
	patience, cancel := context.WithDeadline(ctx, rec.AcceptedAt.Add(w.b.cfg.GiveUp))
	defer cancel()
	pace.Pause(patience, min(time.Until(rec.NextAt), longestAsked))
	for attempt := rec.Attempts; w.mine(l) && w.breaker.enter(patience); attempt++ {
		res, err := w.call(ctx, req.Call)
		if ctx.Err() != nil {
			return false
		}
		if err == nil || isFinal(err) {
			w.breaker.succeed()
			return w.settle(ctx, rec, req, res, err)
		}
		w.retries.Inc()
		w.b.log.Debug("habits-service", "command", rec.ID, "attempt", attempt, "error", err)
		pace.Pause(patience, w.failed(ctx, rec, attempt, err))
	}
	if ctx.Err() != nil || !w.mine(l) {
		return false
	}
	return w.settle(ctx, rec, req, pactwire.CheckinResult{}, pactwire.Errorf(pactwire.Unavailable,
		"the habits-service did not answer within %s; check in again", w.b.cfg.GiveUp))
}

// failed notes a failed attempt and says how long to wait before the next.
func (w *worker) failed(ctx context.Context, rec *pactwire.CommandRecord, attempt int, err error) time.Duration {
	wait := backoff(attempt)
	if asked, ok := w.b.cfg.RetryAfter(err); ok {
		w.breaker.succeed() // who asks us to wait is there; it holds back this person alone
		if asked = min(asked, longestAsked); asked > wait {
			wait = asked
			next := time.Now().Add(asked)
			submitted := w.b.store.Submit(ctx, func(tx Tx) error { return tx.RetryCommand(rec.ID, attempt+1, next) }, func(error) {})
			if submitted != nil {
				w.b.log.Debug("retry not noted", "command", rec.ID, "error", submitted)
			}
		}
		return wait
	}
	w.breaker.fail(rec.User, err, w.b.cfg.Misconfigured(err))
	switch {
	case w.breaker.open():
		return 0 // the breaker says when
	case w.breaker.failing():
		return min(wait, probeEvery) // it may be down, with nobody else to find out that it is back
	}
	return wait
}

// isFinal reports whether a failed call is the service's last word: the error says so itself. One that says nothing, such
// as a deadline, is not final.
func isFinal(err error) bool {
	var said interface {
		error
		Retryable() bool
	}
	return errors.As(err, &said) && !said.Retryable()
}

// backoff doubles from firstRetry to longestRetry, with jitter of a fifth downwards.
func backoff(attempt int) time.Duration {
	d := min(firstRetry<<min(attempt, 10), longestRetry)
	return d - time.Duration(rand.Int64N(int64(d/5)))
}

func (w *worker) call(ctx context.Context, req pactwire.CheckinRequest) (pactwire.CheckinResult, error) {
	select {
	case w.calls <- struct{}{}:
	case <-ctx.Done():
		return pactwire.CheckinResult{}, ctx.Err()
	}
	defer func() { <-w.calls }()
	ctx, cancel := context.WithTimeout(ctx, w.b.cfg.Timeout)
	defer cancel()
	return w.b.habits.Checkin(ctx, nil, req)
}

// idle waits until the commands that u has sent so far are answered, at most for so long; then Unavailable.
func (w *worker) idle(ctx context.Context, u pactwire.UserID, most time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	if w.b.cfg.Turns != nil { // another node may be at it
		for ctx.Err() == nil {
			recs, err := w.b.store.PendingCommandsOf(ctx, u, 0, 1)
			if err == nil && len(recs) == 0 {
				return nil
			}
			pace.Pause(ctx, turnRetry)
		}
		return errUnderWay
	}
	w.mu.Lock()
	l := w.lanes[u]
	w.mu.Unlock()
	if l == nil {
		return nil
	}
	select {
	case <-l.done:
		return nil
	case <-ctx.Done():
		return errUnderWay
	}
}

var errUnderWay = pactwire.Errorf(pactwire.Unavailable, "commands of this person are under way; send the event again")
