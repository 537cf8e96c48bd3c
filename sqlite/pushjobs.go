package sqlite

import (
	"fmt"
	"time"

	"github.com/pactwire/pactwire"
)

const pushJobColumns = `j.id, n.name, j.cause, j.kind, coalesce(p.name, ''), j.event, j.created_at, j.due_at, j.batch
	FROM push_jobs j JOIN names n ON n.id = j.user LEFT JOIN names p ON p.id = j.pact`

var (
	sqlPutPushJob = newQuery(`INSERT INTO push_jobs (user, cause, kind, pact, event, created_at, due_at, batch)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, '')
		ON CONFLICT (user, cause) DO UPDATE SET kind = CASE WHEN ?8 THEN excluded.kind ELSE kind END,
			event = CASE WHEN ?8 THEN excluded.event ELSE event END
		RETURNING id`)
	sqlPutPushMark = newQuery(`INSERT INTO push_marks (user, stream, seq, job) VALUES (?, ?, ?, ?)
		ON CONFLICT (user, stream, seq) DO UPDATE SET job = excluded.job`)
	sqlPushMark    = newQuery(`SELECT job FROM push_marks WHERE user = ? AND stream = ? AND seq = ?`)
	sqlPushCause   = newQuery(`SELECT id FROM push_jobs WHERE user = ? AND cause = ?`)
	sqlDuePushJobs = newQuery(`SELECT ` + pushJobColumns + `
		WHERE j.batch = '' AND j.due_at <= ?1 AND j.user IN
			(SELECT user FROM push_jobs WHERE batch = '' AND due_at <= ?1 ORDER BY due_at LIMIT ?2)
		ORDER BY j.user, j.id LIMIT 2000`)
	sqlDelayPushJob   = newQuery(`UPDATE push_jobs SET due_at = ? WHERE id = ?`)
	sqlBatchPushJob   = newQuery(`UPDATE push_jobs SET batch = ? WHERE id = ?`)
	sqlDropPushJob    = newQuery(`DELETE FROM push_jobs WHERE id = ? RETURNING batch`)
	sqlDropPushMarks  = newQuery(`DELETE FROM push_marks WHERE job = ?`)
	sqlBatchHasJobs   = newQuery(`SELECT 1 FROM push_jobs WHERE batch = ? AND batch <> '' LIMIT 1`)
	sqlDropLivePushes = newQuery(`DELETE FROM pushes WHERE batch = ? AND dead = 0`)
	sqlPushJobsOf     = newQuery(`SELECT id FROM push_jobs WHERE user = ? AND pact = ?`)
	sqlUnbatchJobs    = newQuery(`UPDATE push_jobs SET batch = '' WHERE batch = ? AND batch <> ''`)
	sqlDropPushesOf   = newQuery(`DELETE FROM pushes WHERE user = ? AND pact = ?`)
	sqlPushCount      = newQuery(`SELECT n FROM push_counts WHERE user = ? AND day = ?`)
	sqlCountPush      = newQuery(`INSERT INTO push_counts (user, day, n) VALUES (?, ?, 1)
		ON CONFLICT (user) DO UPDATE SET n = CASE WHEN day = excluded.day THEN n + 1 ELSE 1 END, day = excluded.day`)
)

// PutPushJob writes a job for (user, cause), or finds the one that waits, which takes kind and event from j when replace is
// set. The entry is one whose acknowledgement by the user means that they have seen it.
func (t *Tx) PutPushJob(j pactwire.PushJob, of pactwire.Stream, seq pactwire.Seq, replace bool) error {
	user, err := t.internID(userName(j.User))
	if err != nil {
		return err
	}
	pact, err := t.pushPact(j.Pact)
	if err != nil {
		return err
	}
	stream, err := t.internID(streamName(of))
	if err != nil {
		return err
	}
	var id int64
	s := t.c.q(sqlPutPushJob).int(user).text(j.Cause).text(string(j.Kind)).int(pact).blob(j.Event).
		int(millis(j.CreatedAt)).int(millis(j.DueAt)).bool(replace)
	for s.next() {
		id = s.colInt(0)
	}
	if err := s.end(); err != nil {
		return fmt.Errorf("put push job for %s: %w", j.User, err)
	}
	return t.c.q(sqlPutPushMark).int(user).int(stream).int(seqInt(seq)).int(id).run()
}

// pushPact is the number of a pact, 0 for none.
func (t *Tx) pushPact(p pactwire.PactID) (int64, error) {
	if p == "" {
		return 0, nil
	}
	return t.internID(pactName(p))
}

