package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pactwire/pactwire"
)

const (
	sqlPacts = `SELECT p.id, n.name, p.status, p.pact_type, gn.name, coalesce(g.name, ''), coalesce(g.emoji, ''), un.name,
			p.duration_days, p.start_date, p.end_date, p.ended_at, p.end_reason, p.created_at
		FROM pacts p JOIN names n ON n.id = p.id JOIN names gn ON gn.id = p.goal JOIN names un ON un.id = p.creator
			LEFT JOIN goals g ON g.id = p.goal
		WHERE p.id = ANY ($1)`
	sqlMembers = `SELECT m.pact, n.name, coalesce(u.user_name, ''), m.role, m.status, m.joined_at, coalesce(j.seq, 0)
		FROM members m JOIN names n ON n.id = m.usr LEFT JOIN users u ON u.id = m.usr
			LEFT JOIN joined j ON j.usr = m.usr AND j.stream = m.pact
		WHERE m.pact = ANY ($1) ORDER BY m.pact, m.place`
)

type pact struct {
	p  pactwire.Pact
	ok bool
}

func scanPact(rows pgx.Rows, id *int64) (p pactwire.Pact, err error) {
	var start, end, ended *int64
	var created int64
	err = rows.Scan(id, &p.ID, &p.Status, &p.PactType, &p.HabitGoalID, &p.HabitName, &p.HabitEmoji, &p.CreatorUserID,
		&p.DurationDays, &start, &end, &ended, &p.EndReason, &created)
	p.StartDate, p.EndDate, p.EndedAt, p.CreatedAt = ptrTime(start), ptrTime(end), ptrTime(ended), pactwire.Time(timeOf(created))
	p.Members = make([]pactwire.Member, 0, pactwire.MinMembers)
	return p, err
}

func scanMember(rows pgx.Rows, pact *int64) (m pactwire.Member, err error) {
	var joined *int64
	err = rows.Scan(pact, &m.UserID, &m.UserName, &m.Role, &m.Status, &joined, &m.JoinedSeq)
	m.JoinedAt = ptrTime(joined)
	return m, err
}

// Pact reads a pact with its members, their names, where each joined, who may have done so at another node, and the habit. HeadSeq is
// left 0.
func (t *Tx) Pact(id pactwire.PactID) (pactwire.Pact, bool, error) {
	if t.pacts[id] == nil {
		if err := t.want(func(w *wants) { w.pact(id) }); err != nil {
			return pactwire.Pact{}, false, err
		}
	}
	p := t.pacts[id]
	return t.renamed(p.p), p.ok, nil
}

// renamed is the pact with the names that this transaction gave to its members.
func (t *Tx) renamed(p pactwire.Pact) pactwire.Pact {
	cloned := false
	for i := range p.Members {
		u := t.users[p.Members[i].UserID]
		if u == nil || !u.dirty || u.u.UserName == p.Members[i].UserName {
			continue
		}
		if !cloned {
			p.Members, cloned = slices.Clone(p.Members), true
		}
		p.Members[i].UserName = u.u.UserName
	}
	return p
}

// ReadPact reads a pact outside of transactions.
func (d *DB) ReadPact(ctx context.Context, id pactwire.PactID) (p pactwire.Pact, ok bool, err error) {
	err = d.read(ctx, func(ctx context.Context) error {
		list, err := d.readPacts(ctx, `SELECT id FROM names WHERE kind = 1 AND name = $1`, id)
		if ok = len(list) > 0; ok {
			p = list[0]
		}
		return err
	})
	return p, ok, readError("read pact "+string(id), err)
}

