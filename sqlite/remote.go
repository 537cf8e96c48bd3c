package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/pactwire/pactwire"
)

// What is kept when the habits-service is another process: what it was last seen to say, so that changes are told once.

var (
	sqlSeenPact    = newQuery(`SELECT pact, revision FROM seen_pacts WHERE id = ?`)
	sqlPutSeenPact = newQuery(`INSERT INTO seen_pacts (id, pact) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET pact = excluded.pact,
		revision = seen_pacts.revision + 1 WHERE seen_pacts.pact <> excluded.pact RETURNING revision`)
	sqlSeenCheckin     = newQuery(`SELECT checkin FROM seen_checkins WHERE user = ? AND goal = ? AND day = ?`)
	sqlSeenCheckinByID = newQuery(`SELECT checkin FROM seen_checkins WHERE uid = ? AND uid <> ''`)
	sqlPutSeenCheckin  = newQuery(`INSERT INTO seen_checkins (user, goal, day, uid, checkin) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (user, goal, day) DO UPDATE SET uid = excluded.uid, checkin = excluded.checkin`)
	sqlMoveSeenCheckin = newQuery(`UPDATE seen_checkins SET uid = '' WHERE uid = ? AND uid <> ''`)
	sqlSeenWebhook     = newQuery(`INSERT INTO seen_webhooks (name, at) VALUES (?, ?) ON CONFLICT (name) DO NOTHING RETURNING 1`)
	sqlBury            = newQuery(`INSERT INTO seen_webhooks (name, at) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET at = max(at, excluded.at)`)
	sqlBuried          = newQuery(`SELECT at FROM seen_webhooks WHERE name = ?`)
	sqlSaid            = newQuery(`INSERT INTO said_milestones (user, goal, checkin, days) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING 1`)
	sqlPutJoined       = newQuery(`INSERT INTO joined (user, stream, seq) VALUES (?, ?, ?) ON CONFLICT (user, stream) DO UPDATE SET seq = excluded.seq`)
	sqlJoinedSeq       = newQuery(`SELECT seq FROM joined WHERE user = ? AND stream = ?`)
	sqlJoined          = newQuery(`SELECT n.name, j.seq FROM joined j JOIN names n ON n.id = j.stream WHERE j.user = ?`)
)

