package postgres

import (
	"cmp"
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/pactwire/pactwire"
)

// announced are the milestones that were said to a person in a habit. The list is replaced, never changed in place.
type announced struct {
	list  []pactwire.AnnouncedMilestone
	dirty bool
}

func (t *Tx) announcements(k userGoal) (*announced, error) {
	if a := t.announced[k]; a != nil {
		return a, nil
	}
	err := t.want(func(w *wants) { w.userGoal(func(w *wants) map[userGoal]none { return w.announced }, k) })
	return t.announced[k], err
}

// Announced tells the milestones that were said to one person in one habit.
func (t *Tx) Announced(u pactwire.UserID, g pactwire.GoalID) ([]pactwire.AnnouncedMilestone, error) {
	a, err := t.announcements(userGoal{u, g})
	if err != nil {
		return nil, err
	}
	return a.list, nil
}

// PutAnnounced notes that a milestone was said. The same run and length again only moves its last date.
func (t *Tx) PutAnnounced(u pactwire.UserID, g pactwire.GoalID, m pactwire.AnnouncedMilestone) error {
	for _, d := range []pactwire.LocalDate{m.From, m.To} {
		if _, err := dateNumber(d); err != nil {
			return err
		}
	}
	if err := t.known(goalName(g)); err != nil {
		return err
	}
	a, err := t.announcements(userGoal{u, g})
	if err != nil {
		return err
	}
	was := *a
	t.change(func() { *a = was })
	list := slices.DeleteFunc(slices.Clone(a.list), func(x pactwire.AnnouncedMilestone) bool { return x.From == m.From && x.Days == m.Days })
	list = append(list, m)
	slices.SortFunc(list, func(x, y pactwire.AnnouncedMilestone) int {
		return cmp.Or(cmp.Compare(x.From, y.From), cmp.Compare(x.Days, y.Days))
	})
	a.list, a.dirty = list, true
	return nil
}

// known sees to it that a name has a number, for rows that are only written.
func (t *Tx) known(n name) error {
	if t.d.ids[n] != 0 {
		return nil
	}
	return t.want(func(w *wants) { w.lock(n) })
}

// PutStreak writes the summary of a run.
func (t *Tx) PutStreak(u pactwire.UserID, r pactwire.StreakRow) error {
	if _, err := dateNumber(r.LastDate); err != nil {
		return err
	}
	for _, n := range []name{userName(u), goalName(r.GoalID)} {
		if err := t.known(n); err != nil {
			return err
		}
	}
	k := userGoal{u, r.GoalID}
	was, had := t.streaks[k]
	t.change(func() {
		if had {
			t.streaks[k] = was
		} else {
			delete(t.streaks, k)
		}
	})
	t.streaks[k] = r
	return nil
}

func (t *Tx) flushStreaks(b *pgx.Batch) {
	var users, goals []int64
	var from, to, days []int32
	for k, a := range t.announced {
		if !a.dirty {
			continue
		}
		a.dirty = false
		for _, m := range a.list {
			f, _ := dateNumber(m.From) // both were checked when they were put
			l, _ := dateNumber(m.To)
			users, goals = append(users, t.d.ids[userName(k.user)]), append(goals, t.d.ids[goalName(k.goal)])
			from, to, days = append(from, f), append(to, l), append(days, int32(m.Days)) //nolint:gosec // small
		}
	}
	if len(users) > 0 {
		b.Queue(`INSERT INTO announced (usr, goal, from_day, to_day, days) SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::int[], $4::int[], $5::int[])
			ON CONFLICT (usr, goal, from_day, days) DO UPDATE SET to_day = excluded.to_day WHERE announced.to_day <> excluded.to_day`,
			users, goals, from, to, days)
	}
	if len(t.streaks) == 0 {
		return
	}
	users, goals = nil, nil
	var length, longest, grace, last []int32
	for k, r := range t.streaks {
		day, _ := dateNumber(r.LastDate)
		users, goals = append(users, t.d.ids[userName(k.user)]), append(goals, t.d.ids[goalName(k.goal)])
		length, longest = append(length, int32(r.Length)), append(longest, int32(r.Longest)) //nolint:gosec // small
		grace, last = append(grace, int32(r.GraceLeft)), append(last, day)                   //nolint:gosec // small
	}
	b.Queue(`INSERT INTO streaks (usr, goal, length, longest, grace_left, last_day)
		SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::int[], $4::int[], $5::int[], $6::int[])
		ON CONFLICT (usr, goal) DO UPDATE SET length = excluded.length, longest = excluded.longest,
			grace_left = excluded.grace_left, last_day = excluded.last_day`, users, goals, length, longest, grace, last)
	clear(t.streaks)
}

// ReadStreaks are the summaries of a person, one a habit.
func (d *DB) ReadStreaks(ctx context.Context, u pactwire.UserID) (out []pactwire.StreakRow, err error) {
	err = d.read(ctx, func(ctx context.Context) error {
		rows, err := d.pool.Query(ctx, `SELECT g.name, s.length, s.longest, s.grace_left, s.last_day
			FROM names n JOIN streaks s ON s.usr = n.id JOIN names g ON g.id = s.goal WHERE n.kind = 2 AND n.name = $1 ORDER BY s.goal`, u)
		if err != nil {
			return err
		}
		defer rows.Close()
		out = nil
		return each(rows, func() error {
			var g pactwire.GoalID
			r, err := scanStreak(rows, &g)
			r.GoalID = g
			out = append(out, r)
			return err
		})
	})
	return out, readError("read streaks of "+string(u), err)
}

// ReadStreaksOf are the summaries of many people in one habit. Who has none is not in the map.
func (d *DB) ReadStreaksOf(ctx context.Context, g pactwire.GoalID, users []pactwire.UserID) (map[pactwire.UserID]pactwire.StreakRow, error) {
	out := make(map[pactwire.UserID]pactwire.StreakRow, len(users))
	err := d.read(ctx, func(ctx context.Context) error {
		rows, err := d.pool.Query(ctx, `SELECT n.name, s.length, s.longest, s.grace_left, s.last_day
			FROM unnest($1::text[]) AS w (name) JOIN names n ON n.kind = 2 AND n.name = w.name
			JOIN names g ON g.kind = 3 AND g.name = $2 JOIN streaks s ON s.usr = n.id AND s.goal = g.id`, users, g)
		if err != nil {
			return err
		}
		defer rows.Close()
		return each(rows, func() error {
			var u pactwire.UserID
			r, err := scanStreak(rows, &u)
			r.GoalID = g
			out[u] = r
			return err
		})
	})
	if err != nil {
		return nil, readError("read streaks in "+string(g), err)
	}
	return out, nil
}

func scanStreak(rows pgx.Rows, first any) (r pactwire.StreakRow, err error) {
	var last int32
	err = rows.Scan(first, &r.Length, &r.Longest, &r.GraceLeft, &last)
	r.LastDate = dateOf(last)
	return r, err
}
