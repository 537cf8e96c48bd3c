package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/pace"
)

const (
	queueSize = 4096 // functions that wait for a commit; beyond it Submit blocks
	worth     = 32   // of them, for which a commit does not wait for more
	maxBatch  = 256  // functions in one transaction

	maxRounds = 4               // of fetching for a batch; the function that needs more runs alone
	maxTries  = 8               // of a transaction that lost against another node's
	patience  = 5 * time.Second // of one transaction, and for beginning another try of it
)

// request is a function that waits for its transaction.
type request struct {
	fn   func(*Tx) error
	done func(error)
}

// committer owns the write connection. It is one goroutine, from Open to Close.
type committer struct {
	d       *DB
	queue   chan request  // at most queueSize; full = Submit blocks
	enough  chan struct{} // of size 1: a commit's worth may have come
	closing chan struct{} // closed when Close begins
	stopped chan struct{} // closed when the last commit is done
	log     *slog.Logger
	m       *metrics
	pace    pace.Pace
	taken   atomic.Int64 // functions of the batch while it waits for more

	tx    Tx
	batch []request
	errs  []error

	hooksMu sync.Mutex
	hooks   []func(whole bool) // OnRollback

	failing atomic.Pointer[failure]   // of the last commit; nil when it did not fail
	begun   atomic.Pointer[time.Time] // when what is being committed was begun; nil = nothing is
}

type failure struct {
	*pactwire.Error
	at time.Time
}

// run commits until the queue is closed and empty.
func (k *committer) run() {
	defer close(k.stopped)
	for r := range k.queue {
		k.batch = append(k.batch, r)
		k.fill()
		k.pace.Window = time.Duration(k.d.window.Load())
		select {
		case <-k.enough: // what it told of may be committed by now
		default:
		}
		k.taken.Store(int64(len(k.batch)))
		k.weigh()
		if k.pace.Wait(k.closing) {
			k.fill()
		}
		k.taken.Store(0)
		k.commit()
		clear(k.batch)
		clear(k.errs)
		k.batch = k.batch[:0]
	}
	if k.tx.c != nil {
		k.drop()
	}
}

// weigh tells when there is enough for a commit, in the batch and in the queue.
func (k *committer) weigh() {
	if int(k.taken.Load())+len(k.queue) < worth {
		return
	}
	select {
	case k.enough <- struct{}{}:
	default:
	}
}

// fill takes what is queued, without waiting.
func (k *committer) fill() {
	for len(k.batch) < maxBatch {
		select {
		case r, ok := <-k.queue:
			if !ok {
				return
			}
			k.batch = append(k.batch, r)
		default:
			return
		}
	}
}

// commit runs the batch, in as few transactions as it can be, and calls back.
func (k *committer) commit() {
	for len(k.errs) < len(k.batch) {
		k.errs = append(k.errs, nil)
	}
	start := time.Now()
	for from := 0; from < len(k.batch); {
		n := k.some(k.batch[from:], k.errs[from:])
		for i := from; i < from+n; i++ {
			k.tell(k.batch[i], k.errs[i])
		}
		from += n
	}
	k.m.batch.Observe(float64(len(k.batch)))
	k.m.seconds.Observe(time.Since(start).Seconds())
}

// some commits the first functions of those that wait, in one transaction, and returns how many; their errors are in errs.
func (k *committer) some(reqs []request, errs []error) int {
	start := time.Now()
	k.begun.Store(&start)
	defer k.begun.Store(nil)
	var n int
	err := k.d.health.err()
	alone := false
	for try := 0; err == nil; try++ {
		if alone {
			n, err = 1, k.one(reqs[0], &errs[0])
		} else {
			n, alone, err = k.together(reqs, errs)
			if alone && err == nil {
				continue
			}
		}
		if err == nil {
			k.m.trips.Observe(float64(k.tx.trips))
			k.succeeded()
			return n
		}
		k.undone(true)
		passing := k.abandon(err)
		switch {
		case passing && try < maxTries && time.Since(start) < patience: // what lost against a node is soon done; a person may hold a lock for hours
			k.m.retries.Inc()
			err = nil
		case isOwn(err) && len(reqs) > 1: // one of them wrote what the database does not take: find out which
			reqs, err = reqs[:1], nil
		case isOwn(err):
			errs[0] = &pactwire.Error{Code: pactwire.Internal, Message: "something went wrong on our side; try again", Cause: err}
			return 1
		}
	}
	refused := unavailable(err)
	for i := range reqs {
		errs[i] = refused
	}
	k.m.failures.Inc()
	if k.failing.Swap(&failure{refused, time.Now()}) == nil {
		k.log.Error("store refuses to commit", "error", err)
	}
	k.d.health.look()
	return len(reqs)
}

