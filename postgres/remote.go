package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pactwire/pactwire"
)

// What is kept when the habits-service is another process: what it was last seen to say, so that changes are told once, by
// one node. What it answered to check-ins is recorded for many people at a time; the rarer functions, about pacts and webhooks,
// run alone.

// SeenPact stores a state of a pact of a remote habits-service if what is known of it has a revision, and returns what was
// known before, which says where the stories of its members begin. Of another revision nothing is changed.
func (t *Tx) SeenPact(p pactwire.Pact, revision uint64) (seen pactwire.SeenPact, err error) {
	if err := t.direct(); err != nil {
		return seen, err
	}
	if err := t.hold(pactName(p.ID)); err != nil {
		return seen, err
	}
	id := t.d.ids[pactName(p.ID)]
	var was []byte
	known, err := t.one(`SELECT pact, revision FROM seen_pacts WHERE id = $1`, []any{id}, &was, &seen.Was)
	if err != nil {
		return seen, err
	}
	if known {
		if err := unmarshal("seen pact "+string(p.ID), was, &seen.Before); err != nil {
			return seen, err
		}
		if err := t.joinedSeqs(id, seen.Before.Members); err != nil {
			return seen, err
		}
	}
	seen.Now = seen.Was
	if seen.Was != revision {
		return seen, nil
	}
	now, err := json.Marshal(p)
	if err != nil {
		return seen, fmt.Errorf("seen pact %s: %w", p.ID, err)
	}
	_, err = t.one(`INSERT INTO seen_pacts (id, pact) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET pact = excluded.pact,
		changed = excluded.changed, revision = seen_pacts.revision + 1 WHERE seen_pacts.pact <> excluded.pact
		RETURNING revision`, []any{id, now}, &seen.Now)
	return seen, err
}

// joinedSeqs fills in where the stories of a pact's members begin.
func (t *Tx) joinedSeqs(pact int64, members []pactwire.Member) error {
	users := make([]string, len(members))
	for i := range members {
		users[i] = string(members[i].UserID)
	}
	var b []byte
	_, err := t.one(`SELECT coalesce(json_object_agg(n.name, j.seq), '{}') FROM names n JOIN joined j ON j.usr = n.id AND j.stream = $1
		WHERE n.kind = 2 AND n.name = ANY ($2)`, []any{pact, users}, &b)
	if err != nil {
		return err
	}
	var seqs map[pactwire.UserID]pactwire.Seq
	if err := unmarshal("who joined", b, &seqs); err != nil {
		return err
	}
	for i := range members {
		members[i].JoinedSeq = seqs[members[i].UserID]
	}
	return nil
}

// seenCheckin is what a remote habits-service was last seen to say about one day.
type seenCheckin struct {
	c  pactwire.Checkin
	ok bool
}

// said is a milestone of a remote habits-service.
type said struct {
	userGoal
	checkin string
	days    int
}

// ExpectOutcome tells that what came of a person's journalled command follows: nothing but a refusal, or a check-in that
// these pacts are told of.
func (t *Tx) ExpectOutcome(u pactwire.UserID, command int64, c *pactwire.Checkin, pacts []pactwire.PactID) error {
	names := []name{userName(u)}
	for _, p := range pacts {
		names = append(names, pactName(p))
	}
	var k userGoalDay
	if c != nil {
		day, err := dateNumber(c.LocalDate)
		if err != nil {
			return err
		}
		k = userGoalDay{userGoal{u, c.HabitGoalID}, day}
	}
	_, known := t.pending[command]
	known = known && (c == nil || t.seen[k] != nil)
	for _, n := range names {
		known = known && t.heads[n] != nil
	}
	if known || t.alone {
		return nil
	}
	return t.want(func(w *wants) {
		for _, n := range names {
			w.lock(n)
		}
		w.pending[command] = none{}
		if c != nil {
			w.add(goalName(c.HabitGoalID))
			w.seen[k] = none{}
		}
	})
}

