package sqlite

import (
	"context"
	"time"

	"github.com/pactwire/pactwire"
)

var (
	sqlCelebrated    = newQuery(`SELECT 1 FROM celebrations WHERE user = ? AND checkin = ?`)
	sqlPutCelebrated = newQuery(`INSERT INTO celebrations (user, checkin, at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`)
	sqlEncouraged    = newQuery(`SELECT n FROM encouragements WHERE user = ? AND target = ? AND day >= ?`)
	sqlPutEncouraged = newQuery(`INSERT INTO encouragements (user, target, day, n) VALUES (?, ?, ?, ?)
		ON CONFLICT (user, target) DO UPDATE SET day = max(day, excluded.day), n = excluded.n`)
	sqlReaction    = newQuery(`SELECT emoji FROM reactions WHERE activity = ? AND user = ?`)
	sqlPutReaction = newQuery(`INSERT INTO reactions (activity, user, emoji) VALUES (?, ?, ?)
		ON CONFLICT (activity, user) DO UPDATE SET emoji = excluded.emoji`)
	sqlDropReaction = newQuery(`DELETE FROM reactions WHERE activity = ? AND user = ?`)
)

// Celebrated reports whether a person has celebrated a check-in.
func (t *Tx) Celebrated(u pactwire.UserID, checkin string) (bool, error) {
	user, err := t.c.id(userName(u))
	if user == 0 || err != nil {
		return false, err
	}
	return t.c.q(sqlCelebrated).int(user).text(checkin).changed()
}

// PutCelebrated notes that a person has celebrated a check-in.
func (t *Tx) PutCelebrated(u pactwire.UserID, checkin string, at time.Time) error {
	user, err := t.internID(userName(u))
	if err != nil {
		return err
	}
	return t.c.q(sqlPutCelebrated).int(user).text(checkin).int(millis(at)).run()
}

// Encouragements counts those of a person for another on a local day. One that is before the latest counts as that: who travels west
// does not begin anew.
func (t *Tx) Encouragements(from, to pactwire.UserID, day pactwire.LocalDate) (n int, err error) {
	user, other, err := t.c.twoUsers(from, to)
	if user == 0 || other == 0 || err != nil {
		return 0, err
	}
	s := t.c.q(sqlEncouraged).int(user).int(other).date(day)
	if s.next() {
		n = int(s.colInt(0))
	}
	return n, s.end()
}

// PutEncouragements sets the count of a day, or of the latest one if that is later, and forgets that of the days before.
func (t *Tx) PutEncouragements(from, to pactwire.UserID, day pactwire.LocalDate, n int) error {
	user, other, err := t.internTwoUsers(from, to)
	if err != nil {
		return err
	}
	return t.c.q(sqlPutEncouraged).int(user).int(other).date(day).int(int64(n)).run()
}

// Reaction is a person's emoji on an activity, "" for none.
func (t *Tx) Reaction(activity string, u pactwire.UserID) (emoji string, err error) {
	user, err := t.c.id(userName(u))
	if user == 0 || err != nil {
		return "", err
	}
	s := t.c.q(sqlReaction).text(activity).int(user)
	if s.next() {
		emoji = s.colText(0)
	}
	return emoji, s.end()
}

// PutReaction sets a person's emoji on an activity; "" takes it away.
func (t *Tx) PutReaction(activity string, u pactwire.UserID, emoji string) error {
	user, err := t.internID(userName(u))
	if err != nil {
		return err
	}
	if emoji == "" {
		return t.c.q(sqlDropReaction).text(activity).int(user).run()
	}
	return t.c.q(sqlPutReaction).text(activity).int(user).text(emoji).run()
}

const connectionColumns = `n.name, coalesce(u.user_name, ''), c.status, c.blocked, c.asked, c.updated_at`

const connectionTables = ` FROM connections c JOIN names n ON n.id = c.other LEFT JOIN users u ON u.id = c.other `

