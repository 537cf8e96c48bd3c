package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pactwire/pactwire"
)

const (
	pushColumns = `h.id, h.batch, n.name, coalesce(p.name, ''), h.channel, h.target, h.body, h.created_at, h.attempts, h.next_at, h.dead, h.error`
	pushNames   = ` JOIN names n ON n.id = h.usr LEFT JOIN names p ON p.id = h.pact `
)

func scanPush(row pgx.CollectableRow) (p pactwire.Push, err error) {
	var created, next int64
	err = row.Scan(&p.ID, &p.Batch, &p.User, &p.Pact, &p.Channel, &p.Target, &p.Body, &created, &p.Attempts, &next, &p.Dead, &p.Error)
	p.CreatedAt, p.NextAt = timeOf(created), timeOf(next)
	return p, err
}

// PutPush writes a push.
func (t *PushTx) PutPush(p pactwire.Push) error {
	names := []name{userName(p.User)}
	if p.Pact != "" {
		names = append(names, pactName(p.Pact))
	}
	if err := t.name(names...); err != nil {
		return err
	}
	_, err := t.exec(`INSERT INTO pushes (id, batch, usr, pact, channel, target, body, created_at, attempts, next_at, dead, error)
		VALUES ($3, $4, `+userNumber+`, coalesce(`+pactNumber+`, 0), $5, $6, $7, $8, $9, $10, $11, $12)`,
		p.User, p.Pact, p.ID, p.Batch, p.Channel, p.Target, p.Body, millis(p.CreatedAt), p.Attempts, millis(p.NextAt), p.Dead, p.Error)
	return err
}

// ClaimPushes takes at most limit due pushes of a channel; nobody else gets them until the lease is over.
func (t *PushTx) ClaimPushes(channel string, now, lease time.Time, limit int) ([]pactwire.Push, error) {
	rows, err := t.tx.Query(t.ctx, `WITH due AS (SELECT id, next_at FROM pushes WHERE NOT dead AND channel = $1 AND next_at <= $2
			ORDER BY next_at, id LIMIT $4 FOR UPDATE SKIP LOCKED),
		h AS (UPDATE pushes u SET next_at = $3 FROM due WHERE u.id = due.id RETURNING u.*, due.next_at AS was)
		SELECT `+pushColumns+` FROM h`+pushNames+`ORDER BY h.was, h.id`, channel, millis(now), millis(lease), max(limit, 0))
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanPush)
}

// FailPush stores what an attempt that did not succeed left.
func (t *PushTx) FailPush(p pactwire.Push) error {
	_, err := t.exec(`UPDATE pushes SET attempts = $1, next_at = $2, dead = $3, error = $4 WHERE id = $5`,
		p.Attempts, millis(p.NextAt), p.Dead, p.Error, p.ID)
	return err
}

