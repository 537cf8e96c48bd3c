package sqlite

import (
	"context"
	"time"
)

// pruneSlice is how many rows one transaction looks at, so that pruning never holds up the committer for long.
const pruneSlice = 256

var (
	sqlOldEntries  = newQuery(`SELECT id, stream, seq, at FROM log ORDER BY id LIMIT ?`)
	sqlDropEntries = newQuery(`DELETE FROM log WHERE id <= ?`)
	sqlPutFloor    = newQuery(`INSERT INTO floors (stream, floor) VALUES (?, ?) ON CONFLICT (stream) DO UPDATE SET floor = excluded.floor`)
	sqlOldCommands = newQuery(`SELECT id, accepted_at, answer IS NULL FROM commands WHERE id > ? ORDER BY id LIMIT ?`)
	sqlDropCommand = newQuery(`DELETE FROM commands WHERE id = ?`)
	sqlKeepNumber  = newQuery(`INSERT INTO counters (name, value) VALUES ('pruned_command', ?)
		ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)`)
)

// Prune drops log entries and finished commands that are older than the given times, with the commands the webhook
// ids and claim codes of that age, with the entries the reactions to them, and with both what is known of check-ins of such days. It
// works in slices of a few hundred rows, each its own transaction, and returns how many entries and commands went. Entries go in the
// order in which they were written, so what is kept of a stream is always its end.
func (d *DB) Prune(ctx context.Context, entriesBefore, commandsBefore time.Time) (int, error) {
	total := 0
	for {
		n := 0
		err := d.Update(ctx, func(t *Tx) (err error) {
			n, err = t.pruneEntries(millis(entriesBefore))
			return err
		})
		total += n
		if err != nil {
			return total, err
		}
		if n < pruneSlice {
			break
		}
	}
	for after := int64(0); ; {
		n, last := 0, int64(0)
		err := d.Update(ctx, func(t *Tx) (err error) {
			n, last, err = t.pruneCommands(after, millis(commandsBefore))
			return err
		})
		total += n
		if err != nil {
			return total, err
		}
		if last == 0 {
			break
		}
		after = last
	}
	for _, drop := range d.leftovers(entriesBefore, commandsBefore) {
		for n := 1; n > 0; { // a slice is of what is oldest by number, so a few that are young may be among it
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

// pruneEntries drops one slice of the log and moves the floors of its streams.
func (t *Tx) pruneEntries(before int64) (n int, err error) {
	floors := map[int64]int64{}
	last := int64(0)
	s := t.c.q(sqlOldEntries).int(pruneSlice)
	for s.next() && s.colInt(3) < before {
		last = s.colInt(0)
		floors[s.colInt(1)] = s.colInt(2)
		n++
	}
	if err := s.end(); err != nil || n == 0 {
		return 0, err
	}
	for stream, floor := range floors {
		if err := t.c.q(sqlPutFloor).int(stream).int(floor).run(); err != nil {
			return 0, err
		}
	}
	return n, t.c.q(sqlDropEntries).int(last).run()
}

// pruneCommands drops the finished ones of one slice; last is where the next slice starts, 0 when there is none.
func (t *Tx) pruneCommands(after, before int64) (n int, last int64, err error) {
	var old []int64
	seen := 0
	s := t.c.q(sqlOldCommands).int(after).int(pruneSlice)
	for s.next() && s.colInt(1) < before {
		seen++
		last = s.colInt(0)
		if !s.colBool(2) {
			old = append(old, last)
		}
	}
	if err := s.end(); err != nil {
		return 0, 0, err
	}
	for _, id := range old {
		if err := t.c.q(sqlDropCommand).int(id).run(); err != nil {
			return 0, 0, err
		}
	}
	if len(old) > 0 {
		if err := t.c.q(sqlKeepNumber).int(old[len(old)-1]).run(); err != nil {
			return 0, 0, err
		}
	}
	if seen < pruneSlice {
		last = 0
	}
	return len(old), last, nil
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
