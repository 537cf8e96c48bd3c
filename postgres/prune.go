package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pactwire/pactwire"
)

const (
	pruneSlice = 1000               // rows that one transaction drops, so that nobody waits for it
	pruneLock  = 0x7061637470727565 // "pactprue": one node prunes at a time
)

// Prune drops log entries and finished commands that are older than the given times, with the commands the webhook
// ids and claim codes of that age, with the entries the reactions to them, and with both what is known of check-ins of such days. It
// works in slices of some hundred rows, each its own transaction, and returns how many entries and commands went. What is kept of a
// stream is always its end. A date that is still to come says nothing of an entry's age: it goes with what is old behind it in its stream.
// While another node prunes nothing is done.
func (d *DB) Prune(ctx context.Context, entriesBefore, commandsBefore time.Time) (int, error) {
	total, err := d.pruneLog(ctx, entriesBefore)
	if err != nil {
		return total, readError("prune", err)
	}
	both := entriesBefore
	if commandsBefore.Before(both) {
		both = commandsBefore
	}
	for _, slice := range []struct {
		drop    func(ctx context.Context, tx pgx.Tx, before int64) (int, error)
		before  time.Time
		counted bool
	}{
		{pruneCommands, commandsBefore, true}, {pruneWebhooks, commandsBefore, false},
		{pruneReactions, entriesBefore, false}, {pruneCelebrations, both, false}, {pruneSeenCheckins, both, false},
	} {
		for more := !slice.before.IsZero(); more; {
			n := 0
			err := d.pruneAlone(ctx, func(ctx context.Context, tx pgx.Tx) (err error) {
				n, err = slice.drop(ctx, tx, millis(slice.before))
				return err
			})
			if err != nil {
				return total, readError("prune", err)
			}
			if slice.counted {
				total += n
			}
			more = n > 0
		}
	}
	return total, nil
}

// sqlPruneAlone also has what follows in the transaction find each row by an index. Where rows seem to be many for their table, or to be joined
// best to all of it, the table would be read whole for every slice.
const sqlPruneAlone = `SELECT pg_try_advisory_xact_lock($1), set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true),
	set_config('enable_mergejoin', 'off', true), set_config('jit', 'off', true)`

// pruneAlone runs fn in a transaction, unless another node prunes.
func (d *DB) pruneAlone(ctx context.Context, fn func(ctx context.Context, tx pgx.Tx) error) error {
	return d.read(ctx, func(ctx context.Context) error {
		return pgx.BeginFunc(ctx, d.pool, func(tx pgx.Tx) error {
			var ours bool
			if err := tx.QueryRow(ctx, sqlPruneAlone, int64(pruneLock)).Scan(&ours, nil, nil, nil, nil); err != nil || !ours {
				return err
			}
			return fn(ctx, tx)
		})
	})
}

// pruneLog drops entries, until those that are old enough are gone, or are behind one of their stream that is not.
func (d *DB) pruneLog(ctx context.Context, before time.Time) (total int, err error) {
	held := []int64{} // streams that keep something old
	for more := !before.IsZero(); more; {
		var n int
		var found []int64
		err := d.pruneAlone(ctx, func(ctx context.Context, tx pgx.Tx) (err error) {
			n, found, err = pruneEntries(ctx, tx, millis(before), millis(d.cfg.Now()), held)
			return err
		})
		if err != nil {
			return total, err
		}
		total += n
		held = append(held, found...)
		more = n > 0 || len(found) > 0
	}
	return total, nil
}

const sqlPruneEntries = `WITH old AS MATERIALIZED (SELECT stream, seq FROM log WHERE at < $1 AND stream NOT IN (SELECT unnest($4::bigint[])) ORDER BY at LIMIT $2),
	top AS (SELECT stream, max(seq) AS seq FROM old GROUP BY stream),
	young AS MATERIALIZED (SELECT t.stream, t.seq,
		(SELECT min(l.seq) FROM log l WHERE l.stream = t.stream AND l.seq <= t.seq AND l.at + 0 BETWEEN $1 AND $3) AS first FROM top t),
	cut AS MATERIALIZED (SELECT y.stream, y.first, coalesce(CASE WHEN y.first IS NULL THEN y.seq ELSE
		(SELECT max(l.seq) FROM log l WHERE l.stream = y.stream AND l.seq < y.first AND l.at + 0 < $1) END, 0) AS upto FROM young y),
	locked AS MATERIALIZED (SELECT n.id, c.upto FROM names n JOIN cut c ON c.stream = n.id ORDER BY n.id FOR NO KEY UPDATE OF n),
	moved AS (UPDATE names n SET floor = k.upto FROM locked k WHERE n.id = k.id AND n.floor < k.upto),
	gone AS (DELETE FROM log l USING cut c WHERE l.stream = c.stream AND l.seq <= c.upto RETURNING 1)
	SELECT (SELECT count(*) FROM gone), (SELECT array_agg(stream) FROM cut WHERE first IS NOT NULL)`