// SeenPush cancels the job that an entry tells of, with what is still on its way for it. It reports whether there was one.
func (t *Tx) SeenPush(u pactwire.UserID, of pactwire.Stream, seq pactwire.Seq) (bool, error) {
	user, err := t.c.id(userName(u))
	if user == 0 || err != nil {
		return false, err
	}
	stream, err := t.c.id(streamName(of))
	if stream == 0 || err != nil {
		return false, err
	}
	return t.cancelPushJob(t.c.q(sqlPushMark).int(user).int(stream).int(seqInt(seq)))
}

// CancelPushJob cancels a person's job for a cause, as SeenPush does.
func (t *Tx) CancelPushJob(u pactwire.UserID, cause string) error {
	user, err := t.c.id(userName(u))
	if user == 0 || err != nil {
		return err
	}
	_, err = t.cancelPushJob(t.c.q(sqlPushCause).int(user).text(cause))
	return err
}

// cancelPushJob cancels the job that s finds.
func (t *Tx) cancelPushJob(s *stmt) (bool, error) {
	id, err := s.number()
	if id == 0 || err != nil {
		return false, err
	}
	batch, err := t.dropPushJob(id)
	if err != nil || batch == "" {
		return true, err
	}
	if left, err := t.c.q(sqlBatchHasJobs).text(batch).changed(); left || err != nil {
		return true, err
	}
	return true, t.c.q(sqlDropLivePushes).text(batch).run()
}

// number reads one number, 0 when there is no row.
func (s *stmt) number() (n int64, err error) {
	if s.next() {
		n = s.colInt(0)
	}
	return n, s.end()
}

// DropPushJob forgets a job.
func (t *Tx) DropPushJob(id int64) error {
	_, err := t.dropPushJob(id)
	return err
}

func (t *Tx) dropPushJob(id int64) (batch string, err error) {
	if err := t.c.q(sqlDropPushMarks).int(id).run(); err != nil {
		return "", err
	}
	s := t.c.q(sqlDropPushJob).int(id)
	for s.next() {
		batch = s.colText(0)
	}
	return batch, s.end()
}

// DropPushesOf forgets what a person was to be pushed about a pact, since it is no longer theirs. What was merged with
// something else waits again for its turn.
func (t *Tx) DropPushesOf(u pactwire.UserID, p pactwire.PactID) error {
	user, err := t.c.id(userName(u))
	if user == 0 || err != nil {
		return err
	}
	pact, err := t.c.id(pactName(p))
	if pact == 0 || err != nil {
		return err
	}
	var ids []int64
	s := t.c.q(sqlPushJobsOf).int(user).int(pact)
	for s.next() {
		ids = append(ids, s.colInt(0))
	}
	if err := s.end(); err != nil {
		return err
	}
	for _, id := range ids {
		batch, err := t.dropPushJob(id)
		if err != nil {
			return err
		}
		if batch == "" {
			continue
		}
		if err := t.c.q(sqlDropLivePushes).text(batch).run(); err != nil {
			return err
		}
		if err := t.c.q(sqlUnbatchJobs).text(batch).run(); err != nil {
			return err
		}
	}
	return t.c.q(sqlDropPushesOf).int(user).int(pact).run()
}

// DuePushJobs are all due jobs of at most limit people, those of one person together and in the order of their ids.
func (t *Tx) DuePushJobs(now time.Time, limit int) ([]pactwire.PushJob, error) {
	var out []pactwire.PushJob
	s := t.c.q(sqlDuePushJobs).int(millis(now)).int(int64(max(limit, 0)))
	for s.next() {
		out = append(out, pactwire.PushJob{
			ID: s.colInt(0), User: pactwire.UserID(s.colText(1)), Cause: s.colText(2), Kind: pactwire.PushKind(s.colText(3)),
			Pact: pactwire.PactID(s.colText(4)), Event: s.colBlob(5), CreatedAt: s.colTime(6), DueAt: s.colTime(7), Batch: s.colText(8),
		})
	}
	return out, s.end()
}

// DelayPushJob makes a job wait longer.
func (t *Tx) DelayPushJob(id int64, due time.Time) error {
	return t.c.q(sqlDelayPushJob).int(millis(due)).int(id).run()
}

// BatchPushJob notes of which pushes a job is part.
func (t *Tx) BatchPushJob(id int64, batch string) error {
	return t.c.q(sqlBatchPushJob).text(batch).int(id).run()
}

// PushCount is how many pushes a person got on a local day. Only the latest day is kept.
func (t *Tx) PushCount(u pactwire.UserID, day pactwire.LocalDate) (int, error) {
	user, err := t.c.id(userName(u))
	if user == 0 || err != nil {
		return 0, err
	}
	n, err := t.c.q(sqlPushCount).int(user).date(day).number()
	return int(n), err
}

// CountPush counts one push on a local day.
func (t *Tx) CountPush(u pactwire.UserID, day pactwire.LocalDate) error {
	user, err := t.internID(userName(u))
	if err != nil {
		return err
	}
	return t.c.q(sqlCountPush).int(user).date(day).run()
}
