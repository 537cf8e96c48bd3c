package sqlite

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/pactwire/pactwire"
	driver "modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"
)

// fault is what SQLite answered instead of doing its work.
type fault struct {
	Code int32 // extended result code
	Msg  string
}

func (f *fault) Error() string { return fmt.Sprintf("sqlite: %s (%d)", f.Msg, f.Code) }

func (f *fault) primary() int32 { return f.Code & 0xff }

// own reports a fault of the statement alone, such as a refused row: it failed and the transaction goes on.
func (f *fault) own() bool {
	switch f.primary() {
	case lib.SQLITE_CONSTRAINT, lib.SQLITE_ERROR, lib.SQLITE_MISMATCH, lib.SQLITE_MISUSE, lib.SQLITE_RANGE, lib.SQLITE_TOOBIG:
		return true
	}
	return false
}

// passing reports a fault that the connection survives; after any other it is opened anew.
func (f *fault) passing() bool {
	switch f.primary() {
	case lib.SQLITE_FULL, lib.SQLITE_BUSY, lib.SQLITE_LOCKED, lib.SQLITE_NOMEM:
		return true
	}
	return false
}

// advice says what the operator can do.
func (f *fault) advice() string {
	switch f.primary() {
	case lib.SQLITE_FULL:
		return "the disk is full; free some space"
	case lib.SQLITE_READONLY, lib.SQLITE_PERM, lib.SQLITE_AUTH:
		return "the file or its folder is not writable for this user; correct the permissions"
	case lib.SQLITE_CANTOPEN:
		return "the file cannot be opened; check that its folder exists and is writable for this user"
	case lib.SQLITE_CORRUPT, lib.SQLITE_NOTADB:
		return "the file is damaged or no database; move it away, with the -wal and -shm beside it, and restore a backup"
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED:
		return "another program holds the file; end it"
	case lib.SQLITE_IOERR:
		return "the disk refuses; check it"
	case lib.SQLITE_NOMEM:
		return "out of memory"
	}
	return "try again"
}

// isUnique reports whether err is a row that is already there.
func isUnique(err error) bool {
	var f *fault
	return errors.As(err, &f) &&
		(f.Code == lib.SQLITE_CONSTRAINT_UNIQUE || f.Code == lib.SQLITE_CONSTRAINT_PRIMARYKEY)
}

// unavailable is what callers see of a failing database.
func unavailable(cause error) *pactwire.Error {
	return &pactwire.Error{Code: pactwire.Unavailable, Message: "the store cannot be used at the moment; try again", Cause: cause}
}

// readError makes the error of a failed read.
func readError(what string, err error) error {
	if err == nil {
		return nil
	}
	return unavailable(fmt.Errorf("%s: %w", what, err))
}

// adviceOf is the advice for a fault inside err, or "".
func adviceOf(err error) string {
	var f *fault
	if errors.As(err, &f) {
		return f.advice()
	}
	var e *driver.Error
	if errors.As(err, &e) {
		return (&fault{Code: int32(e.Code())}).advice()
	}
	if errors.Is(err, errNotInPlace) {
		return "put that file back, or stop this process, put a backup in place, remove the -wal and -shm beside it, and start"
	}
	if errors.Is(err, fs.ErrPermission) {
		return (&fault{Code: lib.SQLITE_PERM}).advice()
	}
	return ""
}
