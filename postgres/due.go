package postgres

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pactwire/pactwire"
)

// due is an appointment as the running transaction sees it: when it stands, and whether another node is at it.
type due struct {
	at    int64
	ok    bool // there is one
	busy  bool // another transaction is taking it
	taken bool // at that time, by this one
	dirty bool
}

// PutDue makes an appointment or moves it; the zero time takes it away. It is not read before: the last word counts.
func (t *Tx) PutDue(key string, at time.Time) error {
	if at.IsZero() {
		t.setDue(key, due{dirty: true})
	} else {
		t.setDue(key, due{at: millis(at), ok: true, dirty: true})
	}
	return nil
}

func (t *Tx) setDue(key string, d due) {
	was, had := t.dues[key]
	t.change(func() {
		if had {
			t.dues[key] = was
		} else {
			delete(t.dues, key)
		}
	})
	t.dues[key] = d
}

// DueAt is when an appointment stands, also one that another node is taking: who asks holds what it is about, and so is before it.
func (t *Tx) DueAt(key string) (time.Time, bool, error) {
	d, err := t.due(key)
	return timeOf(d.at), d.ok, err
}

func (t *Tx) due(key string) (due, error) {
	if _, known := t.dues[key]; !known {
		if err := t.want(func(w *wants) {
			w.ready()
			w.dues[key] = none{}
		}); err != nil {
			return due{}, err
		}
	}
	return t.dues[key], nil
}

// TakeDue takes an appointment away and reports whether it stood, at that very time, and no other node is taking it.
func (t *Tx) TakeDue(d pactwire.Due) (bool, error) {
	now, err := t.due(d.Key)
	if err != nil {
		return false, err
	}
	if !now.ok || now.busy || now.at != millis(d.At) {
		return false, nil
	}
	t.setDue(d.Key, due{at: now.at, taken: true, dirty: true})
	return true, nil
}

// queueDues reads appointments that are to be taken. A lock that nobody waits for says which node is at one: waiting for
// its row would turn around the order of locks, since who checks in holds a person before an appointment is moved. What is
// read after the lock is what its last holder left.
func (t *Tx) queueDues(b *pgx.Batch, w *wants) {
	var keys []string
	for key := range w.dues {
		if _, known := t.dues[key]; !known {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return
	}
	for _, key := range keys {
		t.dues[key] = due{busy: true}
	}
	b.Queue(`SELECT key FROM unnest($1::text[]) AS w (key) WHERE pg_try_advisory_xact_lock(hashtextextended('due ' || key, 0))`, keys).
		Query(func(rows pgx.Rows) error {
			return each(rows, func() error {
				var key string
				err := rows.Scan(&key)
				t.dues[key] = due{}
				return err
			})
		})
	b.Queue(`SELECT key, at FROM due WHERE key = ANY ($1)`, keys).Query(func(rows pgx.Rows) error {
		return each(rows, func() error {
			var key string
			var at int64
			err := rows.Scan(&key, &at)
			t.dues[key] = due{at: at, ok: true, busy: t.dues[key].busy}
			return err
		})
	})
}

func (t *Tx) flushDues(b *pgx.Batch) {
	var gone, keys []string
	var at []int64
	var goneAt []*int64
	for _, key := range slices.Sorted(maps.Keys(t.dues)) { // in the same order on every node
		d := t.dues[key]
		switch {
		case !d.dirty:
			continue
		case d.ok:
			keys, at = append(keys, key), append(at, d.at)
		case d.taken: // who moved it meanwhile has moved it
			gone, goneAt = append(gone, key), append(goneAt, &d.at)
		default:
			gone, goneAt = append(gone, key), append(goneAt, nil)
		}
		d.dirty = false
		t.dues[key] = d
	}
	if len(gone) > 0 {
		b.Queue(`DELETE FROM due d USING unnest($1::text[], $2::bigint[]) AS w (key, at)
			WHERE d.key = w.key AND d.at = coalesce(w.at, d.at)`, gone, goneAt)
	}
	if len(keys) > 0 {
		b.Queue(`INSERT INTO due (key, at) SELECT * FROM unnest($1::text[], $2::bigint[])
			ON CONFLICT (key) DO UPDATE SET at = excluded.at WHERE due.at <> excluded.at`, keys, at)
	}
}

// Due are the appointments that are not after until, ascending by time and key.
func (d *DB) Due(ctx context.Context, until time.Time, limit int) (out []pactwire.Due, err error) {
	err = d.read(ctx, func(ctx context.Context) error {
		rows, err := d.pool.Query(ctx, `SELECT key, at FROM due WHERE at <= $1 ORDER BY at, key LIMIT $2`, millis(until), max(limit, 0))
		if err != nil {
			return err
		}
		defer rows.Close()
		out = nil
		return each(rows, func() error {
			var d pactwire.Due
			var at int64
			err := rows.Scan(&d.Key, &at)
			d.At = timeOf(at)
			out = append(out, d)
			return err
		})
	})
	return out, readError("read what is due", err)
}
