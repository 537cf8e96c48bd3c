package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Config says where the database is and how it commits. Only Path is needed.
type Config struct {
	// Path of the database file. It and its folder are made when they do not exist. Beside it stand Path-wal, Path-shm
	// and Path.lock.
	Path string
	// Readers is the number of read-only connections. Default 4.
	Readers int
	// MaxPages limits the size of the database to that many pages of 2 KiB. 0 means SQLite's own limit. Beyond it writes
	// are refused as on a full disk.
	MaxPages int
	// Now is the clock that decides whether a session has expired. Default time.Now.
	Now func() time.Time
}

// DB is an open store. All methods may be called from any goroutine.
type DB struct {
	cfg  Config
	lock *fileLock
	file os.FileInfo // the database, as it was opened
	k    *committer

	gate   sync.RWMutex // held shared while a request enters the queue, so that Close closes it after the last
	closed bool

	readers chan *reader // idle ones; empty = read waits
	loads   chan sessionLoad
	loading sync.WaitGroup

	sessionReads atomic.Int64 // transactions that served LoadSession

	closing sync.Once
}

// Open opens the database, making or upgrading it as needed. It fails, saying what to do, when another process uses it,
// when it cannot be written, is damaged, or was written by a newer program.
func Open(ctx context.Context, cfg Config, log *slog.Logger, reg prometheus.Registerer) (_ *DB, err error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if cfg.Readers <= 0 {
		cfg.Readers = 4
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if err := os.MkdirAll(filepath.Dir(cfg.Path), 0o700); err != nil {
		return nil, fmt.Errorf("cannot make the folder of the database %s: %w; let this user write there, or set data_dir or store.url to another place", cfg.Path, err)
	}
	d := &DB{cfg: cfg, readers: make(chan *reader, cfg.Readers), loads: make(chan sessionLoad, sessionQueue)}
	if d.lock, err = lockFile(cfg.Path); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.lock.release())
		}
	}()
	w, err := d.prepare(ctx)
	if err != nil {
		return nil, openError(cfg.Path, err)
	}
	k := &committer{
		queue: make(chan request, queueSize), closing: make(chan struct{}), stopped: make(chan struct{}),
		open: d.openWriter, inPlace: d.inPlace, log: log, tx: Tx{c: w},
	}
	if d.file, err = os.Stat(cfg.Path); err != nil {
		w.close()
		return nil, openError(cfg.Path, err)
	}
	if k.m, err = newMetrics(reg, func() float64 { return float64(len(k.queue)) }); err != nil {
		w.close()
		return nil, err
	}
	d.k = k
	for range cfg.Readers {
		d.readers <- &reader{}
	}
	go k.run()
	d.loading.Go(d.loadSessions)
	return d, nil
}

// prepare makes the file what this program expects and returns the write connection.
func (d *DB) prepare(ctx context.Context) (*conn, error) {
	f, err := os.OpenFile(d.cfg.Path, os.O_RDWR|os.O_CREATE, 0o600) // SQLite would make it readable for all
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	// The page size holds from the first write on, so it comes before the migrations.
	c, err := openConn(d.cfg.Path, openWrite, "PRAGMA busy_timeout = 5000", "PRAGMA page_size = 2048", "PRAGMA journal_mode = WAL")
	if err != nil {
		return nil, err
	}
	c.close()
	if err := migrate(ctx, d.cfg.Path); err != nil {
		return nil, err
	}
	w, err := d.openWriter()
	if err != nil {
		return nil, err
	}
	// Connections that stood when the process was killed ended then; now is the best guess.
	if err := w.q(sqlAbandonSessions).int(millis(d.cfg.Now())).run(); err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

// openWriter opens the committer's connection. Foreign keys stay off: every reference is a number that this package gave
// out in the same transaction, and the checks would cost a lookup a row.
func (d *DB) openWriter() (*conn, error) {
	setup := []string{
		"PRAGMA busy_timeout = 2000", // who holds the file is a person with a shell; the committer must not hang on them
		"PRAGMA synchronous = FULL",  // an ack means on disk, also after a power cut
		"PRAGMA cache_size = -2000",  // a larger cache costs more than it saves: each commit may walk all of it
		"PRAGMA wal_autocheckpoint = 4000",
		"PRAGMA journal_size_limit = 67108864",
		"PRAGMA temp_store = MEMORY",
	}
	if d.cfg.MaxPages > 0 {
		setup = append(setup, fmt.Sprintf("PRAGMA max_page_count = %d", d.cfg.MaxPages))
	}
	return openConn(d.cfg.Path, openWrite, setup...)
}

// errNotInPlace is a file that SQLite goes on writing to, and that nobody will find when this process has ended.
var errNotInPlace = errors.New("the database file was removed or replaced while it was in use")

// inPlace looks whether the file that is open is the one that the next process will open.
func (d *DB) inPlace() error {
	now, err := os.Stat(d.cfg.Path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(now, d.file) {
		return fmt.Errorf("%w: %s", errNotInPlace, d.cfg.Path)
	}
	return nil // what else is amiss SQLite will find
}

// Ready reports whether the store can read and write. After a failed commit it tries one of its own.
func (d *DB) Ready(ctx context.Context) error {
	if err := d.inPlace(); err != nil {
		return fmt.Errorf("%w; %s", err, adviceOf(err))
	}
	if failing := d.k.failing.Load(); failing != nil {
		if err := d.Update(ctx, func(t *Tx) error { return t.c.q(sqlProbe).run() }); err != nil {
			return fmt.Errorf("%w; %s", failing.Cause, adviceOf(failing))
		}
	}
	return d.read(ctx, func(c *conn) error { return c.q(sqlProbeRead).run() })
}

var (
	sqlProbe     = newQuery(`INSERT INTO counters (name, value) VALUES ('probe', 1) ON CONFLICT (name) DO UPDATE SET value = value + 1`)
	sqlProbeRead = newQuery(`SELECT value FROM counters WHERE name = 'probe'`)
)

// Close refuses new work, commits what is queued, and lets go of the file. Closing twice is harmless.
func (d *DB) Close() error {
	var err error
	d.closing.Do(func() {
		close(d.k.closing) // wakes those who wait for room
		d.gate.Lock()
		d.closed = true
		close(d.k.queue)
		d.gate.Unlock()
		<-d.k.stopped
		d.loading.Wait()
		d.closeReaders()
		err = d.lock.release()
	})
	return err
}

// openError says what can be done about a database that cannot be opened.
func openError(path string, err error) error {
	if advice := adviceOf(err); advice != "" {
		return fmt.Errorf("cannot open the database %s: %w; %s", path, err, advice)
	}
	return fmt.Errorf("cannot open the database %s: %w", path, err)
}