func (k *committer) succeeded() {
	if k.failing.Load() != nil {
		k.failing.Store(nil)
		k.log.Info("store commits again")
	}
}

// abandon ends a failed transaction and reports whether it may be tried again: it lost against another one. Otherwise the
// connection is not used again, save when a statement alone was at fault.
func (k *committer) abandon(err error) (passing bool) {
	passing = isPassing(err)
	if (passing || isOwn(err)) && k.tx.c != nil && !k.tx.c.IsClosed() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		k.tx.ctx = ctx
		if k.tx.rollback() == nil {
			return passing
		}
	}
	k.drop()
	return passing
}

// drop closes the connection; the next transaction opens one.
func (k *committer) drop() {
	if k.tx.c != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = k.tx.c.Close(ctx) // it may be broken already
	}
	k.tx.c, k.tx.open = nil, false
}

// start makes the transaction ready for functions.
func (k *committer) start(ctx context.Context, alone bool) error {
	t := &k.tx
	t.d, t.ctx, t.alone, t.fault, t.trips = k.d, ctx, alone, nil, 0
	t.lonely = false
	t.wants = wants{}
	t.forgetAll()
	if len(k.d.ids) >= k.d.maxNames {
		clear(k.d.ids)
	}
	if t.c == nil || t.c.IsClosed() {
		t.open = false
		c, err := pgx.ConnectConfig(ctx, k.d.writes.Copy())
		if err != nil {
			return err
		}
		t.c = c
	}
	return nil
}

// together runs functions on memory until all that they need is there, then commits. It may take fewer than there are; alone
// says that the first one needs a transaction for itself.
func (k *committer) together(reqs []request, errs []error) (n int, alone bool, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	t := &k.tx
	if err := k.start(ctx, false); err != nil {
		return 0, false, err
	}
	for round := 0; ; round++ {
		first := len(reqs) // the first that missed something
		for i := range reqs {
			t.lonely = false
			before := t.mark()
			var missed bool
			missed, errs[i] = k.call(reqs[i].fn, first == len(reqs))
			if missed || errs[i] != nil {
				t.back(before)
				k.undone(false)
			}
			if missed && (t.lonely || round >= maxRounds) { // those before it go first
				reqs = reqs[:i]
				break
			}
			if missed && first == len(reqs) {
				first = i
			}
		}
		if len(reqs) == 0 {
			return 0, true, t.rollback()
		}
		if first >= len(reqs) {
			break
		}
		t.back(mark{})
		k.undone(true)
		if err := t.fetch(&t.wants); err != nil {
			return 0, false, err
		}
	}
	return len(reqs), false, t.flush(true)
}

// one runs a function that has the transaction for itself.
func (k *committer) one(r request, result *error) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	t := &k.tx
	if err := k.start(ctx, true); err != nil {
		return err
	}
	for range maxTries {
		var missed bool
		missed, *result = k.call(r.fn, true)
		switch {
		case t.fault != nil:
			return t.fault
		case missed: // with other locks, and from the start
			k.undone(true)
			if err := t.begin(); err != nil {
				return err
			}
		case *result != nil:
			k.undone(true)
			return t.rollback()
		default:
			return t.flush(true)
		}
	}
	return errors.New("a function asks for ever more locks")
}

// undone tells the caches that what they learnt in this transaction, or from its last function alone, is no longer so.
func (k *committer) undone(whole bool) {
	k.hooksMu.Lock()
	hooks := k.hooks
	k.hooksMu.Unlock()
	for _, h := range hooks {
		h(whole)
	}
}

// call runs one function, unless it misses something. Another panic in it is its error.
func (k *committer) call(fn func(*Tx) error, report bool) (missed bool, err error) {
	defer func() {
		switch p := recover(); p {
		case nil:
		case errAgain:
			missed = true
		default:
			err = &pactwire.Error{Code: pactwire.Internal, Message: "something went wrong on our side; try again", Cause: fmt.Errorf("panic: %v", p)}
			if report {
				k.log.Error("panic in a transaction", "panic", p, "stack", string(debug.Stack()))
			}
		}
	}()
	return false, fn(&k.tx)
}

