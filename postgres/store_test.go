package postgres_test

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/pactwire/pactwire/bridge"
	"github.com/pactwire/pactwire/bridge/push"
	"github.com/pactwire/pactwire/broker/delivery"
	"github.com/pactwire/pactwire/habits"
	"github.com/pactwire/pactwire/internal/storetest"
	"github.com/pactwire/pactwire/internal/testkit"
	"github.com/pactwire/pactwire/postgres"
)

var (
	_ habits.Store          = (*postgres.DB)(nil)
	_ habits.HostTx         = (*postgres.Tx)(nil)
	_ bridge.Tx             = (*postgres.Tx)(nil)
	_ delivery.Log          = (*postgres.DB)(nil)
	_ delivery.SessionStore = (*postgres.DB)(nil)
	_ delivery.Owners       = (*postgres.DB)(nil)
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

func TestStore(t *testing.T) {
	url := testkit.Postgres(t).URL()
	storetest.Run(t, func(t *testing.T) storetest.Store {
		empty(t, url)
		return openSuite(t, url)
	})
}

// empty takes all rows out of a database, which costs less than another database.
func empty(t *testing.T, url string) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	_, err = c.Exec(t.Context(), `DO $$ DECLARE name text; BEGIN
		FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'goose_db_version' LOOP
			EXECUTE 'DELETE FROM ' || quote_ident(name);
		END LOOP; END $$`)
	if err != nil {
		t.Fatal(err)
	}
}

// suiteStore is the store as the suite sees it.
type suiteStore struct {
	*postgres.DB
	url string
}

func openSuite(t *testing.T, url string) suiteStore {
	db := open(t, postgres.Config{URL: url, Node: "a"})
	db.Remember(2) // so that names are forgotten all the time, and nothing comes of it
	return suiteStore{db, url}
}

func (s suiteStore) Submit(ctx context.Context, fn func(storetest.Tx) error, done func(error)) error {
	return s.DB.Submit(ctx, func(tx *postgres.Tx) error { return fn(tx) }, done)
}

func (s suiteStore) Push(ctx context.Context, fn func(push.Tx) error) error {
	return s.DB.Push(ctx, func(tx *postgres.PushTx) error { return fn(tx) })
}

// Reopen is the same database with another process's eyes.
func (s suiteStore) Reopen(t *testing.T) storetest.Store {
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return openSuite(t, s.url)
}

// open opens a store that closes itself at the end of the test.
func open(t testing.TB, cfg postgres.Config) *postgres.DB {
	t.Helper()
	db, err := postgres.Open(context.Background(), cfg, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// TestNodesInCompanyCommitLessOften than one that is alone, but not for ever less.
func TestNodesInCompanyCommitLessOften(t *testing.T) {
	db := open(t, postgres.Config{URL: testkit.Postgres(t).URL(), Node: "a", CommitWindow: 10 * time.Millisecond})
	for _, c := range []struct{ nodes, ms int }{{1, 10}, {2, 40}, {3, 60}, {9, 60}, {0, 10}} {
		if c.nodes != 1 {
			db.Share(c.nodes)
		}
		if got := db.Window(); got != time.Duration(c.ms)*time.Millisecond {
			t.Errorf("%d nodes: a commit each %v, not each %d ms", c.nodes, got, c.ms)
		}
	}
}

// TestNoCommitWaitsThatHasEnough shows too that one command alone does not wait.
func TestNoCommitWaitsThatHasEnough(t *testing.T) {
	db := open(t, postgres.Config{URL: testkit.Postgres(t).URL(), Node: "a", CommitWindow: time.Hour})
	done := make(chan error, 33)
	submit := func(n int) {
		t.Helper()
		for range n {
			if err := db.Submit(t.Context(), func(*postgres.Tx) error { return nil }, func(err error) { done <- err }); err != nil {
				t.Fatal(err)
			}
		}
	}
	answered := func(n int) {
		t.Helper()
		for i := range n {
			select {
			case err := <-done:
				if err != nil {
					t.Fatal(err)
				}
			case <-time.After(20 * time.Second):
				t.Fatalf("%d of %d commands wait for more", n-i, n)
			}
		}
	}
	submit(1)
	answered(1)
	submit(1)
	for db.Queued() > 0 { // the committer has taken it, and waits
		runtime.Gosched()
	}
	submit(31)
	answered(32)
}
