package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pactwire/pactwire"
)

const selectPushes = `SELECT h.id, h.batch, n.name, coalesce(p.name, ''), h.channel, h.target, h.body, h.created_at, h.attempts, h.next_at, h.dead, h.error
	FROM pushes h JOIN names n ON n.id = h.usr LEFT JOIN names p ON p.id = h.pact `

func scanPush(rows pgx.Rows) (h pactwire.Push, err error) {
	var made, next int64
	err = rows.Scan(&h.ID, &h.Batch, &h.User, &h.Pact, &h.Channel, &h.Target, &h.Body, &made, &h.Attempts, &next, &h.Dead, &h.Error)
	h.CreatedAt, h.NextAt = timeOf(made), timeOf(next)
	return h, err
}

// PutPush writes a push.
func (t *Tx) PutPush(p pactwire.Push) error {
	user, err := t.number(userName(p.User))
	if err != nil {
		return err
	}
	pact, err := t.pushPact(p.Pact)
	if err != nil {
		return err
	}
	t.post(`INSERT INTO pushes (id, batch, usr, pact, channel, target, body, created_at, attempts, next_at, dead, error)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
		p.ID, p.Batch, user, pact, p.Channel, p.Target, p.Body, millis(p.CreatedAt), p.Attempts, millis(p.NextAt), p.Dead, p.Error)
	return nil
}

// ClaimPushes takes at most limit pushes of a channel that are due, and keeps others from them until the lease is over: who
// claims them has said by then what became of each, or is gone.
func (t *Tx) ClaimPushes(channel string, now, lease time.Time, limit int) (out []pactwire.Push, err error) {
	if err := t.direct(); err != nil {
		return nil, err
	}
	var ids []string
	err = t.rows(selectPushes+`WHERE NOT h.dead AND h.channel = $1 AND h.next_at <= $2 ORDER BY h.next_at, h.id LIMIT $3 FOR UPDATE OF h SKIP LOCKED`,
		[]any{channel, millis(now), max(limit, 0)}, func(rows pgx.Rows) error {
			h, err := scanPush(rows)
			out, ids = append(out, h), append(ids, h.ID)
			return err
		})
	if err == nil && len(ids) > 0 {
		t.post(`UPDATE pushes SET next_at = $2 WHERE id = ANY ($1)`, ids, millis(lease))
	}
	return out, err
}

// FailPush notes a failed attempt: Attempts, NextAt, Dead and Error of p.
func (t *Tx) FailPush(p pactwire.Push) error {
	t.post(`UPDATE pushes SET attempts = $2, next_at = $3, dead = $4, error = $5 WHERE id = $1`, p.ID, p.Attempts, millis(p.NextAt), p.Dead, p.Error)
	return nil
}

// DonePush forgets a push, and with the last one of its batch the jobs that it was made of.
func (t *Tx) DonePush(id string) error {
	if err := t.direct(); err != nil {
		return err
	}
	return t.donePushes([]string{id})
}

func (t *Tx) donePushes(ids []string) error {
	_, err := t.exec(`WITH done AS (DELETE FROM pushes WHERE id = ANY ($1) RETURNING batch),
		closed AS (SELECT DISTINCT batch FROM done d WHERE batch <> ''
			AND NOT EXISTS (SELECT 1 FROM pushes h WHERE h.batch = d.batch AND h.id <> ALL ($1))),
		gone AS (DELETE FROM push_jobs WHERE batch IN (SELECT batch FROM closed) AND batch <> '' RETURNING id)
		DELETE FROM push_marks WHERE job IN (SELECT id FROM gone)`, ids)
	return err
}

// RevivePush gives a dead push another day, from now on. It reports whether there was one.
func (t *Tx) RevivePush(id string, now time.Time) (bool, error) {
	if err := t.direct(); err != nil {
		return false, err
	}
	n, err := t.exec(`UPDATE pushes SET dead = false, attempts = 0, created_at = $2, next_at = $2 WHERE id = $1 AND dead`, id, millis(now))
	return n > 0, err
}

// PrunePushes forgets at most limit pushes that were made before a time, whatever became of them.
func (t *Tx) PrunePushes(before time.Time, limit int) (int, error) {
	if err := t.direct(); err != nil {
		return 0, err
	}
	var ids []string
	err := t.rows(`SELECT id FROM pushes WHERE created_at < $1 ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED`,
		[]any{millis(before), limit}, func(rows pgx.Rows) error {
			var id string
			err := rows.Scan(&id)
			ids = append(ids, id)
			return err
		})
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	return len(ids), t.donePushes(ids)
}

// PushWork tells whether jobs are due, and which channels have pushes that are.
func (d *DB) PushWork(ctx context.Context, now time.Time) (jobs bool, channels []string, err error) {
	err = d.read(ctx, func(ctx context.Context) error {
		channels = nil
		var b pgx.Batch
		b.Queue(`SELECT EXISTS (SELECT 1 FROM push_jobs WHERE batch = '' AND due_at <= $1)`, millis(now)).
			QueryRow(func(row pgx.Row) error { return row.Scan(&jobs) })
		b.Queue(`SELECT DISTINCT channel FROM pushes WHERE NOT dead AND next_at <= $1 ORDER BY channel`, millis(now)).Query(func(rows pgx.Rows) error {
			return each(rows, func() error {
				var c string
				err := rows.Scan(&c)
				channels = append(channels, c)
				return err
			})
		})
		return d.pool.SendBatch(ctx, &b).Close()
	})
	return jobs, channels, readError("look for pushes", err)
}

// Pushes lists pushes after an id, ascending: those that were given up, or all.
func (d *DB) Pushes(ctx context.Context, dead bool, after string, limit int) (out []pactwire.Push, err error) {
	err = d.read(ctx, func(ctx context.Context) error {
		rows, err := d.pool.Query(ctx, selectPushes+`WHERE (h.dead OR NOT $1) AND h.id > $2 ORDER BY h.id LIMIT $3`, dead, after, max(limit, 0))
		if err != nil {
			return err
		}
		defer rows.Close()
		out = nil
		return each(rows, func() error {
			h, err := scanPush(rows)
			out = append(out, h)
			return err
		})
	})
	return out, readError("list pushes", err)
}

const selectPushTokens = `SELECT id, kind, token, p256dh, auth, created_at FROM push_tokens
	WHERE usr = (SELECT id FROM names WHERE kind = 2 AND name = $1) ORDER BY created_at, id`

func scanPushToken(rows pgx.Rows, u pactwire.UserID) (p pactwire.PushToken, err error) {
	var made int64
	p.User = u
	err = rows.Scan(&p.ID, &p.Kind, &p.Token, &p.P256dh, &p.Auth, &made)
	p.CreatedAt = pactwire.Time(timeOf(made))
	return p, err
}

// PutPushToken keeps where an app takes pushes. A token that is known goes on under its id, and belongs to whoever
// registered it last. The stored row is returned.
func (t *Tx) PutPushToken(p pactwire.PushToken) (pactwire.PushToken, error) {
	ids, err := t.people(p.User)
	if err != nil {
		return p, err
	}
	var made int64
	_, err = t.one(`INSERT INTO push_tokens (id, usr, kind, token, p256dh, auth, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (kind, md5(token)) DO UPDATE SET usr = excluded.usr, p256dh = excluded.p256dh, auth = excluded.auth
		RETURNING id, created_at`,
		[]any{p.ID, ids[0], string(p.Kind), p.Token, p.P256dh, p.Auth, millis(p.CreatedAt.Std())}, &p.ID, &made)
	p.CreatedAt = pactwire.Time(timeOf(made))
	return p, err
}

// DropPushToken forgets one of a person's tokens and reports whether there was one.
func (t *Tx) DropPushToken(u pactwire.UserID, id string) (bool, error) {
	if err := t.direct(); err != nil {
		return false, err
	}
	n, err := t.exec(`DELETE FROM push_tokens WHERE id = $2 AND usr = (SELECT id FROM names WHERE kind = 2 AND name = $1)`, string(u), id)
	return n > 0, err
}

// PushTokensOf are a person's tokens, the oldest first.
func (t *Tx) PushTokensOf(u pactwire.UserID) (out []pactwire.PushToken, err error) {
	if err := t.direct(); err != nil {
		return nil, err
	}
	err = t.rows(selectPushTokens, []any{string(u)}, func(rows pgx.Rows) error {
		p, err := scanPushToken(rows, u)
		out = append(out, p)
		return err
	})
	return out, err
}

// PushTokens reads a person's tokens outside of transactions.
func (d *DB) PushTokens(ctx context.Context, u pactwire.UserID) (out []pactwire.PushToken, err error) {
	err = d.read(ctx, func(ctx context.Context) error {
		rows, err := d.pool.Query(ctx, selectPushTokens, u)
		if err != nil {
			return err
		}
		defer rows.Close()
		out = nil
		return each(rows, func() error {
			p, err := scanPushToken(rows, u)
			out = append(out, p)
			return err
		})
	})
	return out, readError("read push tokens of "+string(u), err)
}
