package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pactwire/pactwire"
)

// What is pushed is written in two kinds of transactions: jobs in those of the log, by statements whose outcome nobody waits
// for; all else in short transactions of its own, through the pool, so that the committer has nothing to do with it.

// Numbers of names that are there: whoever has an entry or is a member has one.
const (
	userNumber = `(SELECT id FROM names WHERE kind = 2 AND name = $1)`
	pactNumber = `(SELECT id FROM names WHERE kind = 1 AND name = $2)`
)

const (
	sqlPutPushJob = `WITH j AS (INSERT INTO push_jobs (usr, cause, kind, pact, event, created_at, due_at, batch)
			VALUES (` + userNumber + `, $3, $4, coalesce(` + pactNumber + `, 0), $5, $6, $7, '')
			ON CONFLICT (usr, cause) DO UPDATE SET kind = CASE WHEN $8 THEN excluded.kind ELSE push_jobs.kind END,
				event = CASE WHEN $8 THEN excluded.event ELSE push_jobs.event END
			RETURNING id, usr)
		INSERT INTO push_marks (usr, stream, seq, job)
			SELECT j.usr, n.id, $11, j.id FROM j, names n WHERE n.kind = $9 AND n.name = $10
			ON CONFLICT (usr, stream, seq) DO UPDATE SET job = excluded.job`

	// dropJobs is what follows from the end of jobs j: their marks go, and the pushes that are on their way for nothing else.
	dropJobs = `, m AS (DELETE FROM push_marks k USING j WHERE k.job = j.id), x AS (DELETE FROM pushes p USING j
			WHERE j.batch <> '' AND p.batch = j.batch AND NOT p.dead
				AND NOT EXISTS (SELECT FROM push_jobs o WHERE o.batch = j.batch AND o.id <> j.id))
		SELECT count(*) FROM j`
	sqlCancelPushJob = `WITH j AS (DELETE FROM push_jobs WHERE usr = ` + userNumber + ` AND cause = $2 RETURNING id, batch)` + dropJobs
	sqlSeenPush      = `WITH j AS (DELETE FROM push_jobs WHERE id = (SELECT job FROM push_marks WHERE usr = ` + userNumber + ` AND seq = $4
			AND stream = (SELECT id FROM names WHERE kind = $2 AND name = $3)) RETURNING id, batch)` + dropJobs

	// What was merged with something else waits again for its turn.
	sqlDropJobsOf = `WITH j AS (DELETE FROM push_jobs WHERE usr = ` + userNumber + ` AND pact = ` + pactNumber + ` RETURNING id, batch),
		m AS (DELETE FROM push_marks k USING j WHERE k.job = j.id),
		x AS (DELETE FROM pushes p USING j WHERE j.batch <> '' AND p.batch = j.batch AND NOT p.dead)
		UPDATE push_jobs o SET batch = '' FROM j WHERE j.batch <> '' AND o.batch = j.batch AND o.id NOT IN (SELECT id FROM j)`
	sqlDropPushesOf = `DELETE FROM pushes WHERE usr = ` + userNumber + ` AND pact = ` + pactNumber
)

func pushJobArgs(j pactwire.PushJob, of pactwire.Stream, seq pactwire.Seq, replace bool) []any {
	return []any{j.User, j.Pact, j.Cause, string(j.Kind), j.Event, millis(j.CreatedAt), millis(j.DueAt), replace, int16(of.Kind), of.ID, seqInt(seq)}
}

