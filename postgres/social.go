package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pactwire/pactwire"
)

// Connections that are made and ended, and read marks, are rare beside check-ins and what people say to each other (words.go), so
// their functions run alone, statement by statement. All that is read here belongs to a person who is locked first.

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

const connectionColumns = `n.name, coalesce(u.user_name, ''), c.status, c.blocked, c.asked, c.updated_at`

const selectConnections = `SELECT ` + connectionColumns + `
	FROM connections c JOIN names n ON n.id = c.other LEFT JOIN users u ON u.id = c.other `

// PutConnection writes u's side.
func (t *Tx) PutConnection(u pactwire.UserID, c pactwire.Connection) error {
	ids, err := t.people(u, c.UserID)
	if err != nil {
		return err
	}
	delete(t.connections, pair{u, c.UserID})
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

// HaveConnections are those of the people who have an accepted connection.
func (d *DB) HaveConnections(ctx context.Context, users []pactwire.UserID) ([]pactwire.UserID, error) {
	out, err := d.readUsers(ctx, `SELECT n.name FROM unnest($1::text[]) AS w (name) JOIN names n ON n.kind = 2 AND n.name = w.name
		WHERE EXISTS (SELECT 1 FROM connections c WHERE c.usr = n.id AND c.status = 'accepted')`, users)
	return out, readError("read who has connections", err)
}

const notificationColumns = `uid, type, subject, unread, sender, sender_name, pact, count, data, created_at, updated_at`

// Notification finds one of a person's by its id.
func (t *Tx) Notification(u pactwire.UserID, id string) (n pactwire.Notification, ok bool, err error) {
	ids, err := t.people(u)
	if err != nil {
		return n, false, err
	}
	n.UserID = u
	var made, changed int64
	ok, err = t.one(`SELECT `+notificationColumns+` FROM notifications WHERE usr = $1 AND uid = $2`, []any{ids[0], id}, notificationFields(&n, &made, &changed)...)
	if !ok {
		return pactwire.Notification{}, false, err
	}
	n.CreatedAt, n.UpdatedAt = pactwire.Time(timeOf(made)), pactwire.Time(timeOf(changed))
	return n, true, nil
}

func notificationFields(n *pactwire.Notification, made, changed *int64) []any {
	return []any{&n.ID, &n.Type, &n.Subject, &n.IsUnread, &n.FromUserID, &n.FromUserName, &n.PactID, &n.Count, (*[]byte)(&n.Data), made, changed}
}

// MarkNotification changes whether one is unread.
func (t *Tx) MarkNotification(u pactwire.UserID, id string, unread bool, at time.Time) error {
	ids, err := t.people(u)
	if err != nil {
		return err
	}
	t.notified = newNotified()
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
