package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pactwire/pactwire"
)

const userColumns = `user_name, time_zone, day_starts_at, quiet_from, quiet_to, locale, push, last_seen`

// user is a person's row; made is set when it is to be written.
type user struct {
	u     pactwire.User
	ok    bool
	dirty bool
	made  time.Time
}

func scanUser(rows pgx.Row, first any) (u pactwire.User, err error) {
	var from, to, push, seen *string
	err = rows.Scan(first, &u.UserName, &u.TimeZone, &u.DayStartsAt, &from, &to, &u.Locale, &push, &seen)
	u.LastSeenVisibility = pactwire.LastSeenVisibility(textOf(seen))
	if from != nil {
		u.QuietHours = &pactwire.QuietHours{From: *from, To: textOf(to)}
	}
	if err == nil && push != nil {
		err = unmarshal("push settings", []byte(*push), &u.Push)
		if len(u.Push.Off) == 0 {
			u.Push.Off = nil
		}
		if len(u.Push.MutedPacts) == 0 {
			u.Push.MutedPacts = nil
		}
	}
	return u, err
}

func (t *Tx) user(id pactwire.UserID) (*user, error) {
	if u := t.users[id]; u != nil {
		return u, nil
	}
	err := t.want(func(w *wants) {
		w.lock(userName(id))
		w.users[id] = none{}
	})
	return t.users[id], err
}

// User reads a person.
func (t *Tx) User(id pactwire.UserID) (pactwire.User, bool, error) {
	u, err := t.user(id)
	if err != nil || !u.ok {
		return pactwire.User{}, false, err
	}
	return u.u, true, nil
}

// ReadUser reads a person outside of transactions.
func (d *DB) ReadUser(ctx context.Context, id pactwire.UserID) (u pactwire.User, ok bool, err error) {
	err = d.read(ctx, func(ctx context.Context) (err error) {
		u, ok, err = readUser(ctx, d.pool, id)
		return err
	})
	return u, ok, readError("read user "+string(id), err)
}

func readUser(ctx context.Context, q querier, id pactwire.UserID) (pactwire.User, bool, error) {
	u, err := scanUser(q.QueryRow(ctx, `SELECT n.name, `+userColumns+` FROM names n JOIN users u ON u.id = n.id
		WHERE n.kind = 2 AND n.name = $1`, id), &id)
	if err != nil {
		if errors.Is(err, pgx.ErrNoRows) {
			err = nil
		}
		return pactwire.User{}, false, err
	}
	u.ID = id
	return u, true, nil
}

// PutUser inserts or replaces a person.
func (t *Tx) PutUser(u pactwire.User) error {
	row, err := t.user(u.ID)
	if err != nil {
		return err
	}
	was := *row
	t.change(func() { *row = was })
	row.u, row.ok, row.dirty = u, true, true
	if row.made.IsZero() {
		row.made = time.Now()
	}
	return nil
}

// TouchUser stores the name that a token gave, making the user when there is none. An empty name leaves the one that
// stands.
func (t *Tx) TouchUser(u pactwire.UserID, userNameOf string, at time.Time) error {
	row, err := t.user(u)
	if err != nil {
		return err
	}
	now := row.u
	switch {
	case !row.ok:
		now = pactwire.User{ID: u, UserName: userNameOf, TimeZone: "UTC", DayStartsAt: "00:00"}
	case userNameOf == "" || userNameOf == row.u.UserName:
		return nil
	}
	was := *row
	t.change(func() { *row = was })
	if was.ok { // their pacts look different now, which other nodes find as any change
		t.post(`UPDATE pacts SET changed = pg_current_xact_id() WHERE status IN ('pending', 'active')
			AND id IN (SELECT m.pact FROM members m WHERE m.usr = $1)`, t.heads[userName(u)].id)
	}
	now.UserName = userNameOf
	row.u, row.ok, row.dirty, row.made = now, true, true, at
	return nil
}

// flushUsers sends the people who were written. created_at stays as first written.
func (t *Tx) flushUsers(b *pgx.Batch) {
	var ids, made []int64
	var names, zones, starts, locales []string
	var from, to, pushes, seen []*string
	for id, row := range t.users {
		if !row.dirty {
			continue
		}
		row.dirty = false
		ids, made = append(ids, t.heads[userName(id)].id), append(made, millis(row.made))
		names, zones = append(names, row.u.UserName), append(zones, row.u.TimeZone)
		starts, locales = append(starts, row.u.DayStartsAt), append(locales, row.u.Locale)
		if q := row.u.QuietHours; q != nil {
			from, to = append(from, &q.From), append(to, &q.To)
		} else {
			from, to = append(from, nil), append(to, nil)
		}
		pushes, seen = append(pushes, pushSettings(row.u.Push)), append(seen, visibility(row.u.LastSeenVisibility))
	}
	if len(ids) == 0 {
		return
	}
	b.Queue(`INSERT INTO users (id, user_name, time_zone, day_starts_at, quiet_from, quiet_to, locale, created_at, push, last_seen)
		SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bigint[], $9::text[], $10::text[])
		ON CONFLICT (id) DO UPDATE SET user_name = excluded.user_name, time_zone = excluded.time_zone,
			day_starts_at = excluded.day_starts_at, quiet_from = excluded.quiet_from, quiet_to = excluded.quiet_to,
			locale = excluded.locale, push = excluded.push, last_seen = excluded.last_seen`, ids, names, zones, starts, from, to, locales, made, pushes, seen)
}

// pushSettings is what a person wants of pushes as it is stored; nil is everything.
func pushSettings(p pactwire.PushSettings) *string {
	if len(p.Off)+len(p.MutedPacts) == 0 {
		return nil
	}
	raw, _ := json.Marshal(p) // it is made of strings
	s := string(raw)
	return &s
}

// visibility is what is stored of one; nil for the default.
func visibility(v pactwire.LastSeenVisibility) *string {
	if v == "" || v == pactwire.LastSeenExact {
		return nil
	}
	s := string(v)
	return &s
}

// readUsers collects the people whom a query names.
func (d *DB) readUsers(ctx context.Context, sql string, args ...any) (out []pactwire.UserID, err error) {
	err = d.read(ctx, func(ctx context.Context) error {
		rows, err := d.pool.Query(ctx, sql, args...)
		if err != nil {
			return err
		}
		out, err = pgx.CollectRows(rows, pgx.RowTo[pactwire.UserID])
		return err
	})
	return out, err
}
