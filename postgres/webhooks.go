package postgres

import (
	"context"
	"time"

	"github.com/pactwire/pactwire"
)

// PutWebhook inserts or replaces a webhook of the outbox by its id.
func (t *Tx) PutWebhook(w pactwire.Webhook) error {
	body := w.Body
	if body == nil {
		body = []byte{}
	}
	t.post(`INSERT INTO webhooks (uid, target, body, created_at, attempts, next_at) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (uid) DO UPDATE SET target = excluded.target, body = excluded.body, created_at = excluded.created_at,
			attempts = excluded.attempts, next_at = excluded.next_at`,
		w.ID, w.Target, body, zeroMillis(w.CreatedAt), w.Attempts, zeroMillis(w.NextAt))
	return nil
}

// DoneWebhook forgets a webhook. One that is not there is no error.
func (t *Tx) DoneWebhook(id string) error {
	t.post(`DELETE FROM webhooks WHERE uid = $1`, id)
	return nil
}

// DueWebhooks are the webhooks of a target whose NextAt is not after until, ascending by NextAt and id.
func (d *DB) DueWebhooks(ctx context.Context, target string, until time.Time, limit int) (out []pactwire.Webhook, err error) {
	err = d.read(ctx, func(ctx context.Context) error {
		rows, err := d.pool.Query(ctx, `SELECT uid, body, created_at, attempts, next_at FROM webhooks
			WHERE target = $1 AND next_at <= $2 ORDER BY next_at, uid LIMIT $3`, target, millis(until), max(limit, 0))
		if err != nil {
			return err
		}
		defer rows.Close()
		out = nil
		return each(rows, func() error {
			w := pactwire.Webhook{Target: target}
			var created, next int64
			err := rows.Scan(&w.ID, &w.Body, &created, &w.Attempts, &next)
			w.CreatedAt, w.NextAt = zeroTime(created), zeroTime(next)
			out = append(out, w)
			return err
		})
	})
	return out, readError("read webhooks for "+target, err)
}
