package sqlite

import (
	"fmt"
	"time"

	"github.com/pactwire/pactwire"
)

var (
	sqlOldWebhooks = newQuery(`DELETE FROM seen_webhooks WHERE id IN
		(SELECT id FROM seen_webhooks WHERE at < ? ORDER BY at LIMIT ?) RETURNING 1`)
	sqlOldCodes     = newQuery(`DELETE FROM codes WHERE expires < ?`)
	sqlOldReactions = newQuery(`DELETE FROM reactions WHERE (activity, user) IN
		(SELECT activity, user FROM reactions WHERE activity < ? ORDER BY activity LIMIT ?) RETURNING 1`)
	sqlOldCelebrations = newQuery(`DELETE FROM celebrations WHERE at <=
		(SELECT max(at) FROM (SELECT at FROM celebrations WHERE at < ? ORDER BY at LIMIT ?)) RETURNING 1`)
	sqlOldSeenCheckins = newQuery(`DELETE FROM seen_checkins WHERE id IN
		(SELECT id FROM seen_checkins WHERE day < ? ORDER BY day LIMIT ?) RETURNING 1`)
)

const (
	// clocksApart is by how much an activity may have been written later than its id says.
	clocksApart = 24 * time.Hour
	// daysApart is by how much a check-in's local day, anywhere, may be later than the time at which it is celebrated.
	daysApart = 48 * time.Hour
)

// leftovers drop a slice each of what means nothing once entries and commands of its time are gone, and return how many rows went.
// Who celebrates a check-in is refused when it is of a day before both times, so that it is forgotten who has.
func (d *DB) leftovers(entriesBefore, commandsBefore time.Time) []func(t *Tx) (int, error) {
	drops := []func(t *Tx) (int, error){
		func(t *Tx) (int, error) {
			if err := t.c.q(sqlOldCodes).int(millis(commandsBefore)).run(); err != nil {
				return 0, err
			}
			return t.c.q(sqlOldWebhooks).int(millis(commandsBefore)).int(pruneSlice).count()
		},
	}
	if entriesBefore.IsZero() {
		return drops
	}
	before := entriesBefore
	if commandsBefore.Before(before) {
		before = commandsBefore
	}
	before = before.Add(-daysApart)
	return append(drops,
		func(t *Tx) (int, error) {
			return t.c.q(sqlOldReactions).text(idFrom(entriesBefore.Add(-clocksApart))).int(pruneSlice).count()
		},
		func(t *Tx) (int, error) {
			return t.c.q(sqlOldCelebrations).int(millis(before)).int(pruneSlice).count()
		},
		func(t *Tx) (int, error) {
			day := pactwire.LocalDate(before.UTC().Format(time.DateOnly))
			return t.c.q(sqlOldSeenCheckins).date(day).int(pruneSlice).count()
		},
	)
}

// idFrom is how the ids (UUIDv7) of activities that are made at a time begin; all earlier ones are less.
func idFrom(at time.Time) string {
	ms := max(at.UnixMilli(), 0)
	return fmt.Sprintf("%08x-%04x", ms>>16, ms&0xffff)
}
