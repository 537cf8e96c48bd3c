package sqlite_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/pactwire/pactwire/bridge"
	"github.com/pactwire/pactwire/bridge/push"
	"github.com/pactwire/pactwire/broker/delivery"
	"github.com/pactwire/pactwire/habits"
	"github.com/pactwire/pactwire/internal/storetest"
	"github.com/pactwire/pactwire/internal/testkit"
	"github.com/pactwire/pactwire/sqlite"
	"go.uber.org/goleak"
)

var (
	_ habits.Store          = (*sqlite.DB)(nil)
	_ habits.Tx             = (*sqlite.Tx)(nil)
	_ bridge.Tx             = (*sqlite.Tx)(nil)
	_ bridge.Store          = bridgeStore{}
	_ habits.HostTx         = (*sqlite.Tx)(nil)
	_ habits.HostStore      = hostStore{}
	_ delivery.Log          = (*sqlite.DB)(nil)
	_ delivery.SessionStore = (*sqlite.DB)(nil)
)

// bridgeStore is how the bridge sees the store.
type bridgeStore struct{ *sqlite.DB }

func (s bridgeStore) Submit(ctx context.Context, fn func(bridge.Tx) error, done func(error)) error {
	return s.DB.Submit(ctx, func(tx *sqlite.Tx) error { return fn(tx) }, done)
}

// hostStore is how a habits-service of its own sees the store.
type hostStore struct{ *sqlite.DB }

func (s hostStore) Submit(ctx context.Context, fn func(habits.HostTx) error, done func(error)) error {
	return s.DB.Submit(ctx, func(tx *sqlite.Tx) error { return fn(tx) }, done)
}

func TestMain(m *testing.M) {
	if child := os.Getenv(childEnv); child != "" {
		os.Exit(killedChild(child))
	}
	goleak.VerifyTestMain(m)
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Store {
		return openSuite(t, filepath.Join(t.TempDir(), "pactwire.db"))
	})
}

// suiteStore is the store as the suite sees it.
type suiteStore struct {
	*sqlite.DB
	path string
}

func openSuite(t *testing.T, path string) suiteStore {
	testkit.Migrated(t, path, create)
	return suiteStore{open(t, path), path}
}

func (s suiteStore) Submit(ctx context.Context, fn func(storetest.Tx) error, done func(error)) error {
	return s.DB.Submit(ctx, func(tx *sqlite.Tx) error { return fn(tx) }, done)
}

func (s suiteStore) Push(ctx context.Context, fn func(push.Tx) error) error {
	return s.Update(ctx, func(tx *sqlite.Tx) error { return fn(tx) })
}

// Reopen opens what is on the disk at this moment, the main file and the log that was not yet moved into it, as they are
// found after a kill.
func (s suiteStore) Reopen(t *testing.T) storetest.Store {
	path := filepath.Join(t.TempDir(), "pactwire.db")
	for _, suffix := range []string{"", "-wal"} {
		b, err := os.ReadFile(s.path + suffix)
		if os.IsNotExist(err) && suffix != "" {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path+suffix, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return openSuite(t, path)
}

// open opens a store that closes itself at the end of the test.
func open(t testing.TB, path string) *sqlite.DB {
	t.Helper()
	db, err := sqlite.Open(context.Background(), sqlite.Config{Path: path}, nil, nil)
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

// create makes an empty database.
func create(path string) error {
	db, err := sqlite.Open(context.Background(), sqlite.Config{Path: path}, nil, nil)
	if err != nil {
		return err
	}
	return db.Close()
}
