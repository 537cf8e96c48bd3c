package sqlite

import (
	"context"

	"github.com/pactwire/pactwire"
)

var (
	sqlAnnounced    = newQuery(`SELECT from_day, to_day, days FROM announced WHERE user = ? AND goal = ? ORDER BY from_day, days`)
	sqlPutAnnounced = newQuery(`INSERT INTO announced (user, goal, from_day, to_day, days) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (user, goal, from_day, days) DO UPDATE SET to_day = excluded.to_day`)
	sqlPutStreak = newQuery(`INSERT INTO streaks (user, goal, length, longest, grace_left, last_day) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (user, goal) DO UPDATE SET length = excluded.length, longest = excluded.longest,
			grace_left = excluded.grace_left, last_day = excluded.last_day`)
	sqlStreaks = newQuery(`SELECT n.name, s.length, s.longest, s.grace_left, s.last_day
		FROM streaks s JOIN names n ON n.id = s.goal WHERE s.user = ? ORDER BY s.goal`)
	sqlStreak = newQuery(`SELECT '', length, longest, grace_left, last_day FROM streaks WHERE user = ? AND goal = ?`)
)

// Announced tells the milestones that were said to one person in one habit.
func (t *Tx) Announced(u pactwire.UserID, g pactwire.GoalID) ([]pactwire.AnnouncedMilestone, error) {
	user, goal, err := t.c.userAndGoal(u, g)
	if user == 0 || goal == 0 || err != nil {
		return nil, err
	}
	var out []pactwire.AnnouncedMilestone
	s := t.c.q(sqlAnnounced).int(user).int(goal)
	for s.next() {
		out = append(out, pactwire.AnnouncedMilestone{From: s.colDate(0), To: s.colDate(1), Days: int(s.colInt(2))})
	}
	return out, s.end()
}

// PutAnnounced notes that a milestone was said. The same run and length again only moves its last date.
func (t *Tx) PutAnnounced(u pactwire.UserID, g pactwire.GoalID, a pactwire.AnnouncedMilestone) error {
	user, goal, err := t.internUserAndGoal(u, g)
	if err != nil {
		return err
	}
	return t.c.q(sqlPutAnnounced).int(user).int(goal).date(a.From).date(a.To).int(int64(a.Days)).run()
}

// PutStreak writes the summary of a run.
func (t *Tx) PutStreak(u pactwire.UserID, r pactwire.StreakRow) error {
	user, goal, err := t.internUserAndGoal(u, r.GoalID)
	if err != nil {
		return err
	}
	return t.c.q(sqlPutStreak).int(user).int(goal).int(int64(r.Length)).int(int64(r.Longest)).int(int64(r.GraceLeft)).date(r.LastDate).run()
}

// ReadStreaks are the summaries of a person, one a habit.
func (d *DB) ReadStreaks(ctx context.Context, u pactwire.UserID) ([]pactwire.StreakRow, error) {
	var out []pactwire.StreakRow
	err := d.read(ctx, func(c *conn) error {
		user, err := c.id(userName(u))
		if user == 0 || err != nil {
			return err
		}
		s := c.q(sqlStreaks).int(user)
		for s.next() {
			out = append(out, s.streak(pactwire.GoalID(s.colText(0))))
		}
		return s.end()
	})
	return out, readError("read streaks of "+string(u), err)
}

// ReadStreaksOf are the summaries of many people in one habit. Who has none is not in the map.
func (d *DB) ReadStreaksOf(ctx context.Context, g pactwire.GoalID, users []pactwire.UserID) (map[pactwire.UserID]pactwire.StreakRow, error) {
	out := make(map[pactwire.UserID]pactwire.StreakRow, len(users))
	err := d.view(ctx, func(c *conn) error {
		for _, u := range users {
			user, goal, err := c.userAndGoal(u, g)
			if err != nil {
				return err
			}
			s := c.q(sqlStreak).int(user).int(goal)
			if s.next() {
				out[u] = s.streak(g)
			}
			if err := s.end(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, readError("read streaks in "+string(g), err)
	}
	return out, nil
}

func (s *stmt) streak(g pactwire.GoalID) pactwire.StreakRow {
	return pactwire.StreakRow{GoalID: g, Length: int(s.colInt(1)), Longest: int(s.colInt(2)), GraceLeft: int(s.colInt(3)), LastDate: s.colDate(4)}
}

func (t *Tx) internUserAndGoal(u pactwire.UserID, g pactwire.GoalID) (user, goal int64, err error) {
	if user, err = t.internID(userName(u)); err != nil {
		return 0, 0, err
	}
	goal, err = t.internID(goalNameOf(g))
	return user, goal, err
}