// SeenCheckin stores the last known state of a check-in of a remote habits-service, by (user, goal, date), and returns
// the former one.
func (t *Tx) SeenCheckin(c pactwire.Checkin) (before pactwire.Checkin, known bool, err error) {
	day, err := dateNumber(c.LocalDate)
	if err != nil {
		return before, false, err
	}
	goal, err := t.number(goalName(c.HabitGoalID))
	if err != nil {
		return before, false, err
	}
	k := userGoalDay{userGoal{c.UserID, c.HabitGoalID}, day}
	if t.seen[k] == nil {
		err := t.want(func(w *wants) {
			w.lock(userName(k.user))
			w.seen[k] = none{}
		})
		if err != nil {
			return before, false, err
		}
	}
	row := t.seen[k]
	was := *row
	now, err := json.Marshal(c)
	if err != nil {
		return before, false, fmt.Errorf("seen check-in %s: %w", c.ID, err)
	}
	t.change(func() { *row = was })
	*row = seenCheckin{c: c, ok: true}
	if !was.ok || was.c.ID != c.ID {
		t.post(`UPDATE seen_checkins SET uid = '' WHERE uid = $1 AND uid <> ''`, c.ID)
	}
	t.post(`INSERT INTO seen_checkins (usr, goal, day, uid, checkin) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (usr, goal, day) DO UPDATE SET uid = excluded.uid, checkin = excluded.checkin`,
		t.d.ids[userName(k.user)], goal, day, c.ID, now)
	return was.c, was.ok, nil
}

// queueSeen asks for check-ins and milestones of a remote habits-service.
func (t *Tx) queueSeen(b *pgx.Batch, w *wants) {
	var users, goals []int64
	var days []int32
	var of []userGoalDay
	for k := range w.seen {
		if t.seen[k] != nil {
			continue
		}
		t.seen[k] = &seenCheckin{}
		if u, g := t.d.ids[userName(k.user)], t.d.ids[goalName(k.goal)]; u != 0 && g != 0 {
			users, goals, days, of = append(users, u), append(goals, g), append(days, k.day), append(of, k)
		}
	}
	if len(of) > 0 {
		b.Queue(`SELECT w.i, s.checkin FROM unnest($1::bigint[], $2::bigint[], $3::int[]) WITH ORDINALITY AS w (usr, goal, day, i)
			JOIN seen_checkins s ON s.usr = w.usr AND s.goal = w.goal AND s.day = w.day`, users, goals, days).Query(func(rows pgx.Rows) error {
			return each(rows, func() error {
				var i int
				var b []byte
				if err := rows.Scan(&i, &b); err != nil {
					return err
				}
				row := t.seen[of[i-1]]
				row.ok = true
				return unmarshal("seen check-in", b, &row.c)
			})
		})
	}
	t.queueSaid(b, w)
}

func (t *Tx) queueSaid(b *pgx.Batch, w *wants) {
	var users, goals []int64
	var days []int32
	var checkins []string
	var of []said
	for k := range w.said {
		if _, known := t.said[k]; known {
			continue
		}
		t.said[k] = false
		if u, g := t.d.ids[userName(k.user)], t.d.ids[goalName(k.goal)]; u != 0 && g != 0 {
			users, goals, checkins = append(users, u), append(goals, g), append(checkins, k.checkin)
			days, of = append(days, int32(k.days)), append(of, k) //nolint:gosec // a streak is shorter than that
		}
	}
	if len(of) == 0 {
		return
	}
	b.Queue(`SELECT w.i FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::int[]) WITH ORDINALITY AS w (usr, goal, checkin, days, i)
		JOIN said_milestones s ON s.usr = w.usr AND s.goal = w.goal AND s.checkin = w.checkin AND s.days = w.days`,
		users, goals, checkins, days).Query(func(rows pgx.Rows) error {
		return each(rows, func() error {
			var i int
			err := rows.Scan(&i)
			if err == nil {
				t.said[of[i-1]] = true
			}
			return err
		})
	})
}

// SeenCheckinByID finds what SeenCheckin stored last under a check-in's id.
func (t *Tx) SeenCheckinByID(id string) (pactwire.Checkin, bool, error) {
	if err := t.direct(); err != nil {
		return pactwire.Checkin{}, false, err
	}
	const sql = `SELECT checkin FROM seen_checkins WHERE uid = $1 AND uid <> ''`
	c, ok, err := t.seenCheckin(sql, id)
	if err == nil && !ok {
		// That there is none has to stay so, for who writes of that id next: Bury, or SeenCheckin by what Buried says.
		if _, err = t.exec(`SELECT pg_advisory_xact_lock(hashtextextended('check-in ' || $1, 0))`, id); err == nil {
			c, ok, err = t.seenCheckin(sql, id)
		}
	}
	if err != nil || !ok || t.heads[userName(c.UserID)] != nil {
		return c, ok, err
	}
	if err := t.hold(userName(c.UserID)); err != nil {
		return c, false, err
	}
	return t.seenCheckin(sql, id) // once more, now that it cannot change
}

func (t *Tx) seenCheckin(sql string, args ...any) (c pactwire.Checkin, ok bool, err error) {
	var b []byte
	if ok, err = t.one(sql, args, &b); err != nil || !ok {
		return c, false, err
	}
	return c, true, unmarshal("seen check-in", b, &c)
}