// PutPushJob writes a job for (user, cause), or finds the one that waits, which takes kind and event from j when replace is
// set. The entry is one whose acknowledgement by the user means that they have seen it.
//
// It stands beside check-ins, so it is one statement that goes out with the others and asks nothing back. Neither the person
// nor the stream needs to be locked: who writes the entry has locked the pact or the inbox that it is in.
func (t *Tx) PutPushJob(j pactwire.PushJob, of pactwire.Stream, seq pactwire.Seq, replace bool) error {
	user, err := t.number(userName(j.User))
	if err != nil {
		return err
	}
	stream, err := t.number(streamName(of))
	if err != nil {
		return err
	}
	pact, err := t.pushPact(j.Pact)
	if err != nil {
		return err
	}
	t.post(`WITH job AS (INSERT INTO push_jobs AS o (usr, cause, kind, pact, event, created_at, due_at, batch)
		VALUES ($1, $2, $3, $4, $5, $6, $7, '')
		ON CONFLICT (usr, cause) DO UPDATE SET kind = CASE WHEN $8 THEN excluded.kind ELSE o.kind END,
			event = CASE WHEN $8 THEN excluded.event ELSE o.event END
		RETURNING id, usr)
		INSERT INTO push_marks (usr, stream, seq, job) SELECT usr, $9::bigint, $10::bigint, id FROM job
		ON CONFLICT (usr, stream, seq) DO UPDATE SET job = excluded.job`,
		user, j.Cause, string(j.Kind), pact, j.Event, millis(j.CreatedAt), millis(j.DueAt), replace,
		stream, int64(seq)) //nolint:gosec // a stream has fewer entries than an int64 counts
	return nil
}

// number is that of a name, which is added when it is not there.
func (t *Tx) number(n name) (int64, error) {
	if t.d.ids[n] == 0 {
		if err := t.want(func(w *wants) { w.add(n) }); err != nil {
			return 0, err
		}
	}
	return t.d.ids[n], nil
}

// pushPact is the number of a pact, 0 for none.
func (t *Tx) pushPact(p pactwire.PactID) (int64, error) {
	if p == "" {
		return 0, nil
	}
	return t.number(pactName(p))
}

// CancelPushJob cancels a person's job for a cause, with what is still on its way for it.
func (t *Tx) CancelPushJob(u pactwire.UserID, cause string) error {
	t.post(sqlCancelPushJob, u, cause)
	return nil
}

// DropPushesOf forgets what a person was to be pushed about a pact, since it is no longer theirs.
func (t *Tx) DropPushesOf(u pactwire.UserID, p pactwire.PactID) error {
	t.post(sqlDropJobsOf, u, p)
	t.post(sqlDropPushesOf, u, p)
	return nil
}

// PushTx is a transaction about what is pushed. It is not valid after the function that it was given to.
type PushTx struct {
	d   *DB
	ctx context.Context
	tx  pgx.Tx
}

// Push runs fn in a transaction of its own and returns when it is committed. fn may run again.
func (d *DB) Push(ctx context.Context, fn func(*PushTx) error) error {
	err := d.read(ctx, func(ctx context.Context) error {
		return pgx.BeginFunc(ctx, d.pool, func(tx pgx.Tx) error { return fn(&PushTx{d: d, ctx: ctx, tx: tx}) })
	})
	return readError("keep pushes", err)
}

func (t *PushTx) exec(sql string, args ...any) (int64, error) {
	tag, err := t.tx.Exec(t.ctx, sql, args...)
	return tag.RowsAffected(), err
}

func (t *PushTx) number(sql string, args ...any) (n int64, err error) {
	err = t.tx.QueryRow(t.ctx, sql, args...).Scan(&n)
	return n, err
}

// name makes sure that names have numbers.
func (t *PushTx) name(names ...name) error {
	var kinds []int16
	var texts []string
	for _, n := range names {
		kinds, texts = append(kinds, int16(n.kind)), append(texts, n.text)
	}
	return t.d.intern(t.ctx, kinds, texts)
}

// PutPushJob is [Tx.PutPushJob].
func (t *PushTx) PutPushJob(j pactwire.PushJob, of pactwire.Stream, seq pactwire.Seq, replace bool) error {
	names := []name{userName(j.User), streamName(of)}
	if j.Pact != "" {
		names = append(names, pactName(j.Pact))
	}
	if err := t.name(names...); err != nil {
		return err
	}
	_, err := t.exec(sqlPutPushJob, pushJobArgs(j, of, seq, replace)...)
	return err
}

// CancelPushJob is [Tx.CancelPushJob].
func (t *PushTx) CancelPushJob(u pactwire.UserID, cause string) error {
	_, err := t.exec(sqlCancelPushJob, u, cause)
	return err
}

// DropPushesOf is [Tx.DropPushesOf].
func (t *PushTx) DropPushesOf(u pactwire.UserID, p pactwire.PactID) error {
	if _, err := t.exec(sqlDropJobsOf, u, p); err != nil {
		return err
	}
	_, err := t.exec(sqlDropPushesOf, u, p)
	return err
}

