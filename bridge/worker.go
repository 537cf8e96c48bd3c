package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pactwire/pactwire"
)

// Retries of a call to the habits-service.
const (
	firstRetry    = 500 * time.Millisecond
	longestRetry  = 15 * time.Second
	longestAsked  = 5 * time.Minute // of Retry-After
	callsAtOnce   = 64
	lanePage      = 16
	breakAfter    = 5               // failures in a row open the breaker
	probeEvery    = 3 * time.Second // while it is open
	startPageSize = 500
)

// worker carries journalled check-ins to a remote habits-service: one person's commands one at a time, in order of
// acceptance; nobody waits for another. Its memory is one lane a person with commands, which are read from the journal in
// pages; at most callsAtOnce calls are under way.
type worker struct {
	b       *Bridge
	breaker *breaker
	calls   chan struct{}
	lanes   sync.WaitGroup

	mu      sync.Mutex
	busy    map[pactwire.UserID]bool // has a lane; true: there may be more to read
	waiters map[int64]chan pactwire.Event
	open    map[int64]struct{} // not answered yet; of commands that may still be told to be pending
	retries prometheus.Counter
	pending prometheus.Gauge
}

func newWorker(b *Bridge, reg prometheus.Registerer) *worker {
	w := &worker{b: b, breaker: newBreaker(), calls: make(chan struct{}, callsAtOnce),
		busy: make(map[pactwire.UserID]bool), waiters: make(map[int64]chan pactwire.Event),
		open: make(map[int64]struct{}),
		retries: prometheus.NewCounter(prometheus.CounterOpts{Name: "pactwire_habits_retries_total",
			Help: "Calls to the habits-service that failed and are made again."}),
		pending: prometheus.NewGauge(prometheus.GaugeOpts{Name: "pactwire_habits_pending",
			Help: "Check-ins that were accepted by this node and that the habits-service has not answered."})}
	if reg != nil {
		reg.MustRegister(w.retries, w.pending, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "pactwire_habits_breaker_open", Help: "1 while calls to the habits-service are held back after failures."},
			func() float64 {
				if w.breaker.state() != nil {
					return 1
				}
				return 0
			}))
	}
	return w
}

// request is a journalled check-in.
type request struct {
	Command pactwire.Command        `json:"command"`
	Call    pactwire.CheckinRequest `json:"call"`
	Key     string                  `json:"key"` // Idempotency-Key, the same on every attempt
	At      time.Time               `json:"at"`
	Sender  pactwire.UserID         `json:"sender"`
	Name    string                  `json:"name"`
}

// journal keeps a check-in for the worker.
func (op *operation) journal(cmd *pactwire.Command, res *outcome) error {
	id, err := op.tx.NextCommandID()
	if err != nil {
		return err
	}
	kept := *cmd
	kept.Sender = pactwire.Identity{} // a token is never stored
	call := requestOf(cmd)
	if call.HabitGoalID == "" {
		if p, ok := op.b.members.Pact(cmd.Pact); ok {
			call.HabitGoalID = p.HabitGoalID
		}
	}
	at := cmd.ReceivedAt
	if call.OccurredAt != nil {
		at = call.OccurredAt.Std()
	}
	day, zone, err := op.b.cfg.LocalDay(op.tx, cmd.Sender.UserID, at)
	if err != nil {
		return err
	}
	call.TimeZone = zone
	if call.ScheduledDate == "" {
		call.ScheduledDate = day
	}
	if call.ProofMedia == nil {
		call.ProofMedia = []pactwire.Media{}
	}
	body, err := json.Marshal(request{Command: kept, Call: call, Key: op.b.cfg.NewID(), At: cmd.ReceivedAt,
		Sender: cmd.Sender.UserID, Name: cmd.Sender.UserName})
	if err != nil {
		return err
	}
	rec := pactwire.CommandRecord{ID: id, User: cmd.Sender.UserID, Key: cmd.ID, Request: body, AcceptedAt: op.now}
	res.journal = id
	op.pending = append(op.pending, rec)
	return op.tx.PutCommand(rec)
}

// start takes up what an earlier process left in the journal.
func (w *worker) start(ctx context.Context) error {
	for after := int64(0); ; {
		recs, err := w.b.store.PendingCommands(ctx, after, startPageSize)
		if err != nil {
			return fmt.Errorf("read the journal: %w", err)
		}
		for _, r := range recs {
			w.add(r.User)
			w.pending.Inc()
			if !r.Told {
				w.tellLater(r)
			}
			after = r.ID
		}
		if len(recs) < startPageSize {
			return nil
		}
	}
}

