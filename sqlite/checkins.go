package sqlite

import (
	"encoding/json"
	"fmt"

	"github.com/pactwire/pactwire"
)

const checkinColumns = `c.uid, p.name, u.name, g.name, c.status, c.day, c.notes, c.media, c.created_at, c.updated_at`

const checkinTables = ` FROM checkins c JOIN names p ON p.id = c.pact JOIN names u ON u.id = c.user JOIN names g ON g.id = c.goal `

var (
	sqlCheckin     = newQuery(`SELECT uid, (SELECT name FROM names WHERE id = pact), status, notes, media, created_at, updated_at FROM checkins WHERE user = ? AND goal = ? AND day = ?`)
	sqlCheckinByID = newQuery(`SELECT ` + checkinColumns + checkinTables + `WHERE c.uid = ?`)
	sqlPutCheckin  = newQuery(`INSERT INTO checkins (uid, pact, user, goal, day, status, notes, media, created_at, updated_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (user, goal, day) DO UPDATE SET pact = excluded.pact, status = excluded.status, notes = excluded.notes,
			media = excluded.media, created_at = excluded.created_at, updated_at = excluded.updated_at`)
	sqlDeleteCheckin  = newQuery(`DELETE FROM checkins WHERE uid = ?`)
	sqlCompletedDates = newQuery(`SELECT day FROM checkins WHERE user = ? AND goal = ? AND status = 'completed' ORDER BY day`)
)

// Checkin reads the word about one day.
func (t *Tx) Checkin(u pactwire.UserID, g pactwire.GoalID, d pactwire.LocalDate) (c pactwire.Checkin, ok bool, err error) {
	user, goal, err := t.c.userAndGoal(u, g)
	if user == 0 || goal == 0 || err != nil {
		return c, false, err
	}
	s := t.c.q(sqlCheckin).int(user).int(goal).date(d)
	if ok = s.next(); ok {
		c = pactwire.Checkin{
			ID: s.colText(0), PactID: pactwire.PactID(s.colText(1)), HabitGoalID: g, UserID: u, LocalDate: d,
			Status: pactwire.CheckinStatus(s.colText(2)), Notes: s.colText(3), ProofMedia: s.media(4),
			CreatedAt: pactwire.Time(s.colTime(5)), UpdatedAt: pactwire.Time(s.colTime(6)),
		}
	}
	return c, ok, s.end()
}

// CheckinByID finds a check-in by its id.
func (t *Tx) CheckinByID(id string) (c pactwire.Checkin, ok bool, err error) {
	s := t.c.q(sqlCheckinByID).text(id)
	if ok = s.next(); ok {
		c = pactwire.Checkin{
			ID: s.colText(0), PactID: pactwire.PactID(s.colText(1)), UserID: pactwire.UserID(s.colText(2)),
			HabitGoalID: pactwire.GoalID(s.colText(3)), Status: pactwire.CheckinStatus(s.colText(4)), LocalDate: s.colDate(5),
			Notes: s.colText(6), ProofMedia: s.media(7), CreatedAt: pactwire.Time(s.colTime(8)), UpdatedAt: pactwire.Time(s.colTime(9)),
		}
	}
	return c, ok, s.end()
}

// PutCheckin writes the word about (user, goal, date). A row that stands keeps its id.
func (t *Tx) PutCheckin(c pactwire.Checkin) error {
	pact, err := t.internID(pactName(c.PactID))
	if err != nil {
		return err
	}
	user, err := t.internID(userName(c.UserID))
	if err != nil {
		return err
	}
	goal, err := t.internID(goalNameOf(c.HabitGoalID))
	if err != nil {
		return err
	}
	s := t.c.q(sqlPutCheckin).text(c.ID).int(pact).int(user).int(goal).date(c.LocalDate).text(string(c.Status)).text(c.Notes)
	if len(c.ProofMedia) == 0 {
		s.null()
	} else {
		b, err := json.Marshal(c.ProofMedia)
		if err != nil {
			return fmt.Errorf("put check-in %s: %w", c.ID, err)
		}
		s.blob(b)
	}
	if err := s.int(millis(c.CreatedAt.Std())).int(millis(c.UpdatedAt.Std())).run(); err != nil {
		return fmt.Errorf("put check-in %s: %w", c.ID, err)
	}
	return nil
}

// DeleteCheckin removes a check-in. One that is not there is no error.
func (t *Tx) DeleteCheckin(id string) error { return t.c.q(sqlDeleteCheckin).text(id).run() }

// CompletedDates are the dates with a completed check-in, ascending.
func (t *Tx) CompletedDates(u pactwire.UserID, g pactwire.GoalID) ([]pactwire.LocalDate, error) {
	user, goal, err := t.c.userAndGoal(u, g)
	if user == 0 || goal == 0 || err != nil {
		return nil, err
	}
	var out []pactwire.LocalDate
	s := t.c.q(sqlCompletedDates).int(user).int(goal)
	for s.next() {
		out = append(out, s.colDate(0))
	}
	return out, s.end()
}

// media reads a list that is never nil.
func (s *stmt) media(i int32) []pactwire.Media {
	out := []pactwire.Media{}
	if b := s.colBlob(i); b != nil {
		if err := json.Unmarshal(b, &out); err != nil && s.err == nil {
			s.err = fmt.Errorf("proof media: %w", err)
		}
	}
	return out
}