// SeenPush cancels the job that an entry tells of, with what is still on its way for it. It reports whether there was one.
func (t *PushTx) SeenPush(u pactwire.UserID, of pactwire.Stream, seq pactwire.Seq) (bool, error) {
	n, err := t.number(sqlSeenPush, u, int16(of.Kind), of.ID, seqInt(seq))
	return n > 0, err
}

// User reads a person.
func (t *PushTx) User(id pactwire.UserID) (pactwire.User, bool, error) {
	return readUser(t.ctx, t.tx, id)
}

// DuePushJobs are all due jobs of at most limit people, those of one person together and in the order of their ids. People
// whose jobs another node is weighing are passed over, and so is a job that is being cancelled.
func (t *PushTx) DuePushJobs(now time.Time, limit int) ([]pactwire.PushJob, error) {
	rows, err := t.tx.Query(t.ctx, `SELECT usr FROM (SELECT usr FROM (SELECT usr, due_at FROM push_jobs WHERE batch = '' AND due_at <= $1
			ORDER BY due_at LIMIT 2000) d GROUP BY usr ORDER BY min(due_at), usr LIMIT $2) w
		WHERE pg_try_advisory_xact_lock(hashtextextended('push ' || usr, 0))`, millis(now), max(limit, 0))
	if err != nil {
		return nil, err
	}
	users, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil || len(users) == 0 {
		return nil, err
	}
	// What is read after the lock is what its last holder left.
	rows, err = t.tx.Query(t.ctx, `SELECT j.id, n.name, j.cause, j.kind, coalesce(p.name, ''), j.event, j.created_at, j.due_at, j.batch
		FROM push_jobs j JOIN names n ON n.id = j.usr LEFT JOIN names p ON p.id = j.pact
		WHERE j.usr = ANY ($1) AND j.batch = '' AND j.due_at <= $2 ORDER BY j.usr, j.id LIMIT 2000 FOR UPDATE OF j SKIP LOCKED`, users, millis(now))
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (j pactwire.PushJob, err error) {
		var created, due int64
		err = row.Scan(&j.ID, &j.User, &j.Cause, &j.Kind, &j.Pact, &j.Event, &created, &due, &j.Batch)
		j.CreatedAt, j.DueAt = timeOf(created), timeOf(due)
		return j, err
	})
}

// DelayPushJob makes a job wait longer.
func (t *PushTx) DelayPushJob(id int64, due time.Time) error {
	_, err := t.exec(`UPDATE push_jobs SET due_at = $1 WHERE id = $2`, millis(due), id)
	return err
}

// BatchPushJob notes of which pushes a job is part.
func (t *PushTx) BatchPushJob(id int64, batch string) error {
	_, err := t.exec(`UPDATE push_jobs SET batch = $1 WHERE id = $2`, batch, id)
	return err
}

// DropPushJob forgets a job.
func (t *PushTx) DropPushJob(id int64) error {
	_, err := t.exec(`WITH j AS (DELETE FROM push_jobs WHERE id = $1) DELETE FROM push_marks WHERE job = $1`, id)
	return err
}

// PushCount is how many pushes a person got on a local day. Only the latest day is kept.
func (t *PushTx) PushCount(u pactwire.UserID, day pactwire.LocalDate) (int, error) {
	number, err := dateNumber(day)
	if err != nil {
		return 0, err
	}
	n, err := t.number(`SELECT coalesce(sum(n), 0) FROM push_counts WHERE usr = `+userNumber+` AND day = $2`, u, number)
	return int(n), err
}

// CountPush counts one push on a local day.
func (t *PushTx) CountPush(u pactwire.UserID, day pactwire.LocalDate) error {
	number, err := dateNumber(day)
	if err != nil {
		return err
	}
	if err := t.name(userName(u)); err != nil {
		return err
	}
	_, err = t.exec(`INSERT INTO push_counts AS c (usr, day, n) VALUES (`+userNumber+`, $2, 1)
		ON CONFLICT (usr) DO UPDATE SET n = CASE WHEN c.day = excluded.day THEN c.n + 1 ELSE 1 END, day = excluded.day`, u, number)
	return err
}
