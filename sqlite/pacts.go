package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/pactwire/pactwire"
)

var (
	sqlPact = newQuery(`SELECT n.name, p.status, p.pact_type, gn.name, coalesce(g.name, ''), coalesce(g.emoji, ''), un.name,
			p.duration_days, p.start_date, p.end_date, p.ended_at, p.end_reason, p.created_at
		FROM pacts p JOIN names n ON n.id = p.id JOIN names gn ON gn.id = p.goal JOIN names un ON un.id = p.creator
			LEFT JOIN goals g ON g.id = p.goal
		WHERE p.id = ?`)
	sqlMembers = newQuery(`SELECT n.name, coalesce(u.user_name, ''), m.role, m.status, m.joined_at
		FROM members m JOIN names n ON n.id = m.user LEFT JOIN users u ON u.id = m.user
		WHERE m.pact = ? ORDER BY m.place`)
	sqlPutPact = newQuery(`INSERT INTO pacts (id, status, pact_type, goal, creator, duration_days, start_date, end_date, ended_at,
			end_reason, created_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET status = excluded.status, pact_type = excluded.pact_type, goal = excluded.goal,
			creator = excluded.creator, duration_days = excluded.duration_days, start_date = excluded.start_date,
			end_date = excluded.end_date, ended_at = excluded.ended_at, end_reason = excluded.end_reason,
			created_at = excluded.created_at`)
	sqlDropMembers = newQuery(`DELETE FROM members WHERE pact = ?`)
	sqlPutMember   = newQuery(`INSERT INTO members (pact, place, user, role, status, joined_at) VALUES (?, ?, ?, ?, ?, ?)`)
	sqlActivePacts = newQuery(`SELECT n.name FROM members m JOIN pacts p ON p.id = m.pact JOIN names n ON n.id = p.id
		WHERE m.user = ? AND m.status = 'active' AND p.goal = ? AND p.status = 'active' ORDER BY p.id`)
	sqlPactsOf = newQuery(`SELECT pact FROM members WHERE user = ? ORDER BY pact`)
	sqlCode    = newQuery(`SELECT n.name, c.expires FROM codes c JOIN names n ON n.id = c.pact WHERE c.code = ?`)
	sqlPutCode = newQuery(`INSERT INTO codes (code, pact, expires) VALUES (?, ?, ?)`)
)

// Pact reads a pact with its members, their names and the habit. HeadSeq is left 0.
func (t *Tx) Pact(id pactwire.PactID) (pactwire.Pact, bool, error) { return t.c.pact(id) }

// ReadPact reads a pact outside of transactions.
func (d *DB) ReadPact(ctx context.Context, id pactwire.PactID) (p pactwire.Pact, ok bool, err error) {
	err = d.view(ctx, func(c *conn) (err error) {
		p, ok, err = c.pact(id)
		return err
	})
	return p, ok, readError("read pact "+string(id), err)
}

// ReadPactsOf reads every pact, whatever its status, in which one of the users has a row, in the order of their making.
// A user without pacts is in the map with none.
func (d *DB) ReadPactsOf(ctx context.Context, users []pactwire.UserID) (map[pactwire.UserID][]pactwire.Pact, error) {
	out := make(map[pactwire.UserID][]pactwire.Pact, len(users))
	err := d.view(ctx, func(c *conn) error {
		read := map[int64]pactwire.Pact{} // partners share pacts: read each once
		for _, u := range users {
			ids, err := c.pactsOf(u)
			if err != nil {
				return err
			}
			pacts := make([]pactwire.Pact, 0, len(ids))
			for _, id := range ids {
				p, ok := read[id]
				if !ok {
					if p, ok, err = c.pactByNumber(id); err != nil {
						return err
					} else if !ok {
						continue
					}
					read[id] = p
				}
				pacts = append(pacts, p)
			}
			out[u] = pacts
		}
		return nil
	})
	if err != nil {
		return nil, readError("read pacts of users", err)
	}
	return out, nil
}

func (c *conn) pactsOf(u pactwire.UserID) ([]int64, error) {
	id, err := c.id(userName(u))
	if id == 0 || err != nil {
		return nil, err
	}
	var out []int64
	s := c.q(sqlPactsOf).int(id)
	for s.next() {
		out = append(out, s.colInt(0))
	}
	return out, s.end()
}

func (c *conn) pact(id pactwire.PactID) (pactwire.Pact, bool, error) {
	n, err := c.id(pactName(id))
	if n == 0 || err != nil {
		return pactwire.Pact{}, false, err
	}
	return c.pactByNumber(n)
}

