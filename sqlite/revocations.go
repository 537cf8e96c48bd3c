package sqlite

import (
	"context"
	"time"

	"github.com/pactwire/pactwire"
)

var (
	sqlAddRevocation = newQuery(`INSERT INTO revocations (id, token, user, device, before, revoker, at, until)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?)`)
	sqlForgetRevocations = newQuery(`DELETE FROM revocations WHERE until <= ?`)
	sqlRevocations       = newQuery(`SELECT id, token, user, device, before, revoker, at, until FROM revocations
		WHERE at >= ? ORDER BY at, id`)
)

// AddRevocation writes a revocation down, and forgets those whose time is over. It is durable when it returns.
func (d *DB) AddRevocation(ctx context.Context, r pactwire.Revocation) error {
	return d.Update(ctx, func(t *Tx) error {
		if err := t.c.q(sqlForgetRevocations).int(millis(r.At.Std())).run(); err != nil {
			return err
		}
		return t.addRevocation(r)
	})
}

func (t *Tx) addRevocation(r pactwire.Revocation) error {
	s := t.c.q(sqlAddRevocation).text(r.ID).textOrNull(r.TokenID).textOrNull(string(r.UserID)).textOrNull(string(r.DeviceID))
	return s.timePtr(r.Before).text(string(r.By)).int(millis(r.At.Std())).int(millis(r.Until.Std())).run()
}

func (s *stmt) textOrNull(v string) *stmt {
	if v == "" {
		return s.null()
	}
	return s.text(v)
}

// Revocations are those that were made since a time, oldest first.
func (d *DB) Revocations(ctx context.Context, since time.Time) ([]pactwire.Revocation, error) {
	var out []pactwire.Revocation
	err := d.read(ctx, func(c *conn) error {
		s := c.q(sqlRevocations).int(zeroMillis(since))
		for s.next() {
			out = append(out, pactwire.Revocation{ID: s.colText(0), TokenID: s.colText(1), UserID: pactwire.UserID(s.colText(2)),
				DeviceID: pactwire.DeviceID(s.colText(3)), Before: s.colTimePtr(4), By: pactwire.UserID(s.colText(5)),
				At: pactwire.Time(s.colTime(6)), Until: pactwire.Time(s.colTime(7))})
		}
		return s.end()
	})
	return out, readError("read revocations", err)
}
