package sqlite

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pactwire/pactwire"
)

const (
	queueSize = 4096 // functions that wait for a commit; beyond it Submit blocks
	maxBatch  = 256  // functions in one transaction
)

// request is a function that waits for its transaction.
type request struct {
	fn   func(*Tx) error
	done func(error)
}

// committer owns the write connection. It is one goroutine, from Open to Close.
type committer struct {
	queue   chan request  // at most queueSize; full = Submit blocks
	closing chan struct{} // closed when Close begins
	stopped chan struct{} // closed when the last commit is done

	open    func() (*conn, error)
	inPlace func() error
	log     *slog.Logger
	m       *metrics

	tx    Tx
	batch []request
	errs  []error

	hooksMu sync.Mutex
	hooks   []func(whole bool) // OnRollback

	commits atomic.Int64
	failing atomic.Pointer[pactwire.Error] // why the last commit failed; nil when it did not
}

// run commits until the queue is closed and empty.
func (k *committer) run() {
	defer close(k.stopped)
	for r := range k.queue {
		k.batch = append(k.batch, r)
		k.fill()
		k.commit()
		for i, r := range k.batch {
			k.tell(r, k.errs[i])
		}
		clear(k.batch)
		clear(k.errs)
		k.batch = k.batch[:0]
	}
	if c := k.tx.c; c != nil {
		if err := c.checkpoint(); err != nil {
			k.log.Warn("last checkpoint failed; it is made up at the next start", "error", err)
		}
		c.close()
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

// commit runs the batch and fills errs.
func (k *committer) commit() {
	for len(k.errs) < len(k.batch) {
		k.errs = append(k.errs, nil)
	}
	start := time.Now()
	err := k.transaction()
	if err != nil {
		refused := unavailable(err)
		for i := range k.batch {
			k.errs[i] = refused
		}
		k.m.failures.Inc()
		if k.failing.Swap(refused) == nil {
			k.log.Error("store refuses to commit", "error", err, "advice", adviceOf(err))
		}
	} else if k.failing.Load() != nil {
		k.failing.Store(nil)
		k.log.Info("store commits again")
	}
	k.commits.Add(1)
	k.m.seconds.Observe(time.Since(start).Seconds())
	k.m.commands.Observe(float64(len(k.batch)))
}

// transaction commits the batch: first all functions in one go, and when one fails that has written, again from the start with
// a savepoint for each, so that only the failing ones are undone. An error means that nothing was committed.
func (k *committer) transaction() error {
	if err := k.inPlace(); err != nil {
		return err
	}
	if k.tx.c == nil {
		c, err := k.open()
		if err != nil {
			return err
		}
		k.tx.c = c
	}
	err := k.runAll(k.runPlain)
	if errors.Is(err, errRunAgain) {
		k.m.reruns.Inc()
		err = k.runAll(k.runGuarded)
	}
	return err
}

var errRunAgain = errors.New("a function of the batch failed after it had written")

// runAll runs the functions in one transaction and commits it, or leaves nothing of it.
func (k *committer) runAll(each func(i int, fn func(*Tx) error) error) error {
	c := k.tx.c
	c.fault = nil
	err := c.begin()
	for i := 0; i < len(k.batch) && err == nil; i++ {
		err = each(i, k.batch[i].fn)
		if c.fault != nil {
			err = c.fault
		}
	}
	if err == nil {
		err = c.commit()
	}
	if err == nil {
		k.tx.committed()
		return nil
	}
	k.undone(true)
	again := errors.Is(err, errRunAgain)
	if e := c.rollback(); e != nil || !again && (c.fault == nil || !c.fault.passing()) {
		c.close() // the next batch opens it anew
		k.tx.c = nil
		if e != nil && again {
			return e
		}
	}
	return err
}

// runPlain lets a function fail that has written nothing: what is refused costs nobody else anything.
func (k *committer) runPlain(i int, fn func(*Tx) error) error {
	c := k.tx.c
	before := c.changes()
	err := k.call(fn)
	if err == nil {
		return nil
	}
	if c.changes() != before {
		return errRunAgain
	}
	c.resetAll()
	k.tx.nextCommand = 0
	k.fails(i, err)
	return nil
}

var (
	sqlSavepoint  = newQuery(`SAVEPOINT fn`)
	sqlRollbackTo = newQuery(`ROLLBACK TO fn`)
	sqlRelease    = newQuery(`RELEASE fn`)
)

func (k *committer) runGuarded(i int, fn func(*Tx) error) error {
	c := k.tx.c
	if err := c.q(sqlSavepoint).run(); err != nil {
		return err
	}
	k.errs[i] = nil
	err := k.call(fn)
	c.resetAll()
	if err != nil && c.fault == nil {
		k.fails(i, err)
		k.undone(false)
		if err := c.q(sqlRollbackTo).run(); err != nil {
			return err
		}
	}
	return c.q(sqlRelease).run()
}

// undone tells the caches that what they learnt in this transaction, or from its last function alone, is no longer so.
func (k *committer) undone(whole bool) {
	k.tx.rolledBack(whole)
	k.hooksMu.Lock()
	hooks := k.hooks
	k.hooksMu.Unlock()
	for _, h := range hooks {
		h(whole)
	}
}

// panicked is a panic in a function.
type panicked struct {
	value any
	stack []byte
}

func (p *panicked) Error() string { return fmt.Sprintf("panic: %v", p.value) }

// call runs one function. A panic in it is its error.
func (k *committer) call(fn func(*Tx) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &pactwire.Error{Code: pactwire.Internal, Message: "something went wrong on our side; try again", Cause: &panicked{p, debug.Stack()}}
		}
	}()
	return fn(&k.tx)
}

