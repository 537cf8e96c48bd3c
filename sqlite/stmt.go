package sqlite

import (
	"unsafe"

	"modernc.org/libc"
	lib "modernc.org/sqlite/lib"
)

// query numbers a statement of this package, so that each connection finds its prepared form by index.
type query int

var queries []string

// newQuery is called for package variables only; the list is complete before main runs.
func newQuery(sql string) query {
	queries = append(queries, sql)
	return query(len(queries) - 1)
}

// stmt is a prepared statement. Use: c.q(sqlX).int(a).text(b) binds, then run; or next until it is false, then end.
// A value stays bound until the statement is reset, which run and end do.
type stmt struct {
	c     *conn
	p     uintptr
	n     int32 // values bound so far
	inUse bool
	err   error
}

// q returns the idle statement of a query. A query must not be used inside a loop over itself.
func (c *conn) q(k query) *stmt {
	if c.stmts == nil {
		c.stmts = make([]*stmt, len(queries))
	}
	s := c.stmts[k]
	if s == nil {
		s = &stmt{c: c}
		s.err = s.prepare(queries[k])
		if s.err != nil {
			return s // not kept: the next use tries again
		}
		c.stmts[k] = s
	}
	if s.inUse {
		s.reset()
	}
	s.inUse, s.n, s.err = true, 0, nil
	c.bound = append(c.bound, s)
	return s
}

func (s *stmt) prepare(sql string) error {
	c := s.c
	z, err := libc.CString(sql)
	if err != nil {
		return err
	}
	defer libc.Xfree(c.tls, z)
	*ptr[uintptr](c.out) = 0
	rc := lib.Xsqlite3_prepare_v3(c.tls, c.db, z, -1, lib.SQLITE_PREPARE_PERSISTENT, c.out, 0)
	s.p = *ptr[uintptr](c.out)
	return c.check(rc)
}

func (s *stmt) bindResult(rc int32) *stmt {
	if rc != lib.SQLITE_OK && s.err == nil {
		s.err = s.c.check(rc)
	}
	return s
}

// int binds a number.
func (s *stmt) int(v int64) *stmt {
	if s.err != nil {
		return s
	}
	s.n++
	return s.bindResult(lib.Xsqlite3_bind_int64(s.c.tls, s.p, s.n, v))
}

// bool binds 0 or 1.
func (s *stmt) bool(v bool) *stmt {
	if v {
		return s.int(1)
	}
	return s.int(0)
}

// null binds NULL.
func (s *stmt) null() *stmt {
	if s.err != nil {
		return s
	}
	s.n++
	return s.bindResult(lib.Xsqlite3_bind_null(s.c.tls, s.p, s.n))
}

// text binds a string.
func (s *stmt) text(v string) *stmt {
	if s.err != nil {
		return s
	}
	s.n++
	p := s.c.keep(v)
	if p == 0 {
		return s.bindResult(lib.SQLITE_NOMEM)
	}
	return s.bindResult(lib.Xsqlite3_bind_text(s.c.tls, s.p, s.n, p, int32(len(v)), 0))
}

// blob binds bytes; nil is NULL.
func (s *stmt) blob(v []byte) *stmt {
	if v == nil {
		return s.null()
	}
	if s.err != nil {
		return s
	}
	s.n++
	if len(v) == 0 {
		return s.bindResult(lib.Xsqlite3_bind_zeroblob(s.c.tls, s.p, s.n, 0))
	}
	p := s.c.keep(unsafe.String(&v[0], len(v)))
	if p == 0 {
		return s.bindResult(lib.SQLITE_NOMEM)
	}
	return s.bindResult(lib.Xsqlite3_bind_blob(s.c.tls, s.p, s.n, p, int32(len(v)), 0))
}

// run executes the statement and resets it.
func (s *stmt) run() error {
	for s.next() {
	}
	return s.end()
}

// next moves to the next row and reports whether there is one.
func (s *stmt) next() bool {
	if s.err != nil {
		return false
	}
	switch rc := lib.Xsqlite3_step(s.c.tls, s.p); rc {
	case lib.SQLITE_ROW:
		return true
	case lib.SQLITE_DONE:
	default:
		s.err = s.c.check(rc)
	}
	return false
}

// end resets the statement and returns what went wrong with it, if anything.
func (s *stmt) end() error {
	err := s.err
	s.reset()
	return err
}

func (s *stmt) reset() {
	if !s.inUse {
		return
	}
	c := s.c
	s.inUse = false
	lib.Xsqlite3_reset(c.tls, s.p)
	for i := len(c.bound) - 1; i >= 0; i-- {
		if c.bound[i] == s {
			c.bound = append(c.bound[:i], c.bound[i+1:]...)
			break
		}
	}
	if len(c.bound) == 0 {
		c.used = 0
		if len(c.spill) > 0 {
			c.freeSpill()
		}
	}
}

// The columns of the present row, counted from 0.

func (s *stmt) colInt(i int32) int64 { return lib.Xsqlite3_column_int64(s.c.tls, s.p, i) }

func (s *stmt) colBool(i int32) bool { return s.colInt(i) != 0 }

func (s *stmt) colNull(i int32) bool {
	return lib.Xsqlite3_column_type(s.c.tls, s.p, i) == lib.SQLITE_NULL
}

func (s *stmt) colText(i int32) string {
	p := lib.Xsqlite3_column_text(s.c.tls, s.p, i)
	n := lib.Xsqlite3_column_bytes(s.c.tls, s.p, i)
	if p == 0 || n == 0 {
		return ""
	}
	return string(memory(p, int(n)))
}

// colBlob is a copy; nil for NULL.
func (s *stmt) colBlob(i int32) []byte {
	p := lib.Xsqlite3_column_blob(s.c.tls, s.p, i)
	n := lib.Xsqlite3_column_bytes(s.c.tls, s.p, i)
	if p == 0 || n == 0 {
		if s.colNull(i) {
			return nil
		}
		return []byte{}
	}
	return append(make([]byte, 0, n), memory(p, int(n))...)
}
