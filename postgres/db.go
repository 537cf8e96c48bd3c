package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pactwire/pactwire"
)

// Config says where the database is and who this node is. Only URL is needed.
type Config struct {
	// URL is a postgres:// URL. Its parameters are pgxpool's and PostgreSQL's own.
	URL string
	// Node is the name of this node, which one live process has. "" takes no name, for tools.
	Node string
	// CommitWindow is the least time from the beginning of one commit to that of the next, of all nodes together; see Share.
	// Default 0: none.
	CommitWindow time.Duration
	// Now is the clock that decides whether a session has expired. Default time.Now.
	Now func() time.Time
}

// DB is an open store. All methods may be called from any goroutine.
type DB struct {
	cfg    Config
	conns  *pgx.ConnConfig
	writes *pgx.ConnConfig // of the committer
	pool   *pgxpool.Pool   // for reads, and for writes that need no function
	k      *committer
	health *health

	ids      map[name]int64 // of the committer, see names.go
	maxNames int

	gate   sync.RWMutex // held shared while a request enters the queue, so that Close closes it after the last
	closed bool

	gathering sync.WaitGroup
	loads     chan gathered[pactwire.SessionKey, loadedSession]
	claims    chan gathered[pactwire.SessionClaim, claimedSession]
	turns     chan gathered[turnAsk, turnGiven]

	burying sync.Mutex
	dead    map[string]time.Time // nodes with sessions, and since when they are known to be dead; under burying

	window       atomic.Int64 // of this node's commits, as a time.Duration
	sessionReads atomic.Int64 // statements that served LoadSession
	closing      sync.Once
}

// What is asked of every connection unless the URL says otherwise: nothing may hang, and what a node holds that was stopped
// or cut off is given free.
var defaults = map[string]string{
	"application_name": "pactwire", "statement_timeout": "5000", "lock_timeout": "3000",
	"idle_in_transaction_session_timeout": "5000", "tcp_keepalives_idle": "10", "tcp_keepalives_interval": "3", "tcp_keepalives_count": "3",
}

// planning is asked of the connection that commits. Its statements are few and the same for ever, each row of theirs is found by
// an index in the order in which they name the tables, and to plan them anew for every batch would cost more than the rows. A
// plan that was made while the tables were all but empty may be kept for hours, so nothing is left to guess.
var planning = map[string]string{
	"plan_cache_mode": "force_generic_plan", "jit": "off", "enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off",
	"join_collapse_limit": "1", "from_collapse_limit": "1",
}

const connectTime = 2 * time.Second

// Open connects to the database, making or upgrading its tables as needed. It fails, saying what to do, when it cannot be
// reached, does not commit durably, was written by a newer program, or when a live process has the node's name.
func Open(ctx context.Context, cfg Config, log *slog.Logger, reg prometheus.Registerer) (_ *DB, err error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	pc, err := parse(cfg.URL)
	if err != nil {
		return nil, err
	}
	writes := pc.ConnConfig.Copy()
	maps.Copy(writes.RuntimeParams, planning)
	d := &DB{cfg: cfg, conns: pc.ConnConfig.Copy(), writes: writes, ids: map[name]int64{}, maxNames: maxNames}
	if err := d.durable(ctx); err != nil {
		return nil, err
	}
	if err := migrate(ctx, d.conns); err != nil {
		return nil, openError(d.conns, err)
	}
	d.health = newHealth(d.connect, cfg.Node, log)
	if err := d.health.begin(ctx); err != nil {
		return nil, openError(d.conns, err)
	}
	if d.pool, err = pgxpool.NewWithConfig(ctx, pc); err != nil {
		d.health.end()
		return nil, openError(d.conns, err)
	}
	k := &committer{d: d, queue: make(chan request, queueSize), enough: make(chan struct{}, 1), closing: make(chan struct{}), stopped: make(chan struct{}), log: log}
	k.pace.Enough = k.enough
	d.k = k
	d.Share(1)
	k.m, err = newMetrics(reg, func() float64 { return float64(len(k.queue)) }, d.pool)
	if err == nil {
		err = errors.Join(d.abandonSessions(ctx), d.abandonTurns(ctx))
	}
	if err != nil {
		d.health.end()
		d.pool.Close()
		return nil, openError(d.conns, err)
	}
	d.loads = make(chan gathered[pactwire.SessionKey, loadedSession], sessionQueue)
	d.claims = make(chan gathered[pactwire.SessionClaim, claimedSession], sessionQueue)
	d.turns = make(chan gathered[turnAsk, turnGiven], sessionQueue)
	go k.run()
	d.gathering.Go(func() { gather(d, d.loads, d.readSessions) })
	d.gathering.Go(func() { gather(d, d.claims, d.claimSessions) })
	d.gathering.Go(func() { gather(d, d.turns, d.claimTurns) })
	return d, nil
}

