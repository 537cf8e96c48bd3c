package sqlite

import (
	"context"
	"time"

	"github.com/pactwire/pactwire"
)

const notificationColumns = `uid, type, subject, unread, sender, sender_name, pact, count, data, created_at, updated_at`

var (
	sqlNotification    = newQuery(`SELECT ` + notificationColumns + ` FROM notifications WHERE user = ? AND uid = ?`)
	sqlUnreadAbout     = newQuery(`SELECT ` + notificationColumns + ` FROM notifications WHERE user = ? AND subject = ? AND unread = 1 LIMIT 1`)
	sqlLastNotified    = newQuery(`SELECT coalesce(max(n), 0) FROM notifications WHERE user = ?`)
	sqlTakeNotified    = newQuery(`DELETE FROM notifications WHERE user = ? AND uid = ?`)
	sqlDropNotified    = newQuery(`DELETE FROM notifications WHERE user = ? AND n <= ?`)
	sqlAddNotification = newQuery(`INSERT INTO notifications (user, n, ` + notificationColumns + `) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`)
	sqlMark            = newQuery(`UPDATE notifications SET unread = ?3, updated_at = ?4 WHERE user = ?1 AND uid = ?2`)
	sqlReadAll         = newQuery(`UPDATE notifications SET unread = 0, updated_at = ?2 WHERE user = ?1 AND unread = 1 RETURNING 1`)
	sqlUnread          = newQuery(`SELECT count(*) FROM notifications WHERE user = ? AND unread = 1`)
	sqlNotifications   = newQuery(`SELECT ` + notificationColumns + ` FROM notifications WHERE user = ?1 AND n < ?2 AND (?3 = 0 OR unread = 1)
		ORDER BY n DESC LIMIT ?4`)
	sqlPlaceOf = newQuery(`SELECT n FROM notifications WHERE user = ? AND uid = ?`)
)

// Notification finds one of a person's by its id.
func (t *Tx) Notification(u pactwire.UserID, id string) (pactwire.Notification, bool, error) {
	user, err := t.c.id(userName(u))
	if user == 0 || err != nil {
		return pactwire.Notification{}, false, err
	}
	return t.c.q(sqlNotification).int(user).text(id).oneNotification(u)
}

// UnreadAbout finds the unread one about a subject.
func (t *Tx) UnreadAbout(u pactwire.UserID, subject string) (pactwire.Notification, bool, error) {
	user, err := t.c.id(userName(u))
	if user == 0 || subject == "" || err != nil {
		return pactwire.Notification{}, false, err
	}
	return t.c.q(sqlUnreadAbout).int(user).text(subject).oneNotification(u)
}

func (s *stmt) oneNotification(u pactwire.UserID) (n pactwire.Notification, ok bool, err error) {
	if ok = s.next(); ok {
		n = s.notification(u)
	}
	return n, ok, s.end()
}

func (s *stmt) notification(u pactwire.UserID) pactwire.Notification {
	return pactwire.Notification{UserID: u, ID: s.colText(0), Type: pactwire.NotificationType(s.colText(1)), Subject: s.colText(2),
		IsUnread: s.colBool(3), FromUserID: pactwire.UserID(s.colText(4)), FromUserName: s.colText(5), PactID: pactwire.PactID(s.colText(6)),
		Count: int(s.colInt(7)), Data: s.colBlob(8), CreatedAt: pactwire.Time(s.colTime(9)), UpdatedAt: pactwire.Time(s.colTime(10))}
}

// AddNotification puts one at the top of its owner's list, taking it away from where it stood.
func (t *Tx) AddNotification(n pactwire.Notification) error {
	user, err := t.internID(userName(n.UserID))
	if err != nil {
		return err
	}
	if err := t.c.q(sqlTakeNotified).int(user).text(n.ID).run(); err != nil {
		return err
	}
	place := int64(1)
	s := t.c.q(sqlLastNotified).int(user)
	if s.next() {
		place = s.colInt(0) + 1
	}
	if err := s.end(); err != nil {
		return err
	}
	if err := t.c.q(sqlDropNotified).int(user).int(place - pactwire.MaxNotifications).run(); err != nil {
		return err
	}
	return t.c.q(sqlAddNotification).int(user).int(place).text(n.ID).text(string(n.Type)).text(n.Subject).bool(n.IsUnread).
		text(string(n.FromUserID)).text(n.FromUserName).text(string(n.PactID)).int(int64(n.Count)).blob(n.Data).
		int(millis(n.CreatedAt.Std())).int(millis(n.UpdatedAt.Std())).run()
}

// MarkNotification changes whether one is unread.
func (t *Tx) MarkNotification(u pactwire.UserID, id string, unread bool, at time.Time) error {
	user, err := t.c.id(userName(u))
	if user == 0 || err != nil {
		return err
	}
	return t.c.q(sqlMark).int(user).text(id).bool(unread).int(millis(at)).run()
}

// ReadAllNotifications marks all as read and tells how many were not.
func (t *Tx) ReadAllNotifications(u pactwire.UserID, at time.Time) (int, error) {
	user, err := t.c.id(userName(u))
	if user == 0 || err != nil {
		return 0, err
	}
	return t.c.q(sqlReadAll).int(user).int(millis(at)).count()
}

// CountUnread counts a person's unread notifications.
func (t *Tx) CountUnread(u pactwire.UserID) (int, error) {
	user, err := t.c.id(userName(u))
	if user == 0 || err != nil {
		return 0, err
	}
	return t.c.unread(user)
}

func (c *conn) unread(user int64) (n int, err error) {
	s := c.q(sqlUnread).int(user)
	if s.next() {
		n = int(s.colInt(0))
	}
	return n, s.end()
}

// ReadNotifications is a page of a person's notifications, the newest first, and how many are unread in all.
func (d *DB) ReadNotifications(ctx context.Context, u pactwire.UserID, q pactwire.NotificationQuery) (items []pactwire.Notification, unread int, err error) {
	err = d.view(ctx, func(c *conn) error {
		user, err := c.id(userName(u))
		if user == 0 || err != nil {
			return err
		}
		if unread, err = c.unread(user); err != nil {
			return err
		}
		before := int64(1) << 62
		if q.Before != "" {
			before = 0
			s := c.q(sqlPlaceOf).int(user).text(q.Before)
			if s.next() {
				before = s.colInt(0)
			}
			if err := s.end(); err != nil {
				return err
			}
		}
		s := c.q(sqlNotifications).int(user).int(before).bool(q.Unread).int(int64(max(q.Limit, 0)))
		for s.next() {
			items = append(items, s.notification(u))
		}
		return s.end()
	})
	return items, unread, readError("read notifications of "+string(u), err)
}
