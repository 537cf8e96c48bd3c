package sqlite

import (
	"context"
	"time"
)

// pruneSlice is how many rows one transaction looks at, so that pruning never holds up the committer for long.
const pruneSlice = 256

var (
	sqlEntrySlice = newQuery(`SELECT id, stream, seq, at < ? FROM log WHERE id > ? ORDER BY id LIMIT ?`)
	sqlEntryOld   = newQuery(`SELECT id, at < ? FROM log WHERE id > ? ORDER BY id LIMIT 1`)
	// sqlEntriesUpto is the last old entry of a stream, up to a place, that follows none which is kept for its age.
	sqlEntriesUpto = newQuery(`SELECT seq FROM log WHERE stream = ?1 AND at < ?3 AND seq <= ?2 AND seq < coalesce(
		(SELECT seq FROM log WHERE stream = ?1 AND seq <= ?2 AND at BETWEEN ?3 AND ?4 ORDER BY seq LIMIT 1), ?2 + 1)
		ORDER BY seq DESC LIMIT 1`)
	sqlDropEntries = newQuery(`DELETE FROM log WHERE stream = ? AND seq <= ? RETURNING 1`)
	sqlDropOldest  = newQuery(`DELETE FROM log WHERE id <= ?`)
	sqlPutFloor    = newQuery(`INSERT INTO floors (stream, floor) VALUES (?, ?) ON CONFLICT (stream) DO UPDATE SET floor = excluded.floor`)

	sqlCommandSlice = newQuery(`SELECT id, accepted_at < ?, answer IS NULL FROM commands WHERE id > ? ORDER BY id LIMIT ?`)
	sqlCommandOld   = newQuery(`SELECT id, accepted_at < ? FROM commands WHERE id > ? ORDER BY id LIMIT 1`)
	sqlDropCommand  = newQuery(`DELETE FROM commands WHERE id = ?`)
	sqlKeepNumber   = newQuery(`INSERT INTO counters (name, value) VALUES ('pruned_command', ?)
		ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)`)
)

// Prune drops log entries and finished commands that are older than the given times, with the commands the webhook
// ids and claim codes of that age, with the entries the reactions to them, and with both what is known of check-ins of such days. It
// works in slices of a few hundred rows, each its own transaction, and returns how many entries and commands went. What is kept of a
// stream is always its end. A date that is still to come says nothing of an entry's age: it goes with what is old behind it in its stream.
func (d *DB) Prune(ctx context.Context, entriesBefore, commandsBefore time.Time) (int, error) {
	now := millis(d.cfg.Now())
	total, err := d.walk(ctx, sqlEntryOld, millis(entriesBefore), func(t *Tx, at passed) (passed, error) {
		return t.pruneEntries(at, millis(entriesBefore), now)
	})
	if err != nil {
		return total, err
	}
	n, err := d.walk(ctx, sqlCommandOld, millis(commandsBefore), func(t *Tx, at passed) (passed, error) {
		return t.pruneCommands(at.last, millis(commandsBefore))
	})
	total += n
	if err != nil {
		return total, err
	}
	for _, drop := range d.leftovers(entriesBefore, commandsBefore) {
		for n := 1; n > 0; {
			err := d.Update(ctx, func(t *Tx) (err error) {
				n, err = drop(t)
				return err
			})
			if err != nil {
				return total, err
			}
		}
	}
	return total, nil
}

// passed is what a slice of a table came to.
type passed struct {
	last int64 // the number of its last row
	old  bool  // something in it is old, if not all of that may go
	kept bool  // something up to there is still there
	gone int
	end  bool // there is nothing behind it
}

// walk prunes a table whose rows are numbered in the order in which they were written, slice by slice. That is nearly the order of their
// times as well, so it ends where nothing is old, and a look ahead finds nothing either.
func (d *DB) walk(ctx context.Context, old query, before int64, slice func(t *Tx, at passed) (passed, error)) (total int, err error) {
	for at, upto := (passed{}), int64(0); ; {
		next, ahead := at, upto
		err := d.Update(ctx, func(t *Tx) (err error) { // once more, when its transaction failed for the sake of another
			ahead = upto
			if next, err = slice(t, at); err == nil && !next.old && !next.end && next.last >= upto {
				ahead, err = t.oldAhead(old, next.last, before)
			}
			return err
		})
		if err != nil {
			return total, err
		}
		at, upto = next, ahead
		if total += at.gone; at.end || !at.old && at.last >= upto {
			return total, nil
		}
	}
}

