package postgres_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/testkit"
	"github.com/pactwire/pactwire/postgres"
)

// TestReadyOfADatabaseThatTakesNoCommits: it answers every question, and no command works. Who asks is told so, with what to
// do, until it takes commits again; nobody has to send a command for that.
func TestReadyOfADatabaseThatTakesNoCommits(t *testing.T) {
	t.Parallel()
	server := testkit.Postgres(t)
	url := server.Database()
	db := open(t, postgres.Config{URL: url, Node: "a"})
	write := func() error {
		return do(t.Context(), db, func(tx *postgres.Tx) error { return next(tx, pactwire.ActivityOf("p"), "x") })
	}
	if err := write(); err != nil {
		t.Fatal(err)
	}
	// What a server says whose standby was not promoted. Those who are connected see it with their next connection.
	set := func(value string) {
		server.SQL("ALTER DATABASE test_1 SET default_transaction_read_only = " + value)
		server.SQL("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'test_1'")
	}
	set("on")
	testkit.Eventually(t, 20*time.Second, "a write is refused for that", func() bool {
		err := write()
		return err != nil && strings.Contains(err.Error(), "read-only")
	})
	standby := func() bool {
		err := db.Ready(t.Context())
		return err != nil && strings.Contains(err.Error(), "read-only; is this address that of a standby")
	}
	testkit.Eventually(t, 5*time.Second, "Ready says so", standby)
	testkit.Never(t, time.Second, "it is ready", func() bool { return db.Ready(t.Context()) == nil })
	set("off")
	testkit.Eventually(t, 20*time.Second, "it is ready, though nobody has written", func() bool { return db.Ready(t.Context()) == nil })
	if err := write(); err != nil {
		t.Error(err)
	}
	if got := server.SQLIn(url, "SELECT count(*) FROM log"); got != "2" {
		t.Errorf("%s entries", got)
	}
}

// locked opens a database to which one entry was written, and takes a lock there that a person forgot.
func locked(t *testing.T, lock string) (db *postgres.DB, write func() error, unlock func()) {
	t.Helper()
	server := testkit.Postgres(t)
	db = open(t, postgres.Config{URL: server.URL(), Node: "a"})
	write = func() error {
		return do(t.Context(), db, func(tx *postgres.Tx) error { return next(tx, pactwire.ActivityOf("p"), "x") })
	}
	if err := write(); err != nil {
		t.Fatal(err)
	}
	operator, err := pgx.Connect(t.Context(), server.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = operator.Close(context.WithoutCancel(t.Context())) })
	exec := func(sql string) {
		t.Helper()
		if _, err := operator.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	exec("BEGIN; " + lock)
	return db, write, func() { exec("COMMIT") }
}

// TestPromise8SomebodysLock: a person's open transaction holds up the commits. Commands are refused soon rather than held, who asks
// is told why, and work goes on when the lock is gone.
func TestPromise8SomebodysLock(t *testing.T) {
	t.Parallel()
	db, write, unlock := locked(t, "LOCK TABLE log IN SHARE MODE")
	refused := make(chan error, 1)
	go func() { refused <- write() }()
	testkit.Eventually(t, 5*time.Second, "Ready says that a commit waits", func() bool {
		err := db.Ready(t.Context())
		return err != nil && strings.Contains(err.Error(), "pg_blocking_pids")
	})
	if err := <-refused; !isUnavailable(err) {
		t.Errorf("the write: %v", err)
	}
	if err := db.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "pg_blocking_pids") {
		t.Errorf("ready, with the lock still there: %v", err)
	}
	unlock()
	testkit.Eventually(t, 30*time.Second, "it is ready, though nobody has written", func() bool { return db.Ready(t.Context()) == nil })
	if err := write(); err != nil {
		t.Error(err)
	}
}

// TestReadyWithALockOnARow: only what the commits write is held, not what is tried to find out. A node is not ready and unready by
// turns for that.
func TestReadyWithALockOnARow(t *testing.T) {
	t.Parallel()
	db, write, unlock := locked(t, "SELECT FROM names FOR UPDATE")
	if err := write(); !isUnavailable(err) {
		t.Fatalf("the write: %v", err)
	}
	refused := make(chan error, 1)
	go func() { refused <- write() }()
	for waiting := true; waiting; {
		if err := db.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "pg_blocking_pids") {
			t.Fatalf("ready, with the lock still there: %v", err)
		}
		select {
		case err := <-refused:
			if waiting = false; !isUnavailable(err) {
				t.Errorf("the write: %v", err)
			}
		default:
		}
	}
	testkit.Never(t, 12*time.Second, "it is ready, since nobody has written for a while", func() bool { return db.Ready(t.Context()) == nil })
	unlock()
	testkit.Eventually(t, 30*time.Second, "it is ready, though nobody has written", func() bool { return db.Ready(t.Context()) == nil })
}

// TestReadyWhenNoConnectionIsLeft: others use all that there may be, and the one that commits was lost. The connections that stand
// still read.
func TestReadyWhenNoConnectionIsLeft(t *testing.T) {
	t.Parallel()
	server := testkit.Postgres(t)
	server.SQL("CREATE ROLE app LOGIN")
	server.SQL("CREATE DATABASE app OWNER app TEMPLATE template0")
	db := open(t, postgres.Config{URL: "postgres://app@" + server.Addr + "/app?sslmode=disable", Node: "a"})
	write := func() error {
		return do(t.Context(), db, func(tx *postgres.Tx) error { return next(tx, pactwire.ActivityOf("p"), "x") })
	}
	if err := errors.Join(write(), db.Ready(t.Context())); err != nil {
		t.Fatal(err)
	}
	server.SQL("ALTER ROLE app CONNECTION LIMIT 1")
	ended := server.SQL("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = 'app' AND query = 'COMMIT'")
	if ended != "1" {
		t.Fatalf("%s connections commit", ended)
	}
	testkit.Eventually(t, 20*time.Second, "a write is refused for that", func() bool {
		err := write()
		return err != nil && strings.Contains(err.Error(), "too many connections")
	})
	if err := db.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "raise its limit") {
		t.Errorf("ready: %v", err)
	}
	server.SQL("ALTER ROLE app CONNECTION LIMIT -1")
	testkit.Eventually(t, 5*time.Second, "it is ready, though nobody has written", func() bool { return db.Ready(t.Context()) == nil })
	if err := write(); err != nil {
		t.Error(err)
	}
}