func (w *worker) wait() { w.lanes.Wait() }

// add sees to it that a person's journal is worked on.
func (w *worker) add(u pactwire.UserID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.busy[u]; ok {
		w.busy[u] = true
		return
	}
	w.busy[u] = false
	w.lanes.Go(func() { w.lane(u) })
}

// lane works through one person's journal.
func (w *worker) lane(u pactwire.UserID) {
	ctx := w.b.ctx
	for after := int64(0); ; {
		recs, err := w.b.store.PendingCommandsOf(ctx, u, after, lanePage)
		if err != nil {
			if !pause(ctx, firstRetry) {
				return
			}
			continue
		}
		for _, r := range recs {
			if !w.do(ctx, r) {
				return
			}
			after = r.ID
		}
		if len(recs) > 0 {
			continue
		}
		w.mu.Lock()
		if !w.busy[u] {
			delete(w.busy, u)
			w.mu.Unlock()
			return
		}
		w.busy[u] = false
		w.mu.Unlock()
	}
}

func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// do calls the habits-service for one command until there is an answer that stands, and records it. It reports false when
// the bridge is stopping.
func (w *worker) do(ctx context.Context, rec pactwire.CommandRecord) bool {
	var req request
	if err := json.Unmarshal(rec.Request, &req); err != nil {
		w.b.log.Error("a journalled command cannot be read", "command", rec.ID, "error", err)
		return w.settle(ctx, rec, req, pactwire.CheckinResult{}, pactwire.Errorf(pactwire.Internal, "the command could not be read back"))
	}
	req.Command.Sender = pactwire.Identity{UserID: req.Sender, UserName: req.Name}
	req.Call.IdempotencyKey, req.Call.ReceivedAt = req.Key, req.At
	for attempt := 0; ; attempt++ {
		if time.Since(rec.AcceptedAt) > w.b.cfg.GiveUp {
			return w.settle(ctx, rec, req, pactwire.CheckinResult{}, pactwire.Errorf(pactwire.Unavailable,
				"the habits-service did not answer for %s; check in again", w.b.cfg.GiveUp))
		}
		if !w.breaker.enter(ctx) {
			return false
		}
		res, err := w.call(ctx, req.Call)
		if ctx.Err() != nil {
			return false
		}
		if err == nil || !pactwire.AsError(err).Retryable() || final(err) {
			w.breaker.succeed()
			return w.settle(ctx, rec, req, res, err)
		}
		asked, ok := w.b.cfg.RetryAfter(err)
		if !ok { // who asks us to wait is there; else count it
			w.breaker.fail(err)
		} else {
			w.breaker.succeed()
		}
		w.retries.Inc()
		w.b.log.Debug("habits-service", "command", rec.ID, "attempt", attempt, "error", err)
		if !pause(ctx, max(backoff(attempt), min(asked, longestAsked))) {
			return false
		}
	}
}

// final reports whether an Internal error is the service's last word: a refusal it has no better code for.
func final(err error) bool { return pactwire.CodeOf(err) == pactwire.Internal }

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

