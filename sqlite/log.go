package sqlite

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/pactwire/pactwire"
)

var (
	sqlAppend     = newQuery(`INSERT INTO log (stream, seq, at, payload) VALUES (?, ?, ?, ?)`)
	sqlHead       = newQuery(`SELECT coalesce((SELECT max(seq) FROM log WHERE stream = ?1), (SELECT floor FROM floors WHERE stream = ?1), 0)`)
	sqlFloor      = newQuery(`SELECT floor FROM floors WHERE stream = ?`)
	sqlReadAfter  = newQuery(`SELECT seq, payload FROM log WHERE stream = ? AND seq > ? ORDER BY seq LIMIT ?`)
	sqlReadBefore = newQuery(`SELECT seq, payload FROM log WHERE stream = ? AND seq < ? ORDER BY seq DESC LIMIT ?`)
)

// Append writes the next entry of a stream: its Seq must be Head + 1. Anything else is a fault of the caller and is
// refused, so that no stream ever has a gap.
func (t *Tx) Append(e pactwire.Entry, at time.Time) error {
	n := streamName(e.Stream)
	in, err := t.head(n)
	if err != nil {
		return fmt.Errorf("append to %s: %w", e.Stream.ID, err)
	}
	if e.Seq != in.head+1 {
		return pactwire.Errorf(pactwire.Internal, "stream %s stands at %d, so entry %d cannot be next", e.Stream.ID, in.head, e.Seq)
	}
	payload := e.Payload
	if payload == nil {
		payload = []byte{}
	}
	if err := t.c.q(sqlAppend).int(in.id).int(int64(e.Seq)).int(millis(at)).blob(payload).run(); err != nil {
		return fmt.Errorf("append to %s: %w", e.Stream.ID, err)
	}
	in.head = e.Seq
	t.touch(n, in)
	return nil
}

// Head is the last sequence number of a stream, 0 when it is empty.
func (t *Tx) Head(s pactwire.Stream) (pactwire.Seq, error) {
	in, err := t.c.lookup(streamName(s))
	if in == nil || err != nil {
		return 0, err
	}
	return in.head, t.readHead(in)
}

func (t *Tx) head(n name) (*interned, error) {
	in, err := t.intern(n)
	if err != nil {
		return nil, err
	}
	return in, t.readHead(in)
}

func (t *Tx) readHead(in *interned) error {
	if in.headKnown {
		return nil
	}
	head, err := t.c.readHead(in.id)
	if err != nil {
		return err
	}
	in.head, in.headKnown = head, true
	return nil
}

func (c *conn) readHead(stream int64) (head pactwire.Seq, err error) {
	s := c.q(sqlHead).int(stream)
	if s.next() {
		head = pactwire.Seq(s.colInt(0))
	}
	return head, s.end()
}

// ReadAfter returns the entries after a place (exclusive), ascending, at most limit.
func (d *DB) ReadAfter(ctx context.Context, s pactwire.Stream, after pactwire.Seq, limit int) ([]pactwire.Entry, error) {
	var out []pactwire.Entry
	err := d.read(ctx, func(c *conn) (err error) {
		out, err = c.readAfter(s, after, limit)
		return err
	})
	return out, readError("read stream "+s.ID, err)
}

func (c *conn) readAfter(s pactwire.Stream, after pactwire.Seq, limit int) ([]pactwire.Entry, error) {
	id, err := c.id(streamName(s))
	if id == 0 || err != nil || limit <= 0 {
		return nil, err
	}
	return c.q(sqlReadAfter).int(id).int(seqInt(after)).int(int64(limit)).entries(s)
}

// ReadBefore returns the last entries before a place (exclusive), ascending, at most limit. Any place beyond the head
// stands for the end; before 0 there is nothing.
func (d *DB) ReadBefore(ctx context.Context, s pactwire.Stream, before pactwire.Seq, limit int) ([]pactwire.Entry, error) {
	var out []pactwire.Entry
	err := d.read(ctx, func(c *conn) error {
		id, err := c.id(streamName(s))
		if id == 0 || err != nil || limit <= 0 {
			return err
		}
		out, err = c.q(sqlReadBefore).int(id).int(seqInt(before)).int(int64(limit)).entries(s)
		for i, j := 0, len(out)-1; i < j; i, j = i+1, j-1 {
			out[i], out[j] = out[j], out[i]
		}
		return err
	})
	return out, readError("read stream "+s.ID, err)
}

// ReadMany serves many streams with one connection and one read transaction. The result has the order of the requests.
func (d *DB) ReadMany(ctx context.Context, reqs []pactwire.ReadRequest) ([][]pactwire.Entry, error) {
	out := make([][]pactwire.Entry, len(reqs))
	err := d.view(ctx, func(c *conn) (err error) {
		for i, r := range reqs {
			if out[i], err = c.readAfter(r.Stream, r.After, r.Limit); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, readError("read streams", err)
	}
	return out, nil
}

// Bounds tells what is kept of each stream, in the order asked.
func (d *DB) Bounds(ctx context.Context, streams []pactwire.Stream) ([]pactwire.Bounds, error) {
	out := make([]pactwire.Bounds, len(streams))
	err := d.view(ctx, func(c *conn) error {
		for i, s := range streams {
			id, err := c.id(streamName(s))
			if err != nil {
				return err
			}
			if id == 0 {
				continue
			}
			if out[i].Head, err = c.readHead(id); err != nil {
				return err
			}
			f := c.q(sqlFloor).int(id)
			if f.next() {
				out[i].Floor = pactwire.Seq(f.colInt(0))
			}
			if err := f.end(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, readError("read bounds", err)
	}
	return out, nil
}

// entries reads rows of seq and payload.
func (s *stmt) entries(of pactwire.Stream) (out []pactwire.Entry, err error) {
	for s.next() {
		out = append(out, pactwire.Entry{Stream: of, Seq: pactwire.Seq(s.colInt(0)), Payload: s.colBlob(1)})
	}
	if err := s.end(); err != nil {
		return nil, err
	}
	return out, nil
}

// seqInt fits a sequence number into SQLite's integers.
func seqInt(s pactwire.Seq) int64 { return int64(min(s, math.MaxInt64)) }
