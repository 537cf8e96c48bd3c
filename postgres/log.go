package postgres

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pactwire/pactwire"
)

// head is a locked row of names: the number of a stream and its last sequence number.
type head struct {
	id    int64 // 0 = there is no such name yet
	seq   pactwire.Seq
	moved bool
}

// Append writes the next entry of a stream: its Seq must be Head + 1. Anything else is a fault of the caller and is
// refused, so that no stream ever has a gap.
func (t *Tx) Append(e pactwire.Entry, at time.Time) error {
	n := streamName(e.Stream)
	h := t.heads[n]
	if h == nil || h.id == 0 {
		if err := t.want(func(w *wants) { w.lock(n) }); err != nil {
			return err
		}
		h = t.heads[n]
	}
	if e.Seq != h.seq+1 {
		return pactwire.Errorf(pactwire.Internal, "stream %s stands at %d, so entry %d cannot be next", e.Stream.ID, h.seq, e.Seq)
	}
	was := *h
	t.change(func() { *h = was })
	h.seq, h.moved = e.Seq, true
	payload := bytes.Clone(e.Payload)
	if payload == nil {
		payload = []byte{}
	}
	t.log = append(t.log, logRow{h, seqInt(e.Seq), millis(at), payload})
	return nil
}

// Head is the last sequence number of a stream, 0 when it is empty.
func (t *Tx) Head(s pactwire.Stream) (pactwire.Seq, error) {
	n := streamName(s)
	h := t.heads[n]
	if h == nil {
		if err := t.want(func(w *wants) { w.lock(n) }); err != nil {
			return 0, err
		}
		h = t.heads[n]
	}
	return h.seq, nil
}

// ReadAfter returns the entries after a place (exclusive), ascending, at most limit.
func (d *DB) ReadAfter(ctx context.Context, s pactwire.Stream, after pactwire.Seq, limit int) ([]pactwire.Entry, error) {
	var out []pactwire.Entry
	err := d.read(ctx, func(ctx context.Context) (err error) {
		rows, err := d.pool.Query(ctx, `SELECT l.seq, l.payload FROM log l WHERE l.stream = (SELECT id FROM names WHERE kind = $1 AND name = $2)
			AND l.seq > $3 ORDER BY l.seq LIMIT $4`, int16(s.Kind), s.ID, seqInt(after), max(limit, 0))
		out, err = entries(rows, err, s)
		return err
	})
	return out, readError("read stream "+s.ID, err)
}

// ReadBefore returns the last entries before a place (exclusive), ascending, at most limit. Any place beyond the head
// stands for the end; before 0 there is nothing.
func (d *DB) ReadBefore(ctx context.Context, s pactwire.Stream, before pactwire.Seq, limit int) ([]pactwire.Entry, error) {
	var out []pactwire.Entry
	err := d.read(ctx, func(ctx context.Context) (err error) {
		rows, err := d.pool.Query(ctx, `SELECT l.seq, l.payload FROM log l WHERE l.stream = (SELECT id FROM names WHERE kind = $1 AND name = $2)
			AND l.seq < $3 ORDER BY l.seq DESC LIMIT $4`, int16(s.Kind), s.ID, seqInt(before), max(limit, 0))
		out, err = entries(rows, err, s)
		slices.Reverse(out)
		return err
	})
	return out, readError("read stream "+s.ID, err)
}

func entries(rows pgx.Rows, err error, of pactwire.Stream) (out []pactwire.Entry, _ error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	err = each(rows, func() error {
		e := pactwire.Entry{Stream: of}
		err := rows.Scan(&e.Seq, &e.Payload)
		out = append(out, e)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// ReadMany serves many streams with one statement. The result has the order of the requests.
func (d *DB) ReadMany(ctx context.Context, reqs []pactwire.ReadRequest) ([][]pactwire.Entry, error) {
	out := make([][]pactwire.Entry, len(reqs))
	if len(reqs) == 0 {
		return out, nil
	}
	kinds, ids := make([]int16, len(reqs)), make([]string, len(reqs))
	after, limits := make([]int64, len(reqs)), make([]int64, len(reqs))
	for i, r := range reqs {
		kinds[i], ids[i], after[i], limits[i] = int16(r.Stream.Kind), r.Stream.ID, seqInt(r.After), int64(max(r.Limit, 0))
	}
	err := d.read(ctx, func(ctx context.Context) error {
		rows, err := d.pool.Query(ctx, `SELECT w.i, l.seq, l.payload
			FROM unnest($1::smallint[], $2::text[], $3::bigint[], $4::bigint[]) WITH ORDINALITY AS w (kind, name, after, most, i)
			JOIN names n ON n.kind = w.kind AND n.name = w.name
			CROSS JOIN LATERAL (SELECT seq, payload FROM log WHERE stream = n.id AND seq > w.after ORDER BY seq LIMIT w.most) l
			ORDER BY w.i, l.seq`, kinds, ids, after, limits)
		if err != nil {
			return err
		}
		defer rows.Close()
		clear(out)
		return each(rows, func() error {
			var i int
			var e pactwire.Entry
			if err := rows.Scan(&i, &e.Seq, &e.Payload); err != nil {
				return err
			}
			e.Stream = reqs[i-1].Stream
			out[i-1] = append(out[i-1], e)
			return nil
		})
	})
	if err != nil {
		return nil, readError("read streams", err)
	}
	return out, nil
}

// Bounds tells what is kept of each stream, in the order asked.
func (d *DB) Bounds(ctx context.Context, streams []pactwire.Stream) ([]pactwire.Bounds, error) {
	out := make([]pactwire.Bounds, len(streams))
	if len(streams) == 0 {
		return out, nil
	}
	kinds, ids := make([]int16, len(streams)), make([]string, len(streams))
	for i, s := range streams {
		kinds[i], ids[i] = int16(s.Kind), s.ID
	}
	err := d.read(ctx, func(ctx context.Context) error {
		rows, err := d.pool.Query(ctx, `SELECT w.i, n.floor, n.head FROM unnest($1::smallint[], $2::text[]) WITH ORDINALITY AS w (kind, name, i)
			JOIN names n ON n.kind = w.kind AND n.name = w.name`, kinds, ids)
		if err != nil {
			return err
		}
		defer rows.Close()
		return each(rows, func() error {
			var i int
			var b pactwire.Bounds
			err := rows.Scan(&i, &b.Floor, &b.Head)
			if err == nil {
				out[i-1] = b
			}
			return err
		})
	})
	if err != nil {
		return nil, readError("read bounds", err)
	}
	return out, nil
}

// flushLog sends the entries and the heads that they moved.
func (t *Tx) flushLog(b *pgx.Batch) {
	if len(t.log) == 0 {
		return
	}
	n := len(t.log)
	streams, seqs, at, payloads := make([]int64, n), make([]int64, n), make([]int64, n), make([][]byte, n)
	var ids, heads []int64
	for i, r := range t.log {
		streams[i], seqs[i], at[i], payloads[i] = r.of.id, r.seq, r.at, r.payload
		if r.of.moved {
			r.of.moved = false
			ids, heads = append(ids, r.of.id), append(heads, seqInt(r.of.seq))
		}
	}
	b.Queue(`INSERT INTO log (stream, seq, at, payload) SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bytea[])`,
		streams, seqs, at, payloads)
	b.Queue(`UPDATE names n SET head = w.head FROM unnest($1::bigint[], $2::bigint[]) AS w (id, head) WHERE n.id = w.id`, ids, heads)
	clear(t.log)
	t.log = t.log[:0]
}
