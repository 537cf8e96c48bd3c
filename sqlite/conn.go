package sqlite

import (
	"fmt"
	"unsafe"

	"modernc.org/libc"
	lib "modernc.org/sqlite/lib"
)

// conn is one connection. It is used by one goroutine at a time. Its statements are prepared once and kept.
type conn struct {
	tls   *libc.TLS
	db    uintptr
	out   uintptr // scratch for out parameters
	arena uintptr // bound values live here until the statement is reset
	used  int
	spill []uintptr // bound values that did not fit into the arena
	stmts []*stmt   // by query
	bound []*stmt   // in use, to be reset before the transaction ends

	// fault is the first failure of the database itself, not of one statement, since it was last cleared.
	fault *fault

	ids map[name]*interned // see names.go
}

const arenaSize = 64 << 10

// SQLite's numbers for how a connection is opened.
const (
	openWrite = lib.SQLITE_OPEN_READWRITE | lib.SQLITE_OPEN_CREATE | lib.SQLITE_OPEN_NOMUTEX
	openRead  = lib.SQLITE_OPEN_READONLY | lib.SQLITE_OPEN_NOMUTEX
)

// openConn opens the file and runs the given statements.
func openConn(path string, flags int32, setup ...string) (*conn, error) {
	c := &conn{tls: libc.NewTLS(), ids: map[name]*interned{}}
	c.out = libc.Xmalloc(c.tls, 8)
	c.arena = libc.Xmalloc(c.tls, arenaSize)
	if c.out == 0 || c.arena == 0 {
		c.close()
		return nil, &fault{Code: lib.SQLITE_NOMEM, Msg: "out of memory"}
	}
	zpath, err := libc.CString(path)
	if err != nil {
		c.close()
		return nil, err
	}
	defer libc.Xfree(c.tls, zpath)
	*ptr[uintptr](c.out) = 0
	rc := lib.Xsqlite3_open_v2(c.tls, zpath, c.out, flags, 0)
	c.db = *ptr[uintptr](c.out)
	if rc != lib.SQLITE_OK {
		err := c.check(rc)
		c.close()
		return nil, err
	}
	lib.Xsqlite3_extended_result_codes(c.tls, c.db, 1)
	for _, sql := range setup {
		if err := c.exec(sql); err != nil {
			c.close()
			return nil, fmt.Errorf("%s: %w", sql, err)
		}
	}
	c.fault = nil
	return c, nil
}

// close frees everything. Calling it twice is harmless.
func (c *conn) close() {
	if c.tls == nil {
		return
	}
	for _, s := range c.stmts {
		if s != nil {
			lib.Xsqlite3_finalize(c.tls, s.p)
		}
	}
	c.stmts = nil
	if c.db != 0 {
		lib.Xsqlite3_close_v2(c.tls, c.db)
	}
	c.freeSpill()
	libc.Xfree(c.tls, c.arena)
	libc.Xfree(c.tls, c.out)
	c.tls.Close()
	c.tls = nil
}

// exec runs statements that take no values and whose rows do not matter.
func (c *conn) exec(sql string) error {
	z, err := libc.CString(sql)
	if err != nil {
		return err
	}
	defer libc.Xfree(c.tls, z)
	return c.check(lib.Xsqlite3_exec(c.tls, c.db, z, 0, 0, 0))
}

// check turns a result code into an error and remembers faults.
func (c *conn) check(rc int32) error {
	if rc == lib.SQLITE_OK {
		return nil
	}
	f := &fault{Code: rc, Msg: libc.GoString(lib.Xsqlite3_errstr(c.tls, rc))}
	if c.db != 0 {
		f.Msg = libc.GoString(lib.Xsqlite3_errmsg(c.tls, c.db))
	}
	if !f.own() && c.fault == nil {
		c.fault = f
	}
	return f
}

// inTransaction reports whether a transaction is open; some faults end it by themselves.
func (c *conn) inTransaction() bool { return lib.Xsqlite3_get_autocommit(c.tls, c.db) == 0 }

// changes counts the rows that this connection ever wrote or deleted.
func (c *conn) changes() int64 { return lib.Xsqlite3_total_changes64(c.tls, c.db) }

// resetAll makes every statement idle, also those that a panic left in use.
func (c *conn) resetAll() {
	for len(c.bound) > 0 {
		c.bound[len(c.bound)-1].reset()
	}
}

// begin, commit and rollback are statements like others, prepared once.
var (
	sqlBegin     = newQuery(`BEGIN IMMEDIATE`)
	sqlBeginRead = newQuery(`BEGIN DEFERRED`)
	sqlCommit    = newQuery(`COMMIT`)
	sqlRollback  = newQuery(`ROLLBACK`)
)

func (c *conn) begin() error  { return c.q(sqlBegin).run() }
func (c *conn) commit() error { c.resetAll(); return c.q(sqlCommit).run() }

// rollback ends the transaction if there is one. Its failure leaves nothing to do but to open the connection anew.
func (c *conn) rollback() error {
	c.resetAll()
	if !c.inTransaction() {
		return nil
	}
	return c.q(sqlRollback).run()
}

// view runs fn in a read transaction, so that it sees one state and takes SQLite's locks once.
func (c *conn) view(fn func() error) error {
	if err := c.q(sqlBeginRead).run(); err != nil {
		return err
	}
	err := fn()
	if e := c.rollback(); err == nil {
		err = e
	}
	return err
}

// checkpoint moves the log of the database into its main file and truncates it.
func (c *conn) checkpoint() error {
	return c.check(lib.Xsqlite3_wal_checkpoint_v2(c.tls, c.db, 0, lib.SQLITE_CHECKPOINT_TRUNCATE, 0, 0))
}

func (c *conn) freeSpill() {
	for _, p := range c.spill {
		libc.Xfree(c.tls, p)
	}
	c.spill = c.spill[:0]
}

// keep copies b to where SQLite can read it until the statement that it is bound to is reset.
func (c *conn) keep(b string) uintptr {
	var p uintptr
	if n := (len(b) + 7) &^ 7; c.used+n <= arenaSize {
		p = c.arena + uintptr(c.used)
		c.used += n
	} else {
		p = libc.Xmalloc(c.tls, libc.Tsize_t(len(b)))
		if p == 0 {
			return 0
		}
		c.spill = append(c.spill, p)
	}
	copy(memory(p, len(b)), b)
	return p
}

// ptr and memory look at C memory, which the garbage collector neither knows nor moves.
func ptr[T any](p uintptr) *T { return (*T)(*(*unsafe.Pointer)(unsafe.Pointer(&p))) }

func memory(p uintptr, n int) []byte { return unsafe.Slice(ptr[byte](p), n) }