// SeenWebhook notes a webhook id and reports whether it is new.
func (t *Tx) SeenWebhook(id string, at time.Time) (bool, error) {
	return t.isNew(`INSERT INTO seen_webhooks (name, at) VALUES ($1, $2) ON CONFLICT DO NOTHING`, id, millis(at))
}

// buriedName is under which name the end of a check-in stands among the webhooks, with which it is forgotten: a webhook that tells
// of it comes as long after it as they are sent again. No webhook-id has a space.
func buriedName(checkin string) string { return "deleted check-in " + checkin }

// Bury notes when a check-in was deleted of which no more than the id is known.
func (t *Tx) Bury(checkin string, at time.Time) error {
	if err := t.direct(); err != nil {
		return err
	}
	_, err := t.exec(`INSERT INTO seen_webhooks (name, at) VALUES ($1, $2)
		ON CONFLICT (name) DO UPDATE SET at = greatest(seen_webhooks.at, excluded.at)`, buriedName(checkin), millis(at))
	return err
}

// Buried tells when a check-in was deleted, if Bury noted it.
func (t *Tx) Buried(checkin string) (at time.Time, ok bool, err error) {
	if err := t.direct(); err != nil {
		return at, false, err
	}
	var ms int64
	ok, err = t.one(`SELECT at FROM seen_webhooks WHERE name = $1`, []any{buriedName(checkin)}, &ms)
	if ok {
		at = timeOf(ms)
	}
	return at, ok, err
}

// SaidMilestone notes a milestone of a remote habits-service and reports whether it is new.
func (t *Tx) SaidMilestone(u pactwire.UserID, g pactwire.GoalID, checkin string, days int) (bool, error) {
	goal, err := t.number(goalName(g))
	if err != nil {
		return false, err
	}
	k := said{userGoal{u, g}, checkin, days}
	if _, known := t.said[k]; !known {
		err := t.want(func(w *wants) {
			w.lock(userName(u))
			w.said[k] = none{}
		})
		if err != nil {
			return false, err
		}
	}
	if t.said[k] {
		return false, nil
	}
	t.said[k] = true
	t.change(func() { t.said[k] = false })
	t.post(`INSERT INTO said_milestones (usr, goal, checkin, days) VALUES ($1, $2, $3, $4)`, t.d.ids[userName(u)], goal, checkin, days)
	return true, nil
}

// isNew inserts a row and reports whether it was not there.
func (t *Tx) isNew(sql string, args ...any) (bool, error) {
	if err := t.direct(); err != nil {
		return false, err
	}
	n, err := t.exec(sql, args...)
	return n > 0, err
}

// Joined notes at which sequence number a member's own partner_joined stands.
func (t *Tx) Joined(p pactwire.PactID, u pactwire.UserID, at pactwire.Seq) error {
	for _, n := range []name{pactName(p), userName(u)} {
		if err := t.known(n); err != nil {
			return err
		}
	}
	t.post(`INSERT INTO joined (usr, stream, seq) VALUES ($1, $2, $3) ON CONFLICT (usr, stream) DO UPDATE SET seq = excluded.seq`,
		t.d.ids[userName(u)], t.d.ids[pactName(p)], seqInt(at))
	return nil
}

// JoinedAt tells for each user at which sequence number of each pact their own partner_joined stands. Pacts without one,
// such as those they made, are not in the maps.
func (d *DB) JoinedAt(ctx context.Context, users []pactwire.UserID) (map[pactwire.UserID]map[pactwire.PactID]pactwire.Seq, error) {
	out := make(map[pactwire.UserID]map[pactwire.PactID]pactwire.Seq, len(users))
	for _, u := range users {
		out[u] = map[pactwire.PactID]pactwire.Seq{}
	}
	err := d.read(ctx, func(ctx context.Context) error {
		rows, err := d.pool.Query(ctx, `SELECT n.name, p.name, j.seq FROM unnest($1::text[]) AS w (name)
			JOIN names n ON n.kind = 2 AND n.name = w.name JOIN joined j ON j.usr = n.id JOIN names p ON p.id = j.stream`, users)
		if err != nil {
			return err
		}
		defer rows.Close()
		return each(rows, func() error {
			var u pactwire.UserID
			var p pactwire.PactID
			var seq pactwire.Seq
			err := rows.Scan(&u, &p, &seq)
			if err == nil {
				out[u][p] = seq
			}
			return err
		})
	})
	if err != nil {
		return nil, readError("read where people joined", err)
	}
	return out, nil
}
