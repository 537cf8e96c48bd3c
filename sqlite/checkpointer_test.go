package sqlite

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pactwire/pactwire"
	lib "modernc.org/sqlite/lib"
)

// fillLog commits an entry of about 250 pages.
func fillLog(t *testing.T, d *DB, stream pactwire.Stream) {
	t.Helper()
	err := d.Update(context.Background(), func(tx *Tx) error {
		head, err := tx.Head(stream)
		if err != nil {
			return err
		}
		return tx.Append(pactwire.Entry{Stream: stream, Seq: head + 1, Payload: bytes.Repeat([]byte("x"), 500<<10)}, time.Now())
	})
	if err != nil {
		t.Fatal(err)
	}
}

func logSize(t *testing.T, d *DB) int64 {
	t.Helper()
	info, err := os.Stat(d.cfg.Path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// TestTheLogStaysShortWhileCommitsGoOn writes without a pause ten times what is too long a log.
func TestTheLogStaysShortWhileCommitsGoOn(t *testing.T) {
	d := openInside(t, Config{})
	d.k.checkpoints.long = 4000
	var all sync.WaitGroup
	for _, stream := range []pactwire.Stream{pactwire.ActivityOf("a"), pactwire.ActivityOf("b"), pactwire.ActivityOf("c")} {
		all.Go(func() {
			for range 60 {
				fillLog(t, d, stream)
				// Each of the passes that bring it close, and the commits beside them, may add to what is too long.
				if size := logSize(t, d); size > 4*4000*2072 {
					t.Errorf("the log has grown to %d bytes", size)
					return
				}
			}
		})
	}
	all.Wait()
}

// TestCommitsDoNoCheckpoint holds the checkpointer back: then the log only grows, whatever is committed.
func TestCommitsDoNoCheckpoint(t *testing.T) {
	d := openInside(t, Config{})
	held, let := make(chan struct{}), make(chan struct{})
	open := d.k.checkpoints.open
	d.k.checkpoints.open = func() (*conn, error) { close(held); <-let; return open() }
	stream := pactwire.ActivityOf("a")
	for range 40 { // ten thousand pages
		fillLog(t, d, stream)
	}
	<-held
	if size := logSize(t, d); size < 40*250*2072 {
		t.Errorf("a commit has moved pages: the log has %d bytes", size)
	}
	close(let)
}

// TestTwoCheckpointsAtOnce are no fault of either.
func TestTwoCheckpointsAtOnce(t *testing.T) {
	d := openInside(t, Config{})
	stop := make(chan struct{})
	var all sync.WaitGroup
	for range 2 {
		c, err := d.openCheckpointer()
		if err != nil {
			t.Fatal(err)
		}
		defer c.close()
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, _, err := c.checkpoint(); err != nil || c.fault != nil {
					t.Errorf("told %v, kept %v", err, c.fault)
					return
				}
			}
		})
	}
	for range 20 {
		fillLog(t, d, pactwire.ActivityOf("a"))
	}
	close(stop)
	all.Wait()
}

// TestCommitsGoOnWhileCheckpointsFail, which is said once, as is that they succeed again.
func TestCommitsGoOnWhileCheckpointsFail(t *testing.T) {
	var mu sync.Mutex
	var said bytes.Buffer
	log := slog.New(slog.NewTextHandler(writerFunc(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return said.Write(p)
	}), nil))
	d, err := Open(context.Background(), Config{Path: filepath.Join(t.TempDir(), "pactwire.db")}, log, nil)
	if err != nil {
		t.Fatal(err)
	}
	p := d.k.checkpoints
	open, tries := p.open, make(chan struct{}, 100)
	p.open = func() (*conn, error) {
		tries <- struct{}{}
		if len(tries) > 3 {
			return open()
		}
		return nil, &fault{Code: lib.SQLITE_IOERR, Msg: "disk I/O error"}
	}
	for stream := pactwire.ActivityOf("a"); len(tries) < 4; {
		fillLog(t, d, stream)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(d.cfg.Path + "-wal"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the last checkpoint left the log: %v", err)
	}
	for _, want := range []string{"checkpoint failed", "checkpoints succeed again"} {
		if n := strings.Count(said.String(), want); n != 1 {
			t.Errorf("%q was said %d times:\n%s", want, n, said.String())
		}
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
