package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pactwire/pactwire"
)

// AddRevocation writes a revocation down, and forgets those whose time is over. It is durable when it returns.
func (d *DB) AddRevocation(ctx context.Context, r pactwire.Revocation) error {
	err := d.once(ctx, func(ctx context.Context) error {
		return pgx.BeginFunc(ctx, d.pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, `DELETE FROM revocations WHERE until <= $1`, millis(r.At.Std())); err != nil {
				return err
			}
			return addRevocation(ctx, tx, r)
		})
	})
	return readError("add revocation", err)
}

func addRevocation(ctx context.Context, tx pgx.Tx, r pactwire.Revocation) error {
	_, err := tx.Exec(ctx, `INSERT INTO revocations (id, token, usr, device, before, revoker, at, until) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		r.ID, nullText(r.TokenID), nullText(string(r.UserID)), nullText(string(r.DeviceID)), ptrMillis(r.Before), r.By,
		millis(r.At.Std()), millis(r.Until.Std()))
	return err
}

// Revocations are those that were made since a time, oldest first.
func (d *DB) Revocations(ctx context.Context, since time.Time) (out []pactwire.Revocation, err error) {
	err = d.read(ctx, func(ctx context.Context) error {
		rows, err := d.pool.Query(ctx, `SELECT id, token, usr, device, before, revoker, at, until FROM revocations
			WHERE at >= $1 ORDER BY at, id`, zeroMillis(since))
		if err != nil {
			return err
		}
		defer rows.Close()
		out = nil
		return each(rows, func() error {
			var r pactwire.Revocation
			var token, user, device *string
			var before *int64
			var at, until int64
			err := rows.Scan(&r.ID, &token, &user, &device, &before, &r.By, &at, &until)
			r.TokenID, r.UserID, r.DeviceID = textOf(token), pactwire.UserID(textOf(user)), pactwire.DeviceID(textOf(device))
			r.Before, r.At, r.Until = ptrTime(before), pactwire.Time(timeOf(at)), pactwire.Time(timeOf(until))
			out = append(out, r)
			return err
		})
	})
	return out, readError("read revocations", err)
}
