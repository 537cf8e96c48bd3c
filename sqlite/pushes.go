package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/pactwire/pactwire"
)

const pushColumns = `h.id, h.batch, n.name, coalesce(p.name, ''), h.channel, h.target, h.body, h.created_at, h.attempts, h.next_at, h.dead, h.error
	FROM pushes h JOIN names n ON n.id = h.user LEFT JOIN names p ON p.id = h.pact`

var (
	sqlPutPush = newQuery(`INSERT INTO pushes (id, batch, user, pact, channel, target, body, created_at, attempts, next_at, dead, error)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`)
	sqlDuePushes = newQuery(`SELECT ` + pushColumns + `
		WHERE h.dead = 0 AND h.channel = ? AND h.next_at <= ? ORDER BY h.next_at, h.id LIMIT ?`)
	sqlLeasePush = newQuery(`UPDATE pushes SET next_at = ? WHERE id = ?`)
	sqlFailPush  = newQuery(`UPDATE pushes SET attempts = ?, next_at = ?, dead = ?, error = ? WHERE id = ?`)
	sqlDonePush  = newQuery(`DELETE FROM pushes WHERE id = ? RETURNING batch`)
	sqlBatchOpen = newQuery(`SELECT 1 FROM pushes WHERE batch = ? LIMIT 1`)
	sqlBatchJobs = newQuery(`SELECT id FROM push_jobs WHERE batch = ? AND batch <> ''`)
	sqlRevive    = newQuery(`UPDATE pushes SET dead = 0, attempts = 0, created_at = ?1, next_at = ?1 WHERE id = ?2 AND dead = 1 RETURNING 1`)
	sqlPushes    = newQuery(`SELECT ` + pushColumns + ` WHERE h.dead >= ? AND h.id > ? ORDER BY h.id LIMIT ?`)
	sqlJobsDue   = newQuery(`SELECT 1 FROM push_jobs WHERE batch = '' AND due_at <= ? LIMIT 1`)
	sqlPushDue   = newQuery(`SELECT DISTINCT channel FROM pushes WHERE dead = 0 AND next_at <= ?`)
	sqlOldPushes = newQuery(`SELECT id FROM pushes WHERE created_at < ? ORDER BY created_at LIMIT ?`)
)

// PutPush writes a push.
func (t *Tx) PutPush(p pactwire.Push) error {
	user, err := t.internID(userName(p.User))
	if err != nil {
		return err
	}
	pact, err := t.pushPact(p.Pact)
	if err != nil {
		return err
	}
	err = t.c.q(sqlPutPush).text(p.ID).text(p.Batch).int(user).int(pact).text(p.Channel).text(p.Target).blob(p.Body).
		int(millis(p.CreatedAt)).int(int64(p.Attempts)).int(millis(p.NextAt)).bool(p.Dead).text(p.Error).run()
	if err != nil {
		return fmt.Errorf("put push %s: %w", p.ID, err)
	}
	return nil
}

// ClaimPushes takes at most limit pushes of a channel that are due, and keeps others from them until the lease is over: who
// claims them has said by then what became of each, or is gone.
func (t *Tx) ClaimPushes(channel string, now, lease time.Time, limit int) ([]pactwire.Push, error) {
	out, err := t.c.q(sqlDuePushes).text(channel).int(millis(now)).int(int64(max(limit, 0))).pushes()
	if err != nil {
		return nil, err
	}
	for i := range out {
		if err := t.c.q(sqlLeasePush).int(millis(lease)).text(out[i].ID).run(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// FailPush notes a failed attempt: Attempts, NextAt, Dead and Error of p.
func (t *Tx) FailPush(p pactwire.Push) error {
	return t.c.q(sqlFailPush).int(int64(p.Attempts)).int(millis(p.NextAt)).bool(p.Dead).text(p.Error).text(p.ID).run()
}

// DonePush forgets a push, and with the last one of its batch the jobs that it was made of.
func (t *Tx) DonePush(id string) error {
	var batch string
	s := t.c.q(sqlDonePush).text(id)
	for s.next() {
		batch = s.colText(0)
	}
	if err := s.end(); err != nil || batch == "" {
		return err
	}
	if open, err := t.c.q(sqlBatchOpen).text(batch).changed(); open || err != nil {
		return err
	}
	var jobs []int64
	s = t.c.q(sqlBatchJobs).text(batch)
	for s.next() {
		jobs = append(jobs, s.colInt(0))
	}
	if err := s.end(); err != nil {
		return err
	}
	for _, job := range jobs {
		if _, err := t.dropPushJob(job); err != nil {
			return err
		}
	}
	return nil
}

// RevivePush gives a dead push another day, from now on. It reports whether there was one.
func (t *Tx) RevivePush(id string, now time.Time) (bool, error) {
	return t.c.q(sqlRevive).int(millis(now)).text(id).changed()
}

// PrunePushes forgets at most limit pushes that were made before a time, whatever became of them.
func (t *Tx) PrunePushes(before time.Time, limit int) (int, error) {
	var ids []string
	s := t.c.q(sqlOldPushes).int(millis(before)).int(int64(limit))
	for s.next() {
		ids = append(ids, s.colText(0))
	}
	if err := s.end(); err != nil {
		return 0, err
	}
	for _, id := range ids {
		if err := t.DonePush(id); err != nil {
			return 0, err
		}
	}
	return len(ids), nil
}

// PushWork tells whether jobs are due, and which channels have pushes that are.
func (d *DB) PushWork(ctx context.Context, now time.Time) (jobs bool, channels []string, err error) {
	err = d.read(ctx, func(c *conn) (err error) {
		if jobs, err = c.q(sqlJobsDue).int(millis(now)).changed(); err != nil {
			return err
		}
		s := c.q(sqlPushDue).int(millis(now))
		for s.next() {
			channels = append(channels, s.colText(0))
		}
		return s.end()
	})
	return jobs, channels, readError("look for pushes", err)
}

// Pushes lists pushes after an id, ascending: those that were given up, or all.
func (d *DB) Pushes(ctx context.Context, dead bool, after string, limit int) (out []pactwire.Push, err error) {
	err = d.read(ctx, func(c *conn) (err error) {
		out, err = c.q(sqlPushes).bool(dead).text(after).int(int64(max(limit, 0))).pushes()
		return err
	})
	return out, readError("list pushes", err)
}

func (s *stmt) pushes() (out []pactwire.Push, err error) {
	for s.next() {
		out = append(out, pactwire.Push{
			ID: s.colText(0), Batch: s.colText(1), User: pactwire.UserID(s.colText(2)), Pact: pactwire.PactID(s.colText(3)),
			Channel: s.colText(4), Target: s.colText(5), Body: s.colBlob(6), CreatedAt: s.colTime(7), Attempts: int(s.colInt(8)),
			NextAt: s.colTime(9), Dead: s.colBool(10), Error: s.colText(11),
		})
	}
	return out, s.end()
}
