package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/pactwire/pactwire"
)

var (
	sqlUser = newQuery(`SELECT user_name, time_zone, day_starts_at, quiet_from, quiet_to, locale, push, last_seen FROM users WHERE id = ?`)
	// created_at is set here for people who become known by an invitation; it stays as first written.
	sqlPutUser = newQuery(`INSERT INTO users (id, user_name, time_zone, day_starts_at, quiet_from, quiet_to, locale, created_at, push, last_seen)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET user_name = excluded.user_name, time_zone = excluded.time_zone,
			day_starts_at = excluded.day_starts_at, quiet_from = excluded.quiet_from, quiet_to = excluded.quiet_to,
			locale = excluded.locale, push = excluded.push, last_seen = excluded.last_seen`)
	sqlNameUser = newQuery(`UPDATE users SET user_name = ?2 WHERE id = ?1`)
)

// User reads a person.
func (t *Tx) User(id pactwire.UserID) (pactwire.User, bool, error) { return t.c.user(id) }

// ReadUser reads a person outside of transactions.
func (d *DB) ReadUser(ctx context.Context, id pactwire.UserID) (u pactwire.User, ok bool, err error) {
	err = d.read(ctx, func(c *conn) (err error) {
		u, ok, err = c.user(id)
		return err
	})
	return u, ok, readError("read user "+string(id), err)
}

func (c *conn) user(id pactwire.UserID) (u pactwire.User, ok bool, err error) {
	n, err := c.id(userName(id))
	if n == 0 || err != nil {
		return u, false, err
	}
	s := c.q(sqlUser).int(n)
	if ok = s.next(); ok {
		u = pactwire.User{ID: id, UserName: s.colText(0), TimeZone: s.colText(1), DayStartsAt: s.colText(2), Locale: s.colText(5)}
		if !s.colNull(3) {
			u.QuietHours = &pactwire.QuietHours{From: s.colText(3), To: s.colText(4)}
		}
		u.Push = s.pushSettings(6)
		u.LastSeenVisibility = pactwire.LastSeenVisibility(s.colText(7))
	}
	return u, ok, s.end()
}

// PutUser inserts or replaces a person.
func (t *Tx) PutUser(u pactwire.User) error {
	id, err := t.internID(userName(u.ID))
	if err != nil {
		return err
	}
	return t.putUser(id, u, time.Now())
}

func (t *Tx) putUser(id int64, u pactwire.User, at time.Time) error {
	s := t.c.q(sqlPutUser).int(id).text(u.UserName).text(u.TimeZone).text(u.DayStartsAt)
	if q := u.QuietHours; q != nil {
		s.text(q.From).text(q.To)
	} else {
		s.null().null()
	}
	s.text(u.Locale).int(millis(at))
	if len(u.Push.Off)+len(u.Push.MutedPacts) == 0 {
		s.null()
		return s.visibility(u.LastSeenVisibility).run()
	}
	settings, err := json.Marshal(u.Push)
	if err != nil {
		return err
	}
	return s.text(string(settings)).visibility(u.LastSeenVisibility).run()
}

// visibility binds what is stored of one: nothing of the default.
func (s *stmt) visibility(v pactwire.LastSeenVisibility) *stmt {
	if v == "" || v == pactwire.LastSeenExact {
		return s.null()
	}
	return s.text(string(v))
}

// pushSettings reads what a person wants of pushes; NULL is everything.
func (s *stmt) pushSettings(i int32) (p pactwire.PushSettings) {
	if s.colNull(i) {
		return p
	}
	if err := json.Unmarshal([]byte(s.colText(i)), &p); err != nil && s.err == nil {
		s.err = fmt.Errorf("read push settings: %w", err)
	}
	if len(p.Off) == 0 {
		p.Off = nil
	}
	if len(p.MutedPacts) == 0 {
		p.MutedPacts = nil
	}
	return p
}

// TouchUser stores the name that a token gave, making the user when there is none. An empty name leaves the one that
// stands.
func (t *Tx) TouchUser(u pactwire.UserID, userNameOf string, at time.Time) error {
	id, err := t.internID(userName(u))
	if err != nil {
		return err
	}
	was, ok, err := t.c.user(u)
	switch {
	case err != nil:
		return err
	case !ok:
		return t.putUser(id, pactwire.User{ID: u, UserName: userNameOf, TimeZone: "UTC", DayStartsAt: "00:00"}, at)
	case userNameOf == "" || userNameOf == was.UserName:
		return nil
	}
	return t.c.q(sqlNameUser).int(id).text(userNameOf).run()
}
