package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	stuckAfter = 3 * time.Second        // a commit that takes longer waits for something
	probeTime  = 700 * time.Millisecond // within the time that /readyz has
	lockStands = 10 * time.Second       // after a commit was refused for a lock: the next one has had time to wait for the same
)

// Ready reports whether the store can read and write. That the database answers is not enough: one that is read-only, full, or
// held by somebody's lock answers and takes no commits. So a commit that does not end tells, and one that failed has a small one of
// its own tried. Of the rows that are locked that one meets the one that was waited for in vain alone, so after that time has to pass too.
func (d *DB) Ready(ctx context.Context) error {
	if err := d.health.err(); err != nil {
		return fmt.Errorf("%w; it is tried again all the time", err)
	}
	if took := d.k.busyFor(); took > stuckAfter {
		return fmt.Errorf("a commit has not ended for %v; %s", took.Round(time.Second), heldUp)
	}
	if failing := d.k.failing.Load(); failing != nil {
		if err := d.probe(ctx, failing.Cause); err != nil || isPassing(failing.Cause) && time.Since(failing.at) < lockStands {
			return fmt.Errorf("%w; %s", failing.Cause, advice(failing.Cause))
		}
	}
	return d.read(ctx, func(ctx context.Context) error {
		_, err := d.pool.Exec(ctx, `SELECT 1`)
		return err
	})
}

// busyFor is how long the commit that is under way has taken so far.
func (k *committer) busyFor() time.Duration {
	if at := k.begun.Load(); at != nil {
		return time.Since(*at)
	}
	return 0
}

// heldUp is what may hold up a commit of a database that answers.
const heldUp = "somebody's lock, or a standby that has to confirm, may hold it up: see pg_stat_activity and pg_blocking_pids"

// heldRow is how the database says which row it was for whose lock a statement waited.
var heldRow = regexp.MustCompile(`tuple (\(\d+,\d+\)) in relation "(\w+)"`)

// probe commits something that leaves nothing behind, with the locks on tables that every command needs, and on the row for which the
// commit waited that failed, on a connection of its own: there may be none left for commits.
func (d *DB) probe(ctx context.Context, failed error) error {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	return d.read(ctx, func(ctx context.Context) error {
		c, err := d.connect(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = c.Close(context.WithoutCancel(ctx)) }() // it served its purpose
		return pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
			nobody := -1 - rand.Int64N(1<<62) //nolint:gosec // no secret; ids of streams are above 0
			var b pgx.Batch
			b.Queue(`SET LOCAL lock_timeout = '500ms'`)
			b.Queue(`INSERT INTO log (stream, seq, at, payload) VALUES ($1, 0, 0, '')`, nobody)
			b.Queue(`DELETE FROM log WHERE stream = $1`, nobody)
			b.Queue(`UPDATE names SET head = head WHERE id = $1`, nobody)
			b.Queue(`UPDATE commands SET attempts = attempts WHERE id = $1`, nobody)
			b.Queue(`UPDATE sessions SET epoch = epoch WHERE usr = $1`, nobody)
			var e *pgconn.PgError
			if errors.As(failed, &e) {
				if row := heldRow.FindStringSubmatch(e.Where); row != nil {
					b.Queue(`SELECT FROM ` + pgx.Identifier{row[2]}.Sanitize() + ` WHERE ctid = '` + row[1] + `' FOR NO KEY UPDATE`)
				}
			}
			return tx.SendBatch(ctx, &b).Close()
		})
	})
}

// advice says what the operator can do about a commit that failed.
func advice(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return heldUp
	}
	if a := refusedAdvice(err); a != "" {
		return a
	}
	return "it is tried again all the time"
}

// refusedAdvice says what the operator can do about what the database refuses, "" when nobody knows.
func refusedAdvice(err error) string {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return ""
	}
	switch {
	case e.Code == "25006":
		return "the database is read-only; is this address that of a standby, or is default_transaction_read_only set?"
	case e.Code == "53300":
		return "others use all connections that there may be; raise its limit (max_connections, or that of the role or database), or lower pool_max_conns"
	case e.Code == "53100":
		return "the database's disk is full; free some space"
	case e.Code == "55P03", e.Code == "57014":
		return heldUp
	case e.Code == "42501":
		return "the role may not write; it needs to own its database"
	case strings.HasPrefix(e.Code, "53"):
		return "the database is short of resources"
	}
	return ""
}

// Check connects to the database of a URL as Open does, changes nothing, and returns its time. It fails when a node could not work
// there.
func Check(ctx context.Context, url string) (clock time.Time, err error) {
	pc, err := parse(url)
	if err != nil {
		return clock, err
	}
	d := &DB{conns: pc.ConnConfig}
	if err := d.durable(ctx); err != nil {
		return clock, err
	}
	c, err := d.connect(ctx)
	if err != nil {
		return clock, openError(d.conns, err)
	}
	defer func() { _ = c.Close(ctx) }() // it served its purpose
	var standby bool
	err = c.QueryRow(ctx, `SELECT clock_timestamp(), current_setting('transaction_read_only') = 'on'`).Scan(&clock, &standby)
	if err == nil && standby {
		err = errors.New(advice(&pgconn.PgError{Code: "25006"}))
	}
	return clock, err
}
