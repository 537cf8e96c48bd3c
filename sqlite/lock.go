package sqlite

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// fileLock keeps a second process away from the database. SQLite itself would let it in, and two committers would give
// out the same sequence numbers from their caches.
type fileLock struct{ f *os.File }

func lockFile(db string) (*fileLock, error) {
	path := db + ".lock"
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot write beside the database %s: %w; let this user write there, or set data_dir or store.url to another place", db, err)
	}
	if err := tryLock(f); err != nil {
		holder := "another process"
		if pid, _ := io.ReadAll(io.LimitReader(f, 32)); len(pid) > 0 {
			holder += " (pid " + strings.TrimSpace(string(pid)) + ")"
		}
		f.Close()
		return nil, fmt.Errorf("the database %s is in use by %s; stop it, or set data_dir or store.url to another place", db, holder)
	}
	// Who holds it is only for the message above; failing to say so does no harm.
	if f.Truncate(0) == nil {
		fmt.Fprintf(f, "%d\n", os.Getpid())
	}
	return &fileLock{f}, nil
}

// release lets go. The file stays: removing it would race with the next process that locks it.
func (l *fileLock) release() error { return l.f.Close() }
