package sqlite

import (
	"context"
	"time"

	"github.com/pactwire/pactwire"
)

var (
	sqlPutDue  = newQuery(`INSERT INTO due (key, at) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET at = excluded.at WHERE at <> excluded.at`)
	sqlNoDue   = newQuery(`DELETE FROM due WHERE key = ?`)
	sqlDueAt   = newQuery(`SELECT at FROM due WHERE key = ?`)
	sqlTakeDue = newQuery(`DELETE FROM due WHERE key = ? AND at = ? RETURNING 1`)
	sqlDue     = newQuery(`SELECT key, at FROM due WHERE at <= ? ORDER BY at, key LIMIT ?`)
)

// PutDue makes an appointment or moves it; the zero time takes it away.
func (t *Tx) PutDue(key string, at time.Time) error {
	if at.IsZero() {
		return t.c.q(sqlNoDue).text(key).run()
	}
	return t.c.q(sqlPutDue).text(key).int(millis(at)).run()
}

// DueAt is when an appointment stands.
func (t *Tx) DueAt(key string) (at time.Time, ok bool, err error) {
	s := t.c.q(sqlDueAt).text(key)
	if ok = s.next(); ok {
		at = s.colTime(0)
	}
	return at, ok, s.end()
}

// TakeDue takes an appointment away and reports whether it stood, at that very time.
func (t *Tx) TakeDue(d pactwire.Due) (bool, error) {
	n, err := t.c.q(sqlTakeDue).text(d.Key).int(millis(d.At)).count()
	return n > 0, err
}

// Due are the appointments that are not after until, ascending by time and key.
func (d *DB) Due(ctx context.Context, until time.Time, limit int) ([]pactwire.Due, error) {
	var out []pactwire.Due
	err := d.read(ctx, func(c *conn) error {
		s := c.q(sqlDue).int(millis(until)).int(int64(limit))
		for s.next() {
			out = append(out, pactwire.Due{Key: s.colText(0), At: s.colTime(1)})
		}
		return s.end()
	})
	return out, readError("read what is due", err)
}