func (c *conn) pactByNumber(id int64) (p pactwire.Pact, ok bool, err error) {
	s := c.q(sqlPact).int(id)
	if ok = s.next(); ok {
		p = pactwire.Pact{
			ID: pactwire.PactID(s.colText(0)), Status: pactwire.PactStatus(s.colText(1)), PactType: s.colText(2),
			HabitGoalID: pactwire.GoalID(s.colText(3)), HabitName: s.colText(4), HabitEmoji: s.colText(5),
			CreatorUserID: pactwire.UserID(s.colText(6)), DurationDays: int(s.colInt(7)), StartDate: s.colTimePtr(8),
			EndDate: s.colTimePtr(9), EndedAt: s.colTimePtr(10), EndReason: s.colText(11), CreatedAt: pactwire.Time(s.colTime(12)),
		}
	}
	if err := s.end(); err != nil || !ok {
		return pactwire.Pact{}, false, err
	}
	p.Members = make([]pactwire.Member, 0, pactwire.MinMembers)
	s = c.q(sqlMembers).int(id)
	for s.next() {
		p.Members = append(p.Members, pactwire.Member{
			UserID: pactwire.UserID(s.colText(0)), UserName: s.colText(1), Role: pactwire.MemberRole(s.colText(2)),
			Status: pactwire.MemberStatus(s.colText(3)), JoinedAt: s.colTimePtr(4),
		})
	}
	return p, true, s.end()
}

// PutPact writes the pact and all its member rows. Where a member's own story starts (Joined) stays.
func (t *Tx) PutPact(p pactwire.Pact) error {
	id, err := t.internID(pactName(p.ID))
	if err != nil {
		return err
	}
	goal, err := t.internID(goalNameOf(p.HabitGoalID))
	if err != nil {
		return err
	}
	creator, err := t.internID(userName(p.CreatorUserID))
	if err != nil {
		return err
	}
	err = t.c.q(sqlPutPact).int(id).text(string(p.Status)).text(p.PactType).int(goal).int(creator).int(int64(p.DurationDays)).
		timePtr(p.StartDate).timePtr(p.EndDate).timePtr(p.EndedAt).text(p.EndReason).int(millis(p.CreatedAt.Std())).run()
	if err != nil {
		return fmt.Errorf("put pact %s: %w", p.ID, err)
	}
	if err := t.c.q(sqlDropMembers).int(id).run(); err != nil {
		return fmt.Errorf("put pact %s: %w", p.ID, err)
	}
	for i, m := range p.Members {
		user, err := t.internID(userName(m.UserID))
		if err != nil {
			return err
		}
		err = t.c.q(sqlPutMember).int(id).int(int64(i)).int(user).text(string(m.Role)).text(string(m.Status)).timePtr(m.JoinedAt).run()
		if err != nil {
			return fmt.Errorf("put member %s of pact %s: %w", m.UserID, p.ID, err)
		}
	}
	return nil
}

// ActivePacts are the active pacts about a habit in which the user is an active member, oldest first.
func (t *Tx) ActivePacts(u pactwire.UserID, g pactwire.GoalID) ([]pactwire.PactID, error) {
	user, goal, err := t.c.userAndGoal(u, g)
	if user == 0 || goal == 0 || err != nil {
		return nil, err
	}
	var out []pactwire.PactID
	s := t.c.q(sqlActivePacts).int(user).int(goal)
	for s.next() {
		out = append(out, pactwire.PactID(s.colText(0)))
	}
	return out, s.end()
}

// PutCode stores a code that lets its bearer into a pact. A code that is taken is a Conflict.
func (t *Tx) PutCode(code string, p pactwire.PactID, expires time.Time) error {
	id, err := t.internID(pactName(p))
	if err != nil {
		return err
	}
	err = t.c.q(sqlPutCode).text(code).int(id).int(millis(expires)).run()
	if isUnique(err) {
		return &pactwire.Error{Code: pactwire.Conflict, Message: "this code is taken", Field: "code", Cause: err}
	}
	return err
}

// Code finds the pact of a code. Whether it has expired is for the caller to see.
func (t *Tx) Code(code string) (p pactwire.PactID, expires time.Time, ok bool, err error) {
	s := t.c.q(sqlCode).text(code)
	if ok = s.next(); ok {
		p, expires = pactwire.PactID(s.colText(0)), s.colTime(1)
	}
	return p, expires, ok, s.end()
}

// userAndGoal are the numbers of both, 0 where there is none.
func (c *conn) userAndGoal(u pactwire.UserID, g pactwire.GoalID) (user, goal int64, err error) {
	if user, err = c.id(userName(u)); user == 0 || err != nil {
		return 0, 0, err
	}
	goal, err = c.id(goalNameOf(g))
	return user, goal, err
}