// SeenPact stores a state of a pact of a remote habits-service if what is known of it has a revision, and returns what was
// known before, which says where the stories of its members begin. Of another revision nothing is changed.
func (t *Tx) SeenPact(p pactwire.Pact, revision uint64) (seen pactwire.SeenPact, err error) {
	id, err := t.internID(pactName(p.ID))
	if err != nil {
		return seen, err
	}
	s := t.c.q(sqlSeenPact).int(id)
	var was []byte
	if s.next() {
		was, seen.Was = s.colBlob(0), uint64(s.colInt(1)) //nolint:gosec // never negative
	}
	if err := s.end(); err != nil {
		return seen, err
	}
	if seen.Was > 0 {
		if err := json.Unmarshal(was, &seen.Before); err != nil {
			return seen, fmt.Errorf("seen pact %s: %w", p.ID, err)
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
	s = t.c.q(sqlPutSeenPact).int(id).blob(now)
	if s.next() {
		seen.Now = uint64(s.colInt(0)) //nolint:gosec // never negative
	}
	return seen, s.end()
}

// joinedSeqs fills in where the stories of a pact's members begin.
func (t *Tx) joinedSeqs(pact int64, members []pactwire.Member) error {
	for i := range members {
		user, err := t.c.id(userName(members[i].UserID))
		if err != nil {
			return err
		}
		s := t.c.q(sqlJoinedSeq).int(user).int(pact)
		if s.next() {
			members[i].JoinedSeq = pactwire.Seq(s.colInt(0)) //nolint:gosec // as it was written
		}
		if err := s.end(); err != nil {
			return err
		}
	}
	return nil
}

// SeenCheckin stores the last known state of a check-in of a remote habits-service, by (user, goal, date), and returns
// the former one.
func (t *Tx) SeenCheckin(c pactwire.Checkin) (before pactwire.Checkin, known bool, err error) {
	user, goal, err := t.internUserAndGoal(c.UserID, c.HabitGoalID)
	if err != nil {
		return before, false, err
	}
	before, known, err = t.c.q(sqlSeenCheckin).int(user).int(goal).date(c.LocalDate).seenCheckin()
	if err != nil {
		return before, false, err
	}
	if !known || before.ID != c.ID {
		if err := t.c.q(sqlMoveSeenCheckin).text(c.ID).run(); err != nil {
			return before, false, err
		}
	}
	now, err := json.Marshal(c)
	if err != nil {
		return before, false, fmt.Errorf("seen check-in %s: %w", c.ID, err)
	}
	return before, known, t.c.q(sqlPutSeenCheckin).int(user).int(goal).date(c.LocalDate).text(c.ID).blob(now).run()
}

// SeenCheckinByID finds what SeenCheckin stored last under a check-in's id.
func (t *Tx) SeenCheckinByID(id string) (pactwire.Checkin, bool, error) {
	return t.c.q(sqlSeenCheckinByID).text(id).seenCheckin()
}

func (s *stmt) seenCheckin() (c pactwire.Checkin, ok bool, err error) {
	var b []byte
	if ok = s.next(); ok {
		b = s.colBlob(0)
	}
	if err := s.end(); err != nil || !ok {
		return c, false, err
	}
	if err := json.Unmarshal(b, &c); err != nil {
		return c, false, fmt.Errorf("seen check-in: %w", err)
	}
	return c, true, nil
}

// SeenWebhook notes a webhook id and reports whether it is new.
func (t *Tx) SeenWebhook(id string, at time.Time) (bool, error) {
	return t.c.q(sqlSeenWebhook).text(id).int(millis(at)).changed()
}

// buriedName is under which name the end of a check-in stands among the webhooks, with which it is forgotten: a webhook that tells
// of it comes as long after it as they are sent again. No webhook-id has a space.
func buriedName(checkin string) string { return "deleted check-in " + checkin }

// Bury notes when a check-in was deleted of which no more than the id is known.
func (t *Tx) Bury(checkin string, at time.Time) error {
	return t.c.q(sqlBury).text(buriedName(checkin)).int(millis(at)).run()
}

// Buried tells when a check-in was deleted, if Bury noted it.
func (t *Tx) Buried(checkin string) (at time.Time, ok bool, err error) {
	s := t.c.q(sqlBuried).text(buriedName(checkin))
	if ok = s.next(); ok {
		at = s.colTime(0)
	}
	return at, ok, s.end()
}

// SaidMilestone notes a milestone of a remote habits-service and reports whether it is new.
func (t *Tx) SaidMilestone(u pactwire.UserID, g pactwire.GoalID, checkin string, days int) (bool, error) {
	user, goal, err := t.internUserAndGoal(u, g)
	if err != nil {
		return false, err
	}
	return t.c.q(sqlSaid).int(user).int(goal).text(checkin).int(int64(days)).changed()
}

// changed runs a statement that returns the rows it wrote and reports whether there were any.
func (s *stmt) changed() (bool, error) {
	n, err := s.count()
	return n > 0, err
}

// count runs a statement and counts its rows.
func (s *stmt) count() (n int, err error) {
	for s.next() {
		n++
	}
	return n, s.end()
}

// Joined notes at which sequence number a member's own partner_joined stands.
func (t *Tx) Joined(p pactwire.PactID, u pactwire.UserID, at pactwire.Seq) error {
	stream, err := t.internID(pactName(p))
	if err != nil {
		return err
	}
	user, err := t.internID(userName(u))
	if err != nil {
		return err
	}
	return t.c.q(sqlPutJoined).int(user).int(stream).int(seqInt(at)).run()
}

// JoinedAt tells for each user at which sequence number of each pact their own partner_joined stands. Pacts without one,
// such as those they made, are not in the maps.
func (d *DB) JoinedAt(ctx context.Context, users []pactwire.UserID) (map[pactwire.UserID]map[pactwire.PactID]pactwire.Seq, error) {
	out := make(map[pactwire.UserID]map[pactwire.PactID]pactwire.Seq, len(users))
	err := d.view(ctx, func(c *conn) error {
		for _, u := range users {
			id, err := c.id(userName(u))
			if err != nil {
				return err
			}
			places := map[pactwire.PactID]pactwire.Seq{}
			s := c.q(sqlJoined).int(id)
			for s.next() {
				places[pactwire.PactID(s.colText(0))] = pactwire.Seq(s.colInt(1))
			}
			if err := s.end(); err != nil {
				return err
			}
			out[u] = places
		}
		return nil
	})
	if err != nil {
		return nil, readError("read where people joined", err)
	}
	return out, nil
}
