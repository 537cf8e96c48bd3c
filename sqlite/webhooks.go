package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/pactwire/pactwire"
)

var (
	sqlPutWebhook = newQuery(`INSERT INTO webhooks (uid, target, body, created_at, attempts, next_at) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (uid) DO UPDATE SET target = excluded.target, body = excluded.body, created_at = excluded.created_at,
			attempts = excluded.attempts, next_at = excluded.next_at`)
	sqlDoneWebhook = newQuery(`DELETE FROM webhooks WHERE uid = ?`)
	sqlDueWebhooks = newQuery(`SELECT uid, body, created_at, attempts, next_at FROM webhooks
		WHERE target = ? AND next_at <= ? ORDER BY next_at, uid LIMIT ?`)
)

// PutWebhook inserts or replaces a webhook of the outbox by its id.
func (t *Tx) PutWebhook(w pactwire.Webhook) error {
	body := w.Body
	if body == nil {
		body = []byte{}
	}
	err := t.c.q(sqlPutWebhook).text(w.ID).text(w.Target).blob(body).int(zeroMillis(w.CreatedAt)).int(int64(w.Attempts)).
		int(zeroMillis(w.NextAt)).run()
	if err != nil {
		return fmt.Errorf("put webhook %s: %w", w.ID, err)
	}
	return nil
}

// DoneWebhook forgets a webhook. One that is not there is no error.
func (t *Tx) DoneWebhook(id string) error { return t.c.q(sqlDoneWebhook).text(id).run() }

// DueWebhooks are the webhooks of a target whose NextAt is not after until, ascending by NextAt and id.
func (d *DB) DueWebhooks(ctx context.Context, target string, until time.Time, limit int) ([]pactwire.Webhook, error) {
	var out []pactwire.Webhook
	err := d.read(ctx, func(c *conn) error {
		s := c.q(sqlDueWebhooks).text(target).int(millis(until)).int(int64(max(limit, 0)))
		for s.next() {
			out = append(out, pactwire.Webhook{
				ID: s.colText(0), Target: target, Body: s.colBlob(1), CreatedAt: s.colZeroTime(2), Attempts: int(s.colInt(3)),
				NextAt: s.colZeroTime(4),
			})
		}
		return s.end()
	})
	return out, readError("read webhooks for "+target, err)
}