// readPacts reads the pacts that a query selects, in the order of their making.
func (d *DB) readPacts(ctx context.Context, which string, args ...any) (out []pactwire.Pact, err error) {
	var ids []int64
	rows, err := d.pool.Query(ctx, which, args...)
	if err != nil {
		return nil, err
	}
	if ids, err = pgx.CollectRows(rows, pgx.RowTo[int64]); err != nil || len(ids) == 0 {
		return nil, err
	}
	place := map[int64]int{}
	var b pgx.Batch
	b.Queue("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
	b.Queue(sqlPacts+` ORDER BY p.id`, ids).Query(func(rows pgx.Rows) error {
		return each(rows, func() error {
			var id int64
			p, err := scanPact(rows, &id)
			place[id] = len(out)
			out = append(out, p)
			return err
		})
	})
	b.Queue(sqlMembers, ids).Query(func(rows pgx.Rows) error {
		return each(rows, func() error {
			var id int64
			m, err := scanMember(rows, &id)
			if i, ok := place[id]; ok {
				out[i].Members = append(out[i].Members, m)
			}
			return err
		})
	})
	b.Queue("COMMIT")
	return out, d.pool.SendBatch(ctx, &b).Close()
}

// ReadPactsOf reads every pact, whatever its status, in which one of the users has a row, in the order of their making.
// A user without pacts is in the map with none.
func (d *DB) ReadPactsOf(ctx context.Context, users []pactwire.UserID) (map[pactwire.UserID][]pactwire.Pact, error) {
	out := make(map[pactwire.UserID][]pactwire.Pact, len(users))
	if len(users) == 0 {
		return out, nil
	}
	err := d.read(ctx, func(ctx context.Context) error {
		pacts, err := d.readPacts(ctx, `SELECT DISTINCT m.pact FROM unnest($1::text[]) AS w (name)
			JOIN names n ON n.kind = 2 AND n.name = w.name JOIN members m ON m.usr = n.id`, users)
		if err != nil {
			return err
		}
		for _, u := range users {
			out[u] = nil
		}
		for _, p := range pacts { // partners share pacts: each was read once
			for _, m := range p.Members {
				if list, asked := out[m.UserID]; asked {
					out[m.UserID] = append(list, p)
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, readError("read pacts of users", err)
	}
	return out, nil
}

// PutPact writes the pact and all its member rows. Where a member's own story starts (Joined) stays. The members are
// locked too, so that what a person does elsewhere comes before or after the whole change.
func (t *Tx) PutPact(p pactwire.Pact) error {
	if err := t.direct(); err != nil {
		return err
	}
	locks := []name{pactName(p.ID), userName(p.CreatorUserID)}
	for _, m := range p.Members {
		locks = append(locks, userName(m.UserID))
	}
	if err := t.hold(locks...); err != nil {
		return err
	}
	if err := t.d.resolve(t.ctx, map[name]bool{goalName(p.HabitGoalID): true}); err != nil {
		return t.fail(err)
	}
	id := t.d.ids[pactName(p.ID)]
	_, err := t.exec(`INSERT INTO pacts (id, status, pact_type, goal, creator, duration_days, start_date, end_date, ended_at, end_reason, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
		ON CONFLICT (id) DO UPDATE SET status = excluded.status, pact_type = excluded.pact_type, goal = excluded.goal,
			creator = excluded.creator, duration_days = excluded.duration_days, start_date = excluded.start_date,
			end_date = excluded.end_date, ended_at = excluded.ended_at, end_reason = excluded.end_reason,
			created_at = excluded.created_at, changed = excluded.changed`,
		id, p.Status, p.PactType, t.d.ids[goalName(p.HabitGoalID)], t.d.ids[userName(p.CreatorUserID)], p.DurationDays,
		ptrMillis(p.StartDate), ptrMillis(p.EndDate), ptrMillis(p.EndedAt), p.EndReason, millis(p.CreatedAt.Std()))
	if err != nil {
		return err
	}
	if _, err := t.exec(`DELETE FROM members WHERE pact = $1`, id); err != nil {
		return err
	}
	n := len(p.Members)
	users, roles, statuses, joined := make([]int64, n), make([]string, n), make([]string, n), make([]*int64, n)
	for i, m := range p.Members {
		users[i], roles[i], statuses[i], joined[i] = t.d.ids[userName(m.UserID)], string(m.Role), string(m.Status), ptrMillis(m.JoinedAt)
	}
	_, err = t.exec(`INSERT INTO members (pact, place, usr, role, status, joined_at)
		SELECT $1, w.i - 1, w.usr, w.role, w.status, w.joined
		FROM unnest($2::bigint[], $3::text[], $4::text[], $5::bigint[]) WITH ORDINALITY AS w (usr, role, status, joined, i)`,
		id, users, roles, statuses, joined)
	return err
}

// ActivePacts are the active pacts about a habit in which the user is an active member, oldest first.
func (t *Tx) ActivePacts(u pactwire.UserID, g pactwire.GoalID) ([]pactwire.PactID, error) {
	k := userGoal{u, g}
	if _, known := t.active[k]; !known {
		if err := t.want(func(w *wants) { w.userGoal(func(w *wants) map[userGoal]none { return w.active }, k) }); err != nil {
			return nil, err
		}
	}
	return t.active[k], nil
}

// PutCode stores a code that lets its bearer into a pact. A code that is taken is a Conflict.
func (t *Tx) PutCode(code string, p pactwire.PactID, expires time.Time) error {
	if err := t.direct(); err != nil {
		return err
	}
	if err := t.hold(pactName(p)); err != nil {
		return err
	}
	n, err := t.exec(`INSERT INTO codes (code, pact, expires) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, code, t.d.ids[pactName(p)], millis(expires))
	if err == nil && n == 0 {
		return &pactwire.Error{Code: pactwire.Conflict, Message: "this code is taken", Field: "code"}
	}
	return err
}

// Code finds the pact of a code. Whether it has expired is for the caller to see.
func (t *Tx) Code(code string) (p pactwire.PactID, expires time.Time, ok bool, err error) {
	if err := t.direct(); err != nil {
		return "", time.Time{}, false, err
	}
	var at int64
	ok, err = t.one(`SELECT n.name, c.expires FROM codes c JOIN names n ON n.id = c.pact WHERE c.code = $1`, []any{code}, &p, &at)
	if ok {
		expires = timeOf(at)
	}
	return p, expires, ok, err
}
