package postgres

import (
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/pactwire/pactwire"
)

const checkinColumns = `c.uid, n.name, c.day, c.status, c.notes, c.media, c.created_at, c.updated_at`

// checkin is the word about one day.
type checkin struct {
	c     pactwire.Checkin
	ok    bool
	dirty bool
}

func readCheckin(rows pgx.Row, first ...any) (c pactwire.Checkin, day int32, err error) {
	var media []byte
	var created, updated int64
	if err = rows.Scan(append(first, &c.ID, &c.PactID, &day, &c.Status, &c.Notes, &media, &created, &updated)...); err != nil {
		return c, 0, err
	}
	c.LocalDate, c.CreatedAt, c.UpdatedAt = dateOf(day), pactwire.Time(timeOf(created)), pactwire.Time(timeOf(updated))
	c.ProofMedia, err = mediaOf(media)
	return c, day, err
}

func (t *Tx) checkin(k userGoalDay) (*checkin, error) {
	if c := t.checkins[k]; c != nil {
		return c, nil
	}
	if from, known := t.recent[k.userGoal]; known && k.day >= from {
		c := &checkin{}
		t.checkins[k] = c
		return c, nil
	}
	err := t.want(func(w *wants) {
		w.lock(userName(k.user))
		w.checkins[k] = none{}
	})
	return t.checkins[k], err
}

// Checkin reads the word about one day.
func (t *Tx) Checkin(u pactwire.UserID, g pactwire.GoalID, d pactwire.LocalDate) (pactwire.Checkin, bool, error) {
	day, err := dateNumber(d)
	if err != nil {
		return pactwire.Checkin{}, false, err
	}
	c, err := t.checkin(userGoalDay{userGoal{u, g}, day})
	if err != nil || !c.ok {
		return pactwire.Checkin{}, false, err
	}
	return c.c, true, nil
}

// PutCheckin writes the word about (user, goal, date). A row that stands keeps its id.
func (t *Tx) PutCheckin(c pactwire.Checkin) error {
	day, err := dateNumber(c.LocalDate)
	if err != nil {
		return fmt.Errorf("put check-in %s: %w", c.ID, err)
	}
	k := userGoalDay{userGoal{c.UserID, c.HabitGoalID}, day}
	row, err := t.checkin(k)
	if err != nil {
		return err
	}
	for _, n := range []name{pactName(c.PactID), goalName(c.HabitGoalID)} {
		if err := t.known(n); err != nil {
			return err
		}
	}
	was := *row
	t.change(func() { *row = was })
	if row.ok {
		c.ID = row.c.ID
	}
	c.ProofMedia = slices.Clone(c.ProofMedia)
	if c.ProofMedia == nil {
		c.ProofMedia = []pactwire.Media{}
	}
	row.c, row.ok, row.dirty = c, true, true
	t.redate(k.userGoal, c.LocalDate, c.Status == pactwire.StatusCompleted)
	return nil
}

// redate keeps the completed dates in memory true.
func (t *Tx) redate(k userGoal, d pactwire.LocalDate, completed bool) {
	dates, known := t.dates[k]
	if !known {
		return
	}
	i, there := slices.BinarySearch(dates, d)
	if there == completed {
		return
	}
	changed := slices.Clone(dates)
	if completed {
		changed = slices.Insert(changed, i, d)
	} else {
		changed = slices.Delete(changed, i, i+1)
	}
	t.dates[k] = changed
	t.change(func() { t.dates[k] = dates })
}

// CheckinByID finds a check-in by its id.
func (t *Tx) CheckinByID(id string) (pactwire.Checkin, bool, error) {
	k, known := t.places[id]
	if !known {
		if err := t.want(func(w *wants) { w.ready(); w.places[id] = none{} }); err != nil {
			return pactwire.Checkin{}, false, err
		}
		k = t.places[id]
	}
	if k == nil {
		return pactwire.Checkin{}, false, nil
	}
	c, err := t.checkin(*k)
	if err != nil || !c.ok || c.c.ID != id {
		return pactwire.Checkin{}, false, err
	}
	return c.c, true, nil
}

// queuePlaces asks whose check-ins, and of which days, ids are. What is read of a person who is locked by then holds.
func (t *Tx) queuePlaces(b *pgx.Batch, w *wants) {
	var ids []string
	for id := range w.places {
		if _, known := t.places[id]; !known {
			t.places[id] = nil
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return
	}
	b.Queue(`SELECT un.name, gn.name, `+checkinColumns+` FROM unnest($1::text[]) AS w (uid) JOIN checkins c ON c.uid = w.uid
		JOIN names n ON n.id = c.pact JOIN names un ON un.id = c.usr JOIN names gn ON gn.id = c.goal`, ids).Query(func(rows pgx.Rows) error {
		return each(rows, func() error {
			var of userGoal
			c, day, err := readCheckin(rows, &of.user, &of.goal)
			if err != nil {
				return err
			}
			k := userGoalDay{of, day}
			t.places[c.ID] = &k
			if t.checkins[k] == nil && t.heads[userName(of.user)] != nil {
				c.UserID, c.HabitGoalID = of.user, of.goal
				t.checkins[k] = &checkin{c: c, ok: true}
			}
			return nil
		})
	})
}

// DeleteCheckin removes a check-in. One that is not there is no error.
func (t *Tx) DeleteCheckin(id string) error {
	if err := t.direct(); err != nil {
		return err
	}
	_, err := t.exec(`DELETE FROM checkins WHERE uid = $1`, id)
	return err
}

// CompletedDates are the dates with a completed check-in, ascending.
func (t *Tx) CompletedDates(u pactwire.UserID, g pactwire.GoalID) ([]pactwire.LocalDate, error) {
	k := userGoal{u, g}
	if _, known := t.dates[k]; !known {
		if err := t.want(func(w *wants) { w.userGoal(func(w *wants) map[userGoal]none { return w.dates }, k) }); err != nil {
			return nil, err
		}
	}
	return t.dates[k], nil
}

// flushCheckins sends the check-ins that were written.
func (t *Tx) flushCheckins(b *pgx.Batch) error {
	var uids, statuses, notes []string
	var pacts, users, goals, created, updated []int64
	var days []int32
	var media [][]byte
	for k, row := range t.checkins {
		if !row.dirty {
			continue
		}
		row.dirty = false
		m, err := mediaBytes(row.c.ProofMedia)
		if err != nil {
			return fmt.Errorf("put check-in %s: %w", row.c.ID, err)
		}
		uids, statuses, notes = append(uids, row.c.ID), append(statuses, string(row.c.Status)), append(notes, row.c.Notes)
		pacts, users, goals = append(pacts, t.d.ids[pactName(row.c.PactID)]), append(users, t.d.ids[userName(k.user)]), append(goals, t.d.ids[goalName(k.goal)])
		days, media = append(days, k.day), append(media, m)
		created, updated = append(created, millis(row.c.CreatedAt.Std())), append(updated, millis(row.c.UpdatedAt.Std()))
	}
	if len(uids) == 0 {
		return nil
	}
	b.Queue(`INSERT INTO checkins (uid, pact, usr, goal, day, status, notes, media, created_at, updated_at)
		SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::int[], $6::text[], $7::text[], $8::bytea[], $9::bigint[], $10::bigint[])
		ON CONFLICT (usr, goal, day) DO UPDATE SET pact = excluded.pact, status = excluded.status, notes = excluded.notes,
			media = excluded.media, created_at = excluded.created_at, updated_at = excluded.updated_at`,
		uids, pacts, users, goals, days, statuses, notes, media, created, updated)
	return nil
}