// pruneEntries drops the oldest entries of the streams that a slice of the oldest rows belongs to, but for those that are held, and moves
// their floors. It also returns the streams of which something old stays: an entry before it is young enough, by whichever clock. Within
// a stream the order of seq finds that at once, so the index on at is kept out of it (at + 0).
func pruneEntries(ctx context.Context, tx pgx.Tx, before, now int64, held []int64) (n int, found []int64, err error) {
	err = tx.QueryRow(ctx, sqlPruneEntries, before, pruneSlice, now, held).Scan(&n, &found)
	return n, found, err
}

const sqlPruneCommands = `DELETE FROM commands WHERE id IN
	(SELECT id FROM commands WHERE accepted_at < $1 AND answer IS NOT NULL ORDER BY accepted_at LIMIT $2)`

func pruneCommands(ctx context.Context, tx pgx.Tx, before int64) (int, error) {
	tag, err := tx.Exec(ctx, sqlPruneCommands, before, pruneSlice)
	return int(tag.RowsAffected()), err
}

func pruneWebhooks(ctx context.Context, tx pgx.Tx, before int64) (int, error) {
	if _, err := tx.Exec(ctx, `DELETE FROM codes WHERE expires < $1`, before); err != nil {
		return 0, err
	}
	tag, err := tx.Exec(ctx, `DELETE FROM seen_webhooks WHERE name IN (SELECT name FROM seen_webhooks WHERE at < $1 ORDER BY at LIMIT $2)`, before, pruneSlice)
	return int(tag.RowsAffected()), err
}

const (
	// clocksApart is by how much an activity may have been written later than its id says.
	clocksApart = 24 * time.Hour
	// daysApart is by how much a check-in's local day, anywhere, may be later than the time at which it is celebrated.
	daysApart = 48 * time.Hour
)

// pruneReactions drops those to activities that are gone.
func pruneReactions(ctx context.Context, tx pgx.Tx, before int64) (int, error) {
	tag, err := tx.Exec(ctx, `DELETE FROM reactions WHERE (activity, usr) IN
		(SELECT activity, usr FROM reactions WHERE activity < $1 ORDER BY activity LIMIT $2)`, idFrom(timeOf(before).Add(-clocksApart)), pruneSlice)
	return int(tag.RowsAffected()), err
}

// pruneCelebrations forgets who has celebrated check-ins that are too old to be.
func pruneCelebrations(ctx context.Context, tx pgx.Tx, before int64) (int, error) {
	tag, err := tx.Exec(ctx, `DELETE FROM celebrations WHERE (usr, checkin) IN (SELECT usr, checkin FROM celebrations WHERE at < $1 ORDER BY at LIMIT $2)`,
		before-daysApart.Milliseconds(), pruneSlice)
	return int(tag.RowsAffected()), err
}

// pruneSeenCheckins forgets what a remote habits-service said of days of which nothing is told any more.
func pruneSeenCheckins(ctx context.Context, tx pgx.Tx, before int64) (int, error) {
	day, err := dateNumber(pactwire.LocalDate(timeOf(before).Add(-daysApart).UTC().Format(time.DateOnly)))
	if err != nil {
		return 0, err
	}
	tag, err := tx.Exec(ctx, `DELETE FROM seen_checkins WHERE (usr, goal, day) IN
		(SELECT usr, goal, day FROM seen_checkins WHERE day < $1 ORDER BY day LIMIT $2)`, day, pruneSlice)
	return int(tag.RowsAffected()), err
}

// idFrom is how the ids (UUIDv7) of activities that are made at a time begin; all earlier ones are less.
func idFrom(at time.Time) string {
	ms := max(at.UnixMilli(), 0)
	return fmt.Sprintf("%08x-%04x", ms>>16, ms&0xffff)
}