// parse reads a URL, and adds what it does not say.
func parse(url string) (*pgxpool.Config, error) {
	pc, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("store.url: this is no address of a PostgreSQL database; write postgres://user:password@host/database")
	}
	params := maps.Clone(defaults)
	maps.Copy(params, pc.ConnConfig.RuntimeParams)
	pc.ConnConfig.RuntimeParams = params
	if !strings.Contains(url, "connect_timeout") {
		pc.ConnConfig.ConnectTimeout = connectTime
	}
	if !strings.Contains(url, "pool_max_conns") {
		pc.MaxConns = 8
	}
	return pc, nil
}

// durable refuses a server that acknowledges what is not on its disk.
func (d *DB) durable(ctx context.Context) error {
	c, err := d.connect(ctx)
	if err != nil {
		return openError(d.conns, err)
	}
	defer func() { _ = c.Close(ctx) }() // it served its purpose
	var commit string
	if err := c.QueryRow(ctx, `SELECT current_setting('synchronous_commit')`).Scan(&commit); err != nil {
		return openError(d.conns, err)
	}
	if !slices.Contains([]string{"on", "remote_apply"}, commit) {
		return fmt.Errorf("the database %s has synchronous_commit = %s, so it would forget what was acknowledged; set it to on for this "+
			"database or role (ALTER DATABASE … SET synchronous_commit = on)", where(d.conns), commit)
	}
	return nil
}

func (d *DB) connect(ctx context.Context) (*pgx.Conn, error) {
	return pgx.ConnectConfig(ctx, d.conns.Copy())
}

// readTime bounds a read or a write that is no function of Submit.
const readTime = 5 * time.Second

// read runs fn, which reads through the pool, unless the database is away; when it goes away fn's context ends. What failed
// because a connection was broken is tried once more on another.
func (d *DB) read(ctx context.Context, fn func(ctx context.Context) error) error {
	select {
	case <-d.k.closing:
		return errClosed
	default:
	}
	if err := d.health.err(); err != nil {
		return err
	}
	standing := d.health.standing()
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	release := context.AfterFunc(standing, cancel)
	defer release()
	err := fn(ctx)
	var refused *pactwire.Error
	if err != nil && ctx.Err() == nil && !isOwn(err) && !errors.As(err, &refused) {
		if !isPassing(err) {
			d.health.look()
		}
		err = fn(ctx)
	}
	if away := d.health.err(); err != nil && away != nil {
		return away
	}
	return err
}

// once is read for what must not run twice.
func (d *DB) once(ctx context.Context, fn func(ctx context.Context) error) error {
	begun := false
	return d.read(ctx, func(ctx context.Context) error {
		if begun {
			return errBroken
		}
		begun = true
		return fn(ctx)
	})
}

var errBroken = &pactwire.Error{Code: pactwire.Unavailable, Message: "the store was lost meanwhile; look what became of it, and try again"}

// Close refuses new work, commits what is queued, and disconnects. Closing twice is harmless.
func (d *DB) Close() error {
	d.closing.Do(func() {
		close(d.k.closing) // wakes those who wait for room
		d.gate.Lock()
		d.closed = true
		close(d.k.queue)
		d.gate.Unlock()
		<-d.k.stopped
		d.gathering.Wait()
		d.health.end()
		d.pool.Close()
	})
	return nil
}

// where names the database without its password.
func where(c *pgx.ConnConfig) string {
	return fmt.Sprintf("%s on %s:%d", c.Database, c.Host, c.Port)
}

func openError(c *pgx.ConnConfig, err error) error {
	if advice := refusedAdvice(err); advice != "" {
		return fmt.Errorf("cannot use the database %s: %w; %s", where(c), err, advice)
	}
	return fmt.Errorf("cannot use the database %s: %w", where(c), err)
}