// fails makes err what becomes of a function, whatever comes of the others.
func (k *committer) fails(i int, err error) {
	k.errs[i] = err
	var p *panicked
	if errors.As(err, &p) {
		k.log.Error("panic in a transaction", "panic", p.value, "stack", string(p.stack))
	}
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

// Submit queues fn to run inside the next transaction. done runs after the commit, on the committer's goroutine and in
// the order of submission: with nil, with fn's own error, or with an Unavailable error when the transaction could not be
// committed. When the queue is full Submit waits for room; if ctx ends first or the store is closed it returns
// Unavailable and done is never called. See the package documentation for what fn and done may do.
func (d *DB) Submit(ctx context.Context, fn func(*Tx) error, done func(error)) error {
	d.gate.RLock()
	defer d.gate.RUnlock()
	if d.closed {
		return errClosed
	}
	r := request{fn, done}
	select {
	case d.k.queue <- r:
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

// Update runs fn in the next transaction and waits until it is committed. If ctx ends before fn started nothing is done
// and Update returns Unavailable; after that it waits for the outcome.
func (d *DB) Update(ctx context.Context, fn func(*Tx) error) error {
	const waiting, started, abandoned = 0, 1, 2
	var state atomic.Int32
	result := make(chan error, 1)
	err := d.Submit(ctx, func(t *Tx) error {
		if !state.CompareAndSwap(waiting, started) && state.Load() == abandoned {
			return nil
		}
		return fn(t)
	}, func(err error) { result <- err })
	if err != nil {
		return err
	}
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		if state.CompareAndSwap(waiting, abandoned) {
			return unavailable(fmt.Errorf("waiting for a commit: %w", ctx.Err()))
		}
		return <-result
	}
}

// OnRollback registers a function that clears what was cached inside transactions: it is called when a whole transaction was
// undone, and when one function's writes alone were. It runs on the committer's goroutine and must not block.
func (d *DB) OnRollback(clearCaches func(whole bool)) {
	d.k.hooksMu.Lock()
	defer d.k.hooksMu.Unlock()
	d.k.hooks = append(d.k.hooks[:len(d.k.hooks):len(d.k.hooks)], clearCaches)
}