var (
	sqlConnection    = newQuery(`SELECT ` + connectionColumns + connectionTables + `WHERE c.user = ? AND c.other = ?`)
	sqlPutConnection = newQuery(`INSERT INTO connections (user, other, status, blocked, asked, updated_at) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (user, other) DO UPDATE SET status = excluded.status, blocked = excluded.blocked, asked = excluded.asked,
			updated_at = excluded.updated_at`)
	sqlCountConnections = newQuery(`SELECT count(*) FILTER (WHERE status = 'accepted'), count(*) FILTER (WHERE status = 'requested'), count(*)
		FROM connections WHERE user = ?`)
	sqlConnections = newQuery(`SELECT ` + connectionColumns + connectionTables + `WHERE c.user = ?1 AND n.name > ?3 AND (?2 = '' OR c.status = ?2)
		ORDER BY n.name LIMIT ?4`)
	sqlHasConnections = newQuery(`SELECT 1 FROM connections WHERE user = ? AND status = 'accepted' LIMIT 1`)
)

// Connection is u's side of how they stand to another.
func (t *Tx) Connection(u, other pactwire.UserID) (c pactwire.Connection, ok bool, err error) {
	user, whom, err := t.c.twoUsers(u, other)
	if user == 0 || whom == 0 || err != nil {
		return c, false, err
	}
	s := t.c.q(sqlConnection).int(user).int(whom)
	if ok = s.next(); ok {
		c = s.connection()
	}
	return c, ok, s.end()
}

func (s *stmt) connection() pactwire.Connection {
	return pactwire.Connection{UserID: pactwire.UserID(s.colText(0)), UserName: s.colText(1), Status: pactwire.ConnectionStatus(s.colText(2)),
		IsBlocked: s.colBool(3), Asked: int(s.colInt(4)), UpdatedAt: pactwire.Time(s.colTime(5))}
}

// PutConnection writes u's side.
func (t *Tx) PutConnection(u pactwire.UserID, c pactwire.Connection) error {
	user, other, err := t.internTwoUsers(u, c.UserID)
	if err != nil {
		return err
	}
	return t.c.q(sqlPutConnection).int(user).int(other).text(string(c.Status)).bool(c.IsBlocked).int(int64(c.Asked)).
		int(millis(c.UpdatedAt.Std())).run()
}

// CountConnections counts a person's sides.
func (t *Tx) CountConnections(u pactwire.UserID) (n pactwire.ConnectionCounts, err error) {
	user, err := t.c.id(userName(u))
	if user == 0 || err != nil {
		return n, err
	}
	s := t.c.q(sqlCountConnections).int(user)
	if s.next() {
		n = pactwire.ConnectionCounts{Accepted: int(s.colInt(0)), Requested: int(s.colInt(1)), All: int(s.colInt(2))}
	}
	return n, s.end()
}

// ReadConnections are a person's sides, ascending by the other's id, after an id.
func (d *DB) ReadConnections(ctx context.Context, u pactwire.UserID, status pactwire.ConnectionStatus, after pactwire.UserID, limit int) ([]pactwire.Connection, error) {
	var out []pactwire.Connection
	err := d.read(ctx, func(c *conn) error {
		user, err := c.id(userName(u))
		if user == 0 || err != nil {
			return err
		}
		s := c.q(sqlConnections).int(user).text(string(status)).text(string(after)).int(int64(max(limit, 0)))
		for s.next() {
			out = append(out, s.connection())
		}
		return s.end()
	})
	return out, readError("read connections of "+string(u), err)
}

// HaveConnections are those of the people who have an accepted connection.
func (d *DB) HaveConnections(ctx context.Context, users []pactwire.UserID) ([]pactwire.UserID, error) {
	var out []pactwire.UserID
	err := d.view(ctx, func(c *conn) error {
		out = nil
		for _, u := range users {
			id, err := c.id(userName(u))
			if err != nil {
				return err
			}
			s := c.q(sqlHasConnections).int(id)
			if s.next() {
				out = append(out, u)
			}
			if err := s.end(); err != nil {
				return err
			}
		}
		return nil
	})
	return out, readError("read who has connections", err)
}

func (c *conn) twoUsers(a, b pactwire.UserID) (first, second int64, err error) {
	if first, err = c.id(userName(a)); first == 0 || err != nil {
		return 0, 0, err
	}
	second, err = c.id(userName(b))
	return first, second, err
}

func (t *Tx) internTwoUsers(a, b pactwire.UserID) (first, second int64, err error) {
	if first, err = t.internID(userName(a)); err != nil {
		return 0, 0, err
	}
	second, err = t.internID(userName(b))
	return first, second, err
}
