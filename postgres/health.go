package postgres

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	lookEvery = 200 * time.Millisecond
	lookTime  = 800 * time.Millisecond // the database is away when it does not answer within this
	bindTime  = 3 * time.Second        // how long the start waits for a node of the same name to be gone
	lockSpace = 0x70616374             // "pact": the first half of the advisory locks of nodes
)

// health watches the database on a connection of its own, so that everyone else is refused at once while it is away instead
// of waiting. The same connection holds an advisory lock in the node's name for as long as the node lives: of two processes
// with one name the second refuses to start, and what a dead node has left is known to be free.
type health struct {
	connect func(context.Context) (*pgx.Conn, error)
	node    string // "" = no lock
	log     *slog.Logger

	away  atomic.Pointer[error]
	wake  chan struct{} // of size 1
	stop  context.CancelFunc
	tasks sync.WaitGroup

	c   *pgx.Conn // of the watching goroutine
	pid uint32    // of the connection that held the lock last

	mu   sync.Mutex
	up   context.Context // ends when the database goes away
	down context.CancelFunc
}

func newHealth(connect func(context.Context) (*pgx.Conn, error), node string, log *slog.Logger) *health {
	h := &health{connect: connect, node: node, log: log, wake: make(chan struct{}, 1)}
	h.up, h.down = context.WithCancel(context.Background())
	return h
}

// err is why the database cannot be used now, or nil.
func (h *health) err() error {
	if e := h.away.Load(); e != nil {
		return *e
	}
	return nil
}

// standing ends when the database goes away.
func (h *health) standing() context.Context {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.up
}

// look has the database looked at now: somebody has seen it fail.
func (h *health) look() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// lockKey is the second half of a node's advisory lock.
func lockKey(node string) int32 {
	f := fnv.New32a()
	f.Write([]byte(node))
	return int32(f.Sum32()) //nolint:gosec // any 32 bits do
}

// errTaken says that the node's name is in use.
var errTaken = errors.New("the name is taken")

// begin takes the lock, or says who has it, and starts to watch.
func (h *health) begin(ctx context.Context) error {
	until := time.Now().Add(bindTime)
	for {
		err := h.bind(ctx)
		if err == nil {
			break
		}
		if !errors.Is(err, errTaken) {
			return err
		}
		if time.Now().After(until) {
			return fmt.Errorf("another process runs as node %s on this database; end it, or give this one another node.id", h.node)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(lookEvery):
		}
	}
	watch, cancel := context.WithCancel(context.Background())
	h.stop = cancel
	h.tasks.Go(func() { h.watch(watch) })
	return nil
}

// bind connects and takes the lock.
func (h *health) bind(ctx context.Context) error {
	if h.c == nil {
		c, err := h.connect(ctx)
		if err != nil {
			return err
		}
		h.c = c
	}
	if h.node == "" {
		return nil
	}
	var got bool
	if err := h.c.QueryRow(ctx, `SELECT pg_try_advisory_lock($1, $2)`, int32(lockSpace), lockKey(h.node)).Scan(&got); err != nil {
		h.unbind()
		return err
	}
	if !got {
		h.evict(ctx)
		return errTaken
	}
	h.pid = h.c.PgConn().PID()
	return nil
}

// evict ends this process's own former connection, if the server has not noticed yet that it is gone.
func (h *health) evict(ctx context.Context) {
	if h.pid == 0 {
		return
	}
	_, err := h.c.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND pid = $1
		AND classid = $2 AND objid = $3::bigint::oid`, int32(h.pid), uint32(lockSpace), int64(uint32(lockKey(h.node)))) //nolint:gosec // as PostgreSQL has them
	if err != nil {
		h.log.Debug("former connection not ended", "error", err)
	}
}

func (h *health) unbind() {
	if h.c != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = h.c.Close(ctx) // it may be broken already
	}
	h.c = nil
}

// watch looks at the database until ctx ends.
func (h *health) watch(ctx context.Context) {
	defer h.unbind()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-h.wake:
		}
		err := h.ask(ctx)
		if ctx.Err() != nil {
			return
		}
		h.note(err)
	}
}

func (h *health) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	if h.c != nil && !h.c.IsClosed() {
		err := h.c.Ping(ctx)
		if err == nil {
			return nil
		}
		h.unbind()
		return err
	}
	h.c = nil
	return h.bind(ctx)
}

func (h *health) note(err error) {
	switch before := h.err(); {
	case err != nil && before == nil:
		h.away.Store(&err)
		h.mu.Lock()
		h.down()
		h.mu.Unlock()
		h.log.Error("the database is away", "error", err)
	case err != nil:
		h.away.Store(&err)
	case before != nil:
		h.mu.Lock()
		h.up, h.down = context.WithCancel(context.Background())
		h.mu.Unlock()
		h.away.Store(nil)
		h.log.Info("the database is back")
	}
}

func (h *health) end() {
	if h.stop != nil {
		h.stop()
		h.tasks.Wait()
	}
	h.mu.Lock()
	h.down()
	h.mu.Unlock()
}
