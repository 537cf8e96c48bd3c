package testkit

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
)

var migrated struct {
	once sync.Once
	file []byte
	err  error
}

// Migrated puts an empty database at path, where there is none yet: a copy of what create makes, which is called once in a
// test process. Making the tables anew takes much of the time of tests that need a database each.
func Migrated(t testing.TB, path string, create func(path string) error) {
	t.Helper()
	if _, err := os.Stat(path); err == nil {
		return
	}
	migrated.once.Do(func() {
		first := filepath.Join(t.TempDir(), "first.db")
		if migrated.err = create(first); migrated.err == nil {
			migrated.file, migrated.err = os.ReadFile(first)
		}
	})
	if migrated.err != nil {
		t.Fatal(migrated.err)
	}
	if err := os.WriteFile(path, migrated.file, 0o600); err != nil {
		t.Fatal(err)
	}
}
