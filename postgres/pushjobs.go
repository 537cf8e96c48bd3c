package postgres

import (
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pactwire/pactwire"
)

// maxDueJobs bounds what one look takes on.
const maxDueJobs = 2000

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

// SeenPush cancels the job that an entry tells of, with what is still on its way for it. It reports whether there was one.
func (t *Tx) SeenPush(u pactwire.UserID, of pactwire.Stream, seq pactwire.Seq) (bool, error) {
	return t.cancelPushJob(`id = (SELECT job FROM push_marks WHERE usr = (SELECT id FROM names WHERE kind = 2 AND name = $1)
		AND stream = (SELECT id FROM names WHERE kind = $2 AND name = $3) AND seq = $4)`,
		string(u), int16(of.Kind), of.ID, int64(seq)) //nolint:gosec // a stream has fewer entries than an int64 counts
}

// CancelPushJob cancels a person's job for a cause, as SeenPush does.
func (t *Tx) CancelPushJob(u pactwire.UserID, cause string) (bool, error) {
	return t.cancelPushJob(`usr = (SELECT id FROM names WHERE kind = 2 AND name = $1) AND cause = $2`, string(u), cause)
}

// cancelPushJob cancels the job of which the condition holds.
func (t *Tx) cancelPushJob(which string, args ...any) (bool, error) {
	if err := t.direct(); err != nil {
		return false, err
	}
	batch, ok, err := t.dropPushJob(which, args...)
	if !ok || batch == "" || err != nil {
		return ok, err
	}
	_, err = t.exec(`DELETE FROM pushes WHERE batch = $1 AND NOT dead AND NOT EXISTS (SELECT 1 FROM push_jobs WHERE batch = $1 AND batch <> '')`, batch)
	return true, err
}

// dropPushJob forgets a job and its marks. It returns of which pushes the job was part.
func (t *Tx) dropPushJob(which string, args ...any) (batch string, ok bool, err error) {
	ok, err = t.one(`WITH gone AS (DELETE FROM push_jobs WHERE `+which+` RETURNING id, batch),
		marks AS (DELETE FROM push_marks WHERE job IN (SELECT id FROM gone))
		SELECT batch FROM gone`, args, &batch)
	return batch, ok, err
}

// DropPushJob forgets a job.
func (t *Tx) DropPushJob(id int64) error {
	if err := t.direct(); err != nil {
		return err
	}
	_, _, err := t.dropPushJob(`id = $1`, id)
	return err
}

// DropPushesOf forgets what a person was to be pushed about a pact, since it is no longer theirs. What was merged with
// something else waits again for its turn.
func (t *Tx) DropPushesOf(u pactwire.UserID, p pactwire.PactID) error {
	if err := t.direct(); err != nil {
		return err
	}
	_, err := t.exec(`WITH who AS (SELECT u.id AS usr, p.id AS pact FROM names u, names p WHERE u.kind = 2 AND u.name = $1 AND p.kind = 1 AND p.name = $2),
		gone AS (DELETE FROM push_jobs j USING who WHERE j.usr = who.usr AND j.pact = who.pact RETURNING j.id, j.batch),
		marks AS (DELETE FROM push_marks WHERE job IN (SELECT id FROM gone)),
		live AS (DELETE FROM pushes h WHERE h.batch IN (SELECT batch FROM gone WHERE batch <> '') AND NOT h.dead),
		dead AS (DELETE FROM pushes h USING who WHERE h.usr = who.usr AND h.pact = who.pact
			AND NOT (NOT h.dead AND h.batch IN (SELECT batch FROM gone WHERE batch <> '')))
		UPDATE push_jobs SET batch = '' WHERE batch IN (SELECT batch FROM gone WHERE batch <> '') AND id NOT IN (SELECT id FROM gone)`,
		string(u), string(p))
	return err
}

// DuePushJobs are all due jobs of at most limit people, those of one person together and in the order of their ids. The
// people are locked; whoever is locked by another node has their turn another time.
func (t *Tx) DuePushJobs(now time.Time, limit int) (out []pactwire.PushJob, err error) {
	if err := t.direct(); err != nil {
		return nil, err
	}
	var people []int64
	err = t.rows(`WITH due AS MATERIALIZED (SELECT usr FROM push_jobs WHERE batch = '' AND due_at <= $1 ORDER BY due_at LIMIT $2)
		SELECT id FROM names WHERE id IN (SELECT usr FROM due) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED`,
		[]any{millis(now), max(limit, 0)}, func(rows pgx.Rows) error {
			var id int64
			err := rows.Scan(&id)
			people = append(people, id)
			return err
		})
	if err != nil || len(people) == 0 {
		return nil, err
	}
	err = t.rows(`SELECT j.id, n.name, j.cause, j.kind, coalesce(p.name, ''), j.event, j.created_at, j.due_at, j.batch
		FROM push_jobs j JOIN names n ON n.id = j.usr LEFT JOIN names p ON p.id = j.pact
		WHERE j.batch = '' AND j.due_at <= $1 AND j.usr = ANY ($2) ORDER BY j.usr, j.id LIMIT $3`,
		[]any{millis(now), people, maxDueJobs}, func(rows pgx.Rows) error {
			var j pactwire.PushJob
			var made, due int64
			err := rows.Scan(&j.ID, &j.User, &j.Cause, &j.Kind, &j.Pact, &j.Event, &made, &due, &j.Batch)
			j.CreatedAt, j.DueAt = timeOf(made), timeOf(due)
			out = append(out, j)
			return err
		})
	return out, err
}

// DelayPushJob makes a job wait longer.
func (t *Tx) DelayPushJob(id int64, due time.Time) error {
	t.post(`UPDATE push_jobs SET due_at = $2 WHERE id = $1`, id, millis(due))
	return nil
}

// BatchPushJob notes of which pushes a job is part.
func (t *Tx) BatchPushJob(id int64, batch string) error {
	t.post(`UPDATE push_jobs SET batch = $2 WHERE id = $1`, id, batch)
	return nil
}

// PushCount is how many pushes a person got on a local day. Only the latest day is kept.
func (t *Tx) PushCount(u pactwire.UserID, day pactwire.LocalDate) (n int, err error) {
	number, err := dateNumber(day)
	if err != nil {
		return 0, err
	}
	if err := t.direct(); err != nil {
		return 0, err
	}
	_, err = t.one(`SELECT n FROM push_counts WHERE usr = (SELECT id FROM names WHERE kind = 2 AND name = $1) AND day = $2`,
		[]any{string(u), number}, &n)
	return n, err
}

// CountPush counts one push on a local day.
func (t *Tx) CountPush(u pactwire.UserID, day pactwire.LocalDate) error {
	number, err := dateNumber(day)
	if err != nil {
		return err
	}
	ids, err := t.people(u)
	if err != nil {
		return err
	}
	t.post(`INSERT INTO push_counts AS c (usr, day, n) VALUES ($1, $2, 1)
		ON CONFLICT (usr) DO UPDATE SET n = CASE WHEN c.day = excluded.day THEN c.n + 1 ELSE 1 END, day = excluded.day`, ids[0], number)
	return nil
}
