package sqlite_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/sqlite"
	"github.com/prometheus/client_golang/prometheus"
)

var (
	ctx  = context.Background()
	room = pactwire.ActivityOf("room")
)

// put appends one entry and waits for the commit.
func put(db *sqlite.DB, stream pactwire.Stream, payload []byte) error {
	return db.Update(ctx, func(tx *sqlite.Tx) error {
		head, err := tx.Head(stream)
		if err != nil {
			return err
		}
		return tx.Append(pactwire.Entry{Stream: stream, Seq: head + 1, Payload: payload}, time.Now())
	})
}

func head(t *testing.T, db *sqlite.DB, stream pactwire.Stream) pactwire.Seq {
	t.Helper()
	b, err := db.Bounds(ctx, []pactwire.Stream{stream})
	if err != nil {
		t.Fatal(err)
	}
	return b[0].Head
}

// leftovers are what a process that was killed leaves beside its file. SQLite would take them for a backup's that comes into its place,
// and damage that.
const leftovers = "-wal and -shm"

// TestPromise1AFileThatIsNotInPlaceTakesNothingMore: what was committed to it would be gone with this process.
func TestPromise1AFileThatIsNotInPlaceTakesNothingMore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pactwire.db")
	db := open(t, path)
	check := func(what string, in bool) {
		t.Helper()
		err := put(db, room, []byte("x"))
		ready := db.Ready(ctx)
		if in {
			if err != nil || ready != nil {
				t.Errorf("%s: %v, ready %v", what, err, ready)
			}
			return
		}
		if pactwire.CodeOf(err) != pactwire.Unavailable || ready == nil || !strings.Contains(ready.Error(), path+"; put that file back") || !strings.Contains(ready.Error(), leftovers) {
			t.Errorf("%s: %v, ready %v", what, err, ready)
		}
	}
	rename := func(from, to string) {
		t.Helper()
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	check("at first", true)
	away := path + ".away"
	rename(path, away)
	check("moved away", false)
	content, err := os.ReadFile(away)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	check("replaced", false)
	rename(away, path)
	check("back", true)
	if got := head(t, db, room); got != 2 {
		t.Errorf("the head is %d", got)
	}
}

func TestSecondProcessIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pactwire.db")
	db := open(t, path)
	_, err := sqlite.Open(ctx, sqlite.Config{Path: path}, nil, nil)
	if err == nil || !strings.Contains(err.Error(), "in use by another process (pid ") || !strings.Contains(err.Error(), path) {
		t.Fatalf("second open: %v", err)
	}
	if err := put(db, room, []byte("x")); err != nil {
		t.Fatalf("the first one after that: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if head(t, open(t, path), room) != 1 {
		t.Fatal("the entry is not there")
	}
}

func TestNewerSchemaIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pactwire.db")
	if err := open(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	raw := rawDB(t, path)
	if _, err := raw.Exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)`); err != nil {
		t.Fatal(err)
	}
	_, err := sqlite.Open(ctx, sqlite.Config{Path: path}, nil, nil)
	if err == nil || !strings.Contains(err.Error(), "newer pactwire") {
		t.Fatalf("open: %v", err)
	}
	if _, err := raw.Exec(`DELETE FROM goose_db_version WHERE version_id = 9999`); err != nil {
		t.Fatal(err)
	}
	open(t, path) // and the refusal let go of the lock
}

// rawDB is the file as a person with a shell has it.
func rawDB(t *testing.T, path string) *sql.DB {
	t.Helper()
	raw, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	raw.SetMaxOpenConns(1)
	t.Cleanup(func() { raw.Close() })
	return raw
}

func TestDamagedFileIsNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pactwire.db")
	if err := os.WriteFile(path, bytes.Repeat([]byte("no database "), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := sqlite.Open(ctx, sqlite.Config{Path: path}, nil, nil)
	if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "restore a backup") || !strings.Contains(err.Error(), leftovers) {
		t.Fatalf("open: %v", err)
	}
}

func TestUnwritablePlaceIsNamed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(file, "pactwire.db")}, nil, nil)
	if err == nil || !strings.Contains(err.Error(), "data_dir") {
		t.Fatalf("a folder that is a file: %v", err)
	}
	_, err = sqlite.Open(ctx, sqlite.Config{Path: t.TempDir()}, nil, nil)
	if err == nil {
		t.Fatal("a file that is a folder was opened")
	}
}

func TestFilesArePrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "folder", "pactwire.db")
	db := open(t, path)
	if err := put(db, room, []byte("x")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, path + "-wal", path + ".lock"} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s may be read by others: %v", filepath.Base(name), info.Mode())
		}
	}
}

func TestPathsWithOddCharacters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a b?c#d%20é", "x.db")
	db := open(t, path)
	if err := put(db, room, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if head(t, db, room) != 1 {
		t.Fatal("the entry is not there")
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
}

// TestFullDiskIsUnavailableAndPasses fills the space that the database may take.
func TestFullDiskIsUnavailableAndPasses(t *testing.T) {
	db, err := sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(t.TempDir(), "pactwire.db"), MaxPages: 400}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rolledBack := 0
	db.OnRollback(func(bool) { rolledBack++ })
	n := pactwire.Seq(0)
	for err == nil {
		if err = put(db, room, make([]byte, 5000)); err == nil {
			n++
		}
	}
	if pactwire.CodeOf(err) != pactwire.Unavailable || n < 50 {
		t.Fatalf("after %d entries: %v", n, err)
	}
	if rolledBack == 0 {
		t.Error("caches were not told")
	}
	if h := head(t, db, room); h != n {
		t.Fatalf("head %d after %d acked entries", h, n)
	}
	for range 20 { // as long as it lasts, small things may find room and big ones do not
		if err := put(db, room, make([]byte, 5000)); pactwire.CodeOf(err) != pactwire.Unavailable {
			t.Fatalf("still full: %v", err)
		}
	}
	if _, err := db.Prune(ctx, time.Now().Add(time.Hour), time.Time{}); err != nil {
		t.Fatalf("making room: %v", err)
	}
	if err := put(db, room, make([]byte, 5000)); err != nil {
		t.Fatalf("with room again: %v", err)
	}
	if err := db.Ready(ctx); err != nil {
		t.Fatalf("ready: %v", err)
	}
	if h := head(t, db, room); h != n+1 {
		t.Fatalf("head %d, want %d", h, n+1)
	}
}

// TestForeignWriterIsWaitedOutOrRefused lets someone with a shell hold the write lock.
func TestForeignWriterIsWaitedOutOrRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pactwire.db")
	db := open(t, path)
	raw := rawDB(t, path)
	if _, err := raw.Exec(`BEGIN IMMEDIATE`); err != nil {
		t.Fatal(err)
	}
	if err := put(db, room, []byte("x")); pactwire.CodeOf(err) != pactwire.Unavailable {
		t.Fatalf("while another program writes: %v", err)
	}
	if err := db.Ready(ctx); err == nil || !strings.Contains(err.Error(), "another program") {
		t.Fatalf("ready: %v", err)
	}
	if _, err := raw.Exec(`ROLLBACK`); err != nil {
		t.Fatal(err)
	}
	if err := put(db, room, []byte("x")); err != nil {
		t.Fatalf("after it ended: %v", err)
	}
	if err := db.Ready(ctx); err != nil {
		t.Fatalf("ready: %v", err)
	}
}

func TestSubmitWaitsForRoomAndGivesUpWithItsContext(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "pactwire.db"))
	in, out := make(chan struct{}), make(chan struct{})
	if err := db.Submit(ctx, func(*sqlite.Tx) error { close(in); <-out; return nil }, nil); err != nil {
		t.Fatal(err)
	}
	<-in
	done := make(chan error, 5000)
	nothing := func(*sqlite.Tx) error { return nil }
	for range 4096 {
		if err := db.Submit(ctx, nothing, func(err error) { done <- err }); err != nil {
			t.Fatal(err)
		}
	}
	short, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	err := db.Submit(short, nothing, func(error) { t.Error("done was called for what was refused") })
	if pactwire.CodeOf(err) != pactwire.Unavailable || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("full queue: %v", err)
	}
	waiting := make(chan error, 1)
	go func() { waiting <- db.Submit(ctx, nothing, func(err error) { done <- err }) }()
	close(out)
	if err := <-waiting; err != nil {
		t.Fatalf("when there is room: %v", err)
	}
	for range 4097 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
}

func TestUpdateThatNeverStartedDoesNothing(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "pactwire.db"))
	in, out := make(chan struct{}), make(chan struct{})
	if err := db.Submit(ctx, func(*sqlite.Tx) error { close(in); <-out; return nil }, nil); err != nil {
		t.Fatal(err)
	}
	<-in
	short, cancel := context.WithTimeout(ctx, 5*time.Millisecond)
	defer cancel()
	err := db.Update(short, func(tx *sqlite.Tx) error {
		return tx.Append(pactwire.Entry{Stream: room, Seq: 1, Payload: []byte("x")}, time.Now())
	})
	if pactwire.CodeOf(err) != pactwire.Unavailable {
		t.Fatalf("update: %v", err)
	}
	close(out)
	if err := db.Update(ctx, func(*sqlite.Tx) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if head(t, db, room) != 0 {
		t.Fatal("it was done although its caller was told that it was not")
	}
}

func TestMetricsAreRegisteredOnce(t *testing.T) {
	reg := prometheus.NewRegistry()
	db, err := sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(t.TempDir(), "a.db")}, nil, reg)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := put(db, room, []byte("x")); err != nil {
		t.Fatal(err)
	}
	families, err := reg.Gather()
	if err != nil || len(families) != 5 {
		t.Fatalf("%d families, %v", len(families), err)
	}
	path := filepath.Join(t.TempDir(), "b.db")
	if _, err := sqlite.Open(ctx, sqlite.Config{Path: path}, nil, reg); err == nil {
		t.Fatal("two stores share one registry")
	}
	open(t, path) // the failed attempt left nothing behind
}
