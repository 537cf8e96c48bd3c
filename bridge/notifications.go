package bridge

import (
	"context"

	"github.com/pactwire/pactwire"
)

// notify puts a notification on top of a person's list and tells all of their devices.
func (c *commit) notify(n pactwire.Notification, data any) (err error) {
	typ := pactwire.EventNotificationCreated
	n.ID, n.Count, n.CreatedAt = c.b.cfg.NewID(), 1, pactwire.Time(c.now)
	if n.Subject != "" {
		was, ok, err := c.tx.UnreadAbout(n.UserID, n.Subject)
		if err != nil {
			return err
		}
		if ok {
			typ = pactwire.EventNotificationUpdated
			n.ID, n.Count, n.CreatedAt = was.ID, was.Count+1, was.CreatedAt
		}
	}
	n.IsUnread, n.UpdatedAt = true, pactwire.Time(c.now)
	if n.Data, err = encode(data); err != nil {
		return err
	}
	if err := c.tx.AddNotification(n); err != nil {
		return err
	}
	return c.told(n, typ, nil)
}

// told tells a person's devices of one notification and how many are unread with it.
func (c *commit) told(n pactwire.Notification, typ pactwire.EventType, command *string) error {
	unread, err := c.tx.CountUnread(n.UserID)
	if err != nil {
		return err
	}
	return c.event(n.UserID, &pactwire.Event{Type: typ, CommandID: command}, pactwire.NotificationChanged{Notification: n, UnreadCount: unread})
}

// mark sets read marks. All devices of the person hear of it, since it comes to their inbox.
func (op *operation) mark(cmd *pactwire.Command) (done pactwire.CommandDone, err error) {
	in, u := cmd.Notification, cmd.Sender.UserID
	if in.All {
		n, err := op.tx.ReadAllNotifications(u, op.now)
		if err != nil || n == 0 {
			return pactwire.CommandDone{Duplicate: true}, err
		}
		return done, op.event(u, &pactwire.Event{Type: pactwire.EventNotificationUpdated, CommandID: commandID(cmd)},
			pactwire.NotificationsMarked{All: true})
	}
	n, ok, err := op.tx.Notification(u, in.ID)
	switch {
	case err != nil:
		return done, err
	case !ok:
		return done, &pactwire.Error{Code: pactwire.NotFound, Field: "id", Message: "you have no such notification"}
	case n.IsUnread == in.Unread:
		return pactwire.CommandDone{Duplicate: true}, nil
	}
	if err := op.tx.MarkNotification(u, in.ID, in.Unread, op.now); err != nil {
		return done, err
	}
	n.IsUnread, n.UpdatedAt = in.Unread, pactwire.Time(op.now)
	return done, op.told(n, pactwire.EventNotificationUpdated, commandID(cmd))
}

// answered marks the notification of a question as read, since its owner has answered it.
func (c *commit) answered(u pactwire.UserID, subject string) error {
	n, ok, err := c.tx.UnreadAbout(u, subject)
	if err != nil || !ok {
		return err
	}
	if err := c.tx.MarkNotification(u, n.ID, false, c.now); err != nil {
		return err
	}
	n.IsUnread, n.UpdatedAt = false, pactwire.Time(c.now)
	return c.told(n, pactwire.EventNotificationUpdated, nil)
}

// Subjects of questions: asked again, each is still one.
func invitationTo(p pactwire.PactID) string  { return "invitation:" + string(p) }
func requestOfUser(u pactwire.UserID) string { return "request:" + string(u) }

// milestone tells a person of a milestone of theirs.
func (c *commit) milestone(u pactwire.UserID, command *string, data pactwire.MilestoneData) error {
	if err := c.event(u, &pactwire.Event{Type: pactwire.EventStreakMilestone, CommandID: command}, data); err != nil {
		return err
	}
	return c.notify(pactwire.Notification{UserID: u, Type: pactwire.NotifyMilestone, PactID: data.PactID}, data)
}

// aboutPact is the data of notifications about an invitation.
type aboutPact struct {
	PactID      pactwire.PactID `json:"pactId"`
	HabitGoalID pactwire.GoalID `json:"habitGoalId"`
	HabitName   string          `json:"habitName"`
}

// invited tells a person that they are invited to a pact, unless they have blocked who invites them: the invitation stands in
// their list of pacts all the same.
func (c *commit) invited(ch *pactwire.Change) error {
	side, _, err := c.tx.Connection(ch.Member, ch.User)
	if err != nil || side.IsBlocked {
		return err
	}
	data := pactwire.PactInvitation{Pact: ch.Pact, FromUserID: ch.User, FromUserName: ch.UserName}
	if err := c.event(ch.Member, &pactwire.Event{Type: pactwire.EventPactInvitation}, data); err != nil {
		return err
	}
	return c.notify(pactwire.Notification{UserID: ch.Member, Type: pactwire.NotifyPactInvitation, Subject: invitationTo(ch.Pact.ID),
		FromUserID: ch.User, FromUserName: ch.UserName, PactID: ch.Pact.ID}, aboutPact{ch.Pact.ID, ch.Pact.HabitGoalID, ch.Pact.HabitName})
}

// Notifications reads a page of the caller's notifications, the newest first.
func (b *Bridge) Notifications(ctx context.Context, id pactwire.Identity, q pactwire.NotificationQuery) (pactwire.NotificationPage, error) {
	if q.Limit <= 0 {
		q.Limit = defaultPage
	}
	limit := min(q.Limit, maxPage)
	q.Limit = limit + 1
	items, unread, err := b.store.ReadNotifications(ctx, id.UserID, q)
	page := pactwire.NotificationPage{Items: items, HasMore: len(items) > limit, UnreadCount: unread}
	if page.HasMore {
		page.Items = items[:limit]
	}
	if page.Items == nil {
		page.Items = []pactwire.Notification{}
	}
	return page, err
}
