package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pactwire/pactwire"
)

// What people say to each other is rare beside check-ins, so its functions run alone, statement by statement. All that is
// read here belongs to a person who is locked first.

// people locks users and returns their numbers.
func (t *Tx) people(users ...pactwire.UserID) ([]int64, error) {
	if err := t.direct(); err != nil {
		return nil, err
	}
	names := make([]name, len(users))
	for i, u := range users {
		names[i] = userName(u)
	}
	if err := t.hold(names...); err != nil {
		return nil, err
	}
	ids := make([]int64, len(users))
	for i, n := range names {
		ids[i] = t.d.ids[n]
	}
	return ids, nil
}

// Celebrated reports whether a person has celebrated a check-in.
func (t *Tx) Celebrated(u pactwire.UserID, checkin string) (bool, error) {
	ids, err := t.people(u)
	if err != nil {
		return false, err
	}
	var one int
	return t.one(`SELECT 1 FROM celebrations WHERE usr = $1 AND checkin = $2`, []any{ids[0], checkin}, &one)
}

// PutCelebrated notes that a person has celebrated a check-in.
func (t *Tx) PutCelebrated(u pactwire.UserID, checkin string, at time.Time) error {
	ids, err := t.people(u)
	if err != nil {
		return err
	}
	t.post(`INSERT INTO celebrations (usr, checkin, at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, ids[0], checkin, millis(at))
	return nil
}

// Encouragements counts those of a person for another on a local day.
func (t *Tx) Encouragements(from, to pactwire.UserID, day pactwire.LocalDate) (n int, err error) {
	number, err := dateNumber(day)
	if err != nil {
		return 0, err
	}
	ids, err := t.people(from, to)
	if err != nil {
		return 0, err
	}
	_, err = t.one(`SELECT n FROM encouragements WHERE usr = $1 AND target = $2 AND day = $3`, []any{ids[0], ids[1], number}, &n)
	return n, err
}

// PutEncouragements sets the count of a day, and forgets that of another.
func (t *Tx) PutEncouragements(from, to pactwire.UserID, day pactwire.LocalDate, n int) error {
	number, err := dateNumber(day)
	if err != nil {
		return err
	}
	ids, err := t.people(from, to)
	if err != nil {
		return err
	}
	t.post(`INSERT INTO encouragements (usr, target, day, n) VALUES ($1, $2, $3, $4)
		ON CONFLICT (usr, target) DO UPDATE SET day = excluded.day, n = excluded.n`, ids[0], ids[1], number, n)
	return nil
}

// Reaction is a person's emoji on an activity, "" for none.
func (t *Tx) Reaction(activity string, u pactwire.UserID) (emoji string, err error) {
	ids, err := t.people(u)
	if err != nil {
		return "", err
	}
	_, err = t.one(`SELECT emoji FROM reactions WHERE activity = $1 AND usr = $2`, []any{activity, ids[0]}, &emoji)
	return emoji, err
}

// PutReaction sets a person's emoji on an activity; "" takes it away.
func (t *Tx) PutReaction(activity string, u pactwire.UserID, emoji string) error {
	ids, err := t.people(u)
	if err != nil {
		return err
	}
	if emoji == "" {
		t.post(`DELETE FROM reactions WHERE activity = $1 AND usr = $2`, activity, ids[0])
		return nil
	}
	t.post(`INSERT INTO reactions (activity, usr, emoji) VALUES ($1, $2, $3) ON CONFLICT (activity, usr) DO UPDATE SET emoji = excluded.emoji`,
		activity, ids[0], emoji)
	return nil
}

const selectConnections = `SELECT n.name, coalesce(u.user_name, ''), c.status, c.blocked, c.asked, c.updated_at
	FROM connections c JOIN names n ON n.id = c.other LEFT JOIN users u ON u.id = c.other `

// Connection is u's side of how they stand to another.
func (t *Tx) Connection(u, other pactwire.UserID) (c pactwire.Connection, ok bool, err error) {
	ids, err := t.people(u, other)
	if err != nil {
		return c, false, err
	}
	var at int64
	ok, err = t.one(selectConnections+`WHERE c.usr = $1 AND c.other = $2`, []any{ids[0], ids[1]},
		&c.UserID, &c.UserName, &c.Status, &c.IsBlocked, &c.Asked, &at)
	if ok {
		c.UpdatedAt = pactwire.Time(timeOf(at))
	}
	return c, ok, err
}

// PutConnection writes u's side.
func (t *Tx) PutConnection(u pactwire.UserID, c pactwire.Connection) error {
	ids, err := t.people(u, c.UserID)
	if err != nil {
		return err
	}
	t.post(`INSERT INTO connections (usr, other, status, blocked, asked, updated_at) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (usr, other) DO UPDATE SET status = excluded.status, blocked = excluded.blocked, asked = excluded.asked,
			updated_at = excluded.updated_at`, ids[0], ids[1], c.Status, c.IsBlocked, c.Asked, millis(c.UpdatedAt.Std()))
	return nil
}

// CountConnections counts a person's sides.
func (t *Tx) CountConnections(u pactwire.UserID) (n pactwire.ConnectionCounts, err error) {
	ids, err := t.people(u)
	if err != nil {
		return n, err
	}
	_, err = t.one(`SELECT count(*) FILTER (WHERE status = 'accepted'), count(*) FILTER (WHERE status = 'requested'), count(*)
		FROM connections WHERE usr = $1`, []any{ids[0]}, &n.Accepted, &n.Requested, &n.All)
	return n, err
}

// ReadConnections are a person's sides, ascending by the other's id, after an id.
func (d *DB) ReadConnections(ctx context.Context, u pactwire.UserID, status pactwire.ConnectionStatus, after pactwire.UserID, limit int) (out []pactwire.Connection, err error) {
	err = d.read(ctx, func(ctx context.Context) error {
		rows, err := d.pool.Query(ctx, selectConnections+`WHERE c.usr = (SELECT id FROM names WHERE kind = 2 AND name = $1)
			AND n.name > $2 AND ($3 = '' OR c.status = $3) ORDER BY n.name LIMIT $4`, u, after, status, max(limit, 0))
		if err != nil {
			return err
		}
		defer rows.Close()
		out = nil
		return each(rows, func() error {
			var c pactwire.Connection
			var at int64
			err := rows.Scan(&c.UserID, &c.UserName, &c.Status, &c.IsBlocked, &c.Asked, &at)
			c.UpdatedAt = pactwire.Time(timeOf(at))
			out = append(out, c)
			return err
		})
	})
	return out, readError("read connections of "+string(u), err)
}

const notificationColumns = `uid, type, subject, unread, sender, sender_name, pact, count, data, created_at, updated_at`

// Notification finds one of a person's by its id.
func (t *Tx) Notification(u pactwire.UserID, id string) (pactwire.Notification, bool, error) {
	return t.notification(u, `WHERE usr = $1 AND uid = $2`, id)
}

// UnreadAbout finds the unread one about a subject.
func (t *Tx) UnreadAbout(u pactwire.UserID, subject string) (pactwire.Notification, bool, error) {
	if subject == "" {
		return pactwire.Notification{}, false, nil
	}
	return t.notification(u, `WHERE usr = $1 AND subject = $2 AND unread LIMIT 1`, subject)
}

func (t *Tx) notification(u pactwire.UserID, which, what string) (n pactwire.Notification, ok bool, err error) {
	ids, err := t.people(u)
	if err != nil {
		return n, false, err
	}
	n.UserID = u
	var made, changed int64
	ok, err = t.one(`SELECT `+notificationColumns+` FROM notifications `+which, []any{ids[0], what}, notificationFields(&n, &made, &changed)...)
	if !ok {
		return pactwire.Notification{}, false, err
	}
	n.CreatedAt, n.UpdatedAt = pactwire.Time(timeOf(made)), pactwire.Time(timeOf(changed))
	return n, true, nil
}

func notificationFields(n *pactwire.Notification, made, changed *int64) []any {
	return []any{&n.ID, &n.Type, &n.Subject, &n.IsUnread, &n.FromUserID, &n.FromUserName, &n.PactID, &n.Count, (*[]byte)(&n.Data), made, changed}
}

// AddNotification puts one at the top of its owner's list, taking it away from where it stood.
func (t *Tx) AddNotification(n pactwire.Notification) error {
	ids, err := t.people(n.UserID)
	if err != nil {
		return err
	}
	user := ids[0]
	t.post(`DELETE FROM notifications WHERE usr = $1 AND uid = $2`, user, n.ID)
	t.post(`DELETE FROM notifications WHERE usr = $1 AND n <= (SELECT max(n) FROM notifications WHERE usr = $1) + 1 - $2`,
		user, pactwire.MaxNotifications)
	t.post(`INSERT INTO notifications (usr, n, `+notificationColumns+`)
		SELECT $1, coalesce(max(n), 0) + 1, $2, $3, $4, $5::boolean, $6, $7, $8, $9::integer, $10::bytea, $11::bigint, $12::bigint
		FROM notifications WHERE usr = $1`,
		user, n.ID, string(n.Type), n.Subject, n.IsUnread, string(n.FromUserID), n.FromUserName, string(n.PactID), n.Count, []byte(n.Data),
		millis(n.CreatedAt.Std()), millis(n.UpdatedAt.Std()))
	return nil
}

// MarkNotification changes whether one is unread.
func (t *Tx) MarkNotification(u pactwire.UserID, id string, unread bool, at time.Time) error {
	ids, err := t.people(u)
	if err != nil {
		return err
	}
	t.post(`UPDATE notifications SET unread = $3, updated_at = $4 WHERE usr = $1 AND uid = $2`, ids[0], id, unread, millis(at))
	return nil
}

// ReadAllNotifications marks all as read and tells how many were not.
func (t *Tx) ReadAllNotifications(u pactwire.UserID, at time.Time) (int, error) {
	ids, err := t.people(u)
	if err != nil {
		return 0, err
	}
	n, err := t.exec(`UPDATE notifications SET unread = false, updated_at = $2 WHERE usr = $1 AND unread`, ids[0], millis(at))
	return int(n), err
}

// CountUnread counts a person's unread notifications.
func (t *Tx) CountUnread(u pactwire.UserID) (n int, err error) {
	ids, err := t.people(u)
	if err != nil {
		return 0, err
	}
	_, err = t.one(`SELECT count(*) FROM notifications WHERE usr = $1 AND unread`, []any{ids[0]}, &n)
	return n, err
}

// ReadNotifications is a page of a person's notifications, the newest first, and how many are unread in all.
func (d *DB) ReadNotifications(ctx context.Context, u pactwire.UserID, q pactwire.NotificationQuery) (items []pactwire.Notification, unread int, err error) {
	err = d.read(ctx, func(ctx context.Context) error {
		items, unread = nil, 0
		var b pgx.Batch
		b.Queue("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
		b.Queue(`SELECT count(*) FROM notifications WHERE unread AND usr = (SELECT id FROM names WHERE kind = 2 AND name = $1)`, u).
			QueryRow(func(row pgx.Row) error { return row.Scan(&unread) })
		b.Queue(`SELECT `+notificationColumns+` FROM notifications l WHERE usr = (SELECT id FROM names WHERE kind = 2 AND name = $1)
			AND ($2 = '' OR n < (SELECT n FROM notifications b WHERE b.usr = l.usr AND b.uid = $2)) AND (unread OR NOT $3)
			ORDER BY n DESC LIMIT $4`, u, q.Before, q.Unread, max(q.Limit, 0)).Query(func(rows pgx.Rows) error {
			return each(rows, func() error {
				n := pactwire.Notification{UserID: u}
				var made, changed int64
				err := rows.Scan(notificationFields(&n, &made, &changed)...)
				n.CreatedAt, n.UpdatedAt = pactwire.Time(timeOf(made)), pactwire.Time(timeOf(changed))
				items = append(items, n)
				return err
			})
		})
		b.Queue("COMMIT")
		return d.pool.SendBatch(ctx, &b).Close()
	})
	return items, unread, readError("read notifications of "+string(u), err)
}