// tell calls back. A panic there must not end the committer.
func (k *committer) tell(r request, err error) {
	if r.done == nil {
		return
	}
	defer func() {
		if p := recover(); p != nil {
			k.log.Error("panic after a commit", "panic", p, "stack", string(debug.Stack()))
		}
	}()
	r.done(err)
}

// flush sends what was written, and the COMMIT with it.
func (t *Tx) flush(commit bool) error {
	var b pgx.Batch
	t.flushLog(&b)
	t.flushCommands(&b)
	t.flushUsers(&b)
	if err := t.flushCheckins(&b); err != nil {
		return err
	}
	t.flushStreaks(&b)
	t.flushDues(&b)
	for _, p := range t.posts {
		b.Queue(p.sql, p.args...)
	}
	clear(t.posts)
	t.posts = t.posts[:0]
	if b.Len() > 0 && !t.open { // what is only written needs no lock
		if err := t.fetchNothing(); err != nil {
			return err
		}
	}
	if commit && t.open {
		b.Queue("COMMIT")
	}
	if b.Len() == 0 {
		return nil
	}
	t.trips++
	if err := t.c.SendBatch(t.ctx, &b).Close(); err != nil {
		return t.fail(err)
	}
	if commit {
		t.open = false
	}
	return nil
}

func (t *Tx) fetchNothing() error {
	t.open, t.trips = true, t.trips+1
	if _, err := t.c.Exec(t.ctx, "BEGIN"); err != nil {
		return t.fail(err)
	}
	return nil
}

// Share says how many nodes commit to this database now, this one among them. Each then commits as much less often, so that all of
// them together make no more commits than one would: a commit costs the database more than what is in it. In company one costs twice as
// much, for the others are to hear of it, so there are half as many. Nobody waits longer than for three.
func (d *DB) Share(nodes int) {
	n := int64(1)
	if nodes > 1 {
		n = 2 * int64(min(nodes, 3))
	}
	d.window.Store(n * int64(d.cfg.CommitWindow))
}

// Submit queues fn to run inside the next transaction. done runs after the commit, on the committer's goroutine and in
// the order of submission: with nil, with fn's own error, or with an Unavailable error when the transaction could not be
// committed, or nobody knows whether it was. When the queue is full Submit waits for room; if ctx ends first, the database
// is away, or the store is closed it returns Unavailable and done is never called. See the package documentation for what fn
// and done may do.
func (d *DB) Submit(ctx context.Context, fn func(*Tx) error, done func(error)) error {
	if err := d.health.err(); err != nil {
		return unavailable(err)
	}
	d.gate.RLock()
	defer d.gate.RUnlock()
	if d.closed {
		return errClosed
	}
	r := request{fn, done}
	select {
	case d.k.queue <- r:
		d.k.weigh()
		return nil
	default:
	}
	select {
	case d.k.queue <- r:
		return nil
	case <-d.k.closing:
		return errClosed
	case <-ctx.Done():
		return unavailable(fmt.Errorf("waiting for room in the queue: %w", ctx.Err()))
	}
}

var errClosed = &pactwire.Error{Code: pactwire.Unavailable, Message: "the store is closed; try again later"}

// OnRollback registers a function that clears what was cached inside transactions: it is called when a whole transaction was
// undone, and when one function's writes alone were. It runs on the committer's goroutine and must not block.
func (d *DB) OnRollback(clearCaches func(whole bool)) {
	d.k.hooksMu.Lock()
	defer d.k.hooksMu.Unlock()
	d.k.hooks = append(d.k.hooks[:len(d.k.hooks):len(d.k.hooks)], clearCaches)
}

// isPassing reports a transaction that lost against another: deadlock, serialization, a lock that did not come in time.
func isPassing(err error) bool {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return false
	}
	return e.Code == "40P01" || e.Code == "40001" || e.Code == "55P03"
}

// isOwn reports a statement that the database refuses for what it says: data, constraints, syntax.
func isOwn(err error) bool {
	var e *pgconn.PgError
	if !errors.As(err, &e) || len(e.Code) != 5 {
		return false
	}
	switch e.Code[:2] {
	case "22", "23", "42", "54":
		return true
	}
	return false
}

// unavailable is what callers see of a failing database.
func unavailable(cause error) *pactwire.Error {
	return &pactwire.Error{Code: pactwire.Unavailable, Message: "the store cannot be used at the moment; try again", Cause: cause}
}

// readError makes the error of a failed read.
func readError(what string, err error) error {
	if err == nil {
		return nil
	}
	var e *pactwire.Error
	if errors.As(err, &e) {
		return err
	}
	return unavailable(fmt.Errorf("%s: %w", what, err))
}
