package postgres

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pactwire/pactwire"
)

const goalColumns = `n.name, u.name, g.name, g.emoji, g.description, g.frequency_type, g.frequency_count, g.days_of_week, g.created_at`

const goalTables = ` FROM goals g JOIN names n ON n.id = g.id JOIN names u ON u.id = g.creator`

type goal struct {
	g  pactwire.Goal
	ok bool
}

// Goal reads a goal.
func (t *Tx) Goal(id pactwire.GoalID) (pactwire.Goal, bool, error) {
	if t.goals[id] == nil {
		if err := t.want(func(w *wants) { w.ready(); w.goals[id] = none{} }); err != nil {
			return pactwire.Goal{}, false, err
		}
	}
	g := t.goals[id]
	return g.g, g.ok, nil
}

// PutGoal inserts or replaces a goal.
func (t *Tx) PutGoal(g pactwire.Goal) error {
	if err := t.direct(); err != nil {
		return err
	}
	if err := t.hold(goalName(g.ID), userName(g.CreatedByUserID)); err != nil {
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
	_, err := t.exec(`INSERT INTO goals (id, creator, name, emoji, description, frequency_type, frequency_count, days_of_week, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		ON CONFLICT (id) DO UPDATE SET creator = excluded.creator, name = excluded.name, emoji = excluded.emoji,
			description = excluded.description, frequency_type = excluded.frequency_type,
			frequency_count = excluded.frequency_count, days_of_week = excluded.days_of_week, created_at = excluded.created_at`,
		t.d.ids[goalName(g.ID)], t.d.ids[userName(g.CreatedByUserID)], g.Name, g.Emoji, g.Description, g.FrequencyType,
		g.FrequencyCount, days, millis(g.CreatedAt.Std()))
	return err
}

// ReadGoals are the user's own goals and those of the pacts that they are in or invited to, oldest first.
func (d *DB) ReadGoals(ctx context.Context, u pactwire.UserID) (out []pactwire.Goal, err error) {
	err = d.read(ctx, func(ctx context.Context) error {
		rows, err := d.pool.Query(ctx, `WITH me AS (SELECT id FROM names WHERE kind = 2 AND name = $1)
			SELECT `+goalColumns+goalTables+` WHERE g.id IN (SELECT g2.id FROM goals g2 JOIN me ON g2.creator = me.id
				UNION SELECT p.goal FROM me JOIN members m ON m.usr = me.id JOIN pacts p ON p.id = m.pact WHERE m.status IN ('pending', 'active'))
			ORDER BY g.created_at, g.id`, u)
		if err != nil {
			return err
		}
		defer rows.Close()
		out = nil
		return each(rows, func() error {
			g, err := scanGoal(rows)
			out = append(out, g)
			return err
		})
	})
	return out, readError("read goals of "+string(u), err)
}

// ReadGoalsByID are goals, whoever has them. One that is not there is not in the map.
func (d *DB) ReadGoalsByID(ctx context.Context, ids []pactwire.GoalID) (map[pactwire.GoalID]pactwire.Goal, error) {
	out := make(map[pactwire.GoalID]pactwire.Goal, len(ids))
	err := d.read(ctx, func(ctx context.Context) error {
		rows, err := d.pool.Query(ctx, `SELECT `+goalColumns+goalTables+` WHERE n.kind = 3 AND n.name = ANY ($1)`, ids)
		if err != nil {
			return err
		}
		defer rows.Close()
		return each(rows, func() error {
			g, err := scanGoal(rows)
			out[g.ID] = g
			return err
		})
	})
	if err != nil {
		return nil, readError("read goals", err)
	}
	return out, nil
}

func scanGoal(rows pgx.Rows) (g pactwire.Goal, err error) {
	var days string
	var at int64
	if err := rows.Scan(&g.ID, &g.CreatedByUserID, &g.Name, &g.Emoji, &g.Description, &g.FrequencyType, &g.FrequencyCount, &days, &at); err != nil {
		return g, err
	}
	g.CreatedAt = pactwire.Time(timeOf(at))
	if days != "" {
		err = unmarshal("days of week of goal "+string(g.ID), []byte(days), &g.TargetDaysOfWeek)
	}
	return g, err
}
