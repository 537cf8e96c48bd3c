package sqlite

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/pactwire/pactwire"
)

const goalColumns = `n.name, u.name, g.name, g.emoji, g.description, g.frequency_type, g.frequency_count, g.days_of_week, g.created_at`

var (
	sqlGoal = newQuery(`SELECT ` + goalColumns + ` FROM goals g JOIN names n ON n.id = g.id JOIN names u ON u.id = g.creator
		WHERE g.id = ?`)
	sqlPutGoal = newQuery(`INSERT INTO goals (id, creator, name, emoji, description, frequency_type, frequency_count, days_of_week, created_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET creator = excluded.creator, name = excluded.name, emoji = excluded.emoji,
			description = excluded.description, frequency_type = excluded.frequency_type,
			frequency_count = excluded.frequency_count, days_of_week = excluded.days_of_week, created_at = excluded.created_at`)
	sqlGoalsOf = newQuery(`SELECT ` + goalColumns + ` FROM goals g JOIN names n ON n.id = g.id JOIN names u ON u.id = g.creator
		WHERE g.id IN (SELECT id FROM goals WHERE creator = ?1
			UNION SELECT p.goal FROM members m JOIN pacts p ON p.id = m.pact WHERE m.user = ?1 AND m.status IN ('pending', 'active'))
		ORDER BY g.created_at, g.id`)
)

// Goal reads a goal.
func (t *Tx) Goal(id pactwire.GoalID) (pactwire.Goal, bool, error) { return t.c.goal(id) }

func (c *conn) goal(id pactwire.GoalID) (g pactwire.Goal, ok bool, err error) {
	n, err := c.id(goalNameOf(id))
	if n == 0 || err != nil {
		return g, false, err
	}
	s := c.q(sqlGoal).int(n)
	if ok = s.next(); ok {
		g = s.goal()
	}
	return g, ok, s.end()
}

// PutGoal inserts or replaces a goal.
func (t *Tx) PutGoal(g pactwire.Goal) error {
	id, err := t.internID(goalNameOf(g.ID))
	if err != nil {
		return err
	}
	creator, err := t.internID(userName(g.CreatedByUserID))
	if err != nil {
		return err
	}
	days := ""
	if g.TargetDaysOfWeek != nil {
		b, err := json.Marshal(g.TargetDaysOfWeek)
		if err != nil {
			return fmt.Errorf("put goal %s: %w", g.ID, err)
		}
		days = string(b)
	}
	return t.c.q(sqlPutGoal).int(id).int(creator).text(g.Name).text(g.Emoji).text(g.Description).text(g.FrequencyType).
		int(int64(g.FrequencyCount)).text(days).int(millis(g.CreatedAt.Std())).run()
}

// ReadGoals are the user's own goals and those of the pacts that they are in or invited to, oldest first.
func (d *DB) ReadGoals(ctx context.Context, u pactwire.UserID) ([]pactwire.Goal, error) {
	var out []pactwire.Goal
	err := d.read(ctx, func(c *conn) error {
		id, err := c.id(userName(u))
		if id == 0 || err != nil {
			return err
		}
		s := c.q(sqlGoalsOf).int(id)
		for s.next() {
			out = append(out, s.goal())
		}
		return s.end()
	})
	return out, readError("read goals of "+string(u), err)
}

// ReadGoalsByID are goals, whoever has them. One that is not there is not in the map.
func (d *DB) ReadGoalsByID(ctx context.Context, ids []pactwire.GoalID) (map[pactwire.GoalID]pactwire.Goal, error) {
	out := make(map[pactwire.GoalID]pactwire.Goal, len(ids))
	err := d.view(ctx, func(c *conn) error {
		for _, id := range ids {
			g, ok, err := c.goal(id)
			if err != nil {
				return err
			}
			if ok {
				out[id] = g
			}
		}
		return nil
	})
	if err != nil {
		return nil, readError("read goals", err)
	}
	return out, nil
}

func (s *stmt) goal() pactwire.Goal {
	g := pactwire.Goal{
		ID: pactwire.GoalID(s.colText(0)), CreatedByUserID: pactwire.UserID(s.colText(1)), Name: s.colText(2), Emoji: s.colText(3),
		Description: s.colText(4), FrequencyType: s.colText(5), FrequencyCount: int(s.colInt(6)), CreatedAt: pactwire.Time(s.colTime(8)),
	}
	if days := s.colText(7); days != "" {
		if err := json.Unmarshal([]byte(days), &g.TargetDaysOfWeek); err != nil && s.err == nil {
			s.err = fmt.Errorf("goal %s: days of week: %w", g.ID, err)
		}
	}
	return g
}