// settle records what a command came to, once, and tells everyone. The store may be away; it is tried until it is back.
func (w *worker) settle(ctx context.Context, rec pactwire.CommandRecord, req request, res pactwire.CheckinResult, refusal error) bool {
	cmd := &req.Command
	cmd.Answer.Silent = false // who waited over HTTP and went finds the answer in the inbox
	for {
		var c *commit
		var answer *pactwire.Event
		done := make(chan error, 1)
		err := w.b.store.Submit(ctx, func(tx Tx) (err error) {
			c = w.b.begin(tx)
			typ, data := pactwire.EventCheckinLogged, any(nil)
			if refusal != nil {
				typ, data = pactwire.EventError, pactwire.AsError(refusal).Data(cmd.Topic)
			} else if data, err = c.settled(cmd, res); err != nil {
				return err
			}
			if answer, err = c.answer(cmd, typ, data); err != nil {
				return err
			}
			stored, err := json.Marshal(storedAnswer{Type: typ, Data: answer.Data})
			if err != nil {
				return err
			}
			return tx.FinishCommand(rec.ID, stored, c.now)
		}, func(err error) {
			if err == nil {
				c.publish()
			}
			done <- err
		})
		if err == nil {
			err = <-done
		}
		if err == nil {
			w.pending.Dec()
			w.mu.Lock()
			waiter := w.waiters[rec.ID]
			delete(w.open, rec.ID)
			w.mu.Unlock()
			if waiter != nil {
				waiter <- *answer
			}
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		w.b.log.Warn("record the outcome", "command", rec.ID, "error", err)
		if !pause(ctx, firstRetry) {
			return false
		}
	}
}

// settled completes the answer of a remote service with what only we know, and records it. A service that does not say
// what stood before is compared with what it said last.
func (c *commit) settled(cmd *pactwire.Command, res pactwire.CheckinResult) (pactwire.CheckinLogged, error) {
	before, known, err := c.tx.SeenCheckin(res.Checkin)
	if err != nil {
		return pactwire.CheckinLogged{}, err
	}
	if known {
		res.PreviousStatus = before.Status
		res.Duplicate = before.Status == res.Checkin.Status && before.Notes == res.Checkin.Notes
	}
	var said []pactwire.Milestone
	for _, m := range res.Milestones {
		isNew, err := c.tx.SaidMilestone(cmd.Sender.UserID, res.Checkin.HabitGoalID, res.Checkin.ID, m.StreakDays)
		if err != nil {
			return pactwire.CheckinLogged{}, err
		}
		if isNew {
			said = append(said, m)
		}
	}
	res.Milestones = said
	return c.record(cmd, res)
}

// accepted begins the work on a journalled command: its lane, and the word that it is pending should it take long.
func (w *worker) accepted(rec pactwire.CommandRecord) {
	w.pending.Inc()
	w.tellLater(rec)
	w.add(rec.User)
}

// tellLater tells the sender that a command is pending, once, when it has no answer Config.Told after its commit.
func (w *worker) tellLater(rec pactwire.CommandRecord) {
	w.mu.Lock()
	w.open[rec.ID] = struct{}{}
	w.mu.Unlock()
	wait := max(time.Until(rec.AcceptedAt.Add(w.b.cfg.Told)), 0)
	time.AfterFunc(wait, func() {
		w.mu.Lock()
		_, open := w.open[rec.ID]
		delete(w.open, rec.ID)
		w.mu.Unlock()
		if !open || w.b.ctx.Err() != nil {
			return
		}
		var req request
		if json.Unmarshal(rec.Request, &req) != nil {
			return
		}
		cmd := &req.Command
		cmd.Sender = pactwire.Identity{UserID: req.Sender, UserName: req.Name}
		cmd.Answer.Silent = false
		var c *commit
		err := w.b.store.Submit(w.b.ctx, func(tx Tx) error {
			c = w.b.begin(tx)
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
	})
}

// await waits for the answer to a journalled command, at most Config.Told.
func (w *worker) await(ctx context.Context, id int64, cmd *pactwire.Command) Result {
	if w == nil {
		return Result{Pending: true}
	}
	answer := make(chan pactwire.Event, 1)
	w.mu.Lock()
	w.waiters[id] = answer
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		delete(w.waiters, id)
		w.mu.Unlock()
	}()
	t := time.NewTimer(time.Until(cmd.ReceivedAt.Add(w.b.cfg.Told)))
	defer t.Stop()
	select {
	case e := <-answer:
		return Result{Answer: e}
	case <-t.C:
	case <-ctx.Done():
	}
	return Result{Pending: true}
}

// breaker holds calls back after failures in a row, and lets one through at a time to see whether the service is back.
type breaker struct {
	mu     sync.Mutex
	failed int
	cause  error
	probe  time.Time     // when the next call may be tried, while open
	closed chan struct{} // closed and replaced when the breaker closes
}

func newBreaker() *breaker { return &breaker{closed: make(chan struct{})} }

// state is nil while calls go through, else what the last one failed of.
func (k *breaker) state() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.failed < breakAfter {
		return nil
	}
	return errors.Join(errors.New("the habits-service does not answer; check-ins are kept and retried"), k.cause)
}

// enter waits until a call may be made; false when ctx ends.
func (k *breaker) enter(ctx context.Context) bool {
	for {
		k.mu.Lock()
		wait := time.Until(k.probe)
		if k.failed < breakAfter || wait <= 0 {
			if k.failed >= breakAfter {
				k.probe = time.Now().Add(probeEvery)
			}
			k.mu.Unlock()
			return ctx.Err() == nil
		}
		closed := k.closed
		k.mu.Unlock()
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return false
		case <-closed:
		case <-t.C:
		}
		t.Stop()
	}
}

func (k *breaker) succeed() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.failed >= breakAfter {
		close(k.closed)
		k.closed = make(chan struct{})
	}
	k.failed, k.cause = 0, nil
}

func (k *breaker) fail(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.cause = err
	if k.failed++; k.failed == breakAfter {
		k.probe = time.Now().Add(probeEvery)
	}
}