// oldAhead looks for something old behind a row, in steps that double: rows that a wrong clock dated are passed over when about as much is
// old behind them. It returns the number of what it has found, or 0.
func (t *Tx) oldAhead(old query, after, before int64) (found int64, err error) {
	for step, more := int64(pruneSlice), true; more && found == 0 && err == nil; step *= 2 {
		s := t.c.q(old).int(before).int(after + step)
		if more = s.next(); more && s.colBool(1) {
			found = s.colInt(0)
		}
		err = s.end()
	}
	return found, err
}

// pruneEntries drops what is old of one slice of the log, and moves the floors of its streams: in one go the rows with which the log
// begins, nearly always all, and by stream those behind one that stays.
func (t *Tx) pruneEntries(at passed, before, now int64) (p passed, err error) {
	floors, tops := map[int64]int64{}, map[int64]int64{} // by stream, of the one and of the others
	oldest, n := int64(0), 0
	p.kept = at.kept
	s := t.c.q(sqlEntrySlice).int(before).int(at.last).int(pruneSlice)
	for ; s.next(); n++ {
		p.last = s.colInt(0)
		switch stream, seq, old := s.colInt(1), s.colInt(2), s.colBool(3); {
		case old && !p.kept:
			oldest, floors[stream] = p.last, seq
			p.gone++
		case old:
			tops[stream] = seq
		default:
			p.kept = true
		}
	}
	if err := s.end(); err != nil {
		return passed{}, err
	}
	p.old, p.end = oldest > 0 || len(tops) > 0, n < pruneSlice
	for stream, floor := range floors {
		if err := t.c.q(sqlPutFloor).int(stream).int(floor).run(); err != nil {
			return passed{}, err
		}
	}
	if oldest > 0 {
		if err := t.c.q(sqlDropOldest).int(oldest).run(); err != nil {
			return passed{}, err
		}
	}
	for stream, top := range tops {
		gone, err := t.dropEntries(stream, top, before, now)
		if err != nil {
			return passed{}, err
		}
		p.gone += gone
	}
	return p, nil
}

// dropEntries drops the beginning of a stream, at most up to a place.
func (t *Tx) dropEntries(stream, top, before, now int64) (gone int, err error) {
	upto := int64(0)
	s := t.c.q(sqlEntriesUpto).int(stream).int(top).int(before).int(now)
	if s.next() {
		upto = s.colInt(0)
	}
	if err := s.end(); err != nil || upto == 0 {
		return 0, err
	}
	if err := t.c.q(sqlPutFloor).int(stream).int(upto).run(); err != nil {
		return 0, err
	}
	return t.c.q(sqlDropEntries).int(stream).int(upto).count()
}

// pruneCommands drops the finished ones of one slice.
func (t *Tx) pruneCommands(after, before int64) (p passed, err error) {
	var old []int64
	n := 0
	s := t.c.q(sqlCommandSlice).int(before).int(after).int(pruneSlice)
	for ; s.next(); n++ {
		p.last = s.colInt(0)
		if !s.colBool(1) {
			continue
		}
		p.old = true
		if !s.colBool(2) {
			old = append(old, p.last)
		}
	}
	if err := s.end(); err != nil {
		return passed{}, err
	}
	p.gone, p.end = len(old), n < pruneSlice
	for _, id := range old {
		if err := t.c.q(sqlDropCommand).int(id).run(); err != nil {
			return passed{}, err
		}
	}
	if len(old) > 0 {
		err = t.c.q(sqlKeepNumber).int(old[len(old)-1]).run()
	}
	return p, err
}

// slices runs fn for 0 … n-1 in transactions of at most saveSlice, one after the other, so that a thousand rows that are
// saved at once do not hold up the commands between them.
func (d *DB) slices(ctx context.Context, n int, fn func(t *Tx, i int) error) error {
	for from := 0; from < n; from += saveSlice {
		to := min(from+saveSlice, n)
		err := d.Update(ctx, func(t *Tx) error {
			for i := from; i < to; i++ {
				if err := fn(t, i); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

const saveSlice = 64