// DonePush forgets a push, and with the last of its batch the jobs that it was made of.
func (t *PushTx) DonePush(id string) error {
	var batch string
	err := t.tx.QueryRow(t.ctx, `DELETE FROM pushes WHERE id = $1 RETURNING batch`, id).Scan(&batch)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && batch == "" {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = t.exec(`WITH j AS (DELETE FROM push_jobs WHERE batch = $1 AND batch <> '' AND NOT EXISTS (SELECT FROM pushes WHERE batch = $1) RETURNING id)
		DELETE FROM push_marks k USING j WHERE k.job = j.id`, batch)
	return err
}

// RevivePush gives a dead push another day, from now on. It reports whether there was one.
func (t *PushTx) RevivePush(id string, now time.Time) (bool, error) {
	n, err := t.exec(`UPDATE pushes SET dead = false, attempts = 0, created_at = $1, next_at = $1 WHERE id = $2 AND dead`, millis(now), id)
	return n > 0, err
}

// PrunePushes forgets at most limit pushes that were made before a time, whatever became of them.
func (t *PushTx) PrunePushes(before time.Time, limit int) (int, error) {
	rows, err := t.tx.Query(t.ctx, `SELECT id FROM pushes WHERE created_at < $1 ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED`, millis(before), max(limit, 0))
	if err != nil {
		return 0, err
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	for _, id := range ids {
		if err == nil {
			err = t.DonePush(id)
		}
	}
	return len(ids), err
}

// PushWork tells whether jobs are due, and which channels have pushes that are.
func (d *DB) PushWork(ctx context.Context, now time.Time) (jobs bool, channels []string, err error) {
	err = d.read(ctx, func(ctx context.Context) error {
		channels = nil
		var list []string
		err := d.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM push_jobs WHERE batch = '' AND due_at <= $1),
			ARRAY(SELECT DISTINCT channel FROM pushes WHERE NOT dead AND next_at <= $1 ORDER BY channel)`, millis(now)).Scan(&jobs, &list)
		channels = append(channels, list...)
		return err
	})
	return jobs, channels, readError("look for pushes", err)
}

// Pushes lists pushes after an id, ascending: those that were given up, or all.
func (d *DB) Pushes(ctx context.Context, dead bool, after string, limit int) (out []pactwire.Push, err error) {
	err = d.read(ctx, func(ctx context.Context) error {
		rows, err := d.pool.Query(ctx, `SELECT `+pushColumns+` FROM pushes h`+pushNames+`WHERE (h.dead OR NOT $1) AND h.id > $2 ORDER BY h.id LIMIT $3`,
			dead, after, max(limit, 0))
		if err != nil {
			return err
		}
		out, err = pgx.CollectRows(rows, scanPush)
		return err
	})
	return out, readError("list pushes", err)
}

// PutPushToken keeps where an app takes pushes. A token that is known goes on under its id, and belongs to whoever
// registered it last. The stored row is returned.
func (t *PushTx) PutPushToken(p pactwire.PushToken) (pactwire.PushToken, error) {
	if err := t.name(userName(p.User)); err != nil {
		return p, err
	}
	var created int64
	err := t.tx.QueryRow(t.ctx, `INSERT INTO push_tokens (id, usr, kind, token, p256dh, auth, created_at) VALUES ($2, `+userNumber+`, $3, $4, $5, $6, $7)
		ON CONFLICT (kind, md5(token)) DO UPDATE SET usr = excluded.usr, p256dh = excluded.p256dh, auth = excluded.auth
		RETURNING id, created_at`, p.User, p.ID, string(p.Kind), p.Token, p.P256dh, p.Auth, millis(p.CreatedAt.Std())).Scan(&p.ID, &created)
	p.CreatedAt = pactwire.Time(timeOf(created))
	return p, err
}

// DropPushToken forgets one of a person's tokens and reports whether there was one.
func (t *PushTx) DropPushToken(u pactwire.UserID, id string) (bool, error) {
	n, err := t.exec(`DELETE FROM push_tokens WHERE usr = `+userNumber+` AND id = $2`, u, id)
	return n > 0, err
}

// PushTokensOf are a person's tokens, the oldest first.
func (t *PushTx) PushTokensOf(u pactwire.UserID) ([]pactwire.PushToken, error) {
	return pushTokens(t.ctx, t.tx, u)
}

// PushTokens reads a person's tokens outside of transactions.
func (d *DB) PushTokens(ctx context.Context, u pactwire.UserID) (out []pactwire.PushToken, err error) {
	err = d.read(ctx, func(ctx context.Context) (err error) {
		out, err = pushTokens(ctx, d.pool, u)
		return err
	})
	return out, readError("read push tokens of "+string(u), err)
}

// querier is a pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

func pushTokens(ctx context.Context, q querier, u pactwire.UserID) ([]pactwire.PushToken, error) {
	rows, err := q.Query(ctx, `SELECT id, kind, token, p256dh, auth, created_at FROM push_tokens WHERE usr = `+userNumber+` ORDER BY created_at, id`, u)
	if err != nil {
		return nil, err
	}
	out, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (pactwire.PushToken, error) {
		p := pactwire.PushToken{User: u}
		var created int64
		err := row.Scan(&p.ID, &p.Kind, &p.Token, &p.P256dh, &p.Auth, &created)
		p.CreatedAt = pactwire.Time(timeOf(created))
		return p, err
	})
	if len(out) == 0 {
		out = nil
	}
	return out, err
}
