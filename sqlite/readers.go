package sqlite

import (
	"context"
	"fmt"
)

// reader is a place in the pool. Its connection is opened when first needed and after it failed.
type reader struct{ c *conn }

// read runs fn with a read-only connection. A context that ends stops the wait for one, not the statement: reads are
// short, and bounded by their callers.
func (d *DB) read(ctx context.Context, fn func(*conn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var r *reader
	select {
	case r = <-d.readers:
	default:
		select {
		case r = <-d.readers:
		case <-ctx.Done():
			return fmt.Errorf("waiting for a connection: %w", ctx.Err())
		case <-d.k.stopped:
			return errClosed
		}
	}
	defer func() { d.readers <- r }()
	if r.c == nil {
		c, err := d.openReader()
		if err != nil {
			return err
		}
		r.c = c
	}
	sound := false
	defer func() { // also when fn panics
		r.c.resetAll()
		if f := r.c.fault; !sound || f != nil && !f.passing() {
			r.c.close()
			r.c = nil
			return
		}
		r.c.fault = nil
		r.c.forgetMany()
	}()
	err := fn(r.c)
	sound = true
	return err
}

// view is read in one transaction: everything that fn reads is of one moment.
func (d *DB) view(ctx context.Context, fn func(*conn) error) error {
	return d.read(ctx, func(c *conn) error {
		return c.view(func() error { return fn(c) })
	})
}

func (d *DB) openReader() (*conn, error) {
	if err := d.inPlace(); err != nil {
		return nil, err
	}
	return openConn(d.cfg.Path, openRead, "PRAGMA busy_timeout = 5000", "PRAGMA query_only = 1", "PRAGMA cache_size = -2000")
}

// closeReaders waits for running reads and closes the connections.
func (d *DB) closeReaders() {
	for range cap(d.readers) {
		if r := <-d.readers; r.c != nil {
			r.c.close()
		}
	}
}
